"""Dials and hangs up: starts pppd for a peer, waits until the link carries IPv4, and ends it again.

What is not up in time is hung up, whatever the reason: an error, our patience, a signal to us. So nothing is left of a
call that failed: no process, no link, no pid file. What we dialled is found again by its argument vector
(`plan.dialling.call_of`), in this network namespace, and only if it is root's.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from icshare.errors import HostError
from icshare.host import command
from icshare.host.linkowners import LinkOwners
from icshare.host.lockdir import LockedDirectory
from icshare.host.netlink import NetlinkSocket
from icshare.host.peers import forget_failure, keep_failure, log_of, make_directory, tail
from icshare.host.processes import (
    Process,
    find_processes,
    is_alive,
    program_name,
    send_signal,
    shares_our_network,
    terminate,
)
from icshare.host.watch import Watch
from icshare.model.link import Link
from icshare.model.names import InterfaceName
from icshare.model.peer import Peer
from icshare.plan.dialling import Behalf, Call, OnDemand, call_of, command_line, failure, failure_said, pid_files

_RUN: Final = Path("/run")
# A modem trains for half a minute, and PPPoE gives up asking after 35 s.
_DIAL_SECONDS: Final = 120.0
# From pppd's word that a link is up to IPv4 on it; and until an interface that waits for traffic is there.
_ADDRESS_SECONDS: Final = 15.0
# pppd says goodbye to the other end, twice, for three seconds.
_HANG_UP_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.2
_MOST: Final = 64 * 1024
# Port 9 discards; no router forwards to this address (RFC 7050, section 8.2.1).
_NOWHERE: Final = ("192.0.0.170", 9)


class Dialer:
    """Starts and ends the pppds of this network namespace."""

    def __init__(self, run_directory: Path) -> None:
        """Take where what pppd says on demand, and how calls ended, is kept."""
        self._directory = run_directory
        self._standing: list[command.Process] = []  # our children that stand by: looked at so that none stays a zombie

    def calls(self) -> tuple[Call, ...]:
        """Return the call of every pppd that is at a peer, whoever started it."""
        return tuple(call for call, _ in self._at_work())

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Wait until nobody else of us dials the peer *name*, and let nobody while the block lasts.

        Raises:
            HostError: Nobody can tell others of it there.
        """
        make_directory(self._directory)
        place = LockedDirectory(self._directory / f"dialling-{name}", "ICSHARE_RUN_DIR")
        lock = place.take()
        try:
            yield
        finally:
            place.remove()
            os.close(lock)
            with suppress(OSError):  # others have something in it
                self._directory.rmdir()

    def dial(self, peer: Peer, interface: InterfaceName, behalf: Behalf, on_demand: OnDemand | None = None) -> None:
        """Dial *peer*, or have it dialled by the first packet, and return when its link is there.

        Args:
            peer: Whom.
            interface: What its interface is to be called.
            behalf: On whose behalf.
            on_demand: Dial when there is traffic, None now.

        Raises:
            HostError: It could not be dialled; the message has the reason, and nothing is left of the attempt.
            NotSupportedError: pppd is not installed.
        """
        argv = command_line(peer, interface, behalf, on_demand)
        command.find_program("pppd")
        with closing(Watch(())) as watch, self._hung_up_on_failure(peer, behalf):
            if on_demand is None:
                self._dial_now(peer, argv)
            else:
                self._stand_by(peer, argv, interface, watch)
            self._wait_for_address(peer, interface, watch)
        forget_failure(self._directory, peer.name)

    def wake(self, peer: Peer, interface: str) -> None:
        """Have a link that waits for traffic dial now, and return when it is connected.

        Raises:
            HostError: It could not be dialled; it waits again.
        """
        log = self._log(peer)
        told = log.stat().st_size if log.exists() else 0
        deadline = time.monotonic() + _DIAL_SECONDS
        while True:
            _send_something(interface)
            until = time.monotonic() + 1
            while time.monotonic() < until:
                if not _waits(interface):
                    return
                said = failure_said(tail(log, told))
                if said is not None or time.monotonic() > deadline or not self._is_at(peer):
                    why = said or failure(None, "")
                    raise HostError(f"cannot connect {peer.name}: {why.text}", hint=why.hint or None)
                time.sleep(_LOOK_SECONDS)

    def hang_up(self, name: str, behalf: Behalf | None = None) -> int:
        """End every pppd that is at the peer *name*, and return how many there were; all is gone when this returns.

        Args:
            name: Whom.
            behalf: End only what we have dialled on this behalf, None for all.

        Raises:
            HostError: One does not end.
            PrivilegeError: One is not ours to end.
        """
        found = [
            (call, process) for call, process in self._at_work() if call.peer == name and behalf in {None, call.behalf}
        ]
        for call, process in found:
            terminate(process, timeout_seconds=_HANG_UP_SECONDS)
            self._clear(call, process)
        return len(found)

    def sweep(self) -> None:
        """Remove what pppds that have ended by themselves have said."""
        at_work = {log_of(self._directory, call.peer) for call in self.calls()}
        for path in self._directory.glob(log_of(self._directory, "*").name):
            if path not in at_work:
                path.unlink(missing_ok=True)

    def pause(self, name: str) -> None:
        """Hang up a peer whose link stands on demand: it stays, and waits for traffic again.

        Raises:
            PrivilegeError: It is not ours.
        """
        for call, process in self._at_work():
            if call.peer == name:
                send_signal(process, signal.SIGHUP)
                deadline = time.monotonic() + _HANG_UP_SECONDS
                while time.monotonic() < deadline and is_alive(process) and not _waits(call.interface):
                    time.sleep(_LOOK_SECONDS)

    # ------------------------------------------------------------------------------------------------------------

    def _dial_now(self, peer: Peer, argv: tuple[str, ...]) -> None:
        """Start pppd and read what it says until it goes into the background, which it does when the link is up."""
        process = command.start(argv, stdout=command.PIPE, stderr=command.STDOUT)
        said = ""
        deadline = time.monotonic() + _DIAL_SECONDS
        status: int | None = None
        try:
            assert process.stdout is not None, "it was asked for"
            while time.monotonic() < deadline:
                ready, _, _ = select.select([process.stdout], [], [], deadline - time.monotonic())
                text = os.read(process.stdout.fileno(), 4096) if ready else b""
                if not text:
                    status = process.wait(max(0.1, deadline - time.monotonic())) if ready else None
                    break
                said = (said + text.decode(errors="replace"))[-_MOST:]
                known = failure_said(said)
                if known is not None and known.final:
                    break  # it would go on trying
        finally:
            if process.poll() is None:
                command.end(process, grace=_HANG_UP_SECONDS)
            elif process.stdout is not None:
                process.stdout.close()
        if status == 0:
            return
        why = failure(status, said)
        keep_failure(self._directory, peer.name, why)
        raise HostError(f"cannot dial {peer.name}: {why.text}", hint=why.hint or None)

    def _stand_by(self, peer: Peer, argv: tuple[str, ...], interface: str, watch: Watch) -> None:
        """Start pppd in the background, and wait until its interface is there."""
        log = self._log(peer)
        make_directory(self._directory)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            process = command.start(argv, stdout=file, stderr=command.STDOUT)
        self._standing.append(process)
        deadline = time.monotonic() + _ADDRESS_SECONDS
        while _find(interface) is None:
            status = process.poll()
            if status is None and time.monotonic() < deadline:
                watch.wait(_LOOK_SECONDS)
                continue
            why = failure(status, tail(log))
            keep_failure(self._directory, peer.name, why)
            raise HostError(f"cannot make {peer.name} dial on demand: {why.text}", hint=why.hint or None)

    def _wait_for_address(self, peer: Peer, interface: str, watch: Watch) -> None:
        """Wait for IPv4: pppd takes a link to be up as soon as one protocol is, which may be IPv6."""
        deadline = time.monotonic() + _ADDRESS_SECONDS
        while not _has_address(interface):
            if time.monotonic() > deadline or not self._is_at(peer):
                raise HostError(
                    f"cannot dial {peer.name}: it gave no IPv4 address", hint="the other end may offer IPv6 alone"
                )
            watch.wait(_LOOK_SECONDS)

    @contextmanager
    def _hung_up_on_failure(self, peer: Peer, behalf: Behalf) -> Iterator[None]:
        try:
            yield
        except BaseException as error:  # a signal to us too must not leave a line open
            try:
                self.hang_up(peer.name, behalf)
            except HostError as failed:
                error.add_note(f"not hung up: {failed}")
            raise

    def _is_at(self, peer: Peer) -> bool:
        return any(call.peer == peer.name for call in self.calls())

    def _at_work(self) -> Iterator[tuple[Call, Process]]:
        self._standing = [one for one in self._standing if one.poll() is None]
        for process in find_processes(lambda argv: call_of(argv) is not None):
            call = call_of(process.argv)
            if call is not None and _is_pppd(process.pid) and shares_our_network(process.pid):
                yield call, process

    def _clear(self, call: Call, process: Process) -> None:
        """Remove what a pppd leaves that had to be killed, and what we kept for it."""
        for name in pid_files(call):
            path = _RUN / name
            with suppress(OSError, ValueError, IndexError):
                if int(path.read_text(encoding="ascii").split()[0]) == process.pid:
                    path.unlink()
        if call.behalf is not None:
            log_of(self._directory, call.peer).unlink(missing_ok=True)
        self._standing = [child for child in self._standing if child.poll() is None]

    def _log(self, peer: Peer) -> Path:
        return log_of(self._directory, peer.name)


def _is_pppd(pid: int) -> bool:
    """Tell whether a process is root's and runs pppd.

    Anybody can call a program of his own so, and only root's makes links. And a process may say what it likes in its
    argument vector: what its program is called the kernel says.
    """
    try:
        return Path(f"/proc/{pid}").stat().st_uid == 0 and program_name(pid) == "pppd"
    except OSError:
        return False


def _find(interface: str) -> Link | None:
    with NetlinkSocket() as kernel:
        return kernel.find_link(interface)


def _has_address(interface: str) -> bool:
    with NetlinkSocket() as kernel:
        link = kernel.find_link(interface)
        return (
            link is not None
            and link.up
            and any(one.index == link.index and one.interface.version == 4 for one in kernel.addresses())
        )


def _waits(interface: str) -> bool:
    """Tell whether an interface that dials on demand is hung up at the moment."""
    with NetlinkSocket() as kernel:
        names = [link.name for link in kernel.links()]
    return LinkOwners(links=names).ppp(interface).waiting


def _send_something(interface: str) -> None:
    """Send a packet of no consequence by *interface*: traffic, for which it dials."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, suppress(OSError):
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        sender.sendto(b"\0", _NOWHERE)
