"""As much DNS as it takes to ask our own server a question and to believe its answer.

Queries go over UDP with recursion desired; a parsed response keeps its code, its question and the address and name
records of its answer section. Whatever a server may send, reading it ends: a compressed name may only point backwards,
so a chain of pointers gets shorter with every step.

Source: RFC 1035 sections 3 and 4; RFC 1034 section 3.1 (names); RFC 3596 (AAAA).
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from icshare.errors import InvalidRequestError

PORT: Final = 53

_HEADER: Final = struct.Struct("!HHHHHH")
_QUESTION: Final = struct.Struct("!HH")
_RECORD: Final = struct.Struct("!HHIH")
_CLASS_IN: Final = 1
_RESPONSE: Final = 0x8000
_TRUNCATED: Final = 0x0200
_RECURSION_DESIRED: Final = 0x0100
_OPCODE: Final = 0x7800
_LABEL_BYTES: Final = 63
_NAME_BYTES: Final = 255
_POINTER: Final = 0xC0


class RecordType(IntEnum):
    """The kinds of record that are asked for here.

    Source:
        RFC 1035 section 3.2.2.
    """

    A = 1
    CNAME = 5
    PTR = 12
    AAAA = 28


class ResponseCode(IntEnum):
    """What became of a query.

    Source:
        RFC 1035 section 4.1.1.
    """

    NO_ERROR = 0
    FORMAT_ERROR = 1
    SERVER_FAILURE = 2
    NAME_ERROR = 3
    NOT_IMPLEMENTED = 4
    REFUSED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked.

    Attributes:
        name: The name, without the final dot; compared without regard to case.
        kind: Type of the records wanted.
    """

    name: str
    kind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One record of a response.

    Attributes:
        name: The name it belongs to.
        kind: Its type.
        value: The address of an A or AAAA, the name of a CNAME or PTR record, the octets of any other.
        lifetime_seconds: How long it may be kept.
    """

    name: str
    kind: int
    value: IPv4Address | IPv6Address | str | bytes
    lifetime_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a server said.

    Attributes:
        identifier: Number of the query that it answers.
        code: What became of it; a number of `ResponseCode`, or another from 0 to 15.
        truncated: There was more than a datagram holds; only what is whole is in *answers*.
        question: The question it repeats, None when it repeats none.
        answers: The records of the answer section.
    """

    identifier: int
    code: int
    truncated: bool
    question: Question | None
    answers: tuple[Answer, ...]


def query(question: Question, identifier: int) -> bytes:
    """Return the datagram that asks *question*.

    Args:
        question: The question; its name has labels of 1 to 63 octets and 253 characters at most.
        identifier: A number from 0 to 65535 that the answer repeats.

    Raises:
        InvalidRequestError: The name cannot be asked for.
    """
    header = _HEADER.pack(identifier, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + _encode_name(question.name) + _QUESTION.pack(question.kind, _CLASS_IN)


def reverse_question(address: IPv4Address) -> Question:
    """Return the question for the name of *address*.

    Source:
        RFC 1035 section 3.5.
    """
    return Question(name=address.reverse_pointer, kind=RecordType.PTR)


def parse_response(datagram: bytes) -> Response | None:
    """Read a server's *datagram*; None when it is no well-formed response to a query."""
    if len(datagram) < _HEADER.size:
        return None
    identifier, flags, questions, answers, _, _ = _HEADER.unpack_from(datagram)
    if not flags & _RESPONSE or flags & _OPCODE or questions > 1:
        return None
    truncated = bool(flags & _TRUNCATED)
    position = _HEADER.size
    question = None
    records: list[Answer] = []
    try:
        if questions:
            question, position = _read_question(datagram, position)
        for _ in range(answers):
            record, position = _read_record(datagram, position)
            if record is not None:
                records.append(record)
    except ValueError:
        if not truncated:
            return None
    return Response(
        identifier=identifier,
        code=flags & 0xF,
        truncated=truncated,
        question=question,
        answers=tuple(records),
    )


def is_answer_to(response: Response, question: Question, identifier: int) -> bool:
    """Tell whether *response* is to this query: its number, and its question but for case."""
    return (
        response.identifier == identifier
        and response.question is not None
        and response.question.kind == question.kind
        and response.question.name.lower() == question.name.removesuffix(".").lower()
    )


def _encode_name(name: str) -> bytes:
    labels = name.removesuffix(".").split(".") if name not in {"", "."} else []
    encoded = b""
    for label in labels:
        octets = label.encode("ascii", errors="replace")
        if not label.isascii() or not 1 <= len(octets) <= _LABEL_BYTES:
            raise InvalidRequestError(f"{name!r} is not a name that DNS can be asked for")
        encoded += bytes((len(octets),)) + octets
    if len(encoded) + 1 > _NAME_BYTES:
        raise InvalidRequestError(f"{name!r} is longer than DNS allows")
    return encoded + b"\0"


def _read_question(datagram: bytes, position: int) -> tuple[Question, int]:
    name, position = _read_name(datagram, position)
    kind, _ = _unpack(_QUESTION, datagram, position)
    return Question(name=name, kind=kind), position + _QUESTION.size


def _read_record(datagram: bytes, position: int) -> tuple[Answer | None, int]:
    """Read the record at *position*; None for one of another class than the Internet's."""
    name, position = _read_name(datagram, position)
    kind, group, lifetime, length = _unpack(_RECORD, datagram, position)
    start = position + _RECORD.size
    stop = start + length
    if stop > len(datagram):
        raise ValueError("a record ends outside of the datagram")
    if group != _CLASS_IN:
        return None, stop
    value = _read_value(datagram, kind, start, stop)
    return Answer(name=name, kind=kind, value=value, lifetime_seconds=lifetime), stop


def _read_value(datagram: bytes, kind: int, start: int, stop: int) -> IPv4Address | IPv6Address | str | bytes:
    octets = datagram[start:stop]
    if kind == RecordType.A:
        return IPv4Address(octets)
    if kind == RecordType.AAAA:
        return IPv6Address(octets)
    if kind in {RecordType.CNAME, RecordType.PTR}:
        name, after = _read_name(datagram, start)
        if after != stop:
            raise ValueError("a name ends elsewhere than its record")
        return name
    return octets


def _read_name(datagram: bytes, position: int) -> tuple[str, int]:
    r"""Read the name at *position*; return it and the position after it.

    Octets that are no printable ASCII, and dots inside a label, are spelled ``\DDD`` as in a zone file.

    Raises:
        ValueError: It is longer than a name may be, leaves the datagram, or points forwards.
    """
    labels: list[str] = []
    after: int | None = None
    limit = position  # where the next pointer has to point before
    size = 1
    while True:
        length = _octet(datagram, position)
        if length & _POINTER == _POINTER:
            target = (length & ~_POINTER) << 8 | _octet(datagram, position + 1)
            if target >= limit:
                raise ValueError("a name points forwards")
            after = position + 2 if after is None else after
            position = limit = target
            continue
        if length & _POINTER:
            raise ValueError("a label of an unknown kind")
        if length == 0:
            return ".".join(labels), position + 1 if after is None else after
        size += length + 1
        label = datagram[position + 1 : position + 1 + length]
        if len(label) < length or size > _NAME_BYTES:
            raise ValueError("a name leaves its bounds")
        labels.append("".join(_character(octet) for octet in label))
        position += 1 + length


def _character(octet: int) -> str:
    return chr(octet) if 0x21 <= octet < 0x7F and octet not in b".\\" else f"\\{octet:03}"


def _octet(datagram: bytes, position: int) -> int:
    if position >= len(datagram):
        raise ValueError("a name leaves the datagram")
    return datagram[position]


def _unpack(layout: struct.Struct, datagram: bytes, position: int) -> tuple[int, ...]:
    if position + layout.size > len(datagram):
        raise ValueError("the datagram ends too soon")
    return layout.unpack_from(datagram, position)
