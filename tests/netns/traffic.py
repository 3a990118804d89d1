"""Packets for a gateway from a seed: such as the fast path may take, and such as it must leave to the kernel.

What is made here is a function of the seed and of the flows alone, so two gateways can be given the same.

Sources: see `tests.netns.packets`; RFC 792 and RFC 1812 section 4.3 (errors); RFC 3168 (ECN).
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.netns import packets as p
from tests.netns.gateway import NETWORK_GATEWAY
from tests.netns.wires import CLIENT, LAN_MAC, PUBLIC, ROUTER_MAC, WAN_MAC, station_mac

from icshare.lab import INTERNET

ECHO_SERVER = "203.0.113.7"
_MTU = 1500
_VLANS = (1, 2, 100, 4094, 4095)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One frame to be sent.

    Attributes:
        side: The node that sends it.
        frame: Its octets.
        becomes: What has to come out at the other side; None where only the kernel knows.
        mischecked: Its transport checksum is wrong and all else is right: `becomes` has it as wrong as it was.
    """

    side: str
    frame: bytes
    becomes: bytes | None = None
    mischecked: bool = False


@dataclass(slots=True, kw_only=True)
class Flow:
    """A connection between a client and the Internet.

    Attributes:
        protocol: TCP or UDP.
        client: Address of the client.
        port: Its port.
        remote: Address of the other end.
        remote_port: Its port.
        external: Port of the public address that stands for the client's.
        inbound: The Internet began it, by a port mapping.
        sequence: Of each side's next segment.
    """

    protocol: int
    client: str
    port: int
    remote: str
    remote_port: int
    external: int
    inbound: bool = False
    sequence: dict[str, int] = field(default_factory=lambda: {CLIENT: 1_000, INTERNET: 0xFFFFF000})

    def ends(self, side: str, *, translated: bool = False) -> tuple[str, str, tuple[int, int]]:
        """Return addresses and ports of a packet that *side* sends, as it leaves there or as it arrives."""
        ours = (self.client, self.port) if translated != (side == CLIENT) else (PUBLIC, self.external)
        theirs = (self.remote, self.remote_port)
        (source, sport), (destination, dport) = (ours, theirs) if side == CLIENT else (theirs, ours)
        return source, destination, (sport, dport)

    def transport(self, side: str, payload: bytes, *, translated: bool = False, **fields: int | bytes | None) -> bytes:
        """Return a segment or datagram that *side* sends."""
        source, destination, ports = self.ends(side, translated=translated)
        make = p.tcp if self.protocol == p.TCP else p.udp
        made: bytes = make(source, destination, ports, payload, **fields)  # type: ignore[operator]
        return made

    def frame(self, side: str, transport: bytes, **fields: int | bytes | None) -> bytes:
        """Return the frame around a segment or datagram that *side* sends."""
        source, destination, _ = self.ends(side)
        return self.wrap(side, p.ipv4(source, destination, self.protocol, transport, **fields))  # type: ignore[arg-type]

    def wrap(self, side: str, packet: bytes, **fields: int | tuple[int, ...]) -> bytes:
        """Return the Ethernet frame in which *side* sends a packet to the gateway."""
        macs = (LAN_MAC, station_mac(self.client)) if side == CLIENT else (WAN_MAC, ROUTER_MAC)
        return p.ethernet(*macs, packet, **fields)  # type: ignore[arg-type]

    def arrival(self, side: str, transport: bytes, **fields: int | bytes | None) -> bytes:
        """Return the frame that comes out when *side* sent this."""
        source, destination, _ = self.ends(side, translated=True)
        macs = (ROUTER_MAC, WAN_MAC) if side == CLIENT else (station_mac(self.client), LAN_MAC)
        return p.ethernet(*macs, p.ipv4(source, destination, self.protocol, transport, **fields))  # type: ignore[arg-type]

    def step(self, side: str, rng: Random, size: int) -> dict[str, int]:
        """Return sequence numbers for the next segment. None follows the one before: nothing may be merged."""
        if self.protocol == p.UDP:
            return {}
        other = INTERNET if side == CLIENT else CLIENT
        self.sequence[side] += size + rng.randint(1, 9)
        return {"seq": self.sequence[side], "ack": self.sequence[other]}

    def plain(self, side: str, payload: bytes, rng: Random) -> Packet:
        """Return an ordinary packet."""
        fields = self.step(side, rng, len(payload))
        ident = rng.randrange(1 << 16)
        return Packet(
            side=side,
            frame=self.frame(side, self.transport(side, payload, **fields), ident=ident),
            becomes=self.arrival(side, self.transport(side, payload, translated=True, **fields), ident=ident, ttl=63),
        )

    def handshake(self) -> Iterator[Packet]:
        """Return the packets that begin it, in their order; the first by the side that does."""
        first, second = (INTERNET, CLIENT) if self.inbound else (CLIENT, INTERNET)
        if self.protocol == p.UDP:
            steps: list[tuple[str, dict[str, int]]] = [(first, {}), (second, {})]
        else:
            one, two = self.sequence[first], self.sequence[second]
            steps = [
                (first, {"seq": one - 1, "flags": p.SYN}),
                (second, {"seq": two - 1, "ack": one, "flags": p.SYN | p.ACK}),
                (first, {"seq": one, "ack": two}),
            ]
        for side, fields in steps:
            yield Packet(side=side, frame=self.frame(side, self.transport(side, b"", **fields)))


SIDES = (CLIENT, INTERNET)


# ------------------------------------------------------------------------------------------------------- valid ones


def _tcp_fields(rng: Random) -> dict[str, int | bytes]:
    nothing, timestamps = b"", b"\x01\x01\x08\x0a" + rng.randbytes(8)
    selective = b"\x01\x01\x05\x0a" + rng.randbytes(8)
    unknown = b"\xfd\x04" + rng.randbytes(2)
    return {
        "options": rng.choice([nothing, nothing, timestamps, selective, timestamps + selective, unknown * 10]),
        "flags": p.ACK | rng.choice([0, p.PSH, p.ECE, p.CWR, p.PSH | p.ECE | p.CWR]),
        "reserved": rng.choice([0, 0, 1, 15]),
        "window": rng.randrange(1 << 16),
    }


def _size(rng: Random, most: int) -> int:
    return rng.choice([0, 1, 2, 3, rng.randrange(64), rng.randrange(most), most])


def data(rng: Random, flows: Sequence[Flow], *, mtu: int = _MTU) -> Packet:
    """Return a packet as it may go fast: any size, DSCP, ECN, TTL, options of TCP, padding of Ethernet."""
    flow, side = rng.choice(flows), rng.choice(SIDES)
    fields: dict[str, int | bytes | None] = {}
    if flow.protocol == p.TCP:
        fields |= _tcp_fields(rng)
        options = fields["options"]
        assert isinstance(options, bytes)
        payload = rng.randbytes(_size(rng, mtu - 40 - len(options)))
        fields |= flow.step(side, rng, len(payload))
        if rng.random() < 0.1:  # far outside of any window
            fields |= {"seq": rng.randrange(1 << 32), "ack": rng.randrange(1 << 32)}
    else:
        payload = rng.randbytes(_size(rng, mtu - 28))
        fields |= {"check": rng.choice([None, None, 0])}
    ttl = rng.choice([2, 3, 64, 128, 255])
    ip = {
        "tos": rng.randrange(256),
        "ident": rng.randrange(1 << 16),
        "fragment": rng.choice([0, p.DONT_FRAGMENT]),
    }
    frame = flow.frame(side, flow.transport(side, payload, **fields), ttl=ttl, **ip)
    if len(frame) < p.ETHERNET + mtu - 18:
        frame += rng.randbytes(rng.choice([0, 0, 1, 6, 18, 4]))
    return Packet(
        side=side,
        frame=frame,
        becomes=flow.arrival(side, flow.transport(side, payload, translated=True, **fields), ttl=ttl - 1, **ip),
    )


def edges(rng: Random, flows: Sequence[Flow]) -> Packet:
    """Return a packet whose checksums come to 0 or 0xffff, the two zeros of ones' complement, before or behind."""
    flow, side = rng.choice(flows), rng.choice(SIDES)
    fields = flow.step(side, rng, 0)
    translated = rng.random() < 0.5
    wanted = rng.choice([0, 1, 0xFFFE])
    # Two octets of the payload are chosen such that the checksum is what is wanted.
    known = flow.transport(side, bytes(2), translated=translated, **fields)
    place = 16 if flow.protocol == p.TCP else 6
    check = int.from_bytes(known[place : place + 2])
    payload = struct.pack("!H", (check - wanted) % 0xFFFF)
    ttl = 64
    header = flow.arrival(side, b"", ttl=ttl - 1) if translated else flow.frame(side, b"", ttl=ttl)
    total = flow.transport(side, payload, **fields)
    header_check = p.checksum(_with_length(header[p.ETHERNET :], p.HEADER + len(total)))
    ident = (header_check - rng.choice([0, 1, 0xFFFE])) % 0xFFFF
    return Packet(
        side=side,
        frame=flow.frame(side, total, ttl=ttl, ident=ident),
        becomes=flow.arrival(side, flow.transport(side, payload, translated=True, **fields), ttl=ttl - 1, ident=ident),
    )


def _with_length(header: bytes, length: int) -> bytes:
    return header[:2] + struct.pack("!H", length) + header[4:10] + b"\0\0" + header[12:]


def mischecked(rng: Random, flows: Sequence[Flow]) -> Packet:
    """Return a packet that is right but for its transport checksum."""
    flow, side = rng.choice(flows), rng.choice(SIDES)
    payload = rng.randbytes(rng.randint(1, 200))
    fields = flow.step(side, rng, len(payload))
    ident = rng.randrange(1 << 16)
    right = flow.transport(side, payload, **fields)
    place = 16 if flow.protocol == p.TCP else 6
    check = int.from_bytes(right[place : place + 2])
    wrong = rng.choice([bit for bit in range(16) if check ^ 1 << bit not in {0, 0xFFFF}])
    spoilt = check ^ 1 << wrong
    after = flow.transport(side, payload, translated=True, **fields)
    # What is wrong stays wrong by as much, in ones' complement.
    became = _plus(int.from_bytes(after[place : place + 2]), _plus(spoilt, ~check & 0xFFFF))
    return Packet(
        side=side,
        frame=flow.frame(side, right[:place] + struct.pack("!H", spoilt) + right[place + 2 :], ident=ident),
        becomes=flow.arrival(side, after[:place] + struct.pack("!H", became) + after[place + 2 :], ident=ident, ttl=63),
        mischecked=True,
    )


def _plus(one: int, other: int) -> int:
    total = one + other
    return (total & 0xFFFF) + (total >> 16)


# ------------------------------------------------------------------------------------------------------- odd ones

Oddity = Callable[[Random, Sequence[Flow]], list[Packet]]
ODDITIES: dict[str, Oddity] = {}
"""What the fast path must not take, by what is odd about it. The flows are established, assured, and fast."""


def _odd(make: Oddity) -> Oddity:
    ODDITIES[make.__name__.strip("_").replace("_", " ")] = make
    return make


def _draw(rng: Random, flows: Sequence[Flow]) -> tuple[Flow, str, bytes]:
    """Return a flow, a side, and a right segment or datagram of them."""
    flow, side = rng.choice(flows), rng.choice(SIDES)
    payload = rng.randbytes(rng.randint(8, 120))
    return flow, side, flow.transport(side, payload, **flow.step(side, rng, len(payload)))


@_odd
def _fragments(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    flow, side = rng.choice(flows), rng.choice(SIDES)
    whole = flow.transport(side, rng.randbytes(rng.randint(100, 3000)), **flow.step(side, rng, 0))
    size = rng.choice([size for size in (8, 24, 64, 512, 1024, 1400) if len(whole) / 40 < size < len(whole)])
    places = list(range(0, len(whole), size))
    ident = rng.randrange(1 << 16)
    made = [
        (place // 8 | (p.MORE_FRAGMENTS if place != places[-1] else 0), whole[place : place + size]) for place in places
    ]
    how = rng.choice(["whole", "whole", "shuffled", "missing", "twice", "overlapping", "alone"])
    if how == "shuffled":
        rng.shuffle(made)
    elif how == "missing":
        made.pop(rng.randrange(len(made)))
    elif how == "twice":
        made.insert(0, made[0])
    elif how == "overlapping":
        made.insert(1, (made[0][0] + 1, rng.randbytes(size)))
    elif how == "alone":
        made = [(rng.choice([1, 100, 0x1FFF]), rng.randbytes(8))]
    return [
        Packet(side=side, frame=flow.frame(side, octets, ident=ident, fragment=fragment)) for fragment, octets in made
    ]


@_odd
def _flags_of_fragments(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    flow, side, transport = _draw(rng, flows)
    fragment = rng.choice([p.MORE_FRAGMENTS, p.MORE_FRAGMENTS | p.DONT_FRAGMENT, 0x8000 | p.MORE_FRAGMENTS])
    return [Packet(side=side, frame=flow.frame(side, transport, ident=rng.randrange(1 << 16), fragment=fragment))]


@_odd
def _IP_options(rng: Random, flows: Sequence[Flow]) -> list[Packet]:  # noqa: N802 - its name is printed
    flow, side, transport = _draw(rng, flows)
    routes = b"\x83\x07\x04" + bytes([203, 0, 113, 9]) + b"\0", b"\x07\x07\x04" + bytes(4) + b"\0"
    options = rng.choice([b"\x01" * 4, b"\x94\x04\0\0", *routes, rng.randbytes(4), rng.randbytes(8), b"\0" * 40])
    return [Packet(side=side, frame=flow.frame(side, transport, options=options))]


@_odd
def _wrong_header_checksum(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    flow, side, transport = _draw(rng, flows)
    return [Packet(side=side, frame=flow.frame(side, transport, wrong=rng.choice([1, 2, 0x100, 0x8000, 0xFFFE])))]


@_odd
def _last_hop(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    flow, side, transport = _draw(rng, flows)
    return [Packet(side=side, frame=flow.frame(side, transport, ttl=rng.choice([0, 1])))]


@_odd
def _VLAN_tags(rng: Random, flows: Sequence[Flow]) -> list[Packet]:  # noqa: N802 - its name is printed
    flow, side, transport = _draw(rng, flows)
    kind = rng.choice([p.VLAN, p.SERVICE_VLAN])
    tag = kind << 16 | rng.randrange(16) << 12 | rng.choice(_VLANS)
    priority = kind << 16 | rng.randrange(16) << 12
    tags = rng.choice([(tag,), (tag, tag), (priority,), (priority, priority), (priority, tag), (tag, priority)])
    source, destination, _ = flow.ends(side)
    packet = p.ipv4(source, destination, flow.protocol, transport)
    return [Packet(side=side, frame=flow.wrap(side, packet, tags=tags))]


@_odd
def _truncated(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    """Cut the frame at any place; half of them say so in their lengths."""
    flow, side, transport = _draw(rng, flows)
    header = p.HEADER if flow.protocol == p.TCP else 8
    if rng.random() < 0.5:
        return [Packet(side=side, frame=flow.frame(side, transport[: rng.randrange(header)]))]
    frame = flow.frame(side, transport)
    return [Packet(side=side, frame=frame[: rng.randrange(p.ETHERNET, len(frame))])]


@_odd
def _wrong_lengths(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    """Lie in the IP header: less than the headers, or more than there is."""
    flow, side, transport = _draw(rng, flows)
    there = p.HEADER + len(transport)
    header = p.HEADER + (p.HEADER if flow.protocol == p.TCP else 8)
    total = rng.choice([0, 1, 19, 20, 21, header - 1, there + 1, there + 1000, 0xFFFF])
    return [Packet(side=side, frame=flow.frame(side, transport, total=total))]


@_odd
def _wrong_lengths_of_transport(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    """Lie in the transport header. With the checksum that the length in the IP header gives, and with none."""
    flow, side = rng.choice(flows), rng.choice(SIDES)
    payload = rng.randbytes(rng.randint(8, 120))
    fields: dict[str, int | None] = {**flow.step(side, rng, len(payload))}
    if flow.protocol == p.TCP:
        offset = rng.choice([0, 1, 4, 15])
        if offset == 15:
            payload = payload[:8]
        fields["offset"] = offset
    else:
        there = 8 + len(payload)
        fields["length"] = rng.choice([0, 7, 8, there - 8, there - 1, there + 1, 0xFFFF])
        fields["check"] = rng.choice([None, 0])
    return [Packet(side=side, frame=flow.frame(side, flow.transport(side, payload, **fields)))]


@_odd
def _surplus_behind_a_datagram(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    """Have octets behind the datagram, within the IP packet (RFC 9868), and a checksum that covers the datagram."""
    datagrams = [flow for flow in flows if flow.protocol == p.UDP]
    flow, side = rng.choice(datagrams), rng.choice(SIDES)
    datagram = flow.transport(side, rng.randbytes(20), **({"check": 0} if rng.random() < 0.3 else {}))
    return [Packet(side=side, frame=flow.frame(side, datagram + rng.randbytes(rng.choice([1, 2, 8]))))]


@_odd
def _wrong_version(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    flow, side, transport = _draw(rng, flows)
    first = rng.choice([0x05, 0x35, 0x55, 0x65, 0xF5, 0x40, 0x41, 0x44, 0x46, 0x4F, 0x60])
    return [Packet(side=side, frame=flow.frame(side, transport, first=first))]


@_odd
def _urgent(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    streams = [flow for flow in flows if flow.protocol == p.TCP]
    flow, side = rng.choice(streams), rng.choice(SIDES)
    fields = flow.step(side, rng, 5)
    segment = flow.transport(side, b"hello", flags=p.ACK | p.URG, urgent=rng.choice([0, 1, 5, 9]), **fields)
    return [Packet(side=side, frame=flow.frame(side, segment))]


@_odd
def _invalid_flags(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    """Set such flags together as conntrack calls invalid, so that the connection stays as it is."""
    streams = [flow for flow in flows if flow.protocol == p.TCP]
    flow, side = rng.choice(streams), rng.choice(SIDES)
    flags = rng.choice([0, p.PSH, p.URG, p.FIN, p.FIN | p.SYN, p.SYN | p.RST, p.SYN | p.FIN | p.ACK, 0x3F, 0xFF])
    segment = flow.transport(side, b"hello", flags=flags, **flow.step(side, rng, 5))
    return [Packet(side=side, frame=flow.frame(side, segment))]


@_odd
def _strangers(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    """Belong to no connection: begin one, or claim to be in the middle of it."""
    flow, side = rng.choice(flows), rng.choice(SIDES)
    other = Flow(
        protocol=flow.protocol,
        client=flow.client,
        port=rng.randint(50_000, 60_000),
        remote=f"203.0.113.{rng.randint(100, 190)}",
        remote_port=rng.randint(1, 65_535),
        external=rng.choice([rng.randint(50_000, 60_000), 22, 53, 67]),
    )
    fields: dict[str, int] = {}
    if other.protocol == p.TCP:
        fields = {"flags": rng.choice([p.ACK, p.SYN, p.SYN | p.ACK, p.RST, p.FIN | p.ACK]), "seq": 1, "ack": 1}
    return [Packet(side=side, frame=other.frame(side, other.transport(side, rng.randbytes(20), **fields)))]


@_odd
def _spoofed(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    """Come from where its source is not: the connection's own packets on the wrong link, or another's address."""
    flow, side, _ = _draw(rng, flows)
    how = rng.choice(["wrong link", "arrived", "public", "foreign", "gateway", "special"])
    source, destination, ports = flow.ends(side)
    wire = side
    if how == "wrong link":
        wire = INTERNET if side == CLIENT else CLIENT
    elif how == "arrived":
        wire = INTERNET if side == CLIENT else CLIENT
        source, destination, ports = flow.ends(side, translated=True)
    elif how == "public":
        source = PUBLIC
    elif how == "foreign":
        source = rng.choice(["192.168.1.7", "10.0.0.1", "203.0.113.99"]) if side == CLIENT else flow.client
    elif how == "gateway":
        source = NETWORK_GATEWAY
    else:
        source = rng.choice(["0.0.0.0", "255.255.255.255", "127.0.0.1", "224.0.0.1", "240.0.0.1", destination])  # noqa: S104
    make = p.tcp if flow.protocol == p.TCP else p.udp
    packet = p.ipv4(source, destination, flow.protocol, make(source, destination, ports, rng.randbytes(20)))
    return [Packet(side=wire, frame=flow.wrap(wire, packet))]


@_odd
def _wrong_hardware_address(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    flow, side, transport = _draw(rng, flows)
    source, destination, _ = flow.ends(side)
    packet = p.ipv4(source, destination, flow.protocol, transport)
    swapped = WAN_MAC if side == CLIENT else LAN_MAC
    to = rng.choice([swapped, "02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "00:00:00:00:00:00"])
    return [Packet(side=side, frame=p.ethernet(to, station_mac(flow.client), packet))]


@_odd
def _to_many(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    """Go to a broadcast or multicast address, or to one that nobody has."""
    flow, side, _ = _draw(rng, flows)
    source, _, ports = flow.ends(side)
    to = rng.choice(["255.255.255.255", "192.168.137.255", "198.51.100.255", "224.0.0.1", "239.1.2.3", "240.0.0.1"])
    make = p.tcp if flow.protocol == p.TCP else p.udp
    packet = p.ipv4(source, to, flow.protocol, make(source, to, ports, rng.randbytes(20)))
    return [Packet(side=side, frame=flow.wrap(side, packet))]


@_odd
def _ICMP(rng: Random, flows: Sequence[Flow]) -> list[Packet]:  # noqa: N802 - its name is printed
    flow, side, _ = _draw(rng, flows)
    source, destination, _ = flow.ends(side)
    kind = rng.choice([0, 8, 8, 8, 13, 15, 17, 5, 4, 9, 10, 255])
    if side == CLIENT and kind != 13:  # whose answer tells the time
        destination = rng.choice([destination, NETWORK_GATEWAY])
    message = p.icmp(kind, rng.choice([0, 0, 1]), rng.randbytes(4), rng.randbytes(30), wrong=rng.choice([0, 0, 0, 1]))
    return [Packet(side=side, frame=flow.wrap(side, p.ipv4(source, destination, p.ICMP, message)))]


@_odd
def _ICMP_errors(rng: Random, flows: Sequence[Flow]) -> list[Packet]:  # noqa: N802 - its name is printed
    """Tell of a packet of a connection, or of none, from its other end or from a router on the way."""
    flow, side, _ = _draw(rng, flows)
    other = INTERNET if side == CLIENT else CLIENT
    source, destination, _ = flow.ends(other, translated=True)
    transport = flow.transport(other, b"lost", translated=True)
    if rng.random() < 0.2:
        transport = rng.randbytes(8)
    quoted = p.ipv4(source, destination, flow.protocol, transport, ttl=rng.choice([1, 60]))[: rng.choice([28, 48, 20])]
    kind, code, rest = rng.choice(
        [
            (3, rng.randrange(16), bytes(4)),
            (3, 4, struct.pack("!HH", 0, rng.choice([0, 68, 576, 1400]))),
            (11, 0, bytes(4)),
        ]
    )
    router = flow.ends(side)[0] if side == CLIENT or rng.random() < 0.5 else "203.0.113.1"
    message = p.icmp(kind, code, rest, quoted, wrong=rng.choice([0, 0, 0, 1]))
    return [Packet(side=side, frame=flow.wrap(side, p.ipv4(router, flow.ends(side)[1], p.ICMP, message)))]


@_odd
def _other_protocols(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    flow, side, _ = _draw(rng, flows)
    source, destination, _ = flow.ends(side)
    protocol = rng.choice([2, 4, 33, 41, 47, 50, 51, 89, 132, 136, 253, 255])
    return [Packet(side=side, frame=flow.wrap(side, p.ipv4(source, destination, protocol, rng.randbytes(40))))]


@_odd
def _IPv6(rng: Random, flows: Sequence[Flow]) -> list[Packet]:  # noqa: N802 - its name is printed
    flow, side, _ = _draw(rng, flows)
    ends = ("2001:db8:1::5", "2001:db8:2::7") if side == CLIENT else ("2001:db8:2::7", "2001:db8:1::5")
    packet = p.ipv6(*ends, p.UDP, p.udp6(*ends, (flow.port, flow.remote_port), rng.randbytes(30)))
    if rng.random() < 0.2:
        packet = rng.randbytes(60)
    return [Packet(side=side, frame=flow.wrap(side, packet, kind=p.IPV6))]


@_odd
def _other_frames(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    flow, side, transport = _draw(rng, flows)
    source, destination, _ = flow.ends(side)
    packet = p.ipv4(source, destination, flow.protocol, transport)
    kind = rng.choice([0x0801, 0x8863, 0x8864, 0x8847, 0x88CC, 0x0000, 0x05DC, len(packet), 0xFFFF])
    return [Packet(side=side, frame=flow.wrap(side, rng.choice([packet, rng.randbytes(46)]), kind=kind))]


@_odd
def _new_to_mapped_ports(rng: Random, flows: Sequence[Flow]) -> list[Packet]:
    """Begin connections by a port mapping, from the Internet and from a client by the public address."""
    flow = rng.choice([flow for flow in flows if flow.inbound])
    side, source, port = rng.choice(SIDES), f"203.0.113.{rng.randint(100, 190)}", rng.randint(50_000, 60_000)
    if side == CLIENT:
        source = "192.168.137.51"
    make, fields = (p.tcp, {"flags": rng.choice([p.SYN, p.ACK])}) if flow.protocol == p.TCP else (p.udp, {})
    transport = make(source, PUBLIC, (port, flow.external), rng.randbytes(20), **fields)  # type: ignore[operator]
    packet = p.ipv4(source, PUBLIC, flow.protocol, transport)
    return [Packet(side=side, frame=flow.wrap(side, packet))]


def too_big(rng: Random, flows: Sequence[Flow], mtus: Mapping[str, int]) -> list[Packet]:
    """Make a packet that is larger than the link may carry on which it would leave; half of them must not be cut.

    Args:
        rng: The source of all chance.
        flows: Connections that are fast.
        mtus: Of the gateway's link to each side; the wider one is that of `_MTU`.
    """
    side = min(SIDES, key=lambda one: -mtus[one])
    narrow = min(mtus.values())
    flow = rng.choice(flows)
    head = p.HEADER + (p.HEADER if flow.protocol == p.TCP else 8)
    payload = rng.randbytes(rng.choice([narrow + 1, mtus[side], rng.randint(narrow + 1, mtus[side])]) - head)
    transport = flow.transport(side, payload, **flow.step(side, rng, len(payload)))
    fragment = rng.choice([0, p.DONT_FRAGMENT])
    return [Packet(side=side, frame=flow.frame(side, transport, ident=rng.randrange(1 << 16), fragment=fragment))]


# --------------------------------------------------------------------------------------------- what ends a connection


def ending(rng: Random, flow: Flow) -> list[Packet]:
    """Return packets that end or upset a connection of TCP, and some that come behind."""
    side = rng.choice(SIDES)
    other = INTERNET if side == CLIENT else CLIENT
    flags = rng.choice([p.SYN, p.SYN | p.ACK, p.FIN | p.ACK, p.FIN | p.ACK | p.URG, p.RST, p.RST | p.ACK])
    segment = flow.transport(side, b"", flags=flags, **flow.step(side, rng, 0))
    made = [Packet(side=side, frame=flow.frame(side, segment))]
    if flags & p.FIN and rng.random() < 0.5:
        made.append(
            Packet(
                side=other, frame=flow.frame(other, flow.transport(other, b"", flags=flags, **flow.step(other, rng, 0)))
            )
        )
    return made + [flow.plain(rng.choice(SIDES), b"behind", rng) for _ in range(3)]


# --------------------------------------------------------------------------------------------------- anything at all


def mutated(rng: Random, flows: Sequence[Flow]) -> Packet:
    """Return a packet of a connection of whose headers some octets are others.

    The checksum of its transport is right nevertheless, as far as it has one; so mostly is that of the header. Nothing in
    it ends a connection. A client keeps address and port: where another has the same port in use, masquerading chooses
    one at random.
    """
    flow, side, transport = _draw(rng, flows)
    frame = bytearray(flow.frame(side, transport))
    places = list(range(p.ETHERNET + p.HEADER + (p.HEADER if flow.protocol == p.TCP else 8)))
    if side == CLIENT:
        places = [place for place in places if place not in {26, 27, 28, 29, 34, 35}]
    for _ in range(rng.randint(1, 3)):
        place = rng.choice(places)
        frame[place] = rng.choice([rng.randrange(256), frame[place] ^ 1 << rng.randrange(8)])
    if flow.protocol == p.TCP and not frame[47] & p.FIN | frame[47] & p.SYN | frame[47] & p.RST == 0:
        frame[47] = p.ACK
    return Packet(side=side, frame=mended(bytes(frame), header=rng.random() < 0.8))


def mended(frame: bytes, *, header: bool) -> bytes:
    """Return the frame with a transport checksum that is right, and one of the header too if asked for."""
    packet = frame[p.ETHERNET :]
    size, total = (packet[0] & 15) * 4, int.from_bytes(packet[2:4])
    place = size + (16 if packet[9] == p.TCP else 6)
    if packet[9] in {p.TCP, p.UDP} and p.HEADER <= size and place + 2 <= total <= len(packet):
        body = packet[size:place] + b"\0\0" + packet[place + 2 : total]
        covered = packet[12:20] + struct.pack("!HH", packet[9], total - size) + body
        check = p.checksum(covered) or (0xFFFF if packet[9] == p.UDP else 0)
        packet = packet[:place] + struct.pack("!H", check) + packet[place + 2 :]
    if header and p.HEADER <= size <= len(packet):
        packet = packet[:10] + b"\0\0" + packet[12:]
        packet = packet[:10] + struct.pack("!H", p.checksum(packet[:size])) + packet[12:]
    return frame[: p.ETHERNET] + packet
