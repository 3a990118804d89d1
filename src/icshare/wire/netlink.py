"""Netlink framing: messages, attributes and acknowledgements as bytes. No socket here.

Everything that the kernel sends is in the byte order of the host. Input that does not hold what it promises raises
`HostError`, and nothing else.

Source:
    netlink(7); ``linux/netlink.h``; kernel documentation, userspace-api/netlink/intro.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from icshare.errors import HostError

NLMSG_NOOP = 1
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSG_OVERRUN = 4

# nlmsg_flags: the same bit means one thing in a dump request, another in a change, a third in an acknowledgement.
NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200

NLMSGERR_ATTR_MSG = 1
NLMSGERR_ATTR_MISS_TYPE = 5

_NESTED = 0x8000
_TYPE_MASK = 0x3FFF

_HEADER = Struct("=IHHII")
_ATTRIBUTE = Struct("=HH")
_ERROR = Struct("=i")
_U16 = Struct("=H")
_U32 = Struct("=I")


class Message(NamedTuple):
    """One received message.

    Attributes:
        type: ``nlmsg_type``.
        flags: ``nlmsg_flags``.
        sequence: Number of the request it answers.
        port: Port id of the requesting socket; 0 in notifications.
        payload: Everything after the header.
    """

    type: int
    flags: int
    sequence: int
    port: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One message to the kernel that has no sequence number yet.

    Attributes:
        type: ``nlmsg_type``: an RTM_* number, or a generic netlink family.
        flags: ``nlmsg_flags`` without REQUEST and ACK, which the sender adds.
        payload: Family header and attributes.
        purpose: What it does, for error messages: "add 192.168.137.1/24 to link 3".
    """

    type: int
    flags: int = 0
    payload: bytes
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """How a request ended.

    Attributes:
        error: errno number, 0 on success.
        text: The kernel's own words (extended acknowledgement); "" if it gave none. May warn on success.
    """

    error: int
    text: str = ""


def encode(request: Request, sequence: int, *, extra: int = 0) -> bytes:
    """Return *request* as one message with *sequence* and REQUEST plus the *extra* flags set."""
    flags = request.flags | NLM_F_REQUEST | extra
    return _HEADER.pack(_HEADER.size + len(request.payload), request.type, flags, sequence, 0) + request.payload


def messages(data: bytes) -> Iterator[Message]:
    """Split one datagram into its messages, in order.

    Raises:
        HostError: A length is smaller than its header or reaches beyond *data*.
    """
    end = len(data)
    offset = 0
    while offset < end:
        if end - offset < _HEADER.size:
            raise HostError(f"netlink message is truncated: {end - offset} bytes instead of a header of {_HEADER.size}")
        length, kind, flags, sequence, port = _HEADER.unpack_from(data, offset)
        if not _HEADER.size <= length <= end - offset:
            raise HostError(f"netlink message claims {length} bytes where {end - offset} are left")
        yield Message(kind, flags, sequence, port, data[offset + _HEADER.size : offset + length])
        offset += (length + 3) & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute, padded to a multiple of four bytes."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *members: bytes) -> bytes:
    """Return one attribute that holds the already encoded *members*."""
    return attribute(kind | _NESTED, b"".join(members))


def u32(kind: int, value: int) -> bytes:
    """Return one attribute that holds an unsigned 32-bit number (0 to 2**32 - 1)."""
    return attribute(kind, _U32.pack(value))


def u8(kind: int, value: int) -> bytes:
    """Return one attribute that holds an unsigned byte (0 to 255)."""
    return attribute(kind, bytes((value,)))


def text(kind: int, value: str) -> bytes:
    """Return one attribute that holds a zero-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def attribute_list(data: bytes, offset: int = 0) -> list[tuple[int, bytes]]:
    """Return all attributes of *data* from *offset* on, in order, flag bits of the type removed.

    Raises:
        HostError: A length is smaller than its header or reaches beyond *data*.
    """
    found = []
    end = len(data)
    unpack = _ATTRIBUTE.unpack_from
    while offset < end:
        if end - offset < 4:
            raise HostError(f"netlink attribute is truncated: {end - offset} bytes instead of a header of 4")
        length, kind = unpack(data, offset)
        if not 4 <= length <= end - offset:
            kind &= _TYPE_MASK
            raise HostError(f"netlink attribute {kind} claims {length} bytes where {end - offset} are left")
        found.append((kind & _TYPE_MASK, data[offset + 4 : offset + length]))
        offset += (length + 3) & ~3
    return found


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Return the attributes of *data* from *offset* on by type; of equal types the last one, as the kernel reads them.

    Raises:
        HostError: See `attribute_list`.
    """
    return dict(attribute_list(data, offset))


def read_u16(value: bytes) -> int:
    """Return the unsigned 16-bit number in an attribute's *value*.

    Raises:
        HostError: *value* is shorter than two bytes.
    """
    if len(value) < 2:
        raise HostError(f"netlink attribute holds {len(value)} bytes where a 16-bit number is expected")
    number: int = _U16.unpack_from(value)[0]
    return number


def read_u32(value: bytes) -> int:
    """Return the unsigned 32-bit number in an attribute's *value*.

    Raises:
        HostError: *value* is shorter than four bytes.
    """
    if len(value) < 4:
        raise HostError(f"netlink attribute holds {len(value)} bytes where a 32-bit number is expected")
    number: int = _U32.unpack_from(value)[0]
    return number


def read_u8(value: bytes) -> int:
    """Return the unsigned byte in an attribute's *value*.

    Raises:
        HostError: *value* is empty.
    """
    if not value:
        raise HostError("netlink attribute is empty where a byte is expected")
    return value[0]


def read_text(value: bytes) -> str:
    r"""Return the string in an attribute's *value*, up to the first zero byte.

    The kernel lets names hold any bytes. What is not UTF-8 comes out as ``\xNN``, which no renderer takes as a name.
    """
    return value.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def acknowledgement(message: Message) -> Acknowledgement:
    """Return what an NLMSG_ERROR or NLMSG_DONE *message* says.

    Raises:
        HostError: The message is shorter than its parts.
    """
    payload = message.payload
    if len(payload) < _ERROR.size:
        if message.type == NLMSG_DONE and not payload:
            return Acknowledgement(error=0)
        raise HostError(f"netlink acknowledgement is truncated: {len(payload)} bytes")
    error = -int(_ERROR.unpack_from(payload)[0])
    if error < 0:
        raise HostError(f"netlink acknowledgement carries the positive number {-error} as its error")
    if not message.flags & NLM_F_ACK_TLVS:
        return Acknowledgement(error=error)
    offset = _ERROR.size
    if message.type == NLMSG_ERROR:
        # The request's header follows, and its body too unless the kernel capped it, which it always does on success.
        if len(payload) < offset + _HEADER.size:
            raise HostError(f"netlink acknowledgement is truncated: {len(payload)} bytes")
        length = int(_HEADER.unpack_from(payload, offset)[0])
        offset += _HEADER.size if message.flags & NLM_F_CAPPED or not error else (length + 3) & ~3
    found = attributes(payload, offset)
    words = read_text(found.get(NLMSGERR_ATTR_MSG, b""))
    if not words and NLMSGERR_ATTR_MISS_TYPE in found:
        words = f"attribute {read_u32(found[NLMSGERR_ATTR_MISS_TYPE])} is missing"
    return Acknowledgement(error=error, text=words)
