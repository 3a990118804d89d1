"""Where a port mapping's target is at the moment: at an address of a segment, or this host itself.

A mapping never leads to other networks, whoever names an address there.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import assert_never

from icshare.model.client import Lease
from icshare.model.link import Neighbour
from icshare.model.mapping import Target, TargetKind
from icshare.model.names import MacAddress
from icshare.model.sharing import Segment

_LOOPBACK = IPv4Network("127.0.0.0/8")
_PAIR = 31  # from this prefix length on each address is a host's (RFC 3021)
_LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain"})
_NUD_KNOWN = 0x02 | 0x04 | 0x08 | 0x10 | 0x80
"""Reachable, stale, delay, probe, permanent: the entry's hardware address is one that was there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Where a target is.

    Attributes:
        address: Its address; None when it is not known, or the target is this host.
        own: The target is this host itself.
        text: Why it is not known, one sentence; "" otherwise.
    """

    address: IPv4Address | None = None
    own: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What targets are looked up in; make one by `known`.

    Attributes:
        names: Addresses of clients by the name they told our DHCP server, lower case.
        macs: Addresses of clients by hardware address.
        hosts: Addresses of the hosts file by name, lower case.
        domain: Domain of the clients' names, lower case.
        own_names: Names of this host, lower case.
        own_addresses: Addresses of this host.
        segments: The segments in force.
    """

    names: Mapping[str, IPv4Address]
    macs: Mapping[MacAddress, IPv4Address]
    hosts: Mapping[str, Sequence[IPv4Address]]
    domain: str
    own_names: Collection[str]
    own_addresses: Collection[IPv4Address]
    segments: tuple[Segment, ...]


def known(
    *,
    leases: Sequence[Lease],
    neighbours: Iterable[Neighbour],
    hosts: Mapping[str, Sequence[IPv4Address]],
    domain: str,
    own_names: Iterable[str],
    own_addresses: Iterable[IPv4Address],
    segments: tuple[Segment, ...],
) -> Known:
    """Put together what targets are looked up in.

    Args:
        leases: Leases of our DHCP server that have not run out, in the order of its file.
        neighbours: Neighbour entries of the segments' links.
        hosts: Addresses of the hosts file by name, lower case.
        domain: Domain of the clients' names.
        own_names: Names of this host.
        own_addresses: Addresses of this host.
        segments: The segments in force.
    """
    names: dict[str, IPv4Address] = {}
    leased: dict[MacAddress, IPv4Address] = {}
    # The newest first; 0 never runs out. Those of one second stay as dnsmasq has them in its file, the newest first.
    for lease in sorted(leases, key=lambda one: one.expires or float("inf"), reverse=True):
        leased.setdefault(lease.mac, lease.address)
        if lease.name:
            names.setdefault(lease.name.lower(), lease.address)
    heard = {
        one.mac: one.address
        for one in neighbours
        if one.mac is not None and isinstance(one.address, IPv4Address) and one.state & _NUD_KNOWN
    }
    return Known(
        names=names,
        macs=heard | leased,
        hosts=hosts,
        domain=domain.lower(),
        own_names=frozenset(name.lower() for name in own_names) | _LOCAL_NAMES,
        own_addresses=frozenset(own_addresses),
        segments=segments,
    )


def resolve(target: Target, known: Known) -> Resolution:
    """Return where *target* is."""
    match target.kind:
        case TargetKind.ADDRESS:
            return _place(IPv4Address(target.value), known, "")
        case TargetKind.NAME:
            return _by_name(target.value, known)
        case TargetKind.MAC:
            address = known.macs.get(MacAddress(target.value))
            if address is None:
                return Resolution(text=f"no client with the hardware address {target.value} is known")
            return _place(address, known, target.value)
        case never:
            assert_never(never)


def _by_name(name: str, known: Known) -> Resolution:
    wanted = name.lower()
    short = wanted.removesuffix(f".{known.domain}")
    if wanted in known.own_names or short in known.own_names:
        return Resolution(own=True)
    if short in known.names:
        return _place(known.names[short], known, name)
    found = [_place(address, known, name) for address in known.hosts.get(wanted, known.hosts.get(short, ()))]
    usable = (one for one in found if not one.text)
    return next(usable, found[0] if found else Resolution(text=f"no client with the name {name} is known"))


def _place(address: IPv4Address, known: Known, name: str) -> Resolution:
    """Return what *address* means; it is that of *name*, or was itself named when that is ""."""
    if address in _LOOPBACK or address in known.own_addresses:
        return Resolution(own=True)
    who = f"{name} ({address})" if name else f"{address}"
    if not known.segments:
        return Resolution(text=f"nothing is shared, so packets cannot be passed on to {who}")
    segment = next((one for one in known.segments if any(address in network for network in one.networks)), None)
    if segment is None:
        networks = ", ".join(str(network) for one in known.segments for network in one.networks)
        return Resolution(text=f"{who} is outside of the private network {networks}")
    network = segment.network
    if network.prefixlen < _PAIR and address in {network.network_address, network.broadcast_address}:
        return Resolution(text=f"{who} is not the address of a host in {network}")
    return Resolution(address=address)
