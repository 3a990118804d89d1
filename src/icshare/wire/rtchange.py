"""Requests that change links, addresses, routes, rules and neighbours. No socket here.

Each function returns one `Request`, which the kernel carries out wholly or not at all. ``restore_*`` functions replay
what the kernel itself once showed (`icshare.wire.rtreplay`).

Source:
    rtnetlink(7); ``rtnl_newlink()`` and ``br_changelink()`` of the kernel.
"""

from ipaddress import IPv4Interface, IPv6Interface
from struct import Struct

from icshare.model.link import IFF_UP, RTN_LOCAL, RTN_UNICAST, Address, IfIndex, Neighbour, Route, Rule
from icshare.model.names import InterfaceName, MacAddress
from icshare.wire import rtnetlink as rt
from icshare.wire.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Request, attribute, nested, text, u8, u32
from icshare.wire.rtreplay import address_key, address_payload, neighbour_payload, route_payload, rule_payload

IFLA_BR_FORWARD_DELAY, IFLA_BR_STP_STATE, IFLA_BR_MCAST_SNOOPING = 1, 5, 23

RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RT_SCOPE_HOST = 0, 253, 254

FR_ACT_TO_TBL, FR_ACT_UNREACHABLE = 1, 7
_VIA_FAMILY = Struct("=H")
_CREATE = NLM_F_CREATE | NLM_F_EXCL


def create_bridge(name: InterfaceName, *, mac: MacAddress | None, mtu: int | None = None, up: bool = False) -> Request:
    """Create a bridge that forwards from the first packet: no spanning tree, no forward delay, multicast snooping on.

    Args:
        name: Name of the new link; EEXIST if taken.
        mac: Its hardware address. A bridge without one of its own takes the smallest of its ports', which changes as
            ports come and go.
        mtu: Bytes, 68 to 65535; None lets it follow the smallest of its ports.
        up: Bring it up at once.
    """
    data = nested(
        rt.IFLA_INFO_DATA, u32(IFLA_BR_FORWARD_DELAY, 0), u32(IFLA_BR_STP_STATE, 0), u8(IFLA_BR_MCAST_SNOOPING, 1)
    )
    payload = rt.IFINFO.pack(0, 0, 0, IFF_UP if up else 0, IFF_UP if up else 0) + text(rt.IFLA_IFNAME, name)
    if mtu is not None:
        payload += u32(rt.IFLA_MTU, mtu)
    if mac is not None:
        payload += attribute(rt.IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    payload += nested(rt.IFLA_LINKINFO, text(rt.IFLA_INFO_KIND, "bridge"), data)
    return Request(type=rt.RTM_NEWLINK, flags=_CREATE, payload=payload, purpose=f"create bridge {name}")


def delete_link(index: IfIndex) -> Request:
    """Delete a virtual link; EOPNOTSUPP for hardware, ENODEV if it is gone."""
    return Request(type=rt.RTM_DELLINK, payload=rt.IFINFO.pack(0, 0, index, 0, 0), purpose=f"delete link {index}")


def set_up(index: IfIndex, *, up: bool) -> Request:
    """Bring a link up or down (administratively)."""
    payload = rt.IFINFO.pack(0, 0, index, IFF_UP if up else 0, IFF_UP)
    return Request(type=rt.RTM_NEWLINK, payload=payload, purpose=f"set link {index} {'up' if up else 'down'}")


def set_alias(index: IfIndex, alias: str) -> Request:
    """Give a link a name for people, up to 255 bytes of UTF-8; "" takes it away."""
    payload = rt.IFINFO.pack(0, 0, index, 0, 0) + attribute(rt.IFLA_IFALIAS, alias.encode())
    return Request(type=rt.RTM_NEWLINK, payload=payload, purpose=f"name link {index}")


def set_master(index: IfIndex, master: IfIndex | None) -> Request:
    """Make a link a port of *master*, or of nothing.

    A port may change its master at once, without a moment alone. A bridge refuses what is no Ethernet (EINVAL), another
    bridge (ELOOP) and a Wi-Fi station (EOPNOTSUPP).
    """
    payload = rt.IFINFO.pack(0, 0, index, 0, 0) + u32(rt.IFLA_MASTER, master or 0)
    purpose = f"make link {index} a port of link {master}" if master else f"release link {index} from its master"
    return Request(type=rt.RTM_NEWLINK, payload=payload, purpose=purpose)


def set_mtu(index: IfIndex, mtu: int) -> Request:
    """Set a link's MTU in bytes; EINVAL outside of the device's range."""
    payload = rt.IFINFO.pack(0, 0, index, 0, 0) + u32(rt.IFLA_MTU, mtu)
    return Request(type=rt.RTM_NEWLINK, payload=payload, purpose=f"set the MTU of link {index} to {mtu}")


def add_address(
    index: IfIndex, interface: IPv4Interface | IPv6Interface, *, label: str = "", host_scope: bool = False
) -> Request:
    """Add an address to a link; an IPv4 one gets its subnet's broadcast address. EEXIST if it is there.

    Args:
        index: The link.
        interface: The address.
        label: Name by which ioctls find it, "" for the link's own.
        host_scope: It is never chosen as a source of what leaves the host.
    """
    payload = _address_header(index, interface, RT_SCOPE_HOST if host_scope else None)
    if label:
        payload += text(rt.IFA_LABEL, label)
    if isinstance(interface, IPv4Interface) and interface.network.prefixlen < 31:
        payload += attribute(rt.IFA_BROADCAST, interface.network.broadcast_address.packed)
    return Request(type=rt.RTM_NEWADDR, flags=_CREATE, payload=payload, purpose=f"add {interface} to link {index}")


def delete_address(address: Address) -> Request:
    """Delete an address; EADDRNOTAVAIL if it is gone.

    Deleting a primary IPv4 address takes its secondaries with it, unless ``promote_secondaries`` is on.
    """
    payload = _address_header(address.index, address.interface)
    if address.raw:  # with a peer, only local and peer together name the address
        payload = payload[: rt.IFADDR.size] + address_key(address.raw)
    purpose = f"delete {address.interface} from link {address.index}"
    return Request(type=rt.RTM_DELADDR, payload=payload, purpose=purpose)


def restore_address(address: Address, *, elapsed_seconds: int = 0) -> Request | None:
    """Add an address again as the kernel once showed it, with what is left of its lifetimes.

    An IPv4 address becomes primary or secondary by the order in which addresses come back, so keep the dump's order.

    Args:
        address: With its ``raw`` payload.
        elapsed_seconds: Time since the kernel showed it, 0 or more.

    Returns:
        None if its lifetime is over.

    Raises:
        HostError: The payload is malformed.
    """
    payload = address_payload(address.raw, elapsed_seconds=elapsed_seconds)
    if payload is None:
        return None
    purpose = f"restore {address.interface} on link {address.index}"
    return Request(type=rt.RTM_NEWADDR, flags=_CREATE, payload=payload, purpose=purpose)


def add_route(route: Route) -> Request:
    """Add a route that we make ourselves, at once in place of one with its destination, table and metric.

    *route* must not be a multipath route: those come back by `restore_route`.
    """
    assert not route.nexthops, "multipath routes are only ever restored"
    purpose = f"add route {_route_name(route)}"
    return Request(type=rt.RTM_NEWROUTE, flags=NLM_F_CREATE | NLM_F_REPLACE, payload=_route(route), purpose=purpose)


def delete_route(route: Route) -> Request:
    """Delete a route; ESRCH if it is gone."""
    payload = route_payload(route.raw, elapsed_seconds=0) if route.raw else _route(route)
    assert payload is not None, "without time passing no route expires"
    return Request(type=rt.RTM_DELROUTE, payload=payload, purpose=f"delete route {_route_name(route)}")


def restore_route(route: Route, *, elapsed_seconds: int = 0) -> Request | None:
    """Add a route again as the kernel once showed it, with what is left of its lifetime.

    Args:
        route: With its ``raw`` payload.
        elapsed_seconds: Time since the kernel showed it, 0 or more.

    Returns:
        None if its lifetime is over.

    Raises:
        HostError: The payload is malformed.
    """
    payload = route_payload(route.raw, elapsed_seconds=elapsed_seconds)
    if payload is None:
        return None
    return Request(type=rt.RTM_NEWROUTE, flags=_CREATE, payload=payload, purpose=f"restore route {_route_name(route)}")


def add_rule(
    family: int,
    *,
    priority: int,
    iif: InterfaceName | None = None,
    account: int | None = None,
    table: int | None = None,
    suppress_prefixlength: int | None = None,
    protocol: int = 4,
) -> Request:
    """Add a policy rule; EEXIST if the same one is there.

    Args:
        family: 4 or 6.
        priority: Smaller is asked first.
        iif: Only packets that came in by this link; None for all, our own included.
        account: Only packets of this user's sockets.
        table: Routing table to look up; None answers "unreachable".
        suppress_prefixlength: Ignore routes of the table with a prefix this long or shorter; 0 ignores its defaults.
        protocol: RTPROT number that marks whose rule it is; 4 is static.
    """
    payload = _rule(
        family,
        priority=priority,
        iif=iif,
        account=account,
        table=table,
        suppress_prefixlength=suppress_prefixlength,
        protocol=protocol,
    )
    return Request(type=rt.RTM_NEWRULE, flags=_CREATE, payload=payload, purpose=f"add rule {priority} (IPv{family})")


def delete_rule(
    family: int,
    *,
    priority: int,
    iif: InterfaceName | None = None,
    account: int | None = None,
    table: int | None = None,
    suppress_prefixlength: int | None = None,
    protocol: int = 4,
) -> Request:
    """Delete the rule that `add_rule` adds with the same arguments; ENOENT if it is gone."""
    payload = _rule(
        family,
        priority=priority,
        iif=iif,
        account=account,
        table=table,
        suppress_prefixlength=suppress_prefixlength,
        protocol=protocol,
    )
    return Request(type=rt.RTM_DELRULE, payload=payload, purpose=f"delete rule {priority} (IPv{family})")


def restore_rule(rule: Rule) -> Request:
    """Add a rule again as the kernel once showed it.

    Raises:
        HostError: The payload is malformed.
    """
    purpose = f"restore rule {rule.priority} (IPv{rule.family})"
    return Request(type=rt.RTM_NEWRULE, flags=_CREATE, payload=rule_payload(rule.raw), purpose=purpose)


def remove_rule(rule: Rule) -> Request:
    """Delete a rule that the kernel showed; ENOENT if it is gone.

    Raises:
        HostError: The payload is malformed.
    """
    purpose = f"delete rule {rule.priority} (IPv{rule.family})"
    return Request(type=rt.RTM_DELRULE, payload=rule_payload(rule.raw), purpose=purpose)


def delete_neighbour(neighbour: Neighbour) -> Request:
    """Delete a neighbour entry; ENOENT if it is gone."""
    family = rt.AF_INET if neighbour.address.version == 4 else rt.AF_INET6
    payload = rt.NDMSG.pack(family, neighbour.index, 0, 0, 0) + attribute(rt.NDA_DST, neighbour.address.packed)
    purpose = f"delete neighbour {neighbour.address} of link {neighbour.index}"
    return Request(type=rt.RTM_DELNEIGH, payload=payload, purpose=purpose)


def restore_neighbour(neighbour: Neighbour) -> Request:
    """Add a neighbour entry again, in the state the kernel once showed.

    Raises:
        HostError: The payload is malformed.
    """
    payload = neighbour_payload(neighbour.raw)
    purpose = f"restore neighbour {neighbour.address} of link {neighbour.index}"
    return Request(type=rt.RTM_NEWNEIGH, flags=_CREATE, payload=payload, purpose=purpose)


def _address_header(index: IfIndex, interface: IPv4Interface | IPv6Interface, scope: int | None = None) -> bytes:
    family = rt.AF_INET if interface.version == 4 else rt.AF_INET6
    if scope is None:
        scope = RT_SCOPE_LINK if interface.ip.is_link_local else RT_SCOPE_UNIVERSE
    header = rt.IFADDR.pack(family, interface.network.prefixlen, 0, scope, index)
    return header + attribute(rt.IFA_LOCAL, interface.ip.packed) + attribute(rt.IFA_ADDRESS, interface.ip.packed)


def _route_name(route: Route) -> str:
    via = f" via {route.gateway}" if route.gateway is not None else ""
    return f"{route.destination}{via} in table {route.table}"


def _route(route: Route) -> bytes:
    ipv4 = route.destination.version == 4
    scope = RT_SCOPE_UNIVERSE
    if ipv4 and route.type == RTN_LOCAL:
        scope = RT_SCOPE_HOST
    elif ipv4 and route.type == RTN_UNICAST and route.gateway is None:
        scope = RT_SCOPE_LINK
    table = route.table if route.table < 256 else 0  # the byte is too small for the others; RTA_TABLE counts
    family = rt.AF_INET if ipv4 else rt.AF_INET6
    prefix = route.destination.prefixlen
    payload = rt.RTMSG.pack(family, prefix, 0, 0, table, route.protocol, scope, route.type, 0)
    payload += u32(rt.RTA_TABLE, route.table)
    if prefix:
        payload += attribute(rt.RTA_DST, route.destination.network_address.packed)
    if route.gateway is not None and route.gateway.version == route.destination.version:
        payload += attribute(rt.RTA_GATEWAY, route.gateway.packed)
    elif route.gateway is not None:
        payload += attribute(rt.RTA_VIA, _VIA_FAMILY.pack(rt.AF_INET6) + route.gateway.packed)
    if route.index is not None:
        payload += u32(rt.RTA_OIF, route.index)
    if route.metric:
        payload += u32(rt.RTA_PRIORITY, route.metric)
    return payload


def _rule(
    family: int,
    *,
    priority: int,
    iif: InterfaceName | None,
    account: int | None,
    table: int | None,
    suppress_prefixlength: int | None,
    protocol: int,
) -> bytes:
    action = FR_ACT_UNREACHABLE if table is None else FR_ACT_TO_TBL
    short = table if table is not None and table < 256 else 0
    payload = rt.FIB_RULE.pack(rt.AF_INET if family == 4 else rt.AF_INET6, 0, 0, 0, short, 0, 0, action, 0)
    payload += u32(rt.FRA_PRIORITY, priority) + u8(rt.FRA_PROTOCOL, protocol)
    if iif is not None:
        payload += text(rt.FRA_IIFNAME, iif)
    if account is not None:
        payload += attribute(rt.FRA_UID_RANGE, rt.UID_RANGE.pack(account, account))
    if table is not None:
        payload += u32(rt.FRA_TABLE, table)
    if suppress_prefixlength is not None:
        payload += u32(rt.FRA_SUPPRESS_PREFIXLEN, suppress_prefixlength)
    return payload
