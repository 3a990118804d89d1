"""Netlink messages, attributes and acknowledgements, as bytes."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import HostError
from icshare.wire import netlink as nl
from icshare.wire.netlink import Message, Request

REQUEST = Request(type=16, flags=nl.NLM_F_CREATE, payload=b"\x01\x02\x03\x04", purpose="do something")

kinds = st.integers(0, 0x3FFF)
values = st.binary(max_size=40)


def header(length: int, kind: int = nl.NLMSG_ERROR, flags: int = 0, sequence: int = 9) -> bytes:
    return struct.pack("=IHHII", length, kind, flags, sequence, 0)


def acknowledgement(payload: bytes, *, kind: int = nl.NLMSG_ERROR, flags: int = 0) -> nl.Acknowledgement:
    return nl.acknowledgement(Message(kind, flags, 9, 0, payload))


def test_a_request_says_how_long_it_is_and_that_it_is_one() -> None:
    assert nl.encode(REQUEST, 5, extra=nl.NLM_F_ACK) == header(20, 16, 0x405, 5) + b"\x01\x02\x03\x04"


def test_messages_are_split_at_multiples_of_four() -> None:
    odd = header(17, 16) + b"a" + bytes(3)
    assert [one.payload for one in nl.messages(odd + header(16, 3))] == [b"a", b""]
    assert [one.payload for one in nl.messages(header(17, 16) + b"a")] == [b"a"]
    assert list(nl.messages(b"")) == []


@pytest.mark.parametrize(
    ("data", "words"),
    [(bytes(15), "truncated"), (header(15), "claims 15 bytes"), (header(21) + bytes(4), "claims 21 bytes where 20")],
)
def test_a_message_that_does_not_hold_what_it_promises_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(HostError, match=words):
        list(nl.messages(data))


@given(st.lists(st.tuples(kinds, values), max_size=6))
def test_attributes_come_back_as_they_went(pairs: list[tuple[int, bytes]]) -> None:
    data = b"".join(nl.attribute(kind, value) for kind, value in pairs)
    assert nl.attribute_list(data) == pairs
    assert nl.attributes(b"head" + data, 4) == dict(pairs)
    assert len(data) % 4 == 0


@given(kinds, st.lists(st.tuples(kinds, values), max_size=3))
def test_nested_attributes_come_back_without_their_mark(kind: int, pairs: list[tuple[int, bytes]]) -> None:
    data = nl.nested(kind, *(nl.attribute(*pair) for pair in pairs))
    ((found, value),) = nl.attribute_list(data)
    assert found == kind
    assert struct.unpack_from("=H", data, 2)[0] & 0x8000
    assert nl.attribute_list(value) == pairs


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x08\x00", "truncated: 2 bytes"),
        (b"\x03\x00\x01\x00", "attribute 1 claims 3 bytes"),
        (b"\x09\x00\x01\x80abcd", "attribute 1 claims 9 bytes where 8"),
    ],
)
def test_an_attribute_that_does_not_hold_what_it_promises_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(HostError, match=words):
        nl.attribute_list(data)


@given(st.integers(0, 2**32 - 1), st.integers(0, 255))
def test_numbers_come_back_as_they_went(big: int, small: int) -> None:
    found = nl.attributes(nl.u32(1, big) + nl.u8(2, small))
    assert (nl.read_u32(found[1]), nl.read_u8(found[2])) == (big, small)


def test_numbers_that_are_not_there_are_refused() -> None:
    with pytest.raises(HostError, match="3 bytes where a 32-bit number"):
        nl.read_u32(b"\x01\x02\x03")
    with pytest.raises(HostError, match="empty"):
        nl.read_u8(b"")


def test_names_end_at_the_first_zero_and_may_hold_anything() -> None:
    assert nl.attributes(nl.text(3, "wan0"))[3] == b"wan0\0"
    assert nl.read_text(b"wan0\0rest") == "wan0"
    assert nl.read_text(b"caf\xc3\xa9") == "café"
    assert nl.read_text(b"\xff\xfe") == r"\xff\xfe"


def test_success_is_acknowledged_by_error_zero() -> None:
    assert acknowledgement(struct.pack("=i", 0) + header(20)) == nl.Acknowledgement(error=0)
    assert acknowledgement(b"", kind=nl.NLMSG_DONE) == nl.Acknowledgement(error=0)
    assert acknowledgement(bytes(4), kind=nl.NLMSG_DONE) == nl.Acknowledgement(error=0)


def test_a_refusal_carries_the_kernels_words() -> None:
    words = nl.text(nl.NLMSGERR_ATTR_MSG, "Invalid prefix")
    whole = struct.pack("=i", -22) + header(19) + b"abc\0" + words
    assert acknowledgement(whole, flags=nl.NLM_F_ACK_TLVS) == nl.Acknowledgement(error=22, text="Invalid prefix")
    capped = struct.pack("=i", -22) + header(19) + words
    flags = nl.NLM_F_ACK_TLVS | nl.NLM_F_CAPPED
    assert acknowledgement(capped, flags=flags) == nl.Acknowledgement(error=22, text="Invalid prefix")


def test_a_warning_may_come_with_success() -> None:
    warned = struct.pack("=i", 0) + header(40) + nl.text(nl.NLMSGERR_ATTR_MSG, "deprecated")
    assert acknowledgement(warned, flags=nl.NLM_F_ACK_TLVS) == nl.Acknowledgement(error=0, text="deprecated")


def test_the_end_of_a_dump_may_carry_words_too() -> None:
    done = struct.pack("=i", -4) + nl.text(nl.NLMSGERR_ATTR_MSG, "interrupted")
    found = acknowledgement(done, kind=nl.NLMSG_DONE, flags=nl.NLM_F_ACK_TLVS)
    assert found == nl.Acknowledgement(error=4, text="interrupted")


def test_a_missing_attribute_is_named_by_its_number() -> None:
    refused = struct.pack("=i", -22) + header(16) + nl.u32(nl.NLMSGERR_ATTR_MISS_TYPE, 7)
    assert acknowledgement(refused, flags=nl.NLM_F_ACK_TLVS).text == "attribute 7 is missing"
    assert acknowledgement(struct.pack("=i", -22) + header(16), flags=nl.NLM_F_ACK_TLVS).text == ""


@pytest.mark.parametrize(
    ("payload", "flags", "words"),
    [
        (b"\0\0\0", 0, "truncated: 3 bytes"),
        (b"", 0, "truncated: 0 bytes"),
        (struct.pack("=i", 22), 0, "positive number 22"),
        (struct.pack("=i", -22) + bytes(8), nl.NLM_F_ACK_TLVS, "truncated: 12 bytes"),
    ],
)
def test_an_acknowledgement_that_is_none_is_refused(payload: bytes, flags: int, words: str) -> None:
    with pytest.raises(HostError, match=words):
        acknowledgement(payload, flags=flags)


@given(st.binary(max_size=120))
def test_no_bytes_break_the_readers(data: bytes) -> None:
    try:
        found = list(nl.messages(data))
    except HostError:
        found = []
    assert sum(16 + len(one.payload) for one in found) <= len(data)
    for kind in (nl.NLMSG_ERROR, nl.NLMSG_DONE):
        with suppress(HostError):
            assert acknowledgement(data, kind=kind, flags=nl.NLM_F_ACK_TLVS).error >= 0


def test_a_number_of_two_bytes_needs_them() -> None:
    assert nl.read_u16(struct.pack("=H", 513)) == 513
    with pytest.raises(HostError, match="holds 1 bytes"):
        nl.read_u16(b"\x01")
