"""Flows between the ends of a tapped gateway, and all that may be sent on one: right, and wrong in every way."""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from random import Random
from typing import Any

from tests.netns import frames
from tests.netns.frames import (
    ACK,
    CWR,
    DONT_FRAGMENT,
    ECE,
    FIN,
    ICMP,
    MORE_FRAGMENTS,
    PSH,
    RST,
    SYN,
    TCP,
    UDP,
    URG,
    checksum,
)
from tests.netns.wiretap import (
    CLIENT,
    CLIENT_ADDRESS,
    GATEWAY_ADDRESS,
    MAPPED_TCP,
    MAPPED_UDP,
    NEIGHBOUR,
    PUBLIC_ADDRESS,
    PUBLIC_MTU,
    SERVER_ADDRESS,
    STRANGER,
    Packet,
)

SIDES = (CLIENT, STRANGER)
OTHER = {CLIENT: STRANGER, STRANGER: CLIENT}
_SPACE = 800
"""How far a segment may be from the beginning of the window; nobody's window ends before that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A connection as both ends see it.

    Attributes:
        proto: `TCP` or `UDP`.
        client: The client's port, which stays what it is outside, as nobody else has it.
        server: The port outside.
        mapped: A stranger has begun it, by a port mapping.
        first: Sequence numbers that the first byte of each side has.
        inside: The client's address.
        outside: The server's.
    """

    proto: int
    client: int
    server: int
    mapped: bool = False
    first: Mapping[str, int]
    inside: IPv4Address = CLIENT_ADDRESS
    outside: IPv4Address = SERVER_ADDRESS

    def host(self, side: str) -> str:
        """Return who sends what *side* sends."""
        return side

    def ends(self, sender: str) -> tuple[tuple[IPv4Address, int], tuple[IPv4Address, int]]:
        """Return source and destination, as *sender* writes them."""
        if sender == CLIENT:
            return (self.inside, self.client), (self.outside, self.server)
        return (self.outside, self.server), (PUBLIC_ADDRESS, self.client)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hairpin(Flow):
    """A connection by a port mapping that somebody inside has begun, in the stranger's place.

    Attributes:
        guest: Who, `CLIENT` for the client itself; the address is `outside`.
    """

    guest: str

    def host(self, side: str) -> str:
        return CLIENT if side == CLIENT else self.guest

    def ends(self, sender: str) -> tuple[tuple[IPv4Address, int], tuple[IPv4Address, int]]:
        if sender == CLIENT:
            return (self.inside, self.client), (GATEWAY_ADDRESS, self.server)
        return (self.outside, self.server), (PUBLIC_ADDRESS, self.client)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One packet of a flow, right but for what is set here; see `frames` for the fields."""

    payload: bytes = b""
    flags: int = ACK
    seq: int = 0
    ip: Mapping[str, Any] = field(default_factory=dict)
    transport: Mapping[str, Any] = field(default_factory=dict)


def packet(flow: Flow, sender: str, segment: Segment) -> Packet:
    """Return what *sender* sends."""
    source, destination = flow.ends(sender)
    more = dict(segment.transport)
    if flow.proto == TCP:
        more = {"seq": flow.first[sender] + segment.seq, "ack": flow.first[OTHER[sender]], **more}
        data = frames.tcp(source, destination, segment.flags, segment.payload, **more)
    else:
        data = frames.udp(source, destination, segment.payload, **more)
    return Packet(sender=flow.host(sender), data=frames.ip4(source[0], destination[0], flow.proto, data, **segment.ip))


def opening(flow: Flow) -> Sequence[Packet]:
    """Return what both send until a connection of TCP is established, or UDP has gone both ways."""
    begins = STRANGER if flow.mapped else CLIENT
    answers = OTHER[begins]
    if flow.proto == UDP:
        return [packet(flow, begins, Segment(payload=b"?")), packet(flow, answers, Segment(payload=b"!"))]
    return [
        packet(flow, begins, Segment(flags=SYN, seq=-1, transport={"ack": 0})),
        packet(flow, answers, Segment(flags=SYN | ACK, seq=-1)),
        packet(flow, begins, Segment()),
        packet(flow, answers, Segment(payload=b"hello")),
        packet(flow, begins, Segment(payload=b"hello")),
    ]


class Author:
    """Writes packets of all kinds, at random; the same ones for the same seed."""

    def __init__(self, seed: int, count: int, victims: int) -> None:
        self._random = Random(seed)
        self._marks = self._begun = 0
        self.flows = [self._flow(number) for number in range(count)]
        self._victims = [self._flow(number) for number in range(count, count + 2 * victims, 2)]

    @property
    def all_flows(self) -> Sequence[Flow]:
        return [*self.flows, *self._victims]

    def _flow(self, number: int) -> Flow:
        proto = (TCP, UDP)[number % 2]
        first = {side: self._random.randrange(1 << 32) for side in SIDES}
        if number % 4 > 1:
            mapped = {TCP: MAPPED_TCP, UDP: MAPPED_UDP}[proto]
            return Flow(proto=proto, client=mapped, server=20000 + number, mapped=True, first=first)
        return Flow(proto=proto, client=40000 + number, server=(443, 53)[number % 2], first=first)

    # -------------------------------------------------------------------------------------------------- one segment

    def payload(self, least: int = 8, most: int = 600) -> bytes:
        self._marks += 1
        size = self._random.randint(least, most)
        return (b"#%07d" % self._marks + self._random.randbytes(most))[: max(8, size)]

    def segment(self, **more: Any) -> Segment:
        """Return a right segment, with what right segments may differ in drawn at random."""
        random = self._random
        ip: dict[str, Any] = {
            "ident": random.randrange(1 << 16),
            "ttl": random.choice([2, 3, 64, 128, 255]),
            "tos": random.randrange(256),
            "fragment": random.choice([0, DONT_FRAGMENT]),
        }
        ip.update(more.pop("ip", {}))
        return Segment(**{"payload": self.payload(), "seq": random.randrange(_SPACE), "ip": ip, **more})

    def pick(self, proto: int | None = None) -> tuple[Flow, str]:
        some = [flow for flow in self.flows if proto in {None, flow.proto}]
        return self._random.choice(some), self._random.choice(SIDES)

    def send(self, proto: int | None = None, **more: Any) -> list[Packet]:
        flow, sender = self.pick(proto)
        return [packet(flow, sender, self.segment(**more))]

    # -------------------------------------------------------------------------------------- all that may go fast

    def data(self) -> list[Packet]:
        return self.send()

    def flags_of_data(self) -> list[Packet]:
        flags = ACK | self._random.choice([0, PSH, ECE, CWR, ECE | CWR, PSH | ECE | CWR])
        return self.send(TCP, flags=flags)

    def bare_acknowledgement(self) -> list[Packet]:
        return self.send(TCP, payload=b"")

    def tcp_options(self) -> list[Packet]:
        stamp = b"\x01\x01\x08\x0a" + self._random.randbytes(8)
        block = b"\x01\x01\x05\x0a" + struct.pack("!II", *sorted(self._random.sample(range(1 << 32), 2)))
        return self.send(TCP, transport={"options": self._random.choice([stamp, block, stamp + block, b"\xfd\4ok"])})

    def udp_without_checksum(self) -> list[Packet]:
        return self.send(UDP, transport={"summed": False})

    def checksums_of_all_values(self) -> list[Packet]:
        """Choose a payload that makes the checksum 0 before or behind the gateway: that arithmetic has two zeros."""
        flow, sender = self.pick()
        segment = self.segment(payload=self.payload(40, 40))
        # The sum behind the gateway is that of a packet with the other addresses and ports: aim at both.
        place = {TCP: 36, UDP: 26}[flow.proto]
        sent = packet(flow, sender, segment)
        here = int.from_bytes(sent.data[place : place + 2], "big")
        difference = _translation(sender) if self._random.random() < 0.5 else 0
        word = int.from_bytes(segment.payload[-2:], "big")
        wanted = _ones(word + here + difference)
        return [packet(flow, sender, replace(segment, payload=segment.payload[:-2] + wanted.to_bytes(2, "big")))]

    def smallest(self) -> list[Packet]:
        return self.send(payload=b"")

    def as_large_as_can_be(self) -> list[Packet]:
        flow, sender = self.pick()
        size = PUBLIC_MTU - 20 - {TCP: 20, UDP: 8}[flow.proto]
        return [packet(flow, sender, self.segment(payload=self.payload(size, size), seq=0))]

    def padding(self) -> list[Packet]:
        (sent,) = self.send(payload=self.payload(8, 20))
        return [replace(sent, data=sent.data + self._random.randbytes(self._random.randint(1, 40)))]

    def outside_of_the_window(self) -> list[Packet]:
        return self.send(TCP, seq=self._random.randrange(1 << 20, 1 << 31))

    # ------------------------------------------------------------------ what goes fast, and nftables alone would drop

    def wrong_transport_checksum(self) -> list[Packet]:
        return self.send(transport={"spoil": self._random.randrange(1, 0xFFFF)})

    # ---------------------------------------------------------------------------------- all that must not go fast

    def hop_limit(self) -> list[Packet]:
        return self.send(ip={"ttl": self._random.choice([0, 1])})

    def ip_options(self) -> list[Packet]:
        option = self._random.choice(
            [
                b"\1\1\1\0",
                b"\x94\4\0\0",
                b"\x07\x07\4" + bytes(5),
                b"\x44\x08\x09\0" + bytes(4),
                b"\x83\x07\4" + bytes(5),
            ]
        )
        return self.send(ip={"options": option})

    def wrong_ip_checksum(self) -> list[Packet]:
        return self.send(ip={"spoil": self._random.randrange(1, 0xFFFF)})

    def wrong_version_or_header_length(self) -> list[Packet]:
        return self.send(ip={"version_ihl": self._random.choice([0x40, 0x44, 0x46, 0x4F, 0x55, 0x65, 0x05])})

    def length_beyond_the_frame(self) -> list[Packet]:
        (sent,) = self.send()
        return [self._with_length(sent, len(sent.data) + self._random.randint(1, 2000))]

    def length_within_the_headers(self) -> list[Packet]:
        (sent,) = self.send()
        return [self._with_length(sent, self._random.randint(0, 27))]

    def _with_length(self, sent: Packet, length: int) -> Packet:
        bare = sent.data[:2] + struct.pack("!H", length) + sent.data[4:10] + b"\0\0" + sent.data[12:20]
        return replace(sent, data=bare[:10] + struct.pack("!H", checksum(bare)) + bare[12:] + sent.data[20:])

    def truncated(self) -> list[Packet]:
        (sent,) = self.send()
        return [replace(sent, data=sent.data[: self._random.randrange(min(40, len(sent.data)))])]

    def fragments(self) -> list[Packet]:
        flow, sender = self.pick()
        whole = packet(flow, sender, self.segment(payload=self.payload(200, 600), ip={"fragment": 0}))
        header, body = whole.data[:20], whole.data[20:]
        source, destination = flow.ends(sender)
        cut = self._random.randrange(8, len(body) - 8, 8)
        ident = int.from_bytes(header[4:6], "big")
        fields: dict[str, Any] = {"ident": ident, "ttl": header[8], "tos": header[1]}
        pieces = [
            frames.ip4(source[0], destination[0], flow.proto, body[:cut], fragment=MORE_FRAGMENTS, **fields),
            frames.ip4(source[0], destination[0], flow.proto, body[cut:], fragment=cut // 8, **fields),
        ]
        sent = self._random.choice([pieces, pieces[::-1], pieces[:1], pieces[1:]])
        return [replace(whole, data=data) for data in sent]

    def reserved_flag(self) -> list[Packet]:
        return self.send(ip={"fragment": frames.RESERVED})

    def wrong_data_offset(self) -> list[Packet]:
        return self.send(TCP, transport={"offset": self._random.choice([0, 1, 4])}, payload=b"")

    def data_offset_beyond_the_end(self) -> list[Packet]:
        return self.send(TCP, transport={"offset": 15}, payload=b"12345678")

    def udp_length_beyond_the_end(self) -> list[Packet]:
        return self.send(UDP, transport={"length": self._random.choice([0, 7, 2000, 65535])})

    def octets_behind_a_datagram(self) -> list[Packet]:
        """Send a datagram that ends before its IP packet does, so that no checksum covers the rest."""
        payload = self.payload(8, 200)
        return self.send(UDP, payload=payload, transport={"length": 8 + self._random.randrange(len(payload))})

    def tcp_flags(self) -> list[Packet]:
        """Send flags that nobody sends, on a flow that is watched afterwards: it has to fare alike."""
        flags = self._random.choice(
            [0, PSH, URG, URG | ACK, SYN | FIN, SYN | RST, 0x3F, FIN, FIN | PSH | URG, FIN | RST]
        )
        return self._then_data(Segment(flags=flags, payload=b"flags"))

    def begin_again(self) -> list[Packet]:
        return self._then_data(Segment(flags=SYN, seq=self._random.randrange(1 << 31), transport={"ack": 0}))

    def end(self) -> list[Packet]:
        return self._then_data(Segment(flags=FIN | ACK))

    def reset(self) -> list[Packet]:
        return self._then_data(Segment(flags=self._random.choice([RST, RST | ACK])))

    def reset_by_guess(self) -> list[Packet]:
        return self._then_data(Segment(flags=RST, seq=self._random.randrange(2000, 1 << 31)))

    def _then_data(self, odd: Segment) -> list[Packet]:
        flow = self._victims.pop()
        sender = self._random.choice(SIDES)
        after = [packet(flow, side, self.segment()) for side in (sender, OTHER[sender], sender, OTHER[sender])]
        return [packet(flow, sender, odd), *after]

    def too_big(self) -> list[Packet]:
        """Send what is larger than the MTU behind; only clients can, as the MTU of the Internet is the smaller one."""
        flow, _ = self.pick()
        size = self._random.randint(PUBLIC_MTU - 27, 1460)
        return [packet(flow, CLIENT, self.segment(payload=self.payload(size, size), ip={"ttl": 64}))]

    def tags(self) -> list[Packet]:
        some = [(frames.VLAN, 7), (frames.VLAN, 0), (frames.SERVICE_VLAN, 7), (frames.VLAN, 0xE000)]
        (sent,) = self.send()
        return [replace(sent, tags=self._random.choices(some, k=self._random.randint(1, 3)))]

    def wrong_addressee(self) -> list[Packet]:
        to: list[str | bytes] = [
            bytes.fromhex("020000000099"),
            b"\xff" * 6,
            bytes.fromhex("01005e0000fb"),
            NEIGHBOUR,
            CLIENT,
        ]
        (sent,) = self.send()
        return [replace(sent, to=self._random.choice(to))]

    def other_protocol(self) -> list[Packet]:
        (sent,) = self.send()
        return [replace(sent, kind=self._random.choice([0x0801, 0x8863, 0x88B5, 0x22F0]))]

    def other_transport(self) -> list[Packet]:
        flow, sender = self.pick()
        source, destination = flow.ends(sender)
        proto = self._random.choice([0, 2, 4, 41, 47, 50, 132, 136, 255])
        return [self._bare(sender, frames.ip4(source[0], destination[0], proto, self.payload()))]

    def echo(self) -> list[Packet]:
        flow, sender = self.pick()
        source, destination = flow.ends(sender)
        body = (
            struct.pack("!BBHHH", self._random.choice([0, 8, 13, 17]), 0, 0, 7, self._random.randrange(99))
            + self.payload()
        )
        return [self._bare(sender, frames.ip4(source[0], destination[0], ICMP, _summed(body)))]

    def error_about_a_flow(self) -> list[Packet]:
        """Tell the sender of a packet that it did not arrive: the packet inside has to be translated as well."""
        flow, sender = self.pick()
        source, destination = flow.ends(sender)
        quoted = _as_received(flow, sender, self.segment(payload=self.payload(20, 40)))
        kind, code = self._random.choice([(3, 1), (3, 3), (3, 4), (11, 0), (12, 0), (5, 1)])
        body = struct.pack("!BBHHH", kind, code, 0, 0, 1300) + quoted
        return [self._bare(sender, frames.ip4(source[0], destination[0], ICMP, _summed(body)))]

    def spoofed(self) -> list[Packet]:
        flow, sender = self.pick()
        _, destination = flow.ends(sender)
        some = ["10.1.2.3", "192.168.137.1", "192.168.137.50", "203.0.113.99", "198.51.100.2", "0.0.0.0", "127.0.0.1"]
        some += ["224.0.0.1", "255.255.255.255", "240.0.0.1", "192.168.137.255"]
        source = flow.ends(sender)[0][0]
        other = self._random.choice([one for one in map(IPv4Address, some) if one != source])
        # A port that is in use would be exchanged for one that is drawn at random.
        port = flow.ends(sender)[0][1] + (9000 if other.packed[:3] == CLIENT_ADDRESS.packed[:3] else 0)
        return [self._bare(sender, self._between((other, port), destination, flow))]

    def odd_destination(self) -> list[Packet]:
        flow, sender = self.pick()
        source, destination = flow.ends(sender)
        some = ["224.0.0.251", "239.1.2.3", "255.255.255.255", "192.168.137.255", "127.0.0.1", "0.0.0.0"]
        some += ["240.1.1.1", str(GATEWAY_ADDRESS)]
        to = IPv4Address(self._random.choice(some))
        return [self._bare(sender, self._between(source, (to, destination[1] + 7000), flow))]

    def _between(self, source: tuple[IPv4Address, int], destination: tuple[IPv4Address, int], flow: Flow) -> bytes:
        if flow.proto == TCP:
            data = frames.tcp(source, destination, ACK, self.payload(), seq=1, ack=1)
        else:
            data = frames.udp(source, destination, self.payload())
        return frames.ip4(source[0], destination[0], flow.proto, data)

    def of_no_flow(self) -> list[Packet]:
        """Send from and to ports that nobody uses: a datagram, or a segment in the middle of nothing."""
        number = self._random.randrange(50000, 60000)
        first = dict.fromkeys(SIDES, 1000)
        flow = Flow(proto=self._random.choice([TCP, UDP]), client=number, server=number + 1, first=first)
        return [packet(flow, self._random.choice(SIDES), self.segment())]

    def first_of_a_mapping(self) -> list[Packet]:
        proto = self._random.choice([TCP, UDP])
        mapped = {TCP: MAPPED_TCP, UDP: MAPPED_UDP}[proto]
        first = dict.fromkeys(SIDES, 1000)
        self._begun += 1  # each from a port of its own: what has begun before may go fast
        flow = Flow(proto=proto, client=mapped, server=31000 + self._begun, mapped=True, first=first)
        return list(opening(flow))

    def ipv6(self) -> list[Packet]:
        _, sender = self.pick()
        source, destination = (bytes.fromhex("20010db8000000000000000000000" + end) for end in ("001", "002"))
        body = struct.pack("!HHHH", 1000, 2000, 8 + 16, 0) + self.payload(16, 16)
        packed = struct.pack("!IHBB", 6 << 28, len(body), UDP, 64) + source + destination + body
        return [Packet(sender=sender, data=packed, kind=frames.IPV6)]

    def ipv6_in_the_name_of_ipv4(self) -> list[Packet]:
        (sent,) = self.send()
        return [replace(sent, kind=frames.IPV6)]

    def noise(self) -> list[Packet]:
        _, sender = self.pick()
        return [self._bare(sender, self._random.randbytes(self._random.randrange(200)))]

    def flipped(self) -> list[Packet]:
        """Flip bits of the IP header of a right packet, but for addresses and length; mend its checksum or not."""
        (sent,) = self.send()
        data = bytearray(sent.data)
        for _ in range(self._random.randint(1, 3)):
            data[self._random.choice([0, 1, 6, 7, 8, 9, 10, 11])] ^= 1 << self._random.randrange(8)
        if self._random.randrange(4):
            data[10:12] = bytes(2)
            data[10:12] = checksum(bytes(data[: max(20, (data[0] & 15) * 4)])).to_bytes(2, "big")
        return [replace(sent, data=bytes(data))]

    def _bare(self, sender: str, data: bytes) -> Packet:
        return Packet(sender=sender, data=data)

    def mixture(self, kinds: Sequence[Callable[["Author"], list[Packet]]], count: int) -> Iterator[Packet]:
        for _ in range(count):
            yield from self._random.choice(kinds)(self)


def _as_received(flow: Flow, sender: str, segment: Segment) -> bytes:
    """Return the packet that *sender* has received of the other."""
    sent = packet(flow, OTHER[sender], segment).data
    (source, destination) = flow.ends(sender)
    addressed = sent[:12] + destination[0].packed + source[0].packed + sent[20:]
    return addressed[:10] + struct.pack("!H", checksum(addressed[:10] + b"\0\0" + addressed[12:20])) + addressed[12:]


def _translation(sender: str) -> int:
    """Return what the gateway adds to the checksum of what *sender* sends: the old address less the new one."""
    inside, outside = (checksum(one.packed) ^ 0xFFFF for one in (CLIENT_ADDRESS, PUBLIC_ADDRESS))
    return inside - outside if sender == CLIENT else outside - inside


def _summed(message: bytes) -> bytes:
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def _ones(value: int) -> int:
    """Return *value* in ones' complement of 16 bits."""
    while value >> 16 or value < 0:
        value = (value & 0xFFFF) + (value >> 16)
    return value


FAST = (
    Author.data,
    Author.flags_of_data,
    Author.bare_acknowledgement,
    Author.tcp_options,
    Author.udp_without_checksum,
    Author.checksums_of_all_values,
    Author.smallest,
    Author.as_large_as_can_be,
    Author.padding,
    Author.outside_of_the_window,
)
KERNEL = (
    Author.hop_limit,
    Author.ip_options,
    Author.wrong_ip_checksum,
    Author.wrong_version_or_header_length,
    Author.length_beyond_the_frame,
    Author.length_within_the_headers,
    Author.truncated,
    Author.fragments,
    Author.reserved_flag,
    Author.wrong_data_offset,
    Author.data_offset_beyond_the_end,
    Author.udp_length_beyond_the_end,
    Author.octets_behind_a_datagram,
    Author.too_big,
    Author.tags,
    Author.wrong_addressee,
    Author.other_protocol,
    Author.other_transport,
    Author.echo,
    Author.error_about_a_flow,
    Author.spoofed,
    Author.odd_destination,
    Author.of_no_flow,
    Author.first_of_a_mapping,
    Author.ipv6,
    Author.ipv6_in_the_name_of_ipv4,
    Author.noise,
)
"""Kinds that must not go fast, and after which flows are as they were."""
EITHER = (Author.flipped,)
"""Kinds of which some are right."""
ENDING = (Author.tcp_flags, Author.begin_again, Author.end, Author.reset, Author.reset_by_guess)
"""Kinds that do something to a connection, each to one of its own, and look at what has become of it."""
