"""Connections that are dialled: connected and hung up at somebody's word, or for as long as a sharing needs them.

What was dialled for a sharing is hung up with it, and nothing else is; whose it is, its pppd's argument vector says, so
a crash in between changes nothing. What somebody had connected before it was shared stays connected after.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol
from uuid import UUID

from icshare.errors import ConflictError, GoneError, IcshareError
from icshare.model.connection import Connection
from icshare.model.names import InterfaceName, interface_name
from icshare.model.peer import Peer
from icshare.model.snapshot import Snapshot
from icshare.plan.connections import peer_guid
from icshare.plan.dialling import Behalf, Call, OnDemand
from icshare.plan.peers import undialled
from icshare.ports import Progress

_ALWAYS = OnDemand(idle_seconds=0)


class Dialer(Protocol):
    """Starts and ends pppd; see `icshare.host.dialer`."""

    def calls(self) -> Sequence[Call]:
        """Return the call of every pppd that is at a peer."""
        ...

    def alone(self, name: str) -> AbstractContextManager[None]:
        """Wait until nobody else dials a peer, and let nobody while the block lasts."""
        ...

    def dial(self, peer: Peer, interface: InterfaceName, behalf: Behalf, on_demand: OnDemand | None = None) -> None:
        """Dial, or have it dialled by traffic."""
        ...

    def wake(self, peer: Peer, interface: str) -> None:
        """Have a link that waits for traffic dial now."""
        ...

    def hang_up(self, name: str, behalf: Behalf | None = None) -> int:
        """End every pppd that is at a peer, or only those on a behalf."""
        ...

    def sweep(self) -> None:
        """Remove what is left of calls that have ended by themselves."""
        ...

    def pause(self, name: str) -> None:
        """Hang up a link that stands on demand; it waits for traffic again."""
        ...


class Dialling:
    """Connects and disconnects what is dialled."""

    def __init__(self, dialer: Dialer, look: Callable[[], Snapshot]) -> None:
        """Take what dials, and what tells of links and peers."""
        self._dialer = dialer
        self._look = look

    def connect(self, name: str, progress: Progress, *, behalf: Behalf = Behalf.USER) -> None:
        """Connect the peer *name*, unless it is; one that waits for traffic waits no longer.

        Raises:
            GoneError: There is no such peer any more.
            ConflictError: A pppd that is at it already has not come to an end yet.
            HostError: It could not be dialled; nothing is left of the attempt.
            NotSupportedError: pppd is not installed.
        """
        with self._dialer.alone(name):
            self._connect(name, progress, behalf)

    def _connect(self, name: str, progress: Progress, behalf: Behalf) -> None:
        there = self._look()
        peer = _peer(there, name)
        link = next((one for one in there.links if one.facts.ppp and one.facts.ppp.peer == name), None)
        if link is not None and link.facts.ppp is not None and link.facts.ppp.waiting:
            progress(f"dialling {name}")
            self._dialer.wake(peer, link.name)
        elif link is not None and link.up:
            return
        elif link is not None or peer.dialling:
            raise _busy(name)
        else:
            progress(f"dialling {name}")
            interface = _interface(there, peer)
            self._dialer.dial(peer, interface, behalf, _ALWAYS if peer.facts.demand else None)
            if peer.facts.demand:
                self._dialer.wake(peer, interface)

    def disconnect(self, name: str, progress: Progress) -> None:
        """Hang the peer *name* up, whoever has dialled it; what a sharing has stand on demand waits for traffic again.

        Raises:
            HostError: It does not end.
            PrivilegeError: It is not ours to end.
        """
        calls = [one for one in self._dialer.calls() if one.peer == name]
        if not calls:
            return
        progress(f"hanging up {name}")
        if any(one.behalf is Behalf.SHARING and one.on_demand for one in calls):
            self._dialer.pause(name)
        else:
            self._dialer.hang_up(name)

    @contextmanager
    def held(self, connections: Iterable[Connection], on_demand: OnDemand | None, progress: Progress) -> Iterator[None]:
        """Have what of *connections* needs it dialled for a sharing; hung up again when the block fails.

        Args:
            connections: What the sharing needs, the public one first.
            on_demand: Dial the public one when there is traffic, None now.
            progress: Told what is about to be done.

        Raises:
            IcshareError: As for `connect`.
        """
        dialled: list[str] = []
        try:
            for place, one in enumerate(connections):
                if not one.peer or one.there:
                    continue
                if place == 0 and on_demand is not None:
                    with self._dialer.alone(one.peer):
                        self._stand_by(one.peer, on_demand, progress)
                else:
                    self.connect(one.peer, progress, behalf=Behalf.SHARING)
                dialled.append(one.peer)
            yield
        except BaseException as error:  # a cancelled command must not leave a line open
            for name in reversed(dialled):
                try:
                    self._dialer.hang_up(name, Behalf.SHARING)
                except IcshareError as failure:
                    error.add_note(f"not hung up: {name}: {failure}")
            raise

    def _stand_by(self, name: str, on_demand: OnDemand, progress: Progress) -> None:
        there = self._look()
        peer = _peer(there, name)
        if peer.dialling:
            raise _busy(name)
        progress(f"making {name} dial on demand")
        self._dialer.dial(peer, _interface(there, peer), Behalf.SHARING, on_demand)

    def release(self, needed: Collection[UUID], progress: Progress) -> int:
        """Hang up what was dialled for a sharing that does not need it any more, and return how much that was.

        Args:
            needed: Connections that are public or private.
            progress: Told what is about to be done.

        Raises:
            ExceptionGroup: Some could not be hung up; the others were.
        """
        idle = [one.peer for one in self._dialer.calls() if one.behalf is Behalf.SHARING]
        idle = [name for name in idle if peer_guid(name) not in needed]
        failures: list[IcshareError] = []
        for name in idle:
            progress(f"hanging up {name}")
            try:
                self._dialer.hang_up(name, Behalf.SHARING)
            except IcshareError as error:
                failures.append(error)
        if idle or not needed:
            self._dialer.sweep()
        if failures:
            raise ExceptionGroup(f"{len(failures)} of {len(idle)} connections could not be hung up", failures)
        return len(idle)


def _peer(there: Snapshot, name: str) -> Peer:
    for one in there.peers:
        if one.name == name:
            return one
    raise GoneError(f"there is no pppd peer {name!r} any more", hint="its file would be in /etc/ppp/peers")


def _interface(there: Snapshot, peer: Peer) -> InterfaceName:
    """Return what the interface of *peer*, which has no link, is to be called: what every list has called it so far."""
    links = undialled(there.links, there.peers)
    return next(interface_name(one.name) for one in links if one.facts.ppp and one.facts.ppp.peer == peer.name)


def _busy(name: str) -> ConflictError:
    return ConflictError(f"{name} is being dialled already", hint=f"wait for it, or hang up: icshare disconnect {name}")
