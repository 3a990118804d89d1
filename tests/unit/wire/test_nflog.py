"""The packet log's messages, as bytes."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import HostError
from icshare.model.link import IfIndex
from icshare.wire import nflog
from icshare.wire.netlink import attribute, attributes, text
from icshare.wire.nflog import LoggedPacket, lost_between, parse_packet

HEADER = bytes((2, 0, 0x05, 0x5A))


def number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("!I", value))


WHOLE = (
    HEADER
    + attribute(1, b"\x08\0\x01\0")
    + text(10, "icshare DROP ")
    + number(4, 3)
    + number(5, 4)
    + attribute(3, struct.pack("!QQ", 1_700_000_000, 250_000))
    + number(12, 0xFFFFFFFF)
    + attribute(9, b"packet")
)


def test_a_packet_comes_with_what_the_kernel_knows_of_it() -> None:
    assert parse_packet(WHOLE) == LoggedPacket(
        prefix="icshare DROP",
        indev=IfIndex(3),
        outdev=IfIndex(4),
        payload=b"packet",
        time=1_700_000_000.25,
        sequence=0xFFFFFFFF,
    )


def test_nothing_but_the_header_is_certain() -> None:
    assert parse_packet(HEADER) == LoggedPacket(
        prefix="", indev=None, outdev=None, payload=b"", time=None, sequence=None
    )


def test_a_group_is_bound_and_then_configured() -> None:
    bind = nflog.bind(1370)
    assert (bind.type, bind.payload) == (0x401, bytes((0, 0, 0x05, 0x5A)) + attribute(1, b"\x01"))
    configured = nflog.configure(1370)
    assert attributes(configured.payload, 4) == {2: b"\0\0\0\x80\x02\0", 5: b"\0\0\0\x01", 6: b"\0\x01"}


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"\x02\0\0", "truncated"),
        (HEADER + attribute(12, b"\0\0\0"), "number of 3 bytes"),
        (HEADER + attribute(3, bytes(8)), "time of 8 bytes"),
    ],
)
def test_a_message_that_does_not_hold_what_it_promises_is_refused(payload: bytes, words: str) -> None:
    with pytest.raises(HostError, match=words):
        parse_packet(payload)


@pytest.mark.parametrize(
    ("before", "now", "lost"),
    [(None, 5, 0), (5, None, 0), (5, 6, 0), (5, 9, 3), (0xFFFFFFFF, 0, 0), (0xFFFFFFFE, 1, 2)],
)
def test_a_gap_in_the_numbers_tells_how_many_are_lost(before: int | None, now: int | None, lost: int) -> None:
    assert lost_between(before, now) == lost


@given(st.binary(max_size=120))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with suppress(HostError):
        parse_packet(data)


@given(st.integers(0, len(WHOLE)), st.binary(max_size=8))
def test_no_change_of_a_sound_message_breaks_the_reader(position: int, change: bytes) -> None:
    with suppress(HostError):
        parse_packet(WHOLE[:position] + change + WHOLE[position + len(change) :])
