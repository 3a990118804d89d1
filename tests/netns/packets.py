"""Frames as octets, right or wrong, and a reader that trusts none of them.

Every field can be given as it ought not to be; what is not given is right. Addresses are dotted text here, as these
functions are about octets and not about networks.

Sources: IEEE 802.3 and 802.1Q (frames, tags); RFC 791 and 1071 (IPv4, checksum); RFC 9293 section 3.1 (TCP); RFC 768
(UDP); RFC 792 (ICMP); RFC 8200 (IPv6).
"""

import socket
import struct

IPV4, ARP, IPV6, VLAN, SERVICE_VLAN = 0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8
ICMP, IGMP, TCP, UDP, ICMPV6 = 1, 2, 6, 17, 58
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
DONT_FRAGMENT, MORE_FRAGMENTS = 0x4000, 0x2000

ETHERNET = 14
HEADER = 20
"""Length of an IPv4 header without options."""


def checksum(octets: bytes) -> int:
    """Return the Internet checksum of *octets*: 0 where they contain one that is right."""
    total = sum(struct.unpack(f"!{(len(octets) + 1) // 2}H", octets + bytes(len(octets) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def mac(text: str) -> bytes:
    """Return a hardware address as octets."""
    return bytes.fromhex(text.replace(":", ""))


def ethernet(destination: str, source: str, payload: bytes, *, kind: int = IPV4, tags: tuple[int, ...] = ()) -> bytes:
    """Return a frame; each of *tags* is type and tag control information in one number of 32 bits."""
    words = b"".join(struct.pack("!I", tag) for tag in tags)
    return mac(destination) + mac(source) + words + struct.pack("!H", kind) + payload


def ipv4(  # noqa: PLR0913 - the fields of the header
    source: str,
    destination: str,
    protocol: int,
    payload: bytes,
    *,
    ttl: int = 64,
    tos: int = 0,
    ident: int = 0,
    fragment: int = DONT_FRAGMENT,
    options: bytes = b"",
    first: int | None = None,
    total: int | None = None,
    wrong: int = 0,
) -> bytes:
    """Return a packet.

    Args:
        source: Address.
        destination: Address.
        protocol: Number of the protocol above.
        payload: What that has to say.
        ttl: Time to live.
        tos: DSCP and ECN.
        ident: Identification.
        fragment: Flags and offset.
        options: A multiple of four octets.
        first: First octet, version and length of the header.
        total: Total length.
        wrong: Is added to the checksum.
    """
    length = HEADER + len(options)
    header = bytearray(
        struct.pack(
            "!BBHHHBBH4s4s",
            0x40 | length // 4 if first is None else first,
            tos,
            length + len(payload) if total is None else total,
            ident,
            fragment,
            ttl,
            protocol,
            0,
            socket.inet_aton(source),
            socket.inet_aton(destination),
        )
        + options
    )
    header[10:12] = struct.pack("!H", (checksum(bytes(header)) + wrong) & 0xFFFF)
    return bytes(header) + payload


def tcp(  # noqa: PLR0913 - the fields of the header
    source: str,
    destination: str,
    ports: tuple[int, int],
    payload: bytes = b"",
    *,
    seq: int = 0,
    ack: int = 0,
    flags: int = ACK,
    reserved: int = 0,
    window: int = 0xFFFF,
    urgent: int = 0,
    options: bytes = b"",
    offset: int | None = None,
    wrong: int = 0,
) -> bytes:
    """Return a segment; *offset* is that of its data in words, *wrong* is added to the checksum."""
    size = (HEADER + len(options)) // 4 if offset is None else offset
    head = struct.pack("!HHIIBBH", *ports, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, size << 4 | reserved, flags, window)
    segment = head + struct.pack("!HH", 0, urgent) + options + payload
    check = (checksum(pseudo(source, destination, TCP, len(segment)) + segment) + wrong) & 0xFFFF
    return segment[:16] + struct.pack("!H", check) + segment[18:]


def udp(  # noqa: PLR0913 - the fields of the header
    source: str,
    destination: str,
    ports: tuple[int, int],
    payload: bytes = b"",
    *,
    length: int | None = None,
    check: int | None = None,
    wrong: int = 0,
) -> bytes:
    """Return a datagram; *wrong* is added to the checksum, which *check* would be instead."""
    size = 8 + len(payload)
    datagram = struct.pack("!HHHH", *ports, size if length is None else length, 0) + payload
    if check is None:
        right = checksum(pseudo(source, destination, UDP, size) + datagram) or 0xFFFF
        check = (right + wrong) & 0xFFFF
    return datagram[:6] + struct.pack("!H", check) + payload


def icmp(kind: int, code: int, rest: bytes, payload: bytes = b"", *, wrong: int = 0) -> bytes:
    """Return a message; *rest* are the four octets behind the checksum, to which *wrong* is added."""
    message = struct.pack("!BBH", kind, code, 0) + rest + payload
    return message[:2] + struct.pack("!H", (checksum(message) + wrong) & 0xFFFF) + message[4:]


def ipv6(source: str, destination: str, following: int, payload: bytes, *, hop_limit: int = 64) -> bytes:
    """Return a packet of IPv6."""
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination)
    return struct.pack("!IHBB", 6 << 28, len(payload), following, hop_limit) + addresses + payload


def udp6(source: str, destination: str, ports: tuple[int, int], payload: bytes) -> bytes:
    """Return a datagram for IPv6."""
    size = 8 + len(payload)
    datagram = struct.pack("!HHHH", *ports, size, 0) + payload
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination)
    check = checksum(addresses + struct.pack("!II", size, UDP) + datagram) or 0xFFFF
    return datagram[:6] + struct.pack("!H", check) + payload


def pseudo(source: str, destination: str, protocol: int, length: int) -> bytes:
    """Return the pseudo header that the checksums of TCP and UDP cover."""
    return socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!HH", protocol, length)


# ------------------------------------------------------------------------------------------------------- the reader


def kind_of(frame: bytes) -> int:
    """Return the type of a frame."""
    return int.from_bytes(frame[12:14])


def complaint(frame: bytes) -> str:
    """Return what is wrong with a frame that came out: its lengths or its checksums; "" when all is right.

    It believes no header that it has not checked, and has nothing to say about what has no checksum of its own: what is
    behind the header of fragments, of headers that are cut, of other protocols.
    """
    if kind_of(frame) != IPV4:
        return ""
    packet = frame[ETHERNET:]
    if len(packet) < HEADER or packet[0] >> 4 != 4:
        return "no IPv4 header"
    header = (packet[0] & 15) * 4
    if not HEADER <= header <= len(packet) or int.from_bytes(packet[2:4]) != len(packet):
        return "lengths contradict each other"
    if checksum(packet[:header]):
        return "the IP header's checksum is wrong"
    if int.from_bytes(packet[6:8]) & ~DONT_FRAGMENT & 0xFFFF:
        return ""
    return _transport_complaint(packet, header)


def _transport_complaint(packet: bytes, header: int) -> str:
    body, protocol = packet[header:], packet[9]
    covered = packet[12:20] + struct.pack("!HH", protocol, len(body)) + body
    if protocol == TCP and len(body) >= HEADER and checksum(covered):
        return "the TCP checksum is wrong"
    if protocol == UDP and len(body) >= 8 and body[6:8] != b"\0\0" and checksum(covered):
        return "the UDP checksum is wrong"
    if protocol == ICMP and checksum(body):
        return "the ICMP checksum is wrong"
    return ""
