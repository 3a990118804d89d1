"""The fast path does to each packet what the kernel does, byte for byte, or leaves it to the kernel.

Two gateways get the same packets, drawn at random of every kind there is: one forwards with nftables alone, the other
with the fast path. What comes out at all ends has to be the same. Packets that are right have to have gone fast, all
others must not have. A failure names the seed; ``ICSHARE_TEST_SEED`` repeats it.

The one difference there is by design: a segment with a wrong TCP or UDP checksum is passed on with it, as by any
router, where conntrack calls it invalid and our ruleset drops it.
"""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from random import SystemRandom

import pytest
from tests.netns import frames
from tests.netns.fastlab import ASSURED
from tests.netns.flows import (
    EITHER,
    ENDING,
    FAST,
    KERNEL,
    OTHER,
    SIDES,
    Author,
    Flow,
    Hairpin,
    Segment,
    opening,
    packet,
)
from tests.netns.frames import DONT_FRAGMENT, ETHERNET
from tests.netns.gateway import output
from tests.netns.wiretap import (
    CLIENT,
    CLIENT_ADDRESS,
    MAPPED_TCP,
    MAPPED_UDP,
    NEIGHBOUR,
    NEIGHBOUR_ADDRESS,
    PRIVATE_MTU,
    PUBLIC_ADDRESS,
    PUBLIC_MTU,
    SECOND_ADDRESS,
    SERVER_ADDRESS,
    STRANGER,
    Packet,
    Received,
    Tapped,
    on_one_cpu,
)

from icshare.lab import GATEWAY
from icshare.model.fastpath import Mode
from icshare.render.grants import FAST_ORIGINAL, FAST_REPLY
from icshare.wire.fastpath import Reason

pytestmark = [pytest.mark.netns, pytest.mark.programs]

FLOWS = 8
EACH = 24
"""Times that each kind is drawn."""
MIXED = 400
VICTIMS = 4
# How long a packet that one gateway has let out may take in the other.
PATIENCE = 5.0
NEAR = 69
FIRST_OF_NEAR_SERVERS = IPv4Address("203.0.113.10")
SMALLER_MTU = 1300

Kind = Callable[[Author], list[Packet]]


def seed() -> int:
    return int(os.environ.get("ICSHARE_TEST_SEED") or SystemRandom().randrange(1 << 32))


# ---------------------------------------------------------------------------------------------------------- comparing


def differences(expected: Received, found: Received, *, in_order: bool = True) -> list[str]:
    """Return what is different, one line for each frame; frames of one flow have to come in one order."""
    told = []
    for who, frames_expected in expected.items():
        lost = Counter(frames_expected) - Counter(found[who])
        more = Counter(found[who]) - Counter(frames_expected)
        told += [f"{who} lacks {frame.hex()}" for frame in lost.elements()]
        told += [f"{who} has {frame.hex()}" for frame in more.elements()]
        told += [f"{who} has {fault} in {frame.hex()}" for frame in found[who] for fault in frames.faults(frame)]
        if in_order and not lost and not more:
            told += [
                f"{who} has another order of the frames of {flow}"
                for flow, some in _by_flow(frames_expected).items()
                if _by_flow(found[who])[flow] != some
            ]
    return told


def _by_flow(received: Sequence[bytes]) -> Mapping[str, list[bytes]]:
    flows: dict[str, list[bytes]] = {}
    for frame in received:
        # Protocol, addresses and ports of IPv4; whatever else there is of others.
        flows.setdefault((frame[:14] + frame[23:24] + frame[26:38]).hex(), []).append(frame)
    return flows


class Pair:
    """The gateway that is right, and the one that is fast."""

    def __init__(self, right: Tapped, fast: Tapped) -> None:
        self.right = right
        self.fast = fast
        self._sentinels = 0
        self._udp_is_assured = 0.0

    def both(
        self, packets: Sequence[Packet], *, instead: Sequence[Packet] | None = None, patience: float = PATIENCE
    ) -> tuple[Received, Received]:
        """Send the same to both, or *instead* to the one that is right; return what came out of both.

        A last packet each way, always by the kernel, tells that all before it is through. What the fast one has sent
        by then can still be on its way; so it has some more time if something is missing, and for nothing else.
        """
        expected = self._out(self.right, packets if instead is None else instead)
        found = self._out(self.fast, packets)
        deadline = time.monotonic() + patience
        while any(len(found[who]) < len(some) for who, some in expected.items()) and time.monotonic() < deadline:
            for who, some in self.fast.received().items():
                found[who] += some
        return expected, found

    def _out(self, gateway: Tapped, packets: Sequence[Packet]) -> dict[str, list[bytes]]:
        gateway.send(packets)
        self._sentinels += 1
        marks = {STRANGER: b"sentinel out %d." % self._sentinels, CLIENT: b"sentinel in %d." % self._sentinels}
        ports = {STRANGER: (60000, 10000 + self._sentinels), CLIENT: (10000 + self._sentinels, MAPPED_UDP)}
        ends = {STRANGER: (CLIENT_ADDRESS, SERVER_ADDRESS), CLIENT: (SERVER_ADDRESS, PUBLIC_ADDRESS)}
        for to, mark in marks.items():
            (source, destination), (near, far) = ends[to], ports[to]
            data = frames.udp((source, near), (destination, far), mark)
            gateway.send([Packet(sender=OTHER[to], data=frames.ip4(source, destination, frames.UDP, data))])
        return gateway.wait_for(marks)

    def fast_packets(self) -> int:
        return self.reasons(Reason.FAST)

    def reasons(self, reason: Reason) -> int:
        return self.fast.reasons().get(reason, 0)

    def open(self, flows: Sequence[Flow]) -> None:
        """Open flows on both gateways, and wait until all go fast in both directions, at the same time."""
        self.begin(flows)
        self.until_fast(flows)

    def until_fast(self, flows: Sequence[Flow]) -> None:
        """Have data go both ways until all of it goes fast; after half a minute it has to be granted anew."""
        self.exchange(flows, until=lambda fast: fast == 2 * len(flows))

    def begin(self, flows: Sequence[Flow]) -> None:
        """Open flows on both gateways, which have no others."""
        for gateway in (self.right, self.fast):
            gateway.forget_flows()  # what an earlier test has left
        told = differences(*self.both([one for flow in flows for one in opening(flow)]))
        assert not told, told
        self._udp_is_assured = time.monotonic() + ASSURED

    def exchange(self, flows: Sequence[Flow], until: Callable[[int], bool]) -> None:
        """Have data go both ways; *until* is told how much of that went fast."""
        probes = _data(flows)
        deadline = time.monotonic() + 30
        while True:
            before = self.fast_packets()
            told = differences(*self.both(probes))
            assert not told, told
            went = self.fast_packets() - before
            if until(went):
                return
            assert time.monotonic() < deadline, f"{went} of {len(probes)} packets go fast: {self.fast.reasons()}"
            if time.monotonic() < self._udp_is_assured:
                time.sleep(0.1)  # what is waited for is the kernel's clock


# -------------------------------------------------------------------------------------------------------------- tests


@pytest.fixture(scope="module", params=[("lan0",), ("lan0", "lan1")], ids=["one link", "a bridge"])
def right(request: pytest.FixtureRequest, lab_allowed: None) -> Iterator[Tapped]:  # noqa: ARG001 - asked for, not used
    with Tapped.up("right", Mode.OFF, *request.param) as gateway:
        yield gateway


@pytest.fixture(scope="module", params=[Mode.XDP, Mode.TC])
def pair(request: pytest.FixtureRequest, right: Tapped) -> Iterator[Pair]:
    with Tapped.up("fast", request.param, *right.privates) as gateway, on_one_cpu():
        yield Pair(right, gateway)


def author_of(victims: int) -> Author:
    """Return an author by a seed that is told when the test fails."""
    number = seed()
    sys.stdout.write(f"ICSHARE_TEST_SEED={number}\n")
    return Author(number, FLOWS, victims)


def test_what_comes_out_is_what_the_kernel_would_have_sent(pair: Pair) -> None:
    author = author_of(VICTIMS * len(ENDING))
    told: dict[str, list[str]] = {}
    pair.open(author.all_flows)
    for kind in (*FAST, *KERNEL, *EITHER, *ENDING):
        told[kind.__name__] = _try_ending(pair, author, kind) if kind in ENDING else _try(pair, author, kind)
    told["wrong_transport_checksum"] = _try_wrong_checksums(pair, author)
    mixture = list(author.mixture((*FAST, *KERNEL, *EITHER), MIXED))
    told["mixture"] = differences(*pair.both(mixture), in_order=False)
    wrong = "\n".join(f"{kind}: {line}" for kind, lines in told.items() for line in lines[:6])
    assert not wrong, wrong


def _try(pair: Pair, author: Author, kind: Kind) -> list[str]:
    packets = [one for _ in range(EACH) for one in kind(author)]
    pair.until_fast(author.flows)
    # What the cache remembers is from a moment ago: it is the cache that must not take what is odd.
    fresh = _data(author.flows)
    before = pair.fast_packets()
    told = differences(*pair.both([*fresh, *packets]))
    went = pair.fast_packets() - before - len(fresh)
    if kind in FAST and went != len(packets):
        told.append(f"{went} of {len(packets)} went fast")
    if kind in KERNEL and went:
        told.append(f"{went} went fast")
    if kind in KERNEL:
        before = pair.fast_packets()
        told += differences(*pair.both(fresh))
        if (went := pair.fast_packets() - before) != len(fresh):
            told.append(f"{went} of {len(fresh)} right ones go fast afterwards")
    return told


def _try_ending(pair: Pair, author: Author, kind: Kind) -> list[str]:
    """Send what does something to connections, see that conntrack has been told, and see how their data fares after."""
    pair.until_fast(author.all_flows)
    fresh = _data(author.all_flows)
    drawn = [kind(author) for _ in range(VICTIMS)]
    before = pair.fast_packets()
    told = differences(*pair.both([*fresh, *(odd for odd, *_ in drawn)]))
    if went := pair.fast_packets() - before - len(fresh):
        told.append(f"{went} went fast")
    expected, found = _states(pair.right), _states(pair.fast)
    told += [
        f"{flow} is {found.get(flow)}, not {state}" for flow, state in expected.items() if found.get(flow) != state
    ]
    before = pair.fast_packets()
    told += differences(*pair.both([one for _, *after in drawn for one in after]))
    if kind in {Author.end, Author.reset} and (went := pair.fast_packets() - before):
        told.append(f"{went} went fast afterwards")
    return told


def _data(flows: Sequence[Flow]) -> list[Packet]:
    return [packet(flow, side, Segment(payload=b"data")) for flow in flows for side in SIDES]


def _states(gateway: Tapped) -> Mapping[str, str]:
    """Return the state of each TCP connection to or from the server, by the tuple of its first packet."""
    lines = output(gateway.lab, GATEWAY, "conntrack", "-L", "-p", "tcp").splitlines()
    words = [line.split() for line in lines if f"={SERVER_ADDRESS} " in line]
    return {" ".join(some[4:8]): some[3] for some in words}


def _try_wrong_checksums(pair: Pair, author: Author) -> list[str]:
    wrong = [one for _ in range(EACH) for one in author.wrong_transport_checksum()]
    expected, found = pair.both(wrong, instead=[_mended(one) for one in wrong])
    told = []
    for who in SIDES:
        if list(map(frames.without_transport_checksum, found[who])) != list(
            map(frames.without_transport_checksum, expected[who])
        ):
            told.append(f"{who} has other frames")
        told += [f"{who} has a right checksum in {one.hex()}" for one in found[who] if not frames.faults(one)]
    expected, _ = pair.both([], instead=wrong, patience=0)
    return told + [f"{who} gets {frame.hex()} by nftables" for who, some in expected.items() for frame in some]


def _mended(wrong: Packet) -> Packet:
    proto, place = wrong.data[9], 20 + (16 if wrong.data[9] == frames.TCP else 6)
    bare = wrong.data[20:place] + b"\0\0" + wrong.data[place + 2 :]
    check = frames.checksum(frames.pseudo(wrong.data[12:16], wrong.data[16:20], proto, len(bare)) + bare)
    data = wrong.data[:place] + (check or 0xFFFF).to_bytes(2, "big") + wrong.data[place + 2 :]
    return Packet(sender=wrong.sender, data=data)


# ------------------------------------------------------------------------------------ what was wrong once, or might be


def test_flows_of_near_addresses_and_ports_go_fast_at_the_same_time(pair: Pair) -> None:
    """A hash in which addresses and ports met had pairs of such flows drive each other out, with each packet."""
    flows = [
        Flow(
            proto=frames.UDP,
            client=20000 + number,
            server=443,
            inside=(CLIENT_ADDRESS, SECOND_ADDRESS)[number % 2],
            outside=FIRST_OF_NEAR_SERVERS + number,
            first={},
        )
        for number in range(NEAR)
    ]
    pair.open(flows)


def test_what_lies_behind_the_end_of_a_datagram_has_the_kernel_drop_it(pair: Pair) -> None:
    """No checksum covers it, so conntrack calls it invalid; the fast path once sent it on."""
    author = author_of(0)
    flows = [flow for flow in author.flows if flow.proto == frames.UDP]
    pair.open(flows)
    before, went = pair.reasons(Reason.SHORT), pair.fast_packets()
    longer = [
        packet(flow, side, Segment(payload=bytes(behind), transport={"length": 8}))
        for flow in flows
        for side in SIDES
        for behind in (1, 2, 17)
    ]
    expected, found = pair.both(longer)
    assert not any(expected.values())
    assert not differences(expected, found)
    assert (pair.reasons(Reason.SHORT) - before, pair.fast_packets() - went) == (len(longer), 0)


@pytest.mark.parametrize("sender", SIDES)
def test_what_is_larger_than_the_mtu_behind_is_refused_or_cut_up_as_by_the_kernel(pair: Pair, sender: str) -> None:
    mtu, behind = (PUBLIC_MTU, PRIVATE_MTU) if sender == CLIENT else (SMALLER_MTU, SMALLER_MTU)
    with pair.right.private_mtu(behind), pair.fast.private_mtu(behind):
        author = author_of(0)
        pair.open(author.flows)
        before = pair.fast_packets()
        fitting = [_sized(flow, sender, mtu, fragment) for fragment in (0, DONT_FRAGMENT) for flow in author.flows]
        assert not differences(*pair.both(fitting))
        assert pair.fast_packets() - before == len(fitting)

        before, too_big = pair.fast_packets(), pair.reasons(Reason.TOO_BIG)
        refused = [_sized(flow, sender, mtu + more, DONT_FRAGMENT) for more in (1, 40) for flow in author.flows]
        cut_up = [_sized(flow, sender, mtu + more, 0) for more in (1, 40) for flow in author.flows]
        expected, found = pair.both([*refused, *cut_up])
        told = differences(expected, found)
        assert not told, told
        assert [frame[ETHERNET + 9] for frame in expected[sender]] == [frames.ICMP] * len(refused)
        assert len(expected[OTHER[sender]]) == 2 * len(cut_up)
        assert (pair.fast_packets(), pair.reasons(Reason.TOO_BIG)) == (before, too_big + len(refused) + len(cut_up))


def _sized(flow: Flow, sender: str, size: int, fragment: int) -> Packet:
    payload = bytes(size - 20 - {frames.TCP: 20, frames.UDP: 8}[flow.proto])
    return packet(flow, sender, Segment(payload=payload, ip={"fragment": fragment, "ident": 1 + flow.server % 50000}))


def test_who_comes_by_a_mapping_from_inside_is_served_as_without_a_fast_path(pair: Pair) -> None:
    """The ruleset grants such connections too; as they leave by the link that they came in by, the kernel has them."""
    author = author_of(0)
    guests = [(CLIENT, SECOND_ADDRESS)] + [(NEIGHBOUR, NEIGHBOUR_ADDRESS)] * (len(pair.right.privates) > 1)
    flows = [
        Hairpin(
            proto=proto,
            client=mapped,
            server=30000 + number,  # one each, which stays what it is, as all come from one address behind
            mapped=True,
            outside=address,
            guest=guest,
            first={CLIENT: 1 << 31, STRANGER: 1 << 30},
        )
        for proto, mapped in ((frames.TCP, MAPPED_TCP), (frames.UDP, MAPPED_UDP))
        for number, (guest, address) in enumerate(guests)
    ]
    pair.begin(flows)
    pair.exchange(flows, until=lambda _: _granted(pair.fast) == len(flows))
    before, back = pair.fast_packets(), pair.reasons(Reason.EGRESS)
    packets = [packet(flow, side, author.segment()) for _ in range(EACH) for flow in flows for side in SIDES]
    expected, found = pair.both(packets)
    told = differences(expected, found)
    assert not told, told
    assert sum(map(len, expected.values())) == len(packets)
    assert pair.fast_packets() == before
    assert pair.reasons(Reason.EGRESS) > back


SIP_HELPER = f"""
table ip telephony {{
    ct helper phone {{ type "sip" protocol udp; }}
    chain calls {{
        type filter hook prerouting priority mangle;
        ip saddr {CLIENT_ADDRESS} udp dport 5060 ct helper set "phone";
    }}
}}
"""


def test_a_call_that_another_connection_has_announced_keeps_its_helper(pair: Pair) -> None:
    """Private addresses went out in calls: its helper is in no bit of such a connection's status."""
    for gateway in (pair.right, pair.fast):
        gateway.forget_flows()
        output(gateway.lab, GATEWAY, "nft", "-f", "-", input=SIP_HELPER)
    try:
        registration = Flow(proto=frames.UDP, client=5060, server=5060, first={})
        asks, answers = (
            _sip("REGISTER sip:203.0.113.99 SIP/2.0", CLIENT_ADDRESS),
            _sip("SIP/2.0 200 OK", PUBLIC_ADDRESS),
        )
        said = [
            packet(registration, CLIENT, Segment(payload=asks)),
            packet(registration, STRANGER, Segment(payload=answers)),
        ]
        expected, found = pair.both(said)  # whose checksums are left to hardware
        assert expected == found
        call = Flow(proto=frames.UDP, client=5060, server=7000, mapped=True, first={})
        for _ in range(30):  # as long as it takes others to be assured and granted
            told = differences(*pair.both([packet(call, side, Segment(payload=b"x")) for side in (STRANGER, CLIENT)]))
            assert not told, told
            time.sleep(0.1)
        helped, answer = pair.reasons(Reason.HELPER), _sip("SIP/2.0 200 OK", CLIENT_ADDRESS)
        expected, found = pair.both([packet(call, CLIENT, Segment(payload=answer))])
        assert expected == found
        (arrived,) = expected[STRANGER]
        assert str(PUBLIC_ADDRESS).encode() in arrived
        assert pair.reasons(Reason.HELPER) > helped
    finally:
        for gateway in (pair.right, pair.fast):
            output(gateway.lab, GATEWAY, "nft", "delete table ip telephony")


def _sip(begins: str, own: IPv4Address) -> bytes:
    """Return a message of a telephone at *own* (RFC 3261)."""
    lines = [
        begins,
        f"Via: SIP/2.0/UDP {own}:5060;branch=z9hG4bK1",
        "From: <sip:a@203.0.113.99>;tag=1",
        "To: <sip:a@203.0.113.99>;tag=2",
        "Call-ID: 1",
        "CSeq: 1 REGISTER",
        f"Contact: <sip:a@{own}:5060>;expires=3600",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _granted(gateway: Tapped) -> int:
    """Return how many connections from inside to the public address may go fast in both directions."""
    argv = ["conntrack", "-L", "-m", f"{FAST_ORIGINAL | FAST_REPLY}", "--orig-dst", str(PUBLIC_ADDRESS)]
    return len(output(gateway.lab, GATEWAY, *argv).splitlines())


# ---------------------------------------------------------------------------------- that the comparison can tell


# Gateways that do something else, each in a way of its own: what tells the packets apart in the end.
WRONG_GATEWAYS = {
    "another TTL": "ip ttl set 9",
    "another TOS": "ip dscp set cs3",
    "another IP id": "ip id set 7",
    "some lost": "numgen inc mod 7 == 3 drop",
    "another port": "udp sport set 999",
    "another byte": "@th,160,8 set 88",
    "more than there was": "dup to 203.0.113.99 device wan0",
}


@pytest.mark.usefixtures("lab_allowed")
def test_gateways_that_are_alike_differ_in_nothing_and_any_other_is_found_out() -> None:
    author = author_of(VICTIMS * len(ENDING))
    with Tapped.up("one", Mode.OFF, "lan0") as one, Tapped.up("other", Mode.OFF, "lan0") as other, on_one_cpu():
        pair = Pair(one, other)
        assert not differences(*pair.both([each for flow in author.all_flows for each in opening(flow)]))
        for kind in (*FAST, *KERNEL, *EITHER, *ENDING):
            assert not differences(*pair.both([each for _ in range(4) for each in kind(author)])), kind.__name__
        for what, statement in WRONG_GATEWAYS.items():
            chain = "type filter hook postrouting priority 200;"
            rule = f'oifname "wan0" udp dport 53 {statement}'
            output(
                other.lab,
                GATEWAY,
                "nft",
                f"add table ip odd; add chain ip odd c {{ {chain} }}; add rule ip odd c {rule}",
            )
            outgoing = [packet(flow, CLIENT, author.segment()) for flow in author.flows for _ in range(8)]
            expected, found = pair.both(outgoing, patience=0)
            assert differences(expected, found, in_order=False), what
            output(other.lab, GATEWAY, "nft", "delete table ip odd")
            assert not differences(*pair.both(outgoing)), f"after {what}"


def test_what_is_lost_doubled_changed_or_out_of_order_is_told() -> None:
    one, two, three = (
        frames.ethernet(b"client", b"inside", frames.IPV4, frames.ip4(SERVER_ADDRESS, CLIENT_ADDRESS, frames.UDP, data))
        for data in (
            frames.udp((SERVER_ADDRESS, 53), (CLIENT_ADDRESS, 40000), text) for text in (b"one", b"two", b"three")
        )
    )
    spoilt = three[:24] + bytes([three[24] ^ 1]) + three[25:]
    expected = {CLIENT: [one, two, three]}
    assert differences(expected, {CLIENT: [one, two, three]}) == []
    assert differences(expected, {CLIENT: [one, three]}) == [f"client lacks {two.hex()}"]
    assert differences(expected, {CLIENT: [one, two, two, three]}) == [f"client has {two.hex()}"]
    assert len(differences(expected, {CLIENT: [one, three, two]})) == 1
    assert differences(expected, {CLIENT: [one, three, two]}, in_order=False) == []
    assert f"client has IP checksum in {spoilt.hex()}" in differences(expected, {CLIENT: [one, two, spoilt]})
    wrong_sum = one[:40] + bytes([one[40] ^ 1]) + one[41:]
    assert frames.faults(wrong_sum) == ["UDP checksum"]
    assert frames.faults(one + b"trailer") == ["38 bytes behind the Ethernet header, of which 31 are the packet's"]
