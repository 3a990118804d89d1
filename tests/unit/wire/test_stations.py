"""Stations of an access point, as bytes."""

from contextlib import suppress
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import HostError
from icshare.model.link import IfIndex
from icshare.model.wifi import Station
from icshare.wire.netlink import attribute, attributes, nested, u8, u32
from icshare.wire.stations import dump_stations, parse_station

HEADER = bytes((19, 1, 0, 0))
MAC = attribute(6, bytes.fromhex("020000000100"))


def answer(*information: bytes) -> bytes:
    return HEADER + u32(3, 7) + MAC + nested(21, *information)


def rate(kind: int, hundreds: int) -> bytes:
    """Return a rate as the kernel gives it: 16 bits and 32 bits of the same, and how it comes about."""
    return nested(kind, attribute(1, pack("=H", hundreds)), u32(5, hundreds), u8(2, 15), attribute(4, b""))


def test_a_station_tells_how_it_is_heard_and_how_fast_both_send() -> None:
    signal = u8(7, 256 - 48)
    mac, station = parse_station(answer(u32(1, 40), signal, rate(8, 1444), rate(14, 650), u32(16, 61)))
    assert mac == "02:00:00:00:01:00"
    assert station == Station(signal=-48, received_rate=144_400, sent_rate=65_000, connected_seconds=61)


def test_what_a_driver_does_not_tell_is_unknown() -> None:
    assert parse_station(answer())[1] == Station()
    assert parse_station(HEADER + MAC)[1] == Station()
    assert parse_station(answer(nested(8, attribute(1, b"\x41\0"))))[1].received_rate is None


def test_a_signal_is_a_signed_byte() -> None:
    assert [parse_station(answer(u8(7, value)))[1].signal for value in (0, 127, 128, 255)] == [0, 127, -128, -1]


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (HEADER + nested(21, u8(7, 1)), "without its address"),
        (HEADER + attribute(6, b"\x02"), "without its address"),
        (HEADER + attribute(6, b"\xff" * 6), "without its address"),
        (answer(attribute(16, b"\1")), "32-bit"),
        (answer(attribute(7, b"")), "a byte"),
    ],
)
def test_malformed_answers_are_refused(payload: bytes, words: str) -> None:
    with pytest.raises(HostError, match=words):
        parse_station(payload)


def test_the_list_is_asked_of_one_link() -> None:
    request = dump_stations(0x22, IfIndex(7))
    assert (request.type, request.flags, request.payload[0]) == (0x22, 0x300, 17)
    assert attributes(request.payload, 4) == {3: b"\7\0\0\0"}


@given(st.binary(max_size=120))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with suppress(HostError):
        assert parse_station(data)[0]


@given(st.binary(max_size=60))
def test_no_bytes_in_place_of_what_it_knows_break_the_reader(data: bytes) -> None:
    with suppress(HostError):
        assert parse_station(HEADER + MAC + attribute(21, data))[0] == "02:00:00:00:01:00"
