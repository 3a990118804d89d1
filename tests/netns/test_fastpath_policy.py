"""What the ruleset drops does not come out, however fast it was a moment ago: policy changes under the traffic.

Packets bear the moment at which they were sent. After a change of ours (the transaction, then `fastpath.refresh`) not
one that is sent later may come out if the ruleset drops it; after a change of somebody else, who tells us nothing, not
one that is sent a second later.
"""

import random
import select
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address
from types import TracebackType
from typing import Self

import pytest
from tests.netns import flood
from tests.netns.fastlab import ASSURED, MODES, fast_laboratory, fast_packets, standing_in
from tests.netns.gateway import address, document

from icshare.host import conntrack, fastpath
from icshare.host.command import PIPE, Process, end
from icshare.host.mapping_table import KernelMappings
from icshare.host.nft import Nftables
from icshare.lab import ECHO_ADDRESS, GATEWAY, UPLINK, Lab
from icshare.model.mapping import Protocol
from icshare.plan.placing import Socket
from icshare.render.grants import KEEP
from icshare.render.nft import TABLE

pytestmark = [pytest.mark.netns, pytest.mark.programs]

CHANGES = 1000
FOREIGN_CHANGES = 3
FLOWS = 24
PORT = 40000
RATE = 6000
KEPT_PORT = 50000
MAPPING_CHANGES = 50
PROMISE = 1_000_000_000

# A switch for each direction of each flow, before all that the table does by itself.
SWITCHES = """
add set inet icshare no_sending { type inet_service; }
add set inet icshare no_receiving { type inet_service; }
insert rule inet icshare forward udp dport @no_sending counter drop
insert rule inet icshare forward udp sport @no_receiving counter drop
"""

# Both ends have the same port, so that a rule sees both directions.
KEEPER = f"""
add counter inet icshare seen
add chain inet icshare keeper
insert rule inet icshare forward udp dport {KEPT_PORT} counter name seen
insert rule inet icshare forward jump keeper
"""


@pytest.fixture(scope="module", params=MODES)
def office(lab_allowed: None, request: pytest.FixtureRequest) -> Iterator[Lab]:  # noqa: ARG001 - asked for, not used
    with fast_laboratory("policy", request.param, "lan0") as lab:
        yield lab


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From when until when (`time.monotonic_ns`) which flows must bring nothing, to the Internet and to the client."""

    since: int
    until: int
    sending: frozenset[int]
    receiving: frozenset[int]


class Flood:
    """Traffic between a client and the Internet that goes on until it is ended; as it begins, all flows are assured."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._ends: dict[str, Process] = {}

    def __enter__(self) -> Self:
        for node, role in (("inet", "server"), ("c0", "client")):
            numbers = map(str, (ECHO_ADDRESS, PORT, FLOWS, RATE))
            argv = [sys.executable, "-IS", flood.__file__, f"/run/flood-{node}", role, *numbers]
            self._ends[node] = self._lab.popen(node, argv, stdin=PIPE, stdout=PIPE)
        for process in self._ends.values():
            assert process.stdout is not None
            assert process.stdout.readline() == b"both ways\n"
        time.sleep(ASSURED)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._ends.values():
            end(process)

    def stop(self) -> dict[str, list[tuple[int, int]]]:
        """Return what each end has received: flow and moment of sending."""
        found = {}
        for node, process in self._ends.items():
            process.communicate(timeout=60)
            assert process.returncode == 0
            found[node] = list(flood.RECORD.iter_unpack(self._lab.path(node, f"/run/flood-{node}").read_bytes()))
        return found


def _escaped(arrived: list[tuple[int, int]], periods: list[tuple[int, int, frozenset[int]]]) -> list[tuple[int, float]]:
    """Return the packets that were sent when nothing of their flow was to come out: period, ms since its beginning."""
    arrived = sorted(arrived, key=lambda one: one[1])
    found, at = [], 0
    for number, (since, until, stopped) in enumerate(periods):
        while at < len(arrived) and arrived[at][1] <= until:
            flow, sent = arrived[at]
            at += 1
            if sent > since and flow in stopped:
                found.append((number, (sent - since) / 1e6))
    return found


def _assert_nothing_escaped(received: dict[str, list[tuple[int, int]]], periods: list[Period]) -> None:
    told = {
        "inet": _escaped(received["inet"], [(one.since, one.until, one.sending) for one in periods]),
        "c0": _escaped(received["c0"], [(one.since, one.until, one.receiving) for one in periods]),
    }
    assert told == {"inet": [], "c0": []}


def _assert_all_flow_again(received: dict[str, list[tuple[int, int]]], since: int) -> None:
    for arrived in received.values():
        assert {flow for flow, sent in arrived if sent > since} == set(range(FLOWS))


def _some(chance: random.Random) -> frozenset[int]:
    return frozenset(number for number in range(FLOWS) if chance.random() < 0.5)


def _elements(name: str, flows: frozenset[int]) -> str:
    listed = ", ".join(str(PORT + number) for number in sorted(flows))
    return f"flush set inet icshare {name}\n" + (f"add element inet icshare {name} {{ {listed} }}\n" if flows else "")


def test_nothing_comes_out_that_a_change_of_ours_has_stopped(office: Lab) -> None:
    chance, periods, went_fast = random.Random(5), list[Period](), Counter[bool]()
    with standing_in(office, GATEWAY), Nftables() as nft:
        nft.load(SWITCHES)
        fastpath.refresh()
        with Flood(office) as traffic:
            before = fast_packets()
            for number in range(CHANGES):
                sending, receiving = (_some(chance), _some(chance)) if number < CHANGES - 1 else (frozenset(),) * 2
                ends = time.monotonic_ns()
                nft.load(_elements("no_sending", sending) + _elements("no_receiving", receiving))
                fastpath.refresh()
                begins = time.monotonic_ns()
                if periods:
                    periods[-1] = replace(periods[-1], until=ends)
                periods.append(Period(since=begins, until=begins, sending=sending, receiving=receiving))
                if number % 10 == 0:
                    after = fast_packets()
                    went_fast[after > before] += 1
                    before = after
            time.sleep(0.5)
            received = traffic.stop()
    _assert_nothing_escaped(received, periods)
    _assert_all_flow_again(received, periods[-1].since)
    # Nothing would be proved by flows that had no time to go fast.
    assert went_fast[True] > went_fast[False]


def test_nothing_comes_out_a_second_after_somebody_else_has_stopped_it(office: Lab) -> None:
    """A table that is none of ours, made and deleted by somebody who does not know of us."""
    chance, periods = random.Random(6), list[Period]()
    with standing_in(office, GATEWAY), Nftables() as nft, Flood(office) as traffic:
        for _ in range(FOREIGN_CHANGES):
            _wait_until_fast()
            sending, receiving = _some(chance), _some(chance)
            nft.load(_foreign_table(sending, receiving))
            begins = time.monotonic_ns()
            time.sleep(PROMISE / 1e9 + 0.4)
            periods.append(
                Period(since=begins + PROMISE, until=time.monotonic_ns(), sending=sending, receiving=receiving)
            )
            nft.load("delete table inet f")
        ends = time.monotonic_ns()
        _wait_until_fast()
        received = traffic.stop()
    _assert_nothing_escaped(received, periods)
    _assert_all_flow_again(received, ends)


def _foreign_table(sending: frozenset[int], receiving: frozenset[int]) -> str:
    rules = [f"udp dport {PORT + number} drop" for number in sending]
    rules += [f"udp sport {PORT + number} drop" for number in receiving]
    head = "type filter hook forward priority filter; policy accept;"
    return "\n".join(["table inet f {", "chain forward {", head, *rules, "}", "}"])


def _wait_until_fast() -> None:
    """Wait until a few packets of each flow have gone fast."""
    begun, deadline = fast_packets(), time.monotonic() + 30
    while fast_packets() < begun + 20 * FLOWS:
        assert time.monotonic() < deadline, fastpath.reasons()
        time.sleep(0.02)


# ------------------------------------------------------------------------------------------------- kept in the kernel


def test_what_a_mark_keeps_in_the_kernel_meets_every_rule(office: Lab) -> None:
    """As a limit or a block needs it: each packet is seen by the ruleset, also after the rule that kept it has gone."""
    with ExitStack() as stack:
        with standing_in(office, "inet"):
            server = stack.enter_context(_datagrams(str(ECHO_ADDRESS)))
        with standing_in(office, "c0"):
            client = stack.enter_context(_datagrams(""))
        client.connect((str(ECHO_ADDRESS), KEPT_PORT))
        stack.enter_context(standing_in(office, GATEWAY))
        nft = stack.enter_context(Nftables())
        nft.load(KEEPER)
        fastpath.refresh()
        client.send(b"first")
        server.connect(server.recvfrom(64)[1])
        _until_fast(lambda: _exchange(client, server, 5))

        nft.load(f"add rule inet icshare keeper udp dport {KEPT_PORT} ct mark set ct mark or {KEEP:#x}")
        fastpath.refresh()
        for _ in range(2):
            fast, seen = fast_packets(), _seen(nft)
            _exchange(client, server, 100)
            assert (fast_packets() - fast, _seen(nft) - seen) == (0, 200)
            nft.load("flush chain inet icshare keeper")
            fastpath.refresh()

        nft.load(f"add rule inet icshare keeper udp dport {KEPT_PORT} ct mark set ct mark and {0xFFFFFFFF ^ KEEP:#x}")
        fastpath.refresh()
        _until_fast(lambda: _exchange(client, server, 5))


def _datagrams(address: str) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.bind((address, KEPT_PORT))
    found.settimeout(30)
    return found


def _exchange(one: socket.socket, other: socket.socket, count: int) -> None:
    for number in range(count):
        for sender, receiver in ((one, other), (other, one)):
            sender.send(b"%d" % number)
            assert receiver.recv(64) == b"%d" % number


def _seen(nft: Nftables) -> int:
    (counter,) = [one["counter"] for one in nft.list_json("counter inet icshare seen") if "counter" in one]
    return int(counter["packets"])


def _until_fast(exchange: Callable[[], None]) -> None:
    """Exchange packets until they go fast."""
    begun, deadline = fast_packets(), time.monotonic() + 30
    while fast_packets() == begun:
        assert time.monotonic() < deadline, fastpath.reasons()
        exchange()
        time.sleep(0.01)


# ----------------------------------------------------------------------------------------------------------- mappings


def test_nothing_comes_by_a_mapping_that_was_taken_away(office: Lab) -> None:
    """Its connection, fast a moment ago, is dead in both directions as soon as taking away has returned."""
    inside = IPv4Address(address(office, "c0"))
    document(office, "map", "add", "web", "tcp", "8080", f"{inside}:80")
    with ExitStack() as stack:
        with standing_in(office, "c0"):
            listening = stack.enter_context(socket.create_server(("", 80)))
        stack.enter_context(standing_in(office, GATEWAY))
        table, own = KernelMappings(), Socket(protocol=Protocol.TCP, external=8080, target=inside, internal=80)
        elements = [one for one in table.present() if one.table == TABLE]
        assert elements
        for _ in range(MAPPING_CHANGES):
            with standing_in(office, "inet"):
                stranger = stack.enter_context(socket.create_connection((str(UPLINK.ip), 8080), timeout=30))
            server = stack.enter_context(listening.accept()[0])
            server.settimeout(30)
            _until_fast(partial(_exchange, stranger, server, 5))
            table.change(elements, [], [own])
            conntrack.cut([own])
            fastpath.refresh()
            _assert_dead(stranger, server)
            table.change([], elements, [])
            fastpath.refresh()
    document(office, "map", "remove", "web")


def _assert_dead(stranger: socket.socket, server: socket.socket) -> None:
    ends = [stranger, server]
    for one in ends:
        one.send(b"late")
    for one in select.select(ends, [], [], 0.02)[0]:
        with pytest.raises(ConnectionResetError):
            one.recv(64)
    # What it would send again could come by the next mapping.
    stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stranger.close()
