"""What the kernel says of packets and connections, as lines of the log; what floods and full disks leave of it."""

import socket
import struct
from contextlib import closing
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.host import firewall_log
from icshare.host.firewall_log import Collector, Recorder
from icshare.render.w3clog import HEADER
from icshare.wire import conntrack, nflog
from icshare.wire.netlink import Message, attribute, nested, text, u8

FIELDS = HEADER.splitlines()[3].removeprefix("#Fields: ").split()
STRANGER, HOST = "203.0.113.5", "198.51.100.1"


def packet(
    action: str, number: int | None = None, *, port: int = 80, sequence: int = 7, seconds: int | None = 1_700_000_000
) -> bytes:
    """Return a message of the packet log about a TCP packet to *port*."""
    tcp = struct.pack("!HHIIBBHHH", 50_000, port, sequence, 0, 0x50, 0x02, 65535, 0, 0)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, 0)
    whole = bytes((2, 0, 0x05, 0x5A)) + text(10, action) + attribute(4, struct.pack("!I", 3))
    if seconds is not None:
        whole += attribute(3, struct.pack("!QQ", seconds, 0))
    if number is not None:
        whole += attribute(12, struct.pack("!I", number))
    return whole + attribute(9, head + ip_address(STRANGER).packed + ip_address(HOST).packed + tcp)


def ended(port: int = 80) -> bytes:
    """Return the message that the connection to *port* has ended."""
    payload = bytes((2, 0, 0, 0))
    for kind, source, number in ((1, STRANGER, 50_000), (2, HOST, port)):
        members = u8(1, 6), attribute(2, struct.pack("!H", number))
        payload += nested(kind, nested(1, attribute(1, ip_address(source).packed)), nested(2, *members))
    return payload


def told(*lines: str) -> list[tuple[str, str, str]]:
    """Return action, destination port and info of each line."""
    fields = [dict(zip(FIELDS, line.split(), strict=True)) for line in lines]
    return [(one["action"], one["dst-port"], one["info"]) for one in fields]


def test_a_gap_in_the_numbers_is_told_before_the_packet_after_it() -> None:
    recorder = Recorder(follow=False)
    lines = [line for number in (5, 6, 10) for line in recorder.packet(packet("icshare DROP", number, port=number))]
    assert told(*lines) == [
        ("DROP", "5", "-"),
        ("DROP", "6", "-"),
        ("INFO-EVENTS-LOST", "-", "3"),
        ("DROP", "10", "-"),
    ]


def test_an_overrun_is_told_at_the_end_unless_a_number_has_told_it() -> None:
    recorder = Recorder(follow=False)
    list(recorder.packet(packet("icshare DROP", 1)))
    assert list(recorder.rest()) == []
    recorder.overrun()
    assert told(*recorder.rest()) == [("INFO-EVENTS-LOST", "-", "-")]
    list(recorder.packet(packet("icshare DROP", 9)))
    assert list(recorder.rest()) == []


def test_a_connection_is_told_once_and_its_end() -> None:
    recorder = Recorder(follow=True)
    opened = list(recorder.packet(packet("icshare OPEN")))
    assert told(*opened) == [("OPEN", "80", "-")]
    assert list(recorder.packet(packet("icshare OPEN"))) == []  # sent again for want of an answer
    assert told(*recorder.end(ended())) == [("CLOSE", "80", "-")]
    assert list(recorder.end(ended())) == []
    assert told(*recorder.packet(packet("icshare OPEN"))) == [("OPEN", "80", "-")]


def test_the_same_ends_with_another_beginning_are_another_connection() -> None:
    recorder = Recorder(follow=True)
    for sequence in (1, 2):
        assert len(list(recorder.packet(packet("icshare OPEN", sequence=sequence)))) == 1


def test_of_the_oldest_of_too_many_connections_no_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall_log, "_CONNECTIONS", 2)
    recorder = Recorder(follow=True)
    for port in (1, 2, 3):
        list(recorder.packet(packet("icshare OPEN-INBOUND", port=port)))
    assert [len(list(recorder.end(ended(port)))) for port in (1, 2, 3)] == [0, 1, 1]


@pytest.mark.parametrize("payload", [b"", packet("else"), packet("icshare NEVER"), packet("icshare DROP")[:-40]])
def test_what_is_not_ours_or_no_packet_gives_no_line(payload: bytes) -> None:
    assert list(Recorder(follow=True).packet(payload)) == []


@pytest.mark.parametrize("payload", [b"", bytes((2, 0, 0, 0)), bytes(4)])
def test_an_end_of_nothing_gives_no_line(payload: bytes) -> None:
    assert list(Recorder(follow=True).end(payload)) == []


@pytest.mark.parametrize("seconds", [None, 2**63])
def test_a_packet_without_a_time_that_can_be_is_told_with_that_of_now(seconds: int | None) -> None:
    assert len(list(Recorder(follow=False).packet(packet("icshare DROP", seconds=seconds)))) == 1


@given(st.binary(max_size=200))
def test_no_message_breaks_the_recorder_or_out_of_its_line(data: bytes) -> None:
    recorder = Recorder(follow=True)
    sound = packet("icshare OPEN")
    for payload in (data, sound[: -len(data)] + data if data else sound):
        for line in (*recorder.packet(payload), *recorder.end(payload)):
            assert line.count("\n") == 1
            assert len(line.split()) == len(FIELDS)


# ------------------------------------------------------------------------------------------------------- the collector


class Source:
    """A netlink socket that has something waiting from the beginning."""

    def __init__(self, *batches: tuple[list[bytes], bool], kind: int = nflog.PACKET) -> None:
        self._batches = list(batches)
        self._kind = kind
        self._pair = socket.socketpair()

    def fileno(self) -> int:
        return self._pair[0].fileno()

    def close(self) -> None:
        for one in self._pair:
            one.close()

    def waiting(self) -> tuple[list[Message], bool]:
        payloads, lost = self._batches.pop(0) if self._batches else ([], False)
        return [Message(type=self._kind, flags=0, sequence=0, port=0, payload=one) for one in payloads], lost


class File:
    """A log file on a file system that takes nothing for its first writes."""

    def __init__(self, refused: int = 0) -> None:
        self.written: list[str] = []
        self._refused = refused

    def write(self, lines: str) -> bool:
        if self._refused:
            self._refused -= 1
            return False
        self.written.append(lines)
        return True


def collect(packets: Source, ends: Source | None, log: File) -> list[tuple[str, str, str]]:
    """Let a collector that is told to stop at once write what is waiting; return what it wrote."""
    stop, wake = socket.socketpair()
    with stop, wake, closing(packets), closing(ends or Source()):
        wake.send(b"x")
        Collector(packets, ends, log).run(stop)  # type: ignore[arg-type]  # they have what it asks for
    return told(*"".join(log.written).splitlines())


def test_ends_come_after_the_beginnings_that_are_waiting_with_them() -> None:
    ends = Source(([ended()], False), kind=conntrack.DESTROYED)
    lines = collect(Source(([packet("icshare OPEN")], False)), ends, File())
    assert [action for action, _, _ in lines] == ["OPEN", "CLOSE"]


def test_messages_of_another_kind_give_no_line() -> None:
    assert collect(Source(([ended()], False), kind=1), Source(([ended()], False), kind=1), File()) == []


def test_a_flood_is_written_in_pieces_that_a_reader_can_follow() -> None:
    log = File()
    lines = collect(Source(([packet("icshare DROP", number) for number in range(600)], False)), None, log)
    assert [text.count("\n") for text in log.written] == [256, 256, 88]
    assert len(lines) == 600


def test_lost_ends_are_told_and_an_overrun_that_no_number_explains() -> None:
    packets = Source(([packet("icshare DROP", 1)], True))
    assert collect(packets, Source(([], True)), File()) == [
        ("DROP", "80", "-"),
        ("INFO-EVENTS-LOST", "-", "-"),
        ("INFO-EVENTS-LOST", "-", "-"),
    ]


def test_what_the_disk_did_not_take_is_counted_when_it_takes_again() -> None:
    batches = [([packet("icshare DROP", number) for number in numbers], False) for numbers in ((1, 2), (3,), (4,))]
    lines = collect(Source(*batches), None, File(refused=2))
    assert lines == [("INFO-EVENTS-LOST", "-", "3"), ("DROP", "80", "-")]
