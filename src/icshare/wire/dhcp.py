"""The few DHCP messages that find out whether somebody else serves addresses on a link.

Three questions are asked together, as whole Ethernet frames, because the asking link need not have an address:

* A DHCPDISCOVER. Every server with a free address offers one; but many ping the address first, which takes one to
  three seconds.
* A DHCPINFORM, which asks for the link's settings and for no address, so there is nothing to ping. The answer goes to
  the address that the asker says it has: here to everybody, which needs no address and no ARP. dnsmasq and udhcpd
  answer within a millisecond or few; servers that know their clients by subnet alone do not.
* A DHCPREQUEST as of a client that reboots (``INIT-REBOOT``), for an address that belongs to no network. A server that
  is sure of its link (``authoritative`` in dnsmasq and ISC's dhcpd) refuses it by DHCPNAK, likewise at once.

All set the broadcast flag: no answer can reach by unicast a host that has no address.

Source: RFC 2131 (messages, sections 2, 4.3 and 4.4.3), RFC 2132 (options), RFC 791, RFC 768.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from typing import Final

from icshare.model.names import MacAddress

SERVER_PORT: Final = 67
CLIENT_PORT: Final = 68

NOBODYS_ADDRESS: Final = IPv4Address("192.0.2.1")
"""What the rebooting client asks for: of TEST-NET-1, which no link uses (RFC 5737)."""

EVERYBODYS_ADDRESS: Final = IPv4Address("255.255.255.255")
"""What the client that wants to be informed says it has: the answer is then a broadcast."""

_ETHERTYPE_IPV4: Final = 0x0800
_PROTOCOL_UDP: Final = 17
_REQUEST, _REPLY = 1, 2  # the op field
_ETHERNET: Final = 1  # the htype field
_BROADCAST_FLAG: Final = 0x8000
_COOKIE: Final = bytes((99, 130, 83, 99))
# RFC 951 gives the message 300 octets, and some relays and servers drop shorter ones.
_SHORTEST: Final = 300

_ETHER: Final = struct.Struct("!6s6sH")
_IP: Final = struct.Struct("!BBHHHBBH4s4s")
_UDP: Final = struct.Struct("!HHHH")
# op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file, cookie
_BOOTP: Final = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_UNSPECIFIED: Final = bytes(4)
_EVERYBODY: Final = b"\xff" * 6

_PAD, _END = 0, 255
_OPTION_REQUESTED_ADDRESS: Final = 50
_OPTION_OVERLOAD: Final = 52
_OPTION_MESSAGE_TYPE: Final = 53
_OPTION_SERVER: Final = 54
_OPTION_PARAMETERS: Final = 55
_WANTED: Final = bytes((1, 3, 6, 51))  # mask, routers, name servers, lease time: what every client asks for


class MessageType(IntEnum):
    """Option 53.

    Source:
        RFC 2132 section 9.6.
    """

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    ACK = 5
    NAK = 6
    INFORM = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpReply:
    """What a DHCP server said.

    Attributes:
        kind: OFFER, ACK or NAK.
        transaction: The xid of the question.
        client: Hardware address of whoever asked.
        server: The server's own identifier, or the packet's source when it gives none.
        source: Source address of the packet: the server or a relay.
        source_mac: Hardware address that sent the frame.
        offered: The client's address to be; None when the server refuses, or was not asked for one.
    """

    kind: MessageType
    transaction: int
    client: MacAddress
    server: IPv4Address
    source: IPv4Address
    source_mac: MacAddress
    offered: IPv4Address | None


def discover(mac: MacAddress, transaction: int) -> bytes:
    """Return the frame of a DHCPDISCOVER.

    Args:
        mac: Hardware address of the asking link.
        transaction: Any number of 32 bits; the answers repeat it.

    Source:
        RFC 2131 section 4.4.1.
    """
    return _frame(mac, transaction, MessageType.DISCOVER)


def inform(mac: MacAddress, transaction: int, address: IPv4Address = EVERYBODYS_ADDRESS) -> bytes:
    """Return the frame of a DHCPINFORM from a client that says it has *address*.

    Source:
        RFC 2131 section 4.3.5: the server answers by DHCPACK to that address, without looking at leases.
    """
    return _frame(mac, transaction, MessageType.INFORM, client=address)


def reboot_request(mac: MacAddress, transaction: int, address: IPv4Address = NOBODYS_ADDRESS) -> bytes:
    """Return the frame of a DHCPREQUEST in the state INIT-REBOOT: *address* in its option, no server named.

    Source:
        RFC 2131 section 4.3.2: a server sends a DHCPNAK if the client is on the wrong network.
    """
    return _frame(mac, transaction, MessageType.REQUEST, options=_option(_OPTION_REQUESTED_ADDRESS, address.packed))


def parse_reply(frame: bytes) -> DhcpReply | None:
    """Read an Ethernet *frame*; None for all that is not a well-formed answer of a DHCP server."""
    if len(frame) < _ETHER.size:
        return None
    _, sender, ethertype = _ETHER.unpack_from(frame)
    if ethertype != _ETHERTYPE_IPV4 or sender[0] & 1:
        return None
    packet = _ip_payload(frame[_ETHER.size :])
    if packet is None:
        return None
    source, message = packet
    return _reply(message, source, _mac(sender))


def _ip_payload(packet: bytes) -> tuple[IPv4Address, bytes] | None:
    """Return the source address and UDP payload of an unfragmented packet from a server to a client."""
    if len(packet) < _IP.size:
        return None
    version, _, total, _, fragment, _, protocol, _, source, _ = _IP.unpack_from(packet)
    header = (version & 0xF) * 4
    more_fragments_or_offset = fragment & 0x3FFF
    if version >> 4 != 4 or header < _IP.size or protocol != _PROTOCOL_UDP or more_fragments_or_offset:
        return None
    # The link pads short frames, so the packet's own length counts.
    datagram = packet[header:total]
    if total > len(packet) or len(datagram) < _UDP.size:
        return None
    from_port, to_port, length, _ = _UDP.unpack_from(datagram)
    if (from_port, to_port) != (SERVER_PORT, CLIENT_PORT) or not _UDP.size <= length <= len(datagram):
        return None
    return IPv4Address(source), datagram[_UDP.size : length]


def _reply(message: bytes, source: IPv4Address, sender: MacAddress) -> DhcpReply | None:
    if len(message) < _BOOTP.size:
        return None
    op, htype, hlen, _, transaction, _, _, _, yiaddr, _, _, chaddr, sname, file, cookie = _BOOTP.unpack_from(message)
    if (op, htype, hlen, cookie) != (_REPLY, _ETHERNET, 6, _COOKIE):
        return None
    options = _options(message[_BOOTP.size :], file, sname)
    kind = options.get(_OPTION_MESSAGE_TYPE, b"")
    server = options.get(_OPTION_SERVER, source.packed)
    if len(kind) != 1 or kind[0] not in {MessageType.OFFER, MessageType.ACK, MessageType.NAK} or len(server) != 4:
        return None
    return DhcpReply(
        kind=MessageType(kind[0]),
        transaction=transaction,
        client=_mac(chaddr[:6]),
        server=IPv4Address(server),
        source=source,
        source_mac=sender,
        offered=IPv4Address(yiaddr) if yiaddr != _UNSPECIFIED and kind[0] != MessageType.NAK else None,
    )


def _options(field: bytes, file: bytes, sname: bytes) -> dict[int, bytes]:
    """Read the options, also those in the two fields that a server may use when it runs out of room.

    Source:
        RFC 2131 section 4.1; RFC 2132 section 9.3: 1 is the file field, 2 the sname field, 3 both.
    """
    options = dict(_fields(field))
    overload = options.get(_OPTION_OVERLOAD, b"")
    if len(overload) == 1:
        for bit, extra in ((1, file), (2, sname)):
            if overload[0] & bit:
                options = {**dict(_fields(extra)), **options}
    return options


def _fields(field: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield code and value of each whole option up to the end mark."""
    position = 0
    while position < len(field) and field[position] != _END:
        if field[position] == _PAD:
            position += 1
            continue
        if position + 1 >= len(field):
            return
        stop = position + 2 + field[position + 1]
        if stop > len(field):
            return
        yield field[position], field[position + 2 : stop]
        position = stop


def _frame(
    mac: MacAddress,
    transaction: int,
    kind: MessageType,
    *,
    options: bytes = b"",
    client: IPv4Address = IPv4Address(0),  # noqa: B008 - a frozen value
) -> bytes:
    sender = bytes.fromhex(mac.replace(":", ""))
    message = _BOOTP.pack(
        *(_REQUEST, _ETHERNET, len(sender), 0, transaction, 0, _BROADCAST_FLAG),
        *(client.packed, _UNSPECIFIED, _UNSPECIFIED, _UNSPECIFIED, sender, b"", b"", _COOKIE),
    )
    message += _option(_OPTION_MESSAGE_TYPE, bytes((kind,))) + options + _option(_OPTION_PARAMETERS, _WANTED)
    message = (message + bytes((_END,))).ljust(_SHORTEST, b"\0")
    return _ETHER.pack(_EVERYBODY, sender, _ETHERTYPE_IPV4) + _packet(message)


def _packet(message: bytes) -> bytes:
    """Wrap *message* in UDP and IP, from nobody to everybody."""
    source, destination = _UNSPECIFIED, b"\xff" * 4
    length = _UDP.size + len(message)
    pseudo_header = source + destination + struct.pack("!BBH", 0, _PROTOCOL_UDP, length)
    datagram = _UDP.pack(CLIENT_PORT, SERVER_PORT, length, 0) + message
    # A sum of zero would mean "not computed" and is sent as its other form (RFC 768).
    checksum = _checksum(pseudo_header + datagram) or 0xFFFF
    datagram = _UDP.pack(CLIENT_PORT, SERVER_PORT, length, checksum) + message
    fields = (0x45, 0, _IP.size + length, 0, 0, 64, _PROTOCOL_UDP)
    header = _IP.pack(*fields, _checksum(_IP.pack(*fields, 0, source, destination)), source, destination)
    return header + datagram


def _checksum(octets: bytes) -> int:
    """Return the Internet checksum of *octets* (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{(len(octets) + 1) // 2}H", octets + b"\0" * (len(octets) % 2)))
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def _option(code: int, value: bytes) -> bytes:
    return bytes((code, len(value))) + value


def _mac(octets: bytes) -> MacAddress:
    return MacAddress(octets.hex(":"))
