"""Clients of the segment, and their leases."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from icshare.errors import InvalidRequestError
from icshare.model.link import Neighbour
from icshare.model.names import MacAddress, mac_address

_NUD_ALIVE = 0x02 | 0x08 | 0x10
"""Reachable, delay, probe: the neighbour has answered lately."""
_NUD_KNOWN = _NUD_ALIVE | 0x04 | 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What a client has exchanged with the Internet.

    Attributes:
        sent: Bytes from the client.
        received: Bytes to the client.
        seconds: Time since its first packet, None before it.
    """

    sent: int = 0
    received: int = 0
    seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One lease of our DHCP server.

    Attributes:
        expires: Seconds since the epoch; 0 for never.
        mac: The client's hardware address.
        address: Its address.
        name: The host name it told, "" without one.
    """

    expires: int
    mac: MacAddress
    address: IPv4Address
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One client of the segment.

    Attributes:
        address: Its address.
        mac: Its hardware address, None on links without.
        name: The host name it told the DHCP server, "" if unknown.
        leased: It has its address from us.
        online: It has answered on the link within the last minute or so.
        since: Seconds since the epoch when it was first seen, None if unknown.
        traffic: What it has exchanged with the Internet.
    """

    address: IPv4Address
    mac: MacAddress | None = None
    name: str = ""
    leased: bool = False
    online: bool = False
    since: float | None = None
    traffic: Traffic = Traffic()


def parse_leases(text: str) -> tuple[Lease, ...]:
    """Parse dnsmasq's lease file; lines that are no IPv4 leases are passed over.

    Clients choose their names: only letters, digits and hyphens are taken over.

    Source:
        dnsmasq(8) ``--dhcp-leasefile``: expiry, MAC, address, name or ``*``, client id.
    """
    leases = []
    for line in text.splitlines():
        words = line.split()
        if len(words) != 5:
            continue
        try:
            expires, mac, address = int(words[0]), mac_address(words[1]), IPv4Address(words[2])
        except (ValueError, AddressValueError, InvalidRequestError):
            continue
        name = "".join(letter for letter in words[3] if letter.isascii() and (letter.isalnum() or letter == "-"))
        leases.append(Lease(expires=expires, mac=mac, address=address, name=name))
    return tuple(leases)


def list_clients(
    leases: Sequence[Lease],
    neighbours: Sequence[Neighbour],
    traffic: Mapping[IPv4Address, Traffic],
    *,
    now: float,
    lease_seconds: int,
    peers: Collection[IPv4Address] = (),
) -> tuple[Client, ...]:
    """Put together who is on the segment, by address.

    Args:
        leases: Leases of our DHCP server.
        neighbours: Neighbour entries of the segments' links.
        traffic: Traffic by address.
        now: Seconds since the epoch.
        lease_seconds: Lease time, to date a lease without traffic.
        peers: Who is at the other end of point-to-point links that are connected: there, without a neighbour entry.

    Returns:
        One client for every address leased, heard, counted or connected, sorted by address.
    """
    leased = {lease.address: lease for lease in leases if lease.expires == 0 or lease.expires > now}
    heard = {one.address: one for one in neighbours if isinstance(one.address, IPv4Address) and one.state & _NUD_KNOWN}
    clients = []
    for address in sorted({*leased, *heard, *traffic, *peers}):
        lease, neighbour, counted = leased.get(address), heard.get(address), traffic.get(address, Traffic())
        since = now - counted.seconds if counted.seconds is not None else None
        if since is None and lease is not None and lease.expires:
            since = lease.expires - lease_seconds
        clients.append(
            Client(
                address=address,
                mac=(lease.mac if lease else None) or (neighbour.mac if neighbour else None),
                name=lease.name if lease else "",
                leased=lease is not None,
                online=address in peers or bool(neighbour and neighbour.state & _NUD_ALIVE),
                since=since,
                traffic=counted,
            )
        )
    return tuple(clients)
