"""Queries to name servers and their responses, octet by octet."""

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import InvalidRequestError
from icshare.wire.dns import (
    Answer,
    Question,
    RecordType,
    ResponseCode,
    is_answer_to,
    parse_response,
    query,
    reverse_question,
)

QUESTION = Question(name="printer.home.arpa", kind=RecordType.A)
NAME = b"\x07printer\x04home\x04arpa\x00"
ASKED = NAME + b"\x00\x01\x00\x01"
POINTER = b"\xc0\x0c"  # to the question's name


def record(name: bytes, kind: int, value: bytes, *, group: int = 1, length: int | None = None) -> bytes:
    return name + struct.pack("!HHIH", kind, group, 300, len(value) if length is None else length) + value


def response(*records: bytes, flags: int = 0x8180, asked: bytes = ASKED, questions: int = 1) -> bytes:
    return struct.pack("!HHHHHH", 0xBEEF, flags, questions, len(records), 0, 0) + asked + b"".join(records)


def test_a_query_is_spelled_as_the_standard_says() -> None:
    assert query(QUESTION, 0xBEEF) == bytes.fromhex("beef01000001000000000000") + ASKED
    assert query(Question(name="printer.home.arpa.", kind=1), 0xBEEF) == query(QUESTION, 0xBEEF)
    assert query(Question(name=".", kind=2), 1)[12:] == b"\x00\x00\x02\x00\x01"


def test_an_address_is_asked_for_backwards() -> None:
    assert reverse_question(IPv4Address("198.51.100.7")) == Question(name="7.100.51.198.in-addr.arpa", kind=12)


@pytest.mark.parametrize("name", ["a..b", ".a", "a" * 64, ".".join(["abcdefg"] * 32), "dr\u00fccker.home.arpa"])
def test_a_name_that_cannot_be_asked_for_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequestError):
        query(Question(name=name, kind=1), 1)


def test_answers_of_the_known_kinds_are_read() -> None:
    datagram = response(
        record(POINTER, 5, b"\x02mx\xc0\x14"),
        record(b"\x02mx\xc0\x14", 1, bytes((198, 51, 100, 7))),
        record(POINTER, 28, IPv6Address("2001:db8::7").packed),
        record(POINTER, 16, b"\x05hello"),
        record(POINTER, 1, b"xxxx", group=3),
    )
    parsed = parse_response(datagram)
    assert parsed is not None
    assert parsed.question == QUESTION
    assert (parsed.identifier, parsed.code, parsed.truncated) == (0xBEEF, ResponseCode.NO_ERROR, False)
    assert parsed.answers == (
        Answer(name="printer.home.arpa", kind=5, value="mx.home.arpa", lifetime_seconds=300),
        Answer(name="mx.home.arpa", kind=1, value=IPv4Address("198.51.100.7"), lifetime_seconds=300),
        Answer(name="printer.home.arpa", kind=28, value=IPv6Address("2001:db8::7"), lifetime_seconds=300),
        Answer(name="printer.home.arpa", kind=16, value=b"\x05hello", lifetime_seconds=300),
    )


def test_odd_octets_in_a_name_cannot_forge_another() -> None:
    parsed = parse_response(response(record(b"\x07a.b\\\x1b[2\x00", 16, b"")))
    assert parsed is not None
    assert parsed.answers[0].name == "a\\046b\\092\\027[2"


def test_a_refusal_is_a_response() -> None:
    parsed = parse_response(response(flags=0x8185))
    assert parsed is not None
    assert (parsed.code, parsed.answers) == (ResponseCode.REFUSED, ())
    assert is_answer_to(parsed, QUESTION, 0xBEEF)


def test_a_truncated_response_keeps_what_is_whole() -> None:
    whole = record(POINTER, 1, bytes((198, 51, 100, 7)))
    parsed = parse_response(response(whole, whole[:-2], flags=0x8380))
    assert parsed is not None
    assert parsed.truncated
    assert len(parsed.answers) == 1


def test_a_response_may_repeat_no_question_and_then_answers_none() -> None:
    parsed = parse_response(response(asked=b"", questions=0, flags=0x8181))
    assert parsed is not None
    assert parsed.question is None
    assert not is_answer_to(parsed, QUESTION, 0xBEEF)


@pytest.mark.parametrize(
    ("question", "identifier", "matches"),
    [
        (QUESTION, 0xBEEF, True),
        (Question(name="PRINTER.home.Arpa.", kind=1), 0xBEEF, True),
        (QUESTION, 0xBEE0, False),
        (Question(name="printer.home.arpa", kind=28), 0xBEEF, False),
        (Question(name="other.home.arpa", kind=1), 0xBEEF, False),
    ],
)
def test_only_the_same_question_with_the_same_number_is_answered(
    question: Question, identifier: int, matches: bool
) -> None:
    parsed = parse_response(response())
    assert parsed is not None
    assert is_answer_to(parsed, question, identifier) is matches


@pytest.mark.parametrize(
    "datagram",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(response()[:11], id="half a header"),
        pytest.param(query(QUESTION, 1), id="a query"),
        pytest.param(response(flags=0xA980), id="another operation"),
        pytest.param(response(asked=ASKED * 2, questions=2), id="two questions"),
        pytest.param(response(asked=b"\x07print"), id="half a name"),
        pytest.param(response(asked=NAME), id="half a question"),
        pytest.param(response(asked=b"\x80" + ASKED), id="a label of no kind"),
        pytest.param(response(asked=b"\xc0\x0c\x00\x01\x00\x01"), id="a name that points to itself"),
        pytest.param(response(asked=b"\xc0\xff\x00\x01\x00\x01"), id="a name that points outside"),
        pytest.param(response(asked=b"\xc0"), id="half a pointer"),
        pytest.param(response(asked=b"\x3f" + b"a" * 63 + b"\xc0\x0c\x00\x01\x00\x01"), id="a name in a circle"),
        pytest.param(response(asked=(b"\x3f" + b"a" * 63) * 4 + b"\x00" + ASKED[-4:]), id="a name too long"),
        pytest.param(response(record(POINTER, 1, b"abc")), id="a short IPv4 address"),
        pytest.param(response(record(POINTER, 28, b"abc")), id="a short IPv6 address"),
        pytest.param(response(record(POINTER, 1, b"abcd", length=9)), id="a record that leaves the datagram"),
        pytest.param(response(record(POINTER, 12, b"\x01a\x00junk")), id="a name shorter than its record"),
        pytest.param(response(POINTER + b"\x00\x01"), id="half a record"),
    ],
)
def test_what_is_no_whole_response_is_passed_over(datagram: bytes) -> None:
    assert parse_response(datagram) is None


@given(st.binary(max_size=600))
def test_no_octets_break_the_parser(datagram: bytes) -> None:
    parse_response(datagram)
    parse_response(response(asked=datagram))
    parse_response(response(record(POINTER, 12, datagram[:60]), flags=0x8380))


labels = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20)


@given(st.lists(labels, min_size=1, max_size=8), st.sampled_from(list(RecordType)), st.integers(0, 65535))
def test_what_is_asked_comes_back_in_the_response(parts: list[str], kind: RecordType, identifier: int) -> None:
    question = Question(name=".".join(parts), kind=kind)
    asked = query(question, identifier)
    answered = parse_response(asked[:2] + b"\x81\x80" + asked[4:])
    assert answered is not None
    assert is_answer_to(answered, question, identifier)
