"""The process that writes the firewall's log: ``python -m icshare.host.firewall_log CONFIGURATION``.

It opens what needs privilege, gives every privilege up, goes into the background, and from then on turns what the
kernel's packet log sends into lines, until SIGTERM. It has begun to listen when the command returns. Its number is in
the file ``firewall-log.pid`` beside the configuration.

Of a connection that was logged as opened, the kernel tells the end (a conntrack event); that becomes a CLOSE line.
The table of open connections is bounded: of the oldest ones beyond that no end is logged.
"""

import contextlib
import errno
import os
import selectors
import signal
import socket
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

from icshare.errors import HostError, IcshareError, PrivilegeError
from icshare.host import privileges
from icshare.host.logfile import LogFile, open_directory
from icshare.host.netlink import NetlinkSocket, refusal
from icshare.render.logsettings import LogSettings, parse_log_configuration
from icshare.render.w3clog import (
    HEADER,
    Action,
    Packet,
    lost_line,
    packet_line,
    parse_action,
    parse_packet,
    path,
)
from icshare.wire import conntrack, nflog
from icshare.wire.netlink import Message, messages

PID_FILE: Final = "firewall-log.pid"

_SOL_NETLINK = 270
_ADD_MEMBERSHIP = 1
_SO_RCVBUFFORCE = 33
_BUFFER = 4 << 20
_READ = 1 << 16
# Read at once: more than the buffer holds. A buffer that has overflowed takes nothing more until it is empty.
_MOST = 16_384
# Written at once: enough to keep up with a flood, few enough that a reader sees the lines while it lasts.
_LINES = 256
_CONNECTIONS = 65_536
# At the end, what is still waiting is written, but a flood does not keep us.
_LAST_STEPS = 4


class _EventSocket(NetlinkSocket):
    """A netlink socket that the kernel sends to without being asked."""

    def __init__(self) -> None:
        super().__init__(conntrack.NETLINK_NETFILTER)
        # Beyond the limit of the system with privilege, within it without.
        for option in (socket.SO_RCVBUF, _SO_RCVBUFFORCE):
            with contextlib.suppress(PermissionError):
                self._socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER)

    def fileno(self) -> int:
        return self._socket.fileno()

    def join(self, group: int) -> None:
        """Hear of the events of a multicast group.

        Raises:
            HostError: The kernel refused.
        """
        try:
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        except OSError as error:
            raise refusal(f"listen to group {group} of netfilter", error.errno or errno.EIO) from error

    def waiting(self) -> tuple[list[Message], bool]:
        """Return what is waiting, at most `_MOST` messages; and whether the kernel threw some away that came after."""
        self._socket.settimeout(0)  # with a timeout Python waits for that long, whatever the flags say
        found: list[Message] = []
        lost = False
        while len(found) < _MOST:
            try:
                data, _, flags, sender = self._socket.recvmsg(_READ, 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                lost = True
                continue
            if sender[0] == 0 and not flags & socket.MSG_TRUNC:  # another process may send to our port
                with contextlib.suppress(HostError):
                    found += messages(data)
        return found, lost


class Recorder:
    """What the kernel says, as lines: remembers which connections are open and which number was last."""

    def __init__(self, *, follow: bool) -> None:
        """Begin with nothing; *follow* tells that the ends of connections are heard of."""
        self._follow = follow
        self._sequence: int | None = None
        self._overrun = False
        self._open: OrderedDict[conntrack.Flow, Packet] = OrderedDict()

    def packet(self, payload: bytes) -> Iterator[str]:
        """Yield the lines for one message of the packet log; one that is malformed or not ours gives none."""
        try:
            logged = nflog.parse_packet(payload)
        except HostError:
            return
        when = datetime.now() if logged.time is None else _local(logged.time)  # noqa: DTZ005 - the log is in local time
        lost = nflog.lost_between(self._sequence, logged.sequence)
        self._sequence = logged.sequence
        if lost:
            self._overrun = False
            yield lost_line(when, lost)
        action = parse_action(logged.prefix)
        packet = parse_packet(logged.payload)
        if action is None or packet is None:
            return
        if self._follow and action is not Action.DROP and not self._begins(packet):
            return
        way = path(inward=logged.indev is not None, outward=logged.outdev is not None)
        yield packet_line(when, action, packet, way)

    def overrun(self) -> None:
        """Remember that packets were lost; the number of a later one will tell how many."""
        self._overrun = True

    def rest(self) -> Iterator[str]:
        """Yield the line for packets that were lost and that no later one has told of."""
        if self._overrun:
            yield lost_line(datetime.now(), None)  # noqa: DTZ005 - the log is in local time

    def end(self, payload: bytes) -> Iterator[str]:
        """Yield the line for the end of a connection, none if it was not logged when it began."""
        try:
            flow = conntrack.parse_flow(payload)
        except HostError:
            return
        packet = None if flow is None else self._open.pop(flow, None)
        if packet is not None:
            yield packet_line(datetime.now(), Action.CLOSE, packet)  # noqa: DTZ005 - the log is in local time

    def _begins(self, packet: Packet) -> bool:
        """Remember a connection; False when this is its first packet once more, sent again for want of an answer."""
        flow = _flow(packet)
        before = self._open.get(flow)
        self._open[flow] = packet
        if len(self._open) > _CONNECTIONS:
            self._open.popitem(last=False)
        return before is None or before.tcp != packet.tcp


class Collector:
    """The loop between the kernel and the file."""

    def __init__(self, packets: _EventSocket, ends: _EventSocket | None, log: LogFile) -> None:
        self._packets = packets
        self._ends = ends
        self._log = log
        self._recorder = Recorder(follow=ends is not None)
        self._unwritten = 0

    def run(self, stop: socket.socket) -> None:
        """Write until *stop* is readable, and then what is still waiting."""
        with selectors.DefaultSelector() as selector:
            for one in (stop, self._packets, self._ends):
                if one is not None:
                    selector.register(one, selectors.EVENT_READ)
            stopped = False
            while not stopped:
                stopped = any(key.fileobj is stop for key, _ in selector.select())
                self._step()
        for _ in range(_LAST_STEPS):
            if not self._step():
                break
        self._write(list(self._recorder.rest()))

    def _step(self) -> bool:
        """Write what is waiting; tell whether there was something."""
        found, overrun = self._packets.waiting()
        # A connection's end is read after its beginning, so not before all beginnings are.
        ended, lost = self._ends.waiting() if self._ends and len(found) < _MOST else ([], False)
        if overrun:
            self._recorder.overrun()
        lines = self._lines(found, ended)
        while batch := list(islice(lines, _LINES)):
            self._write(batch)
        if lost:
            self._write([lost_line(datetime.now(), None)])  # noqa: DTZ005 - the log is in local time
        return bool(found or ended)

    def _lines(self, packets: Iterable[Message], ends: Iterable[Message]) -> Iterator[str]:
        for message in packets:
            if message.type == nflog.PACKET:
                yield from self._recorder.packet(message.payload)
        for message in ends:
            if message.type == conntrack.DESTROYED:
                yield from self._recorder.end(message.payload)

    def _write(self, lines: list[str]) -> None:
        if not lines:
            return
        missing = [lost_line(datetime.now(), self._unwritten)] if self._unwritten else []  # noqa: DTZ005 - as above
        if self._log.write("".join(missing + lines)):
            self._unwritten = 0
        else:
            self._unwritten += len(lines)


def main(arguments: Sequence[str]) -> int:
    """Set up, go into the background, write the log. Returns in both processes, with the exit status."""
    configuration = Path(arguments[0])
    try:
        with configuration.open(encoding="utf-8") as file:
            settings = parse_log_configuration(file.read())
            return _serve(settings, configuration.with_name(PID_FILE), file.fileno())
    except (IcshareError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - whoever started us reads it
        return 1


def _serve(settings: LogSettings, pid_file: Path, configuration: int) -> int:
    packets = _EventSocket()
    _bind(packets, settings)
    ends = None
    if settings.opened:
        ends = _EventSocket()
        ends.join(conntrack.GROUP_DESTROY)
    user, group = privileges.unprivileged()
    target = Path(settings.path)
    directory = open_directory(target.parent, user, group)
    numbers = os.open(pid_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    privileges.become(user, group)
    privileges.keep_only(())
    os.umask(0o027)
    log = LogFile(directory, target.name, header=HEADER, limit=settings.limit)
    stop, wake = socket.socketpair()
    wake.settimeout(0)
    signal.signal(signal.SIGTERM, _nothing)
    signal.set_wakeup_fd(wake.fileno())
    pid = os.fork()
    if pid:
        os.write(numbers, f"{pid}\n".encode())
        if os.fstat(configuration).st_nlink:
            return 0
        os.kill(pid, signal.SIGTERM)  # stopped while it began, by one who could not know its number yet
        raise HostError("it was stopped while it began")
    os.close(numbers)
    _detach()
    Collector(packets, ends, log).run(stop)
    return 0


def _bind(packets: _EventSocket, settings: LogSettings) -> None:
    try:
        packets.request(nflog.bind(settings.group))
        packets.request(nflog.configure(settings.group))
    except (HostError, PrivilegeError) as error:
        # The kernel refuses a group that another socket has with EPERM, even to root.
        if error.errno in {errno.EBUSY, errno.EPERM} and os.geteuid() == 0:
            raise HostError(
                f"group {settings.group} of the packet log belongs to another program",
                hint="'cat /proc/net/netfilter/nfnetlink_log' shows its port id, most often its pid",
            ) from error
        raise


def _detach() -> None:
    """Leave terminal, working directory and standard streams to whoever started us."""
    os.setsid()
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    os.close(nothing)


def _nothing(number: int, frame: object) -> None:
    """Let the signal arrive: the wakeup descriptor tells the loop."""


def _local(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds)  # noqa: DTZ006 - the log is in local time
    except (OverflowError, ValueError, OSError):
        return datetime.now()  # noqa: DTZ005 - likewise


def _flow(packet: Packet) -> conntrack.Flow:
    source_port, destination_port = packet.source_port or 0, packet.destination_port or 0
    return conntrack.Flow(packet.protocol, packet.source, source_port, packet.destination, destination_port)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
