"""The firewall's log: packets as lines of ``pfirewall.log``, in the layout of version 1.5.

Everything in a line comes from numbers and addresses, so that no packet can write a line of its own making. What a
packet does not hold, be it of another protocol, a later fragment or cut off, is ``-``.

Source:
    Windows Firewall log file, version 1.5 (fields and examples: "Protecting Your Data: A Guide to Windows Firewall");
    RFC 791, RFC 8200 (headers), RFC 9293 (TCP), RFC 768, RFC 792, RFC 4443.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import Final

HEADER: Final = (
    "#Version: 1.5\n"
    "#Software: icshare\n"
    "#Time Format: Local\n"
    "#Fields: date time action protocol src-ip dst-ip src-port dst-port size tcpflags tcpsyn tcpack tcpwin"
    " icmptype icmpcode info path\n"
    "\n"
)
"""What a log file begins with."""

_PREFIX = "icshare "
_TCP, _UDP = 6, 17
_ICMP, _ICMPV6 = 1, 58
_NAMES = {_TCP: "TCP", _UDP: "UDP", _ICMP: "ICMP"}

_IPV4 = Struct("!BxHxxHxBxx4s4s")
_IPV6 = Struct("!IHBx16s16s")
_TCP_HEADER = Struct("!HHIIxBH")
_PORTS = Struct("!HH")

# Headers between the one of IPv6 and that of the transport: hop-by-hop, routing, destination options; they tell their
# length in units of 8 bytes. The others have rules of their own.
_EXTENSIONS = frozenset({0, 43, 60})
_FRAGMENT, _AUTHENTICATION = 44, 51
# In the order of their names: ack, fin, push, reset, syn, urgent.
_FLAGS = ((0x10, "A"), (0x01, "F"), (0x08, "P"), (0x04, "R"), (0x02, "S"), (0x20, "U"))


class Action(StrEnum):
    """What became of a packet or a connection."""

    OPEN = "OPEN"
    OPEN_INBOUND = "OPEN-INBOUND"
    CLOSE = "CLOSE"
    DROP = "DROP"
    EVENTS_LOST = "INFO-EVENTS-LOST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """What a packet's headers say; None for what they don't.

    Attributes:
        protocol: IP protocol number.
        source: Source address.
        destination: Destination address.
        source_port: Source port of TCP and UDP.
        destination_port: Destination port, likewise.
        size: Length of the whole IP packet in bytes.
        tcp: Flag bits, sequence number, acknowledgement number and window of TCP.
        icmp: Type and code of ICMP and ICMPv6.
    """

    protocol: int
    source: IPv4Address | IPv6Address
    destination: IPv4Address | IPv6Address
    source_port: int | None = None
    destination_port: int | None = None
    size: int | None = None
    tcp: tuple[int, int, int, int] | None = None
    icmp: tuple[int, int] | None = None


def parse_action(prefix: str) -> Action | None:
    """Return the action in a rule's log *prefix* (``icshare DROP``), None for a prefix that is not ours."""
    try:
        return Action(prefix.removeprefix(_PREFIX)) if prefix.startswith(_PREFIX) else None
    except ValueError:
        return None


def path(*, inward: bool, outward: bool) -> str:
    """Return the way of a packet: *inward* by a link, *outward* by a link."""
    if inward:
        return "FORWARD" if outward else "RECEIVE"
    return "SEND" if outward else "-"


def parse_packet(data: bytes) -> Packet | None:
    """Return what the headers of an IP packet say, whatever *data* is; None when it is not even an IP header."""
    version = data[0] >> 4 if data else 0
    if version == 4 and len(data) >= _IPV4.size:
        return _ipv4(data)
    if version == 6 and len(data) >= _IPV6.size:
        return _ipv6(data)
    return None


def packet_line(when: datetime, action: Action, packet: Packet, way: str = "-") -> str:
    """Return the line for one packet or connection.

    Args:
        when: Local time.
        action: What became of it. Only of a dropped packet the details are written, of a connection its ends.
        packet: The packet; the first one of a connection.
        way: The result of `path`.
    """
    fields = [*_ends(packet)]
    fields += [*_details(packet), "-", way] if action is Action.DROP else ["-"] * 9
    return _line(when, action, fields)


def lost_line(when: datetime, count: int | None) -> str:
    """Return the line that says that *count* events are missing at this place; None for an unknown number."""
    return _line(when, Action.EVENTS_LOST, [*("-" * 12), _text(count), "-"])


def _line(when: datetime, action: Action, fields: list[str]) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} {action} {' '.join(fields)}\n"


def _ends(packet: Packet) -> Iterator[str]:
    yield _NAMES.get(packet.protocol, str(packet.protocol))
    yield str(packet.source)
    yield str(packet.destination)
    yield _text(packet.source_port)
    yield _text(packet.destination_port)


def _details(packet: Packet) -> Iterator[str]:
    yield _text(packet.size)
    if packet.tcp is None:
        yield from "----"
    else:
        flags, *numbers = packet.tcp
        yield "".join(letter for bit, letter in _FLAGS if flags & bit) or "-"
        yield from map(str, numbers)
    yield from map(_text, packet.icmp or (None, None))


def _text(value: int | None) -> str:
    return "-" if value is None else str(value)


def _ipv4(data: bytes) -> Packet:
    first, size, fragment, protocol, source, destination = _IPV4.unpack_from(data)
    packet = Packet(protocol=protocol, source=IPv4Address(source), destination=IPv4Address(destination), size=size)
    length = (first & 0xF) * 4
    return packet if fragment & 0x1FFF or length < _IPV4.size else _transport(packet, data[length:])


def _ipv6(data: bytes) -> Packet:
    _, length, protocol, source, destination = _IPV6.unpack_from(data)
    packet = Packet(
        protocol=protocol,
        source=IPv6Address(source),
        destination=IPv6Address(destination),
        size=_IPV6.size + length,
    )
    rest = data[_IPV6.size :]
    while len(rest) >= 8 and (protocol in _EXTENSIONS or protocol in {_FRAGMENT, _AUTHENTICATION}):
        following, length = rest[0], rest[1]
        if protocol == _FRAGMENT:
            if int.from_bytes(rest[2:4], "big") & 0xFFF8:
                return replace(packet, protocol=following)
            length = 8
        else:
            length = (length + 2) * 4 if protocol == _AUTHENTICATION else (length + 1) * 8
        protocol, rest = following, rest[length:]
    return _transport(replace(packet, protocol=protocol), rest)


def _transport(packet: Packet, data: bytes) -> Packet:
    """Add what the header of the transport protocol in *data* says, as far as it is there."""
    if packet.protocol in {_ICMP, _ICMPV6} and len(data) >= 2:
        return replace(packet, icmp=(data[0], data[1]))
    if packet.protocol not in {_TCP, _UDP} or len(data) < _PORTS.size:
        return packet
    source_port, destination_port = _PORTS.unpack_from(data)
    packet = replace(packet, source_port=source_port, destination_port=destination_port)
    if packet.protocol == _UDP or len(data) < _TCP_HEADER.size:
        return packet
    _, _, sequence, acknowledged, flags, window = _TCP_HEADER.unpack_from(data)
    return replace(packet, tcp=(flags, sequence, acknowledged, window))
