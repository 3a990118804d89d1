"""The kernel's packet log (nflog): bind a group, read what it sends. No socket here.

Numbers inside of attributes are in network byte order, as in all of netfilter's netlink.

Source:
    ``linux/netfilter/nfnetlink_log.h``.
"""

from dataclasses import dataclass
from struct import Struct

from icshare.errors import HostError
from icshare.model.link import IfIndex
from icshare.wire.conntrack import NFGENMSG
from icshare.wire.netlink import Request, attribute, attributes, read_text

COPY_BYTES = 128
"""How much of each packet the kernel sends: IPv6 with some extension headers and the TCP header."""

_SUBSYSTEM = 4
PACKET, _CONFIG = _SUBSYSTEM << 8, _SUBSYSTEM << 8 | 1

_CFG_CMD, _CFG_MODE, _CFG_QTHRESH, _CFG_FLAGS = 1, 2, 5, 6
_CMD_BIND = b"\x01"
_MODE = Struct("!IBx")
_COPY_PACKET = 2
_U32 = Struct("!I")
_FLAGS = Struct("!H")
_FLAG_SEQUENCE = 1

_TIMESTAMP, _INDEV, _OUTDEV, _PAYLOAD, _PREFIX, _SEQUENCE = 3, 4, 5, 9, 10, 12
_TIME = Struct("!QQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedPacket:
    """One packet that a rule has logged.

    Attributes:
        prefix: The rule's prefix, without trailing blanks.
        indev: Interface index that the packet came in by; None for one of this host.
        outdev: Interface index that it is to leave by; None where that is this host, or not yet known.
        payload: The packet from its IP header on, at most `COPY_BYTES`.
        time: When it was received, in seconds since 1970; None when the kernel took no note of it.
        sequence: Number of the packet in its group, modulo 2**32: a gap tells of lost ones. None without.
    """

    prefix: str
    indev: IfIndex | None
    outdev: IfIndex | None
    payload: bytes
    time: float | None
    sequence: int | None


def bind(group: int) -> Request:
    """Ask for the packets of *group* (0 to 65535); the kernel answers EBUSY when somebody else has it."""
    return _configure(group, attribute(_CFG_CMD, _CMD_BIND), f"bind group {group} of the packet log")


def configure(group: int) -> Request:
    """Ask for the first bytes of each packet of *group*, bound before; at once and numbered."""
    settings = (
        attribute(_CFG_MODE, _MODE.pack(COPY_BYTES, _COPY_PACKET))
        + attribute(_CFG_QTHRESH, _U32.pack(1))
        + attribute(_CFG_FLAGS, _FLAGS.pack(_FLAG_SEQUENCE))
    )
    return _configure(group, settings, f"configure group {group} of the packet log")


def parse_packet(payload: bytes) -> LoggedPacket:
    """Return the packet of a `PACKET` message.

    Raises:
        HostError: The payload is malformed.
    """
    if len(payload) < NFGENMSG.size:
        raise HostError(f"packet log message is truncated: {len(payload)} bytes")
    found = attributes(payload, NFGENMSG.size)
    return LoggedPacket(
        prefix=read_text(found.get(_PREFIX, b"")).rstrip(" "),
        indev=_index(found.get(_INDEV)),
        outdev=_index(found.get(_OUTDEV)),
        payload=found.get(_PAYLOAD, b""),
        time=_time(found.get(_TIMESTAMP)),
        sequence=_number(found.get(_SEQUENCE)),
    )


def lost_between(before: int | None, now: int | None) -> int:
    """Return how many packets are missing between two that came one after the other, by their sequence numbers."""
    if before is None or now is None:
        return 0
    return (now - before - 1) & 0xFFFFFFFF


def _configure(group: int, settings: bytes, purpose: str) -> Request:
    return Request(type=_CONFIG, payload=NFGENMSG.pack(0, 0, group) + settings, purpose=purpose)


def _index(value: bytes | None) -> IfIndex | None:
    number = _number(value)
    return None if number is None else IfIndex(number)


def _number(value: bytes | None) -> int | None:
    if value is None:
        return None
    if len(value) != _U32.size:
        raise HostError(f"packet log message holds a number of {len(value)} bytes where 4 are expected")
    return int.from_bytes(value, "big")


def _time(value: bytes | None) -> float | None:
    if value is None:
        return None
    if len(value) != _TIME.size:
        raise HostError(f"packet log message holds a time of {len(value)} bytes")
    seconds, micros = _TIME.unpack(value)
    return float(seconds) + float(micros) / 1e6
