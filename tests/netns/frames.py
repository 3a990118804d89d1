"""Frames as bytes: built as wrongly as a test wants them, and looked at by somebody who trusts no sender."""

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address

IPV4, IPV6, VLAN, SERVICE_VLAN, ARP = 0x0800, 0x86DD, 0x8100, 0x88A8, 0x0806
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
NONCE_SUM = 0x100
DONT_FRAGMENT, MORE_FRAGMENTS, RESERVED = 0x4000, 0x2000, 0x8000

ETHERNET = 14
_IP = struct.Struct("!BBHHHBBH4s4s")
_TCP = struct.Struct("!HHIIHHHH")
_UDP = struct.Struct("!HHHH")


def checksum(data: bytes) -> int:
    """Return the Internet checksum of *data* (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ip4(
    source: IPv4Address,
    destination: IPv4Address,
    proto: int,
    payload: bytes,
    *,
    ident: int = 0,
    ttl: int = 64,
    tos: int = 0,
    fragment: int = DONT_FRAGMENT,
    options: bytes = b"",
    version_ihl: int | None = None,
    length: int | None = None,
    spoil: int = 0,
) -> bytes:
    """Return an IPv4 packet; *spoil* is added to its header's checksum, which is right otherwise."""
    first = 0x45 + len(options) // 4 if version_ihl is None else version_ihl
    total = 20 + len(options) + len(payload) if length is None else length
    fields = (first, tos, total, ident, fragment, ttl, proto)
    bare = _IP.pack(*fields, 0, source.packed, destination.packed) + options
    # What a receiver sums is as long as the header says.
    covered = (bare + payload)[: max(20, (first & 15) * 4)]
    check = (checksum(covered) + spoil) & 0xFFFF
    return _IP.pack(*fields, check, source.packed, destination.packed) + options + payload


def pseudo(source: bytes, destination: bytes, proto: int, length: int) -> bytes:
    """Return what a transport checksum covers beside the segment."""
    if len(source) == 4:
        return source + destination + struct.pack("!BBH", 0, proto, length)
    return source + destination + struct.pack("!II", length, proto)


def tcp(
    source: tuple[IPv4Address, int],
    destination: tuple[IPv4Address, int],
    flags: int,
    payload: bytes = b"",
    *,
    seq: int,
    ack: int = 0,
    window: int = 60000,
    urgent: int = 0,
    options: bytes = b"",
    offset: int | None = None,
    spoil: int = 0,
) -> bytes:
    """Return a TCP segment; *spoil* is added to its checksum."""
    words = 5 + len(options) // 4 if offset is None else offset
    fields = (source[1], destination[1], seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, words << 12 | flags, window)
    bare = _TCP.pack(*fields, 0, urgent) + options + payload
    check = checksum(pseudo(source[0].packed, destination[0].packed, TCP, len(bare)) + bare)
    return _TCP.pack(*fields, (check + spoil) & 0xFFFF, urgent) + options + payload


def udp(
    source: tuple[IPv4Address, int],
    destination: tuple[IPv4Address, int],
    payload: bytes = b"",
    *,
    length: int | None = None,
    spoil: int = 0,
    summed: bool = True,
) -> bytes:
    """Return a UDP datagram; *spoil* is added to its checksum, which is 0, "none", without *summed*."""
    size = 8 + len(payload) if length is None else length
    bare = _UDP.pack(source[1], destination[1], size, 0) + payload
    check = (checksum(pseudo(source[0].packed, destination[0].packed, UDP, size) + bare[:size]) + spoil) & 0xFFFF
    return _UDP.pack(source[1], destination[1], size, (check or 0xFFFF) if summed else 0) + payload


def ethernet(
    destination: bytes, source: bytes, kind: int, payload: bytes, tags: Sequence[tuple[int, int]] = ()
) -> bytes:
    """Return a frame; *tags* are pairs of protocol and VLAN, the outer one first."""
    stack = b"".join(struct.pack("!HH", proto, vlan) for proto, vlan in tags)
    return destination + source + stack + struct.pack("!H", kind) + payload


# ---------------------------------------------------------------------------------------------------------- receiving


def kind_of(frame: bytes) -> int:
    return int.from_bytes(frame[12:14], "big")


def transport_of(packet: bytes) -> tuple[int, int]:
    """Return the protocol of an IP packet and where its header is; of IPv6, that behind the fixed header."""
    return (packet[6], 40) if packet[0] >> 4 == 6 else (packet[9], (packet[0] & 15) * 4)


def faults(frame: bytes) -> list[str]:
    """Return what is wrong with a frame that came out: lengths and all checksums, each computed anew."""
    if kind_of(frame) not in {IPV4, IPV6}:
        return []
    packet = frame[ETHERNET:]
    found = []
    if packet[0] >> 4 == 4:
        length, header = int.from_bytes(packet[2:4], "big"), (packet[0] & 15) * 4
        if checksum(packet[:header]):
            found.append("IP checksum")
        fragmented = int.from_bytes(packet[6:8], "big") & 0x3FFF
        source, destination = packet[12:16], packet[16:20]
    else:
        length, fragmented = int.from_bytes(packet[4:6], "big") + 40, 0
        source, destination = packet[8:24], packet[24:40]
    if length != len(packet):
        found.append(f"{len(packet)} bytes behind the Ethernet header, of which {length} are the packet's")
    proto, start = transport_of(packet)
    segment = packet[start:length]
    if fragmented:
        return found
    if proto == ICMP and checksum(segment):
        found.append("ICMP checksum")
    if proto == UDP:
        segment = segment[: int.from_bytes(segment[4:6], "big")]
    no_checksum = proto == UDP and segment[6:8] == b"\0\0"
    if proto in {TCP, UDP} and not no_checksum and checksum(pseudo(source, destination, proto, len(segment)) + segment):
        found.append("TCP checksum" if proto == TCP else "UDP checksum")
    return found


def without_transport_checksum(frame: bytes) -> bytes:
    """Return a frame with zeros for the checksum of its IPv4 TCP or UDP header."""
    proto, start = transport_of(frame[ETHERNET:])
    place = ETHERNET + start + (16 if proto == TCP else 6)
    return frame[:place] + b"\0\0" + frame[place + 2 :]
