"""Entries of connection tracking, as bytes."""

import struct
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import HostError
from icshare.wire import conntrack
from icshare.wire.conntrack import Entry, Flow, Tuple, parse_entry, parse_flow
from icshare.wire.netlink import attribute, attributes, nested, u8

HEADER = bytes((2, 0, 0, 0))
OUTSIDE, PUBLIC, INSIDE = "203.0.113.5", "198.51.100.1", "192.168.137.10"


def direction(
    kind: int, source: str, destination: str, ports: tuple[int, int] | None = (50000, 80), protocol: int = 6
) -> bytes:
    members = [u8(1, protocol)]
    if ports is not None:
        members += [attribute(2, struct.pack("!H", ports[0])), attribute(3, struct.pack("!H", ports[1]))]
    addresses = (attribute(1, IPv4Address(source).packed), attribute(2, IPv4Address(destination).packed))
    return nested(kind, nested(1, *addresses), nested(2, *members))


ORIGINAL = direction(1, OUTSIDE, PUBLIC)
REPLY = direction(2, INSIDE, OUTSIDE, (8080, 50000))
ID = attribute(12, b"\x12\x34\x56\x78")
STATUS = attribute(3, struct.pack("!I", 0x2E))
ZONE = attribute(18, b"\0\x07")


def test_an_entry_tells_both_directions() -> None:
    assert parse_entry(HEADER + ORIGINAL + REPLY + STATUS + ID) == Entry(
        protocol=6,
        original=Tuple(
            source=IPv4Address(OUTSIDE), source_port=50000, destination=IPv4Address(PUBLIC), destination_port=80
        ),
        reply=Tuple(
            source=IPv4Address(INSIDE), source_port=8080, destination=IPv4Address(OUTSIDE), destination_port=50000
        ),
        status=0x2E,
        key=ORIGINAL + ID,
    )


def test_protocols_without_ports_have_port_0() -> None:
    found = parse_entry(HEADER + direction(1, OUTSIDE, PUBLIC, None, 47) + direction(2, PUBLIC, OUTSIDE, None, 47) + ID)
    assert found is not None
    assert (found.protocol, found.original.source_port, found.reply.destination_port, found.status) == (47, 0, 0, 0)


def test_other_families_are_none_of_ours() -> None:
    assert parse_entry(bytes((10, 0, 0, 0)) + b"whatever") is None


def test_the_request_to_forget_names_the_entry_as_it_was_received() -> None:
    entry = parse_entry(HEADER + ORIGINAL + REPLY + STATUS + ID + ZONE)
    assert entry is not None
    request = conntrack.delete_entry(entry)
    assert (request.type, request.payload) == (0x102, HEADER + ORIGINAL + ID + ZONE)
    assert request.purpose == "forget the connection from 203.0.113.5:50000"


def test_the_list_is_asked_for_in_one_go() -> None:
    request = conntrack.dump_entries()
    assert (request.type, request.flags, request.payload) == (0x101, 0x300, HEADER)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"\x02\0\0", "truncated"),
        (HEADER + ORIGINAL + REPLY, "lacks"),
        (HEADER + ORIGINAL + ID, "lacks"),
        (HEADER + nested(1) + REPLY + ID, "empty"),
        (HEADER + nested(1, nested(2, u8(1, 6))) + REPLY + ID, "address of 0 bytes"),
    ],
)
def test_an_entry_that_does_not_hold_what_it_must_is_refused(payload: bytes, words: str) -> None:
    with pytest.raises(HostError, match=words):
        parse_entry(payload)


def test_a_port_of_another_length_is_refused() -> None:
    odd = nested(
        1,
        nested(1, attribute(1, bytes(4)), attribute(2, bytes(4))),
        nested(2, u8(1, 6), attribute(2, b"\0")),
    )
    with pytest.raises(HostError, match="port of 1 bytes"):
        parse_entry(HEADER + odd + REPLY + ID)


def test_a_flow_leads_where_the_answers_come_from() -> None:
    flow = Flow(6, IPv4Address(OUTSIDE), 50000, IPv4Address(INSIDE), 8080)
    assert parse_flow(HEADER + ORIGINAL + REPLY + ID) == flow
    one, other = IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2")
    payload = bytes((10, 0, 0, 0))
    for kind, source in ((1, one), (2, other)):
        payload += nested(kind, nested(1, attribute(3, source.packed)), nested(2, u8(1, 58)))
    assert parse_flow(payload) == Flow(58, one, 0, other, 0)
    assert parse_flow(bytes(4)) is None


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"\x02", "truncated"),
        (HEADER, "empty"),
        (HEADER + ORIGINAL, "empty"),
        (HEADER + ORIGINAL + nested(2, nested(2, u8(1, 6))), "no address"),
    ],
)
def test_a_flow_without_ends_is_refused(payload: bytes, words: str) -> None:
    with pytest.raises(HostError, match=words):
        parse_flow(payload)


@given(st.binary(max_size=120))
def test_no_bytes_break_the_readers(data: bytes) -> None:
    with suppress(HostError):
        parse_entry(HEADER + data)
    with suppress(HostError):
        parse_flow(HEADER + data)


@given(st.integers(0, 200), st.binary(max_size=8))
def test_no_change_of_a_sound_message_breaks_the_reader(position: int, change: bytes) -> None:
    sound = HEADER + ORIGINAL + REPLY + STATUS + ID + ZONE
    try:
        entry = parse_entry(sound[:position] + change + sound[position + len(change) :])
    except HostError:
        return
    if entry is not None:
        assert {1, 12} <= attributes(entry.key).keys()  # without a tuple the kernel would forget everything
