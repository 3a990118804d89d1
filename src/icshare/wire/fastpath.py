"""What the fast path's program and userspace tell each other: keys and values of its maps as bytes. No map here.

Integers are in the order of the host, IPv4 addresses v4-mapped where 16 bytes are meant for both versions.

Source:
    ``bpf/fastpath.h``, which is the other side of everything here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from struct import Struct
from typing import Final

import msgspec

from icshare.errors import HostError
from icshare.render.fastpath import VERSION, Attachment, Hook
from icshare.wire.rtattach import ARPHRD_ETHER, AttachableLink

CONFIG: Final = Struct("=IIIIII16s")
"""generation, UDP and TCP timeouts in ms, flags, jiffies per second, flows per CPU, digest"""
LINK_KEY: Final = Struct("=IHH")
LINK: Final = Struct("=I6sBB")
EGRESS: Final = Struct("=IHBB")
NETWORK_KEY: Final = Struct("=I16s")
INDEX: Final = Struct("=I")
ACCOUNT: Final = Struct("=16sHHB3x")
COUNTER: Final = Struct("=QQQQ")
REASON: Final = Struct("=Q")

_ATTACHMENTS_SHIFT = 16
_NO_CACHE = 1
_BRIDGE, _NO_XDP, _NO_ETHERNET = 1, 2, 4
_V4_MAPPED = bytes(10) + b"\xff\xff"


class Reason(IntEnum):
    """Why packets went to the kernel."""

    FAST = 0
    NOT_IP = 1
    NOT_TCP_UDP = 2
    SHORT = 3
    OPTIONS = 4
    FRAGMENT = 5
    HOP_LIMIT = 6
    CHECKSUM = 7
    TCP_FLAGS = 8
    LINK = 9
    ADDRESSEE = 10
    UNTRACKED = 11
    NOT_ASSURED = 12
    HELPER = 13
    KEPT = 14
    UNGRANTED = 15
    SPOOFED = 16
    NO_ROUTE = 17
    NO_NEIGHBOUR = 18
    EGRESS = 19
    UNSENDABLE = 20
    STATION = 21
    TOO_BIG = 22
    NO_ACCOUNT = 23
    NO_ROOM = 24
    PARTIAL = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredNetwork:
    """Addresses of clients, and the link of their segment."""

    network: str
    l3: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The text that the fast path is started with, as `icshare.render.fastpath` writes it.

    Attributes:
        version: Of its form.
        links: Links that get programs.
        networks: Where addresses of clients belong.
        unsendable: Links that XDP cannot send by.
    """

    version: int
    links: Sequence[Attachment]
    networks: Sequence[ConfiguredNetwork]
    unsendable: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The value of `.data.config`.

    Attributes:
        generation: Another one has every flow prove itself anew; wraps around at 2**32.
        udp_stream_ms: Timeout that conntrack gives a UDP connection with traffic both ways.
        tcp_established_ms: Timeout that it gives an established TCP connection.
        hz: Jiffies in a second.
        flows: Flows in each CPU's cache, a power of two.
        digest: Digest of the configuration, 16 characters.
        attachments: To how many hooks of links programs were attached with it. The program does not look at it.
        cache: Flows are remembered; False for measurements only.
    """

    generation: int = 1
    udp_stream_ms: int
    tcp_established_ms: int
    hz: int
    flows: int
    digest: str
    attachments: int
    cache: bool = True

    def encode(self) -> bytes:
        """Return it as bytes."""
        flags = self.attachments << _ATTACHMENTS_SHIFT | (0 if self.cache else _NO_CACHE)
        return CONFIG.pack(
            self.generation & 0xFFFFFFFF,
            self.udp_stream_ms,
            self.tcp_established_ms,
            flags,
            self.hz,
            self.flows,
            self.digest.encode(),
        )


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """Whose bytes are counted.

    Attributes:
        address: The client's, or that of a mapping's target.
        port: The target's; 0 for all of a client's traffic.
        external: The mapping's external port, 0 for all of a client's traffic.
        protocol: 6 TCP, 17 UDP; 0 for all of a client's traffic.
    """

    address: IPv4Address | IPv6Address
    port: int = 0
    external: int = 0
    protocol: int = 0


@dataclass(frozen=True, slots=True)
class Counter:
    """What the fast path has forwarded for an account; bytes are lengths of IP packets.

    Attributes:
        sent_bytes: From the client.
        sent_packets: From the client.
        received_bytes: To the client.
        received_packets: To the client.
    """

    sent_bytes: int = 0
    sent_packets: int = 0
    received_bytes: int = 0
    received_packets: int = 0

    def __add__(self, other: "Counter") -> "Counter":
        return Counter(
            self.sent_bytes + other.sent_bytes,
            self.sent_packets + other.sent_packets,
            self.received_bytes + other.received_bytes,
            self.received_packets + other.received_packets,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What the maps hold for a configuration on the links as they are.

    Attributes:
        links: Content of the map `links`.
        egress: Content of the map `egress`.
        networks: Content of the map `networks`.
    """

    links: Mapping[bytes, bytes] = field(default_factory=dict)
    egress: Mapping[bytes, bytes] = field(default_factory=dict)
    networks: Mapping[bytes, bytes] = field(default_factory=dict)

    def by_map(self) -> Mapping[str, Mapping[bytes, bytes]]:
        """Return the contents by name of the map."""
        return {"links": self.links, "egress": self.egress, "networks": self.networks}


def read_configuration(text: str) -> Configuration:
    """Return what *text* asks for.

    Raises:
        HostError: It is not such a text, or one of a version that is not known here.
    """
    try:
        read = msgspec.json.decode(text.encode(), type=Configuration)
        for one in read.networks:
            _network(one.network)
    except (msgspec.MsgspecError, ValueError) as error:
        raise HostError(f"the fast path's configuration cannot be read: {error}") from error
    if read.version != VERSION:
        raise HostError(f"the fast path's configuration has version {read.version}, expected {VERSION}")
    return read


def tables(configuration: Configuration, present: Mapping[str, AttachableLink]) -> Tables:
    """Return what the maps hold for *configuration* when links are as *present*, by name.

    Raises:
        HostError: A link of the configuration is not there, or cannot be what is said of it.
    """
    links: dict[bytes, bytes] = {}
    egress: dict[bytes, bytes] = {}
    unsendable = set(configuration.unsendable)
    bridges = {one.l3 for one in configuration.links if one.bridged}
    # A bridge has one flag for all its ports: where one of them cannot be sent by, none is.
    blocked = unsendable | {one.l3 for one in configuration.links if one.name in unsendable}
    for one in configuration.links:
        link, l3 = _present(present, one.name), _present(present, one.l3)
        if one.hook is Hook.XDP and link.type != ARPHRD_ETHER:
            raise HostError(f"{one.name} has no Ethernet header, so XDP cannot read its packets")
        mac = _mac(l3)
        links[LINK_KEY.pack(link.index, one.vlan, 0)] = LINK.pack(l3.index, mac, one.public, one.bridged)
        bridge = one.l3 in bridges
        flags = (_BRIDGE if bridge else 0) | (_NO_XDP if one.l3 in blocked else 0)
        flags |= 0 if l3.type == ARPHRD_ETHER else _NO_ETHERNET
        key = INDEX.pack(l3.index)
        # Where tc is as well, what XDP sends by counts: a VLAN's frames go out by the link below it.
        if key not in egress or one.hook is Hook.XDP:
            egress[key] = EGRESS.pack(0 if bridge else link.index, 0 if bridge else one.vlan, one.public, flags)
    networks: dict[bytes, bytes] = {}
    for place in configuration.networks:
        networks[_network(place.network)] = INDEX.pack(_present(present, place.l3).index)
    return Tables(links=links, egress=egress, networks=networks)


def _present(present: Mapping[str, AttachableLink], name: str) -> AttachableLink:
    try:
        return present[name]
    except KeyError:
        raise HostError(f"the fast path cannot be attached: there is no link {name}") from None


def _mac(link: AttachableLink) -> bytes:
    return link.address[:6].ljust(6, b"\0") if link.type == ARPHRD_ETHER else bytes(6)


def links_are_as_noted(links: Mapping[bytes, bytes], present: Mapping[int, AttachableLink]) -> bool:
    """Tell whether every link of the map is *present*, by index, with the address and bridge that the map says."""
    for key, value in links.items():
        index, _, _ = LINK_KEY.unpack(key)
        l3, mac, _, bridged = LINK.unpack(value)
        if index not in present or l3 not in present or _mac(present[l3]) != mac:
            return False
        if bridged and present[index].master != l3:
            return False
    return True


def decode_config(value: bytes) -> Config:
    """Return the value of `.data.config`.

    Raises:
        HostError: It has another size.
    """
    if len(value) != CONFIG.size:
        raise HostError(f"the fast path's configuration has {len(value)} bytes, expected {CONFIG.size}")
    generation, udp, tcp, flags, hz, flows, digest = CONFIG.unpack(value)
    return Config(
        generation=generation,
        udp_stream_ms=udp,
        tcp_established_ms=tcp,
        hz=hz,
        flows=flows,
        digest=digest.rstrip(b"\0").decode("ascii", "backslashreplace"),
        attachments=flags >> _ATTACHMENTS_SHIFT,
        cache=not flags & _NO_CACHE,
    )


def next_generation(config: Config) -> Config:
    """Return *config* with another generation."""
    return replace(config, generation=config.generation + 1 & 0xFFFFFFFF)


def with_timeouts(config: Config, udp_stream_ms: int, tcp_established_ms: int) -> Config:
    """Return *config* with the timeouts of conntrack as they are."""
    return replace(config, udp_stream_ms=udp_stream_ms, tcp_established_ms=tcp_established_ms)


def flows_per_cpu(*, cpus: int, memory: int, element: int) -> int:
    """Return how many flows each CPU may remember: a power of two from 4,096 to 65,536.

    Args:
        cpus: Possible CPUs.
        memory: Bytes of RAM; the cache takes no more than a 64th, unless that is less than the minimum.
        element: Bytes that a flow takes in all arrays together.
    """
    most = min(131072 // cpus, memory // 64 // (cpus * element))
    return min(max(1 << max(most.bit_length() - 1, 0), 4096), 65536)


def decode_account(key: bytes) -> Account:
    """Return the account of a key of `accounts`.

    Raises:
        HostError: It has another size.
    """
    if len(key) != ACCOUNT.size:
        raise HostError(f"an account of the fast path has {len(key)} bytes, expected {ACCOUNT.size}")
    address, port, external, protocol = ACCOUNT.unpack(key)
    packed = address[12:] if address.startswith(_V4_MAPPED) else address
    return Account(IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed), port, external, protocol)


def key(number: int) -> bytes:
    """Return the key of an array's element."""
    return INDEX.pack(number)


def slot(value: bytes) -> int:
    """Return the place in `counters` that a value of `accounts` names.

    Raises:
        HostError: It has another size.
    """
    if len(value) != INDEX.size:
        raise HostError(f"a place of the fast path's counters has {len(value)} bytes, expected {INDEX.size}")
    return int(INDEX.unpack(value)[0])


def sum_counters(value: bytes) -> Counter:
    """Return the sum over all CPUs of an element of `counters`."""
    rows = COUNTER.iter_unpack(value)
    return Counter(*(sum(column) for column in zip(*rows, strict=True)))


def sum_reasons(value: bytes) -> int:
    """Return the sum over all CPUs of an element of `reasons`."""
    return sum(number for (number,) in REASON.iter_unpack(value))


def _network(text: str) -> bytes:
    network: IPv4Network | IPv6Network
    network = IPv6Network(text) if ":" in text else IPv4Network(text)
    if isinstance(network, IPv4Network):
        return NETWORK_KEY.pack(96 + network.prefixlen, _V4_MAPPED + network.network_address.packed)
    return NETWORK_KEY.pack(network.prefixlen, network.network_address.packed)
