"""Looks at everything that events tell of."""

import time
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address
from pathlib import Path

from icshare.host.netlink import NetlinkSocket
from icshare.model.client import Client, parse_leases
from icshare.model.connection import Connection
from icshare.model.state import State
from icshare.plan.happenings import View, next_expiry, present
from icshare.ports import Record


class Viewer:
    """Takes views; callable, needs no privilege."""

    def __init__(
        self,
        *,
        record: Callable[[], Record | None],
        state: Callable[[], State],
        connections: Callable[[], Iterable[Connection]],
        clients: Callable[[], Iterable[Client]],
        leases: Path,
    ) -> None:
        """Take what is asked at each look.

        Args:
            record: What is on record.
            state: What was asked for.
            connections: All connections of the host.
            clients: Who is on the segments.
            leases: The DHCP server's lease file.
        """
        self._record = record
        self._state = state
        self._connections = connections
        self._clients = clients
        self._leases = leases

    def __call__(self) -> View:
        """Return what there is now.

        Raises:
            IcshareError: The host, the journal or the state could not be read.
        """
        record, state = self._record(), self._state()
        sharing = record.sharing if record else None
        asked = {state.designation.public, *state.designation.privates}
        return View(
            designation=state.designation,
            in_force=sharing is not None,
            firewalls=dict(state.firewalls),
            mappings=dict(state.mappings),
            clients=self._present(record) if record and sharing else {},
            connections={one.guid: one for one in self._connections() if not one.hidden or one.guid in asked},
            interfaces=dict(state.interfaces),
            until=self._until() if sharing else None,
        )

    def _present(self, record: Record) -> dict[IPv4Address, Client]:
        clients = tuple(self._clients())
        with NetlinkSocket() as kernel:
            links = {link.name: link for link in kernel.links()}
            neighbours = kernel.neighbours()
        segments = [(one, links[one.interface]) for one in record.segments if one.interface in links]
        carrying = [network for segment, link in segments if link.carrier for network in segment.networks]
        indices = {link.index for _, link in segments}
        connected = {one.address for one in clients if any(one.address in network for network in carrying)}
        return present(clients, [one for one in neighbours if one.index in indices], connected)

    def _until(self) -> float | None:
        try:
            text = self._leases.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        return next_expiry(parse_leases(text), time.time())
