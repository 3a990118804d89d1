"""The fast path does to every packet what the kernel alone does: two gateways, the same packets, octet by octet.

Both have the same links, addresses, ruleset and connections, one has the fast path and one has not. What comes out of
them is compared, and for packets that need no kernel to be predicted also with what has to come out. The numbers
that the fast path counts prove which packets it took, and that it left alone what is odd.

Two differences are meant (docs/fast-path.md). A gateway with a fast path has conntrack's window check and its check
of resets switched off, so the other one has them off here too. And a wrong transport checksum in a connection that is
fast is passed on as wrong as it was, as every router does, where conntrack alone would drop the packet.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from random import Random

import pytest
from tests.netns import packets as p
from tests.netns import traffic
from tests.netns.gateway import document, laboratory, output
from tests.netns.traffic import ECHO_SERVER, ODDITIES, SIDES, Flow, Packet
from tests.netns.wires import CLIENT, PUBLIC, Between, Heard, introduce, silence

from icshare.lab import GATEWAY, INTERNET, Lab
from icshare.wire.fastpath import Reason

pytestmark = [pytest.mark.netns, pytest.mark.programs]

# The queue of a veth holds 256 frames.
_CHUNK = 96
_EACH = 48
_CLIENTS = ("192.168.137.50", "192.168.137.51", "192.168.137.150")
_MAPPINGS = ((p.TCP, "tcp", 8080), (p.UDP, "udp", 5353))
_NARROW = 1400
_DEADLINE = 30.0


class Bench:
    """Both gateways, the connections through them, and the comparison."""

    def __init__(self, fast: Between, kernel: Between, seed: int, ports: Iterator[int]) -> None:
        self.fast = fast
        self.kernel = kernel
        self.seed = seed
        self.rng = Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.ports = ports
        self.marker = self._flow(p.UDP)
        self.flows = [self._flow(protocol) for protocol in (p.TCP, p.UDP) for _ in range(12)]
        self.flows += [self._mapped(*one) for one in _MAPPINGS for _ in range(2)]
        self.transient = [self._flow(p.TCP) for _ in range(40)]
        self.markers = 0

    def _flow(self, protocol: int) -> Flow:
        port = next(self.ports)
        remote = f"203.0.113.{self.rng.randint(10, 90)}"
        client = self.rng.choice(_CLIENTS)
        return Flow(protocol=protocol, client=client, port=port, remote=remote, remote_port=443, external=port)

    def _mapped(self, protocol: int, _: str, external: int) -> Flow:
        return Flow(
            protocol=protocol,
            client=_CLIENTS[0],
            port=external + 1,
            remote=f"203.0.113.{self.rng.randint(10, 90)}",
            remote_port=next(self.ports),
            external=external,
            inbound=True,
        )

    def both(self, sent: Sequence[Packet]) -> tuple[Heard, Heard]:
        """Send packets through both gateways, and return what came out of that with the fast path and the other."""
        found = []
        frames = [(one.side, one.frame) for one in sent]
        assert len(frames) <= _CHUNK
        self.markers += 1
        name = f"marker {self.markers}".encode()
        echo = [name + b" slow", struct_id(self.markers)]
        slow = (p.icmp(8, 0, echo[1], echo[0] + b"?"), p.icmp(0, 0, echo[1], echo[0] + b"!"))
        marker = self.marker
        markers = {
            CLIENT: (
                marker.plain(CLIENT, name + b" up", Random(0)).frame,
                marker.wrap(CLIENT, p.ipv4(marker.client, ECHO_SERVER, p.ICMP, slow[0])),
            ),
            INTERNET: (
                marker.plain(INTERNET, name + b" down", Random(0)).frame,
                marker.wrap(INTERNET, p.ipv4(ECHO_SERVER, PUBLIC, p.ICMP, slow[1])),
            ),
        }
        for gateway in (self.fast, self.kernel):
            found.append(gateway.exchange(frames, markers))
        return found[0], found[1]

    def compare(self, sent: Sequence[Packet], what: str) -> None:
        """Send packets in pieces and fail with the first difference."""
        for start in range(0, len(sent), _CHUNK):
            piece = sent[start : start + _CHUNK]
            problems = differences(piece, *self.both(piece))
            assert not problems, "\n".join([f"seed {self.seed}, {what}, packets from {start} on:", *problems])

    def counted(self, send: Callable[[], None]) -> tuple[int, dict[Reason, int]]:
        """Return how many packets went fast, the markers not counted, while *send* was called; and the reasons."""
        fast, reasons, marked = self.fast.fast_packets(), self.fast.reasons(), self.markers
        send()
        after = self.fast.reasons()
        delta = {reason: after[reason] - reasons[reason] for reason in Reason if after[reason] != reasons[reason]}
        return self.fast.fast_packets() - fast - 2 * (self.markers - marked), delta

    def begin(self) -> None:
        """Begin all connections and wait until each goes fast; one of UDP may do so after two seconds only."""
        for flow in (self.marker, *self.flows, *self.transient):
            for one in flow.handshake():
                for gateway in (self.fast, self.kernel):
                    gateway.exchange([(one.side, one.frame)], {CLIENT: (), INTERNET: ()})
        self.warm_up([*self.flows, *self.transient])

    def warm_up(self, flows: Sequence[Flow]) -> None:
        """Wait until connections go fast in both directions."""
        sent: list[Packet] = []
        deadline = time.monotonic() + _DEADLINE
        while time.monotonic() < deadline:
            sent = [flow.plain(side, b"warm", self.rng) for flow in flows for side in SIDES]
            fast, delta = self.counted(lambda: self.compare(sent, "first packets"))  # noqa: B023 - called at once
            if fast == len(sent):
                return
        pytest.fail(f"seed {self.seed}: {fast} of {len(sent)} packets went fast at last: {delta}")

    def set_mtus(self, mtus: Mapping[str, int]) -> None:
        """Set the MTUs of both gateways' links to each side. What was known about routes counts no more."""
        for gateway in (self.fast, self.kernel):
            for side, link in ((CLIENT, "lan0"), (INTERNET, "wan0")):
                output(gateway.lab, GATEWAY, "ip", "link", "set", link, "mtu", str(mtus[side]))
            gateway.refresh()


def struct_id(number: int) -> bytes:
    """Return identifier and sequence number of an echo."""
    return (0x4D4B0000 + number).to_bytes(4)


def differences(sent: Sequence[Packet], fast: Heard, kernel: Heard) -> list[str]:
    """Return in words what came out of one gateway and not of the other, or of none and should have."""
    problems = []
    passed = Counter(one.becomes for one in sent if one.mischecked)
    for side, ours, theirs in (
        (INTERNET, Counter(fast.internet), Counter(kernel.internet)),
        (CLIENT, Counter(fast.client), Counter(kernel.client)),
    ):
        due = Counter(one.becomes for one in sent if one.becomes and not one.mischecked and one.side != side)
        wrong = ours & passed
        ours -= wrong
        for name, frames in (
            ("only with the fast path", ours - theirs),
            ("only by the kernel", theirs - ours),
            ("due and missing with the fast path", due - ours),
            ("due and missing by the kernel", due - theirs),
        ):
            problems += [f"{name}, at {side}: {count} x {frame.hex()}" for frame, count in frames.items() if frame]
        for name, frames in (("fast path", ours), ("kernel", theirs)):
            found = [(p.complaint(frame), frame) for frame in frames]
            problems += [f"{name}, at {side}: {words}: {frame.hex()}" for words, frame in found if words]
        problems += [f"repaired at {side}: {frame.hex()}" for frame in wrong if frame and not p.complaint(frame)]
    return problems


@pytest.fixture(scope="module")
def labs(lab_allowed: None) -> Iterator[tuple[Lab, Lab]]:  # noqa: ARG001 - asked for, not used
    """Give two labs with one client each; the gateway of the second shares without a fast path."""
    with laboratory("fast", privates=1) as fast, laboratory("kernel", privates=1) as kernel:
        document(kernel, "share", "wan0", "lan0", "--fast-path", "off")
        document(fast, "share", "wan0", "lan0", "--fast-path", "off")
        for lab in (fast, kernel):
            for _, name, port in _MAPPINGS:
                document(lab, "map", "add", f"{name} {port}", name, str(port), f"{_CLIENTS[0]}:{port + 1}")
            silence(lab)
        liberal = "net.netfilter.nf_conntrack_tcp_be_liberal=1"
        output(kernel, GATEWAY, "sysctl", "-qw", liberal, "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst=1")
        yield fast, kernel


@pytest.fixture(scope="module")
def ports() -> Iterator[int]:
    """Give ports that no connection of this file has had yet."""
    return iter(range(20_000, 50_000))


@pytest.fixture(scope="module", params=["xdp", "tc"])
def bench(request: pytest.FixtureRequest, labs: tuple[Lab, Lab], ports: Iterator[int]) -> Iterator[Bench]:
    """Give both gateways with connections that go fast through the first of them, all on one CPU."""
    told = document(labs[0], "share", "wan0", "lan0", "--fast-path", request.param)
    assert [one["path"] for one in told["fast_path"]] == [request.param], told["fast_path"]
    for lab in labs:
        introduce(lab)
    seed = int(os.environ.get("ICSHARE_TEST_SEED", 0)) or int.from_bytes(os.urandom(4))
    allowed = os.sched_getaffinity(0)
    # Each CPU has a cache of its own.
    os.sched_setaffinity(0, {min(allowed)})
    try:
        with ExitStack() as held:
            made = Bench(Between(labs[0], held), Between(labs[1], held), seed, ports)
            made.begin()
            yield made
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.fixture
def flows(bench: Bench) -> Sequence[Flow]:
    """Give connections that go fast at this moment."""
    bench.warm_up(bench.flows)
    return bench.flows


def test_valid_packets_go_fast_and_come_out_as_the_kernel_would_have_them(bench: Bench, flows: Sequence[Flow]) -> None:
    sent = [traffic.data(bench.rng, flows) for _ in range(400)]
    sent += [traffic.edges(bench.rng, flows) for _ in range(200)]
    fast, delta = bench.counted(lambda: bench.compare(sent, "valid packets"))
    # Once in half a minute each connection proves itself anew, by a few packets.
    assert len(sent) * 0.8 < fast <= len(sent), (bench.seed, delta)


def test_one_octet_more_or_less_or_another_is_a_difference(bench: Bench, flows: Sequence[Flow]) -> None:
    sent = [traffic.data(bench.rng, flows) for _ in range(40)] + [traffic.mischecked(bench.rng, flows)]
    fast, kernel = bench.both(sent)
    assert differences(sent, fast, kernel) == []
    for _ in range(200):
        number = bench.rng.randrange(len(fast.client))
        frame = fast.client[number]
        if Counter(one.becomes for one in sent if one.mischecked)[frame]:
            continue
        place = bench.rng.randrange(len(frame))
        other = frame[:place] + bytes([frame[place] ^ 1 << bench.rng.randrange(8)]) + frame[place + 1 :]
        for instead in ([other], [frame + b"\0"], [frame[:-1]], [], [frame, frame]):
            spoilt = [*fast.client[:number], *instead, *fast.client[number + 1 :]]
            assert differences(sent, Heard(client=spoilt, internet=fast.internet), kernel), (bench.seed, frame.hex())
            assert differences(sent, fast, Heard(client=spoilt, internet=kernel.internet)), (bench.seed, frame.hex())


@pytest.mark.parametrize("oddity", ODDITIES)
def test_odd_packets_are_left_to_the_kernel(bench: Bench, flows: Sequence[Flow], oddity: str) -> None:
    sent = [one for _ in range(_EACH) for one in ODDITIES[oddity](bench.rng, flows)]
    fast, delta = bench.counted(lambda: bench.compare(sent, oddity))
    assert fast <= 0, (bench.seed, delta)


@pytest.mark.parametrize("mtus", [{CLIENT: 1500, INTERNET: _NARROW}, {CLIENT: _NARROW, INTERNET: 1500}])
def test_what_is_too_big_is_left_to_the_kernel_and_what_just_fits_is_not(bench: Bench, mtus: dict[str, int]) -> None:
    bench.set_mtus(mtus)
    try:
        bench.warm_up(bench.flows)
        sent = [one for _ in range(_EACH) for one in traffic.too_big(bench.rng, bench.flows, mtus)]
        fast, delta = bench.counted(lambda: bench.compare(sent, f"too big for {mtus}"))
        assert fast <= 0, (bench.seed, delta)
        sent = [traffic.data(bench.rng, bench.flows, mtu=_NARROW) for _ in range(_EACH)]
        fast, delta = bench.counted(lambda: bench.compare(sent, f"fits {mtus}"))
        assert len(sent) * 0.8 < fast <= len(sent), (bench.seed, delta)
    finally:
        bench.set_mtus({CLIENT: 1500, INTERNET: 1500})


@pytest.mark.parametrize("side", SIDES)
def test_IPv6_comes_out_nowhere(bench: Bench, flows: Sequence[Flow], side: str) -> None:  # noqa: N802 - its name
    made = [one for _ in range(100) for one in ODDITIES["IPv6"](bench.rng, flows) if one.side == side]
    for heard in bench.both(made[:_CHUNK]):
        other = heard.internet if side == CLIENT else heard.client
        assert [frame.hex() for frame in other if p.kind_of(frame) != p.IPV4] == [], bench.seed


def test_a_wrong_transport_checksum_is_never_repaired(bench: Bench, flows: Sequence[Flow]) -> None:
    sent = [traffic.mischecked(bench.rng, flows) for _ in range(100)]
    fast, delta = bench.counted(lambda: bench.compare(sent, "wrong transport checksums"))
    assert len(sent) * 0.5 < fast <= len(sent), (bench.seed, delta)


def test_packets_with_any_octets_changed_come_out_as_by_the_kernel(bench: Bench, flows: Sequence[Flow]) -> None:
    bench.compare([traffic.mutated(bench.rng, flows) for _ in range(1000)], "mutated packets")


def test_what_ends_a_connection_is_left_to_the_kernel(bench: Bench) -> None:
    bench.warm_up(bench.transient)
    for flow in bench.transient:
        bench.compare(traffic.ending(bench.rng, flow), "ends of connections")
