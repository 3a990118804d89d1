"""Which link a socket is bound to, from the kernel's own answer."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from icshare.wire.sockdiag import dump_request, parse_dump

DONE = struct.pack("=IHHII", 20, 3, 2, 1, 0) + bytes(4)


def message(link: int, inode: int) -> bytes:
    body = bytes((2, 7, 0, 0)) + bytes(36) + struct.pack("=I", link) + bytes(8) + struct.pack("=IIII", 0, 0, 0, 0)
    body += struct.pack("=I", inode)
    return struct.pack("=IHHII", 16 + len(body), 20, 2, 1, 0) + body


def test_bound_sockets_are_told_by_inode() -> None:
    assert parse_dump(message(3, 1001) + message(0, 1002) + message(7, 1003)) == ({1001: 3, 1003: 7}, False)


def test_the_end_completes_the_answer() -> None:
    assert parse_dump(message(3, 1001) + DONE) == ({1001: 3}, True)
    assert parse_dump(DONE) == ({}, True)


def test_a_refusal_completes_the_answer() -> None:
    assert parse_dump(struct.pack("=IHHIIi", 36, 2, 0, 1, 0, -2) + bytes(16)) == ({}, True)


def test_messages_of_other_kinds_are_passed_over() -> None:
    assert parse_dump(struct.pack("=IHHII", 20, 99, 2, 1, 0) + bytes(4) + message(3, 1001)) == ({1001: 3}, False)


def test_the_request_is_as_long_as_it_says() -> None:
    request = dump_request(2, 17)
    assert struct.unpack("=IHHII", request[:16]) == (72, 20, 0x301, 1, 0)
    assert len(request) == 72
    assert request[16:18] == bytes((2, 17))


@given(st.binary(max_size=200))
def test_no_octets_break_the_reader(data: bytes) -> None:
    parse_dump(data)
    parse_dump(message(3, 1001)[: len(data)])


def test_a_reader_of_nonsense_does_not_wait_for_more() -> None:
    assert parse_dump(b"") == ({}, True)
    assert parse_dump(bytes(40)) == ({}, True)
