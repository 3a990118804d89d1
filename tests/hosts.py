"""Hosts to plan on, from a few readable words.

A description lists links and says only what differs from an Ethernet link that is up with its cable plugged in::

    {
        "links": [{"name": "wan0"}, {"name": "ppp0", "kind": "serial"}],
        "addresses": ["wan0 198.51.100.2/24", "ppp0 10.77.0.1 peer 10.77.0.2"],
        "routes": ["default via 198.51.100.1 dev wan0 proto dhcp metric 100"],
        "sysctls": {"wan0/ipv4/rp_filter": "1"}
    }

A link with ``radio`` is a Wi-Fi link: the number of its radio, of those that ``radios`` lists with what is not usual
of them. It is a station unless ``wifi`` says otherwise, and connected if it has a ``frequency``. NetworkManager manages
the links that ``managed`` names.

With ``fast`` it is known what links can do for a fast path: by name, in the words of `LinkAbility`, what differs from
a card whose driver has XDP; and under ``kernel`` what differs from a kernel that has everything. A link's ``lower`` is
the name of the one that it stands on.

Routes are in the words of ip-route(8). The loopback link, the routes that the kernel makes for addresses, and the
sysctls that are not named come by themselves.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_address, ip_interface, ip_network
from typing import Any

from icshare.model.connection import Connection
from icshare.model.fastpath import Abilities, KernelAbility, LinkAbility
from icshare.model.link import (
    IFF_LOOPBACK,
    IFF_LOWER_UP,
    IFF_NOARP,
    IFF_POINTOPOINT,
    IFF_RUNNING,
    IFF_UP,
    Address,
    IfIndex,
    Link,
    LinkFacts,
    PppFacts,
    Route,
)
from icshare.model.names import InterfaceName
from icshare.model.sharing import BRIDGE_NAME, Segment
from icshare.model.snapshot import Snapshot
from icshare.model.wifi import Combination, InterfaceType, Radio, channel_on
from icshare.plan.connections import connections

_FREQUENCIES = (*range(2412, 2473, 5), *range(5180, 5321, 20), *range(5500, 5701, 20), *range(5745, 5866, 20))
_SETTINGS = ("ipv4/forwarding", "ipv4/rp_filter")
_PROTOCOLS = {"kernel": 2, "boot": 3, "static": 4, "dhcp": 16}
_TABLES = {"main": 254, "local": 255}
_KINDS: Mapping[str, Mapping[str, Any]] = {
    "tun": {"type": 65534, "flags": IFF_POINTOPOINT | IFF_NOARP, "address": "", "facts": LinkFacts(tun_flags=1)},
    "wireguard": {"type": 65534, "flags": IFF_POINTOPOINT | IFF_NOARP, "address": "", "facts": LinkFacts()},
    "ppp": {
        "type": 512,
        "flags": IFF_POINTOPOINT | IFF_NOARP,
        "address": "",
        "facts": LinkFacts(ppp=PppFacts(transport="pppoe")),
    },
    "serial": {
        "type": 512,
        "flags": IFF_POINTOPOINT | IFF_NOARP,
        "address": "",
        "facts": LinkFacts(ppp=PppFacts(transport="serial")),
    },
    "slip": {"type": 256, "flags": IFF_POINTOPOINT | IFF_NOARP, "address": ""},
    "ppp on demand": {
        "kind": "ppp",
        "type": 512,
        "flags": IFF_POINTOPOINT | IFF_NOARP,
        "address": "",
        "facts": LinkFacts(ppp=PppFacts(transport="pppoe", peer="fibre", asks_dns=True, demand=True)),
    },
    "bridge": {"facts": LinkFacts(devtype="bridge")},
    "bond": {"facts": LinkFacts(devtype="bond")},
    "veth": {"facts": LinkFacts()},
    "vlan": {"facts": LinkFacts(devtype="vlan")},
    "": {"facts": LinkFacts(hardware=True, driver="e1000e"), "parent_bus": "pci"},
}


def snapshot(description: Mapping[str, Any]) -> Snapshot:
    """Return the host that *description* tells of."""
    lo = Link(
        index=IfIndex(1),
        name="lo",
        type=772,
        flags=IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_LOWER_UP,
        mtu=65536,
        address="00:00:00:00:00:00",
        carrier=True,
    )
    links = [lo, *(_link(number, one) for number, one in enumerate(description["links"], start=2))]
    named = {link.name: link for link in links}
    masters = {one["name"]: named[one["master"]].index for one in description["links"] if "master" in one}
    lower = {one["name"]: named[one["lower"]].index for one in description["links"] if "lower" in one}
    links = [replace(link, master=masters.get(link.name), lower=lower.get(link.name)) for link in links]
    addresses = tuple(_addresses(description.get("addresses", ()), named))
    connected = dict.fromkeys((one.connected, one.index) for one in addresses if one.interface.max_prefixlen == 32)
    routes = (
        *(
            Route(destination=network, index=index, protocol=2)
            for network, index in connected
            if network.prefixlen < 32 or any(one.peer in network for one in addresses if one.peer is not None)
        ),
        *(_route(line, named) for line in description.get("routes", ())),
    )
    sysctls = {f"{name}/{setting}": "0" for name in ("all", "default", *named) for setting in _SETTINGS}
    return Snapshot(
        links=tuple(links),
        addresses=addresses,
        routes=routes,
        sysctls={**sysctls, **description.get("sysctls", {})},
        conntrack={"tcp_be_liberal": "0", "tcp_ignore_invalid_rst": "0"} if "fast" in description else {},
        resolvers=(IPv4Address("198.51.100.53"),),
        boot_seconds=1000.0,
        radios=tuple(radio(**one) for one in description.get("radios", ())),
        managed=frozenset(description.get("managed", ())),
        country=description.get("country", "00" if "radios" in description else ""),
    )


def radio(
    index: int = 0,
    *,
    types: Sequence[str] = ("station", "ap", "ap_vlan", "monitor"),
    bands: Sequence[str] = ("2.4", "5"),
    channels: int = 1,
    interfaces: int = 2,
    world: bool = True,
    **fields: bool,
) -> Radio:
    """Return a radio as most are.

    Args:
        index: Its number.
        types: Kinds of interfaces that it can have.
        bands: Its bands.
        channels: On how many channels it can be at one time.
        interfaces: How many stations and access points it can have at one time.
        world: The rules are those where no country is set: nothing may begin to send at 5 GHz.
        fields: What else is not usual.
    """
    kinds = frozenset(InterfaceType[one.upper()] for one in types)
    beside = frozenset({InterfaceType.STATION, InterfaceType.AP}) & kinds
    combination = Combination(limits={beside: interfaces}, total=interfaces, channels=channels)
    found = [channel for frequency in _FREQUENCIES if (channel := channel_on(frequency)) and channel.band in bands]
    usual: dict[str, bool] = {"ht": True, "vht": True}
    return Radio(
        index=index,
        name=f"phy{index}",
        types=kinds,
        channels=tuple(
            replace(one, no_ir=world and one.number > 11, radar=one.number in range(52, 145), disabled=one.number > 165)
            for one in found
        ),
        combinations=(combination,) if interfaces > 1 else (),
        software=frozenset({InterfaceType.AP_VLAN, InterfaceType.MONITOR}) & kinds,
        **(usual | fields),
    )


def abilities(description: Mapping[str, Any]) -> Abilities | None:
    """Return what the links of *description* can do for a fast path, None when it does not tell."""
    if "fast" not in description:
        return None
    told = dict(description["fast"])
    kernel, rules = told.pop("kernel", {}), told.pop("rules", {})
    usual: dict[str, Any] = {"driver": "ice", "native_xdp": True, "sendable": True}
    links = tuple(LinkAbility(name=InterfaceName(name), **{**usual, **one}) for name, one in told.items())
    return Abilities(kernel=KernelAbility(**{"bpf": True, "flowtable": True, **kernel}), links=links, **rules)


def segment(*members: InterfaceName, interface: InterfaceName | None = None) -> Segment:
    """Return the segment of private links: on *interface*, or on the only one, or on our bridge."""
    link = interface or (members[0] if len(members) == 1 else BRIDGE_NAME)
    return Segment(
        interface=link,
        members=members,
        network=IPv4Network("192.168.137.0/24"),
        gateway=IPv4Address("192.168.137.1"),
    )


def connections_of(host: Snapshot) -> Sequence[Connection]:
    """Return the connections of *host* when nothing is shared."""
    return connections(host.links, host.addresses, host.routes)


def settled(host: Snapshot) -> Snapshot:
    """Return *host* with everything in one order whose order means nothing, and our own links numbered by their names.

    A link that is made anew gets another number; for one of ours that is no difference.
    """
    ours = sorted(link.name for link in host.links if link.name.startswith("ics-"))
    numbers = {link.index: IfIndex(1000 + ours.index(link.name)) for link in host.links if link.name in ours}

    def number(index: IfIndex | None) -> Any:
        return numbers.get(index, index) if index is not None else None

    links = [replace(one, index=number(one.index), master=number(one.master)) for one in host.links]
    addresses = [replace(one, index=number(one.index)) for one in host.addresses]
    return replace(
        host,
        links=tuple(sorted(links, key=lambda one: one.index)),
        addresses=tuple(sorted(addresses, key=lambda one: (one.interface.version, one.index))),
        routes=tuple(sorted((replace(one, index=number(one.index)) for one in host.routes), key=repr)),
        rules=tuple(sorted(host.rules, key=repr)),
        sysctls=dict(sorted(host.sysctls.items())),
    )


def _link(number: int, one: Mapping[str, Any]) -> Link:
    kind = one.get("kind", "")
    defaults: dict[str, Any] = {"flags": 0, "address": f"52:54:00:00:00:{number:02x}", **_KINDS[kind]}
    up, carrier = one.get("up", True), one.get("carrier", True)
    flags = defaults.pop("flags") | (IFF_UP if up else 0) | (IFF_RUNNING | IFF_LOWER_UP if up and carrier else 0)
    defaults["address"] = one.get("mac", defaults["address"])
    if "radio" in one:
        defaults["facts"] = LinkFacts(
            devtype="wlan",
            driver="ath9k",
            hardware=True,
            wireless=True,
            wireless_type=InterfaceType[one.get("wifi", "station").upper()],
            radio=one["radio"],
            frequency=one.get("frequency"),
            ssid=one.get("ssid", ""),
        )
    return Link(
        index=IfIndex(number),
        name=one["name"],
        kind=defaults.pop("kind", kind),
        flags=flags,
        mtu=one.get("mtu", 1500),
        vlan=one.get("vlan", 0),
        operstate=6 if up and carrier else 2,
        carrier=up and carrier,
        **defaults,
    )


def _addresses(lines: Iterable[str], named: Mapping[str, Link]) -> Iterable[Address]:
    seen: set[tuple[int, object]] = set()
    for line in sorted(lines, key=lambda line: named[line.split()[0]].index):
        name, *words = line.split()
        local, peer = (words[0], ip_interface(words[2])) if "peer" in words else (words[0], None)
        interface = ip_interface(f"{local}/{peer.network.prefixlen}" if peer else local)
        index = named[name].index
        one = Address(index=index, interface=interface, peer=peer.ip if peer else None, raw=line.encode())
        secondary = isinstance(interface, IPv4Interface) and (index, one.connected) in seen
        seen.add((index, one.connected))
        yield replace(one, secondary=secondary)


def _route(line: str, named: Mapping[str, Link]) -> Route:
    destination, *words = line.split()
    fields = dict(zip(words[::2], words[1::2], strict=True))
    table = fields.get("table", "main")
    return Route(
        destination=ip_network("0.0.0.0/0" if destination == "default" else destination),
        gateway=ip_address(fields["via"]) if "via" in fields else None,
        index=named[fields["dev"]].index,
        metric=int(fields.get("metric", 0)),
        protocol=_PROTOCOLS[fields.get("proto", "boot")],
        table=_TABLES[table] if table in _TABLES else int(table),
        source=ip_address(fields["src"]) if "src" in fields else None,
        raw=line.encode(),
    )
