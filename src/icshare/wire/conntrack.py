"""Connection tracking over netlink: list the entries, delete one, learn that one ended. No socket here.

Numbers inside of attributes are in network byte order, as in all of netfilter's netlink.

Source:
    ``linux/netfilter/nfnetlink.h``, ``nfnetlink_conntrack.h``, ``nf_conntrack_common.h``.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import NamedTuple

from icshare.errors import HostError
from icshare.wire.netlink import NLM_F_DUMP, Request, attribute, attributes, nested, read_u8

NETLINK_NETFILTER = 12
GROUP_DESTROY = 3
"""Multicast group that hears of the end of each connection: ``NFNLGRP_CONNTRACK_DESTROY``."""

IPS_SRC_NAT = 1 << 4
IPS_DST_NAT = 1 << 5

NFGENMSG = Struct("!BBH")
"""family, version, resource id"""

_SUBSYSTEM = 1
_GET, _DELETE = _SUBSYSTEM << 8 | 1, _SUBSYSTEM << 8 | 2
DESTROYED = _DELETE
"""``nlmsg_type`` of a message of `GROUP_DESTROY`."""

_AF_INET, _AF_INET6 = 2, 10
_CTA_TUPLE_ORIG, _CTA_TUPLE_REPLY, _CTA_STATUS, _CTA_ID, _CTA_ZONE = 1, 2, 3, 12, 18
_CTA_TUPLE_IP, _CTA_TUPLE_PROTO = 1, 2
_CTA_IP_V4_SRC, _CTA_IP_V4_DST = 1, 2
_CTA_PROTO_NUM, _CTA_PROTO_SRC_PORT, _CTA_PROTO_DST_PORT = 1, 2, 3
_CTA_IP_V6_SRC = 3
_NO_PORT = bytes(2)

_FLOWS: dict[int, tuple[int, type[IPv4Address] | type[IPv6Address]]] = {
    _AF_INET: (_CTA_IP_V4_SRC, IPv4Address),
    _AF_INET6: (_CTA_IP_V6_SRC, IPv6Address),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuple:
    """Where the packets of one direction come from and go to.

    Attributes:
        source: Source address.
        source_port: Source port, 0 for protocols without ports.
        destination: Destination address.
        destination_port: Destination port, likewise.
    """

    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One tracked IPv4 connection.

    Attributes:
        protocol: IP protocol number.
        original: Direction of the first packet, as it came in.
        reply: Direction of the answers, as they come in: its source is where the connection really leads.
        status: IPS_* bits.
        key: The attributes that name it to the kernel: tuple, id and zone, as they were received.
    """

    protocol: int
    original: Tuple
    reply: Tuple
    status: int
    key: bytes


class Flow(NamedTuple):
    """A connection as its first packet looks on its way through the filter: translated destination, own source.

    Attributes:
        protocol: IP protocol number.
        source: Address of who began it.
        source_port: Port there, 0 for protocols without ports.
        destination: Address that it really leads to.
        destination_port: Port there, likewise.
    """

    protocol: int
    source: IPv4Address | IPv6Address
    source_port: int
    destination: IPv4Address | IPv6Address
    destination_port: int


def dump_entries() -> Request:
    """Ask for every tracked IPv4 connection."""
    payload = NFGENMSG.pack(_AF_INET, 0, 0)
    return Request(type=_GET, flags=NLM_F_DUMP, payload=payload, purpose="list the tracked connections")


def delete_entry(entry: Entry) -> Request:
    """Ask to forget *entry*; the kernel answers ENOENT when it is gone, also when an equal one took its place."""
    purpose = f"forget the connection from {entry.original.source}:{entry.original.source_port}"
    return Request(type=_DELETE, payload=NFGENMSG.pack(_AF_INET, 0, 0) + entry.key, purpose=purpose)


def parse_entry(payload: bytes) -> Entry | None:
    """Return the entry of one answer to `dump_entries`; None for one that is not IPv4.

    Raises:
        HostError: The payload is malformed or lacks a direction or its id.
    """
    if len(payload) < NFGENMSG.size:
        raise HostError(f"conntrack message is truncated: {len(payload)} bytes")
    if payload[0] != _AF_INET:
        return None
    found = attributes(payload, NFGENMSG.size)
    if not {_CTA_TUPLE_ORIG, _CTA_TUPLE_REPLY, _CTA_ID} <= found.keys():
        raise HostError("conntrack message lacks a direction or an id")
    protocol, original = _tuple(found[_CTA_TUPLE_ORIG])
    _, reply = _tuple(found[_CTA_TUPLE_REPLY])
    key = nested(_CTA_TUPLE_ORIG, found[_CTA_TUPLE_ORIG]) + attribute(_CTA_ID, found[_CTA_ID])
    if _CTA_ZONE in found:
        key += attribute(_CTA_ZONE, found[_CTA_ZONE])
    status = int.from_bytes(found.get(_CTA_STATUS, b""), "big")
    return Entry(protocol=protocol, original=original, reply=reply, status=status, key=key)


def parse_flow(payload: bytes) -> Flow | None:
    """Return the flow of a `DESTROYED` message; None for one that is neither IPv4 nor IPv6.

    Raises:
        HostError: The payload is malformed or lacks a direction.
    """
    if len(payload) < NFGENMSG.size:
        raise HostError(f"conntrack message is truncated: {len(payload)} bytes")
    family = _FLOWS.get(payload[0])
    if family is None:
        return None
    kind, address = family
    found = attributes(payload, NFGENMSG.size)
    protocol, source, source_port = _source(found.get(_CTA_TUPLE_ORIG, b""), kind)
    _, destination, destination_port = _source(found.get(_CTA_TUPLE_REPLY, b""), kind)
    try:
        return Flow(protocol, address(source), source_port, address(destination), destination_port)
    except ValueError as error:
        raise HostError(f"conntrack message holds no address: {error}") from error


def _source(data: bytes, kind: int) -> tuple[int, bytes, int]:
    """Return protocol, source address and source port of one direction."""
    found = attributes(data)
    address = attributes(found.get(_CTA_TUPLE_IP, b"")).get(kind, b"")
    protocol = attributes(found.get(_CTA_TUPLE_PROTO, b""))
    return read_u8(protocol.get(_CTA_PROTO_NUM, b"")), address, _port(protocol.get(_CTA_PROTO_SRC_PORT, _NO_PORT))


def _tuple(data: bytes) -> tuple[int, Tuple]:
    found = attributes(data)
    addresses = attributes(found.get(_CTA_TUPLE_IP, b""))
    protocol = attributes(found.get(_CTA_TUPLE_PROTO, b""))
    return read_u8(protocol.get(_CTA_PROTO_NUM, b"")), Tuple(
        source=_address(addresses.get(_CTA_IP_V4_SRC, b"")),
        source_port=_port(protocol.get(_CTA_PROTO_SRC_PORT, _NO_PORT)),
        destination=_address(addresses.get(_CTA_IP_V4_DST, b"")),
        destination_port=_port(protocol.get(_CTA_PROTO_DST_PORT, _NO_PORT)),
    )


def _address(value: bytes) -> IPv4Address:
    if len(value) != 4:
        raise HostError(f"conntrack message holds an IPv4 address of {len(value)} bytes")
    return IPv4Address(value)


def _port(value: bytes) -> int:
    if len(value) != 2:
        raise HostError(f"conntrack message holds a port of {len(value)} bytes")
    return int.from_bytes(value, "big")
