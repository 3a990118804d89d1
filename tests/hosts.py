"""Hosts to plan on, from a few readable words.

A description lists links and says only what differs from an Ethernet link that is up with its cable plugged in::

    {
        "links": [{"name": "wan0"}, {"name": "ppp0", "kind": "serial"}],
        "addresses": ["wan0 198.51.100.2/24", "ppp0 10.77.0.1 peer 10.77.0.2"],
        "routes": ["default via 198.51.100.1 dev wan0 proto dhcp metric 100"],
        "sysctls": {"wan0/ipv4/rp_filter": "1"}
    }

Routes are in the words of ip-route(8). The loopback link, the routes that the kernel makes for addresses, and the
sysctls that are not named come by themselves.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, ip_address, ip_interface, ip_network
from typing import Any

from icshare.model.connection import Connection
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
from icshare.model.snapshot import Snapshot
from icshare.plan.connections import connections

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
    links = [replace(link, master=masters.get(link.name)) for link in links]
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
        resolvers=(IPv4Address("198.51.100.53"),),
        boot_seconds=1000.0,
    )


def connections_of(host: Snapshot) -> Sequence[Connection]:
    """Return the connections of *host* when nothing is shared."""
    return connections(host.links, host.addresses, host.routes)


def settled(host: Snapshot) -> Snapshot:
    """Return *host* with everything in one order whose order means nothing."""
    return replace(
        host,
        addresses=tuple(sorted(host.addresses, key=lambda one: (one.interface.version, one.index))),
        routes=tuple(sorted(host.routes, key=repr)),
        rules=tuple(sorted(host.rules, key=repr)),
        sysctls=dict(sorted(host.sysctls.items())),
    )


def _link(number: int, one: Mapping[str, Any]) -> Link:
    kind = one.get("kind", "")
    defaults: dict[str, Any] = {"flags": 0, "address": f"52:54:00:00:00:{number:02x}", **_KINDS[kind]}
    up, carrier = one.get("up", True), one.get("carrier", True)
    flags = defaults.pop("flags") | (IFF_UP if up else 0) | (IFF_RUNNING | IFF_LOWER_UP if up and carrier else 0)
    defaults["address"] = one.get("mac", defaults["address"])
    return Link(
        index=IfIndex(number),
        name=one["name"],
        kind=defaults.pop("kind", kind),
        flags=flags,
        mtu=one.get("mtu", 1500),
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
        raw=line.encode(),
    )
