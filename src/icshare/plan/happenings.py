"""What has happened between two looks at the host."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from uuid import UUID

from icshare.model.client import Client, Lease
from icshare.model.connection import Connection, Role, Status
from icshare.model.event import (
    ClientChanged,
    ClientJoined,
    ClientLeft,
    ConnectionChanged,
    Event,
    FirewallChanged,
    MappingChanged,
    SharingChanged,
)
from icshare.model.firewall import FirewallOptions
from icshare.model.link import Neighbour
from icshare.model.mapping import PortMapping
from icshare.model.state import Designation

_NUD_FAILED = 0x20
_NUD_KNOWN = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80
"""All states of a neighbour that has answered once and was not found missing since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What there is at one moment, as far as events tell of it.

    Attributes:
        designation: Who is public and private.
        in_force: Sharing is in force.
        firewalls: Connections whose firewall is on, with its options.
        mappings: Port mappings, by number.
        clients: Clients that are here, by address.
        connections: Connections that are listed, by GUID.
        interfaces: Interface name under which a connection that is absent was last seen.
        until: Seconds since the epoch when all this may change by time alone, None for never.
    """

    designation: Designation = field(default_factory=Designation)
    in_force: bool = False
    firewalls: Mapping[UUID, FirewallOptions] = field(default_factory=dict)
    mappings: Mapping[int, PortMapping] = field(default_factory=dict)
    clients: Mapping[IPv4Address, Client] = field(default_factory=dict)
    connections: Mapping[UUID, Connection] = field(default_factory=dict)
    interfaces: Mapping[UUID, str] = field(default_factory=dict)
    until: float | None = field(default=None, compare=False)

    def interface(self, guid: UUID) -> str:
        """Return the interface name of a connection, "" if it never had one."""
        found = self.connections.get(guid)
        return found.interface if found else self.interfaces.get(guid, "")


def present(
    clients: Iterable[Client], neighbours: Sequence[Neighbour], connected: Collection[IPv4Address]
) -> dict[IPv4Address, Client]:
    """Return the clients that are here, by address.

    One that is silent is here as long as nothing says otherwise: a client that did not answer the kernel, or whose
    segment has no carrier any more, has left, be its lease as long as it may.

    Args:
        clients: Everybody who has a lease, was heard or was counted.
        neighbours: Neighbour entries of the segments' links.
        connected: Addresses of those clients whose segment has a carrier.
    """
    known = {one.address for one in neighbours if one.state & _NUD_KNOWN}
    failed = {one.address for one in neighbours if one.state & _NUD_FAILED}
    return {
        one.address: one
        for one in clients
        if one.address in known or (one.leased and one.address in connected and one.address not in failed)
    }


def next_expiry(leases: Iterable[Lease], now: float) -> float | None:
    """Return when the first of *leases* ends that has not ended *now* (seconds since the epoch), None if none will."""
    return min((float(lease.expires) for lease in leases if lease.expires > now), default=None)


def happenings(before: View, after: View) -> tuple[Event, ...]:
    """Return what has happened: connections, sharing, firewalls, mappings by number, clients by address."""
    return (
        *_connections(before, after),
        *_sharing(before, after),
        *_firewalls(before, after),
        *_mappings(before, after),
        *_clients(before, after),
    )


def _connections(before: View, after: View) -> Iterator[Event]:
    for guid in sorted({**before.connections, **after.connections}):
        old, new = before.connections.get(guid), after.connections.get(guid)
        if new is None:
            yield ConnectionChanged(
                guid=guid, interface=before.interface(guid), status=Status.HARDWARE_NOT_PRESENT, role=Role.NONE
            )
        elif old is None or (old.interface, old.status, old.role) != (new.interface, new.status, new.role):
            yield ConnectionChanged(guid=guid, interface=new.interface, status=new.status, role=new.role)


def _sharing(before: View, after: View) -> Iterator[Event]:
    old, new = before.designation, after.designation
    if (old.public, old.privates, before.in_force) != (new.public, new.privates, after.in_force):
        yield SharingChanged(
            public=after.interface(new.public) if new.public else None,
            privates=tuple(after.interface(guid) for guid in new.privates),
            in_force=after.in_force,
        )


def _firewalls(before: View, after: View) -> Iterator[Event]:
    for guid in sorted({**before.firewalls, **after.firewalls}):
        options = after.firewalls.get(guid)
        if options != before.firewalls.get(guid):
            yield FirewallChanged(guid=guid, interface=after.interface(guid), options=options)


def _mappings(before: View, after: View) -> Iterator[Event]:
    for number in sorted({**before.mappings, **after.mappings}):
        old, new = before.mappings.get(number), after.mappings.get(number)
        if old != new:
            yield MappingChanged(number=number, mapping=new, before=old)


def _clients(before: View, after: View) -> Iterator[Event]:
    for address, old in sorted(before.clients.items()):
        new = after.clients.get(address)
        if new is None or new.mac != old.mac:
            yield ClientLeft(client=old)
    for address, new in sorted(after.clients.items()):
        known = before.clients.get(address)
        if known is None or new.mac != known.mac:
            yield ClientJoined(client=new)
        elif (new.name, new.leased) != (known.name, known.leased):
            yield ClientChanged(client=new, before=known)
