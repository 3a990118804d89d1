"""Packets as lines of the firewall's log."""

import re
import struct
from datetime import datetime
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.render.w3clog import HEADER, Action, lost_line, packet_line, parse_action, parse_packet, path

WHEN = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - the log's times are local
FIELDS = HEADER.splitlines()[3].removeprefix("#Fields: ").split()
TCP = struct.pack("!HHIIBBHHH", 1172, 3389, 1640769051, 7, 0x50, 0x02, 65535, 0, 0)
UDP = struct.pack("!HHHH", 53, 40000, 8, 0)
LINE = re.compile(r"[0-9A-Za-z:. -]+\n")


def ipv4(protocol: int, payload: bytes, *, fragment: int = 0, options: bytes = b"", size: int | None = None) -> bytes:
    words = 5 + len(options) // 4
    total = words * 4 + len(payload) if size is None else size
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, total, 1, fragment, 64, protocol, 0)
    return head + ip_address("203.0.113.5").packed + ip_address("198.51.100.1").packed + options + payload


def ipv6(following: int, payload: bytes) -> bytes:
    head = struct.pack("!IHBB", 0x60000000, len(payload), following, 64)
    return head + ip_address("2001:db8::5").packed + ip_address("2001:db8::1").packed + payload


def dropped(data: bytes, way: str = "RECEIVE") -> str:
    packet = parse_packet(data)
    assert packet is not None
    return packet_line(WHEN, Action.DROP, packet, way)


def test_the_header_names_the_fields_of_version_1_5() -> None:
    assert HEADER.startswith("#Version: 1.5\n#Software: icshare\n#Time Format: Local\n#Fields: date time action ")
    assert len(FIELDS) == 17


@pytest.mark.parametrize(
    ("data", "rest"),
    [
        (ipv4(6, TCP), "TCP 203.0.113.5 198.51.100.1 1172 3389 40 S 1640769051 7 65535 - - - RECEIVE"),
        (
            ipv4(6, TCP, options=bytes(8)),
            "TCP 203.0.113.5 198.51.100.1 1172 3389 48 S 1640769051 7 65535 - - - RECEIVE",
        ),
        (ipv4(17, UDP), "UDP 203.0.113.5 198.51.100.1 53 40000 28 - - - - - - - RECEIVE"),
        (ipv4(1, b"\x08\x00abcd"), "ICMP 203.0.113.5 198.51.100.1 - - 26 - - - - 8 0 - RECEIVE"),
        (ipv4(47, b"abcd"), "47 203.0.113.5 198.51.100.1 - - 24 - - - - - - - RECEIVE"),
        (ipv6(6, TCP), "TCP 2001:db8::5 2001:db8::1 1172 3389 60 S 1640769051 7 65535 - - - RECEIVE"),
        (ipv6(58, b"\x80\x00abcd"), "58 2001:db8::5 2001:db8::1 - - 46 - - - - 128 0 - RECEIVE"),
    ],
)
def test_a_dropped_packet_is_told_in_full(data: bytes, rest: str) -> None:
    line = dropped(data)
    assert line == f"2026-01-02 03:04:05 DROP {rest}\n"
    assert len(line.split()) == len(FIELDS)


@pytest.mark.parametrize(
    ("flags", "letters"), [(0x12, "AS"), (0x11, "AF"), (0x3F, "AFPRSU"), (0x00, "-"), (0xC0, "-"), (0x04, "R")]
)
def test_tcp_flags_are_letters(flags: int, letters: str) -> None:
    assert dropped(ipv4(6, TCP[:13] + bytes((flags,)) + TCP[14:])).split()[9] == letters


@pytest.mark.parametrize("action", [Action.OPEN, Action.OPEN_INBOUND, Action.CLOSE])
def test_a_connection_is_told_by_its_ends(action: Action) -> None:
    packet = parse_packet(ipv4(6, TCP))
    assert packet is not None
    line = packet_line(WHEN, action, packet)
    assert line == f"2026-01-02 03:04:05 {action} TCP 203.0.113.5 198.51.100.1 1172 3389 - - - - - - - - -\n"
    assert len(line.split()) == len(FIELDS)


@pytest.mark.parametrize(("count", "text"), [(12, "12"), (None, "-")])
def test_lost_events_are_counted_in_info(count: int | None, text: str) -> None:
    line = lost_line(WHEN, count)
    assert dict(zip(FIELDS, line.split(), strict=True)) == {
        **dict.fromkeys(FIELDS, "-"),
        "date": "2026-01-02",
        "time": "03:04:05",
        "action": "INFO-EVENTS-LOST",
        "info": text,
    }


@pytest.mark.parametrize(
    ("before", "transport"),
    [
        (b"", 6),
        (struct.pack("!BB6x", 6, 0), 0),
        (struct.pack("!BB14x", 6, 1), 43),
        (struct.pack("!BB6x", 6, 0), 60),
        (struct.pack("!BBHI", 6, 0, 1, 9), 44),
        (struct.pack("!BB10x", 6, 1), 51),
        (struct.pack("!BB6x", 60, 0) + struct.pack("!BB6x", 6, 0), 0),
    ],
)
def test_the_transport_is_found_behind_extension_headers(before: bytes, transport: int) -> None:
    assert dropped(ipv6(transport, before + TCP)).split()[3:8] == ["TCP", "2001:db8::5", "2001:db8::1", "1172", "3389"]


@pytest.mark.parametrize("data", [ipv4(6, TCP, fragment=0x2001), ipv6(44, struct.pack("!BBHI", 6, 0, 9, 9) + TCP)])
def test_a_later_fragment_has_no_ports(data: bytes) -> None:
    fields = dropped(data).split()
    assert (fields[3], fields[6:8], fields[9:16]) == ("TCP", ["-", "-"], ["-"] * 7)


def test_a_first_fragment_has_ports() -> None:
    assert dropped(ipv4(6, TCP, fragment=0x2000)).split()[6:8] == ["1172", "3389"]


def test_a_header_shorter_than_it_can_be_is_not_believed() -> None:
    data = b"\x44" + ipv4(6, TCP)[1:]
    assert dropped(data).split()[6:8] == ["-", "-"]


@pytest.mark.parametrize("data", [b"", b"\x45", b"\x60" + bytes(38), b"\x50" + bytes(60)])
def test_what_has_no_ip_header_is_no_packet(data: bytes) -> None:
    assert parse_packet(data) is None


def test_of_a_truncated_packet_is_told_what_is_there() -> None:
    whole = ipv4(6, TCP)
    assert dropped(whole[:30]).split()[6:13] == ["1172", "3389", "40", "-", "-", "-", "-"]
    assert dropped(whole[:23]).split()[6:13] == ["-", "-", "40", "-", "-", "-", "-"]
    assert dropped(ipv4(1, b"\x08")).split()[13:15] == ["-", "-"]
    assert dropped(ipv6(0, b"\x06\x00")).split()[3] == "0"


@pytest.mark.parametrize(
    ("prefix", "action"),
    [
        ("icshare DROP", Action.DROP),
        ("icshare OPEN", Action.OPEN),
        ("icshare OPEN-INBOUND", Action.OPEN_INBOUND),
        ("icshare else", None),
        ("DROP", None),
        ("", None),
    ],
)
def test_prefixes_of_rules_name_the_action(prefix: str, action: Action | None) -> None:
    assert parse_action(prefix) is action


@pytest.mark.parametrize(
    ("inward", "outward", "way"),
    [(True, False, "RECEIVE"), (False, True, "SEND"), (True, True, "FORWARD"), (False, False, "-")],
)
def test_the_way_of_a_packet(inward: bool, outward: bool, way: str) -> None:
    assert path(inward=inward, outward=outward) == way


@given(
    st.one_of(
        st.binary(max_size=128),
        st.builds(lambda rest: b"\x45" + rest, st.binary(min_size=19, max_size=127)),
        st.builds(ipv4, st.sampled_from((1, 6, 17)), st.binary(max_size=40)),
        st.builds(ipv6, st.sampled_from((0, 43, 44, 51, 60, 6, 17, 58)), st.binary(max_size=88)),
    )
)
def test_no_packet_breaks_out_of_its_line(data: bytes) -> None:
    packet = parse_packet(data)
    if packet is not None:
        line = packet_line(WHEN, Action.DROP, packet, "RECEIVE")
        assert LINE.fullmatch(line)
        assert len(line.split()) == len(FIELDS)
