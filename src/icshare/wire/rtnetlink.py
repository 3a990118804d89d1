"""Reading links, addresses, routes, rules and neighbours: rtnetlink dump requests and their answers. No socket here.

A parser takes the payload of one message. It raises `HostError` for one that does not hold what it must, and returns
None for one that is sound but not ours to judge: a route of another family, a rule of multicast routing.

Source:
    rtnetlink(7); ``linux/rtnetlink.h``, ``linux/if_link.h``, ``linux/if_addr.h``, ``linux/fib_rules.h``,
    ``linux/neighbour.h``; ``linux/if_ether.h`` for the byte order of hardware addresses.
"""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from struct import Struct

from icshare.errors import HostError
from icshare.model.link import Address, IfIndex, Link, Neighbour, Route, Rule
from icshare.model.names import MacAddress
from icshare.wire.netlink import NLM_F_DUMP, Request, attributes, read_text, read_u8, read_u16, read_u32, text, u32

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34

AF_INET = 2
AF_INET6 = 10

IFINFO = Struct("=BxHiII")
"""family, type, index, flags, change"""
IFADDR = Struct("=BBBBI")
"""family, prefix length, flags, scope, index"""
RTMSG = Struct("=BBBBBBBBI")
"""family, destination length, source length, tos, table, protocol, scope, type, flags"""
FIB_RULE = Struct("=BBBBBBBBI")
UID_RANGE = Struct("=II")
_FIB_RULE_INVERT = 0x2
"""family, destination length, source length, tos, table, reserved, reserved, action, flags"""
NDMSG = Struct("=BxxxiHBB")
"""family, index, state, flags, type"""
RTNEXTHOP = Struct("=HBBi")
"""length, flags, hops, index"""

IFLA_ADDRESS = 1
IFLA_IFNAME = 3
IFLA_MTU = 4
IFLA_LINK = 5
IFLA_MASTER = 10
IFLA_OPERSTATE = 16
IFLA_LINKINFO = 18
IFLA_IFALIAS = 20
IFLA_EXT_MASK = 29
IFLA_CARRIER = 33
IFLA_LINK_NETNSID = 37
IFLA_PERM_ADDRESS = 54
IFLA_PARENT_DEV_NAME = 56
IFLA_PARENT_DEV_BUS_NAME = 57
IFLA_INFO_KIND = 1
IFLA_INFO_DATA = 2
IFLA_VLAN_ID = 1
IFLA_INFO_SLAVE_KIND = 4
RTEXT_FILTER_SKIP_STATS = 8

IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST, IFA_CACHEINFO, IFA_FLAGS = 1, 2, 3, 4, 6, 8
IFA_F_SECONDARY = 0x1

RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC = 1, 4, 5, 6, 7
RTA_MULTIPATH, RTA_TABLE, RTA_VIA = 9, 15, 18
RTM_F_CLONED = 0x200

FRA_IIFNAME, FRA_PRIORITY, FRA_SUPPRESS_PREFIXLEN, FRA_TABLE, FRA_UID_RANGE, FRA_PROTOCOL = 3, 6, 14, 15, 20, 21
# Mark, outgoing link, users, protocol, ports.
_FRA_SELECTORS = frozenset({10, 17, FRA_UID_RANGE, 22, 23, 24})

NDA_DST, NDA_LLADDR = 1, 2

_VIA_FAMILY = Struct("=H")
_DEFAULTS: dict[int, IPv4Network | IPv6Network] = {AF_INET: IPv4Network("0.0.0.0/0"), AF_INET6: IPv6Network("::/0")}
_EMPTY = IFINFO.pack(0, 0, 0, 0, 0)


def dump_links() -> Request:
    """Ask for every link, without the counters, which cost more than all the rest."""
    payload = _EMPTY + u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    return Request(type=RTM_GETLINK, flags=NLM_F_DUMP, payload=payload, purpose="list the links")


def get_link(name: str) -> Request:
    """Ask for the link called *name*; the kernel answers ENODEV if there is none."""
    payload = _EMPTY + text(IFLA_IFNAME, name) + u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    return Request(type=RTM_GETLINK, payload=payload, purpose=f"look up link {name}")


def get_link_by_index(index: IfIndex) -> Request:
    """Ask for the link with *index*; ENODEV if there is none."""
    return Request(type=RTM_GETLINK, payload=IFINFO.pack(0, 0, index, 0, 0), purpose=f"look up link {index}")


def dump_addresses() -> Request:
    """Ask for every IPv4 and IPv6 address of every link."""
    return Request(type=RTM_GETADDR, flags=NLM_F_DUMP, payload=IFADDR.pack(0, 0, 0, 0, 0), purpose="list the addresses")


def dump_routes(family: int) -> Request:
    """Ask for every route of every table of *family* (`AF_INET` or `AF_INET6`), without cached clones."""
    payload = RTMSG.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
    return Request(type=RTM_GETROUTE, flags=NLM_F_DUMP, payload=payload, purpose="list the routes")


def dump_rules(family: int) -> Request:
    """Ask for every policy rule of *family* (`AF_INET` or `AF_INET6`)."""
    payload = FIB_RULE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
    return Request(type=RTM_GETRULE, flags=NLM_F_DUMP, payload=payload, purpose="list the policy rules")


def dump_neighbours(family: int) -> Request:
    """Ask for every neighbour entry of *family* (`AF_INET` or `AF_INET6`), without proxies."""
    payload = NDMSG.pack(family, 0, 0, 0, 0)
    return Request(type=RTM_GETNEIGH, flags=NLM_F_DUMP, payload=payload, purpose="list the neighbours")


def parse_link(payload: bytes) -> Link:
    """Return the link of an RTM_NEWLINK *payload*, without the facts of sysfs.

    Raises:
        HostError: The payload is malformed, names no link, or its index is not positive.
    """
    _, hardware, index, flags, _ = _header(IFINFO, payload, "link")
    found = attributes(payload, IFINFO.size)
    get = found.get
    if index < 1 or IFLA_IFNAME not in found:
        raise HostError(f"link message lacks a name or a positive index (index {index})")
    info = attributes(found[IFLA_LINKINFO]) if IFLA_LINKINFO in found else {}
    # With a namespace id the lower link's index counts in that namespace, not here.
    lower = read_u32(found[IFLA_LINK]) if IFLA_LINK in found and IFLA_LINK_NETNSID not in found else 0
    master = read_u32(found[IFLA_MASTER]) if IFLA_MASTER in found else 0
    kind = read_text(info.get(IFLA_INFO_KIND, b""))
    tag = attributes(info[IFLA_INFO_DATA]).get(IFLA_VLAN_ID) if kind == "vlan" and IFLA_INFO_DATA in info else None
    return Link(
        index=IfIndex(index),
        name=read_text(found[IFLA_IFNAME]),
        type=hardware,
        flags=flags,
        kind=kind,
        slave_kind=read_text(info.get(IFLA_INFO_SLAVE_KIND, b"")),
        mtu=read_u32(found[IFLA_MTU]) if IFLA_MTU in found else 0,
        address=get(IFLA_ADDRESS, b"").hex(":"),
        permanent_address=get(IFLA_PERM_ADDRESS, b"").hex(":"),
        master=IfIndex(master) if master else None,
        lower=IfIndex(lower) if lower and lower != index else None,
        vlan=read_u16(tag) if tag is not None else 0,
        operstate=read_u8(found[IFLA_OPERSTATE]) if IFLA_OPERSTATE in found else 0,
        carrier=bool(read_u8(found[IFLA_CARRIER])) if IFLA_CARRIER in found else False,
        alias=read_text(get(IFLA_IFALIAS, b"")),
        parent_bus=read_text(get(IFLA_PARENT_DEV_BUS_NAME, b"")),
        parent_device=read_text(get(IFLA_PARENT_DEV_NAME, b"")),
    )


def parse_address(payload: bytes) -> Address | None:
    """Return the address of an RTM_NEWADDR *payload*, None if it is neither IPv4 nor IPv6.

    Raises:
        HostError: The payload is malformed.
    """
    family, prefix, flags, _, index = _header(IFADDR, payload, "address")
    found = attributes(payload, IFADDR.size)
    # IFA_ADDRESS is the peer's on a point-to-point link; IFA_LOCAL is then ours. IPv6 sends IFA_LOCAL only with a peer.
    value = found.get(IFA_LOCAL, found.get(IFA_ADDRESS, b""))
    other = found.get(IFA_ADDRESS, value)
    if family not in {AF_INET, AF_INET6}:
        return None
    if IFA_FLAGS in found:
        flags = read_u32(found[IFA_FLAGS])
    return Address(
        index=IfIndex(index),
        interface=_interface(family, value, prefix),
        peer=_address(family, other) if other != value else None,
        secondary=family == AF_INET and bool(flags & IFA_F_SECONDARY),
        raw=payload,
    )


def parse_route(payload: bytes) -> Route | None:
    """Return the route of an RTM_NEWROUTE *payload*, None if it is neither IPv4 nor IPv6 or a cached clone.

    Raises:
        HostError: The payload is malformed.
    """
    family, prefix, _, _, table, protocol, _, kind, flags = _header(RTMSG, payload, "route")
    found = attributes(payload, RTMSG.size)
    if family not in {AF_INET, AF_INET6} or flags & RTM_F_CLONED:
        return None
    index = read_u32(found[RTA_OIF]) if RTA_OIF in found else 0
    return Route(
        table=read_u32(found[RTA_TABLE]) if RTA_TABLE in found else table,
        destination=_network(family, found.get(RTA_DST, b""), prefix),
        gateway=_gateway(family, found),
        index=IfIndex(index) if index else None,
        metric=read_u32(found[RTA_PRIORITY]) if RTA_PRIORITY in found else 0,
        protocol=protocol,
        type=kind,
        nexthops=_nexthops(found[RTA_MULTIPATH]) if RTA_MULTIPATH in found else (),
        source=_address(family, found[RTA_PREFSRC]) if RTA_PREFSRC in found else None,
        raw=payload,
    )


def parse_rule(payload: bytes) -> Rule | None:
    """Return the rule of an RTM_NEWRULE *payload*, None if it is neither IPv4 nor IPv6.

    Raises:
        HostError: The payload is malformed.
    """
    family, to_bits, from_bits, tos, short, _, _, _, flags = _header(FIB_RULE, payload, "rule")
    found = attributes(payload, FIB_RULE.size)
    if family not in {AF_INET, AF_INET6}:
        return None
    priority = read_u32(found[FRA_PRIORITY]) if FRA_PRIORITY in found else 0
    iif = read_text(found.get(FRA_IIFNAME, b""))
    accounts = _header(UID_RANGE, found[FRA_UID_RANGE], "rule") if FRA_UID_RANGE in found else None
    return Rule(
        family=4 if family == AF_INET else 6,
        priority=priority,
        iif=iif,
        accounts=(accounts[0], accounts[1]) if accounts else None,
        table=read_u32(found[FRA_TABLE]) if FRA_TABLE in found else short,
        selective=bool(to_bits or from_bits or tos or _FRA_SELECTORS & found.keys()) and not flags & _FIB_RULE_INVERT,
        raw=payload,
    )


def parse_neighbour(payload: bytes) -> Neighbour | None:
    """Return the entry of an RTM_NEWNEIGH *payload*, None if it is neither IPv4 nor IPv6.

    Raises:
        HostError: The payload is malformed.
    """
    family, index, state, _, _ = _header(NDMSG, payload, "neighbour")
    found = attributes(payload, NDMSG.size)
    if family not in {AF_INET, AF_INET6}:
        return None
    hardware = found.get(NDA_LLADDR, b"")
    return Neighbour(
        index=IfIndex(index),
        address=_address(family, found.get(NDA_DST, b"")),
        mac=MacAddress(hardware.hex(":")) if len(hardware) == 6 and any(hardware) else None,
        state=state,
        raw=payload,
    )


def _header(layout: Struct, payload: bytes, what: str) -> tuple[int, ...]:
    if len(payload) < layout.size:
        raise HostError(f"{what} message is truncated: {len(payload)} bytes instead of a header of {layout.size}")
    return layout.unpack_from(payload)


def _address(family: int, value: bytes) -> IPv4Address | IPv6Address:
    if family == AF_INET and len(value) == 4:
        return IPv4Address(value)
    if family == AF_INET6 and len(value) == 16:
        return IPv6Address(value)
    raise HostError(f"netlink message of family {family} holds an address of {len(value)} bytes")


def _prefixed(family: int, value: bytes, prefix: int) -> IPv4Address | IPv6Address:
    address = _address(family, value)
    if prefix > address.max_prefixlen:
        raise HostError(f"netlink message gives {address} a prefix length of {prefix}")
    return address


def _interface(family: int, value: bytes, prefix: int) -> IPv4Interface | IPv6Interface:
    address = _prefixed(family, value, prefix)
    return IPv4Interface((address, prefix)) if isinstance(address, IPv4Address) else IPv6Interface((address, prefix))


def _network(family: int, value: bytes, prefix: int) -> IPv4Network | IPv6Network:
    if not value and not prefix:
        return _DEFAULTS[family]
    address = _prefixed(family, value, prefix)
    if isinstance(address, IPv4Address):
        return IPv4Network((address, prefix), strict=False)
    return IPv6Network((address, prefix), strict=False)


def _gateway(family: int, found: dict[int, bytes]) -> IPv4Address | IPv6Address | None:
    if RTA_GATEWAY in found:
        return _address(family, found[RTA_GATEWAY])
    if RTA_VIA in found:  # an IPv4 route over an IPv6 next hop: two bytes of family, then the address (RFC 5549)
        via = found[RTA_VIA]
        if len(via) < 2:
            raise HostError(f"route message holds a next hop of {len(via)} bytes")
        other = int(_VIA_FAMILY.unpack_from(via)[0])
        return _address(other, via[2:]) if other in {AF_INET, AF_INET6} else None
    return None


def _nexthops(value: bytes) -> tuple[IfIndex, ...]:
    found = []
    offset = 0
    while offset < len(value):
        if len(value) - offset < RTNEXTHOP.size:
            raise HostError(f"multipath route is truncated: {len(value) - offset} bytes left")
        length, _, _, index = RTNEXTHOP.unpack_from(value, offset)
        if not RTNEXTHOP.size <= length <= len(value) - offset:
            raise HostError(f"next hop of a multipath route claims {length} bytes where {len(value) - offset} are left")
        found.append(IfIndex(index))
        offset += (length + 3) & ~3
    return tuple(found)
