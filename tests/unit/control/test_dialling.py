"""Who is dialled when, and who is hung up by whom, on a dialer in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest
from tests.hosts import snapshot

from icshare.control.dialling import Dialling
from icshare.errors import ConflictError, GoneError, HostError
from icshare.model.connection import Connection
from icshare.model.link import PppFacts
from icshare.model.names import InterfaceName, interface_name
from icshare.model.peer import Peer, peer_name
from icshare.model.settings import Settings
from icshare.model.snapshot import Snapshot
from icshare.plan.connections import peer_guid
from icshare.plan.designated import judge
from icshare.plan.dialling import Behalf, Call, OnDemand
from icshare.ports import silent

WAITING = OnDemand(idle_seconds=60)


@dataclass
class Line:
    """A pppd at work."""

    call: Call
    connected: bool
    up: bool = True


@dataclass
class FakeDialer:
    """Dials in memory: what it has dialled has a link at once.

    Attributes:
        peers: Whom there is to dial.
        busy: Peers that nobody can be reached at.
        stuck: Peers that cannot be hung up.
        rivals: Peers that somebody else dials while we wait for him.
        held: Peers that nobody else may dial at the moment.
        lines: What is dialled, by peer.
        done: What was done, in order.
    """

    peers: list[Peer]
    busy: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)
    rivals: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    lines: dict[str, Line] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    def calls(self) -> Sequence[Call]:
        return [line.call for line in self.lines.values()]

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        assert name not in self.held, "whoever waits for himself waits for ever"
        self.held.add(name)
        if name in self.rivals:
            self.rivals.remove(name)
            self.dial(peer(name), interface_name(f"ppp-{name}"), Behalf.USER)
        yield
        self.held.remove(name)

    def dial(self, peer: Peer, interface: InterfaceName, behalf: Behalf, on_demand: OnDemand | None = None) -> None:
        if peer.name in self.busy:
            raise HostError(f"cannot dial {peer.name}")
        call = Call(peer=peer.name, behalf=behalf, interface=interface, on_demand=on_demand is not None)
        self.lines[peer.name] = Line(call=call, connected=on_demand is None)
        self.done.append(f"{'stand by' if on_demand else 'dial'} {peer.name} as {interface} for {behalf}")

    def wake(self, peer: Peer, interface: str) -> None:
        if peer.name in self.busy:
            raise HostError(f"cannot connect {peer.name}")
        self.lines[peer.name].connected = True
        self.done.append(f"wake {peer.name} on {interface}")

    def hang_up(self, name: str, behalf: Behalf | None = None) -> int:
        if name in self.stuck:
            raise HostError(f"{name} does not end")
        if name in self.lines and behalf not in {None, self.lines[name].call.behalf}:
            return 0
        self.done.append(f"hang up {name}")
        return int(self.lines.pop(name, None) is not None)

    def sweep(self) -> None:
        self.done.append("sweep")

    def pause(self, name: str) -> None:
        self.lines[name].connected = False
        self.done.append(f"pause {name}")

    def look(self) -> Snapshot:
        links = [{"name": "eth0"}]
        links += [{"name": line.call.interface, "kind": "ppp", "up": line.up} for line in self.lines.values()]  # type: ignore[dict-item]
        facts = {
            line.call.interface: PppFacts(
                transport="pppoe",
                peer=name,
                demand=line.call.on_demand,
                waiting=line.call.on_demand and not line.connected,
            )
            for name, line in self.lines.items()
        }
        there = snapshot({"links": links})
        return replace(
            there,
            peers=tuple(self.peers),
            links=tuple(
                replace(one, facts=replace(one.facts, ppp=facts[one.name])) if one.name in facts else one
                for one in there.links
            ),
        )

    def connection(self, name: str) -> Connection:
        return next(one for one in judge(self.look(), Settings()) if name in {one.peer, one.interface})


def peer(name: str, *, demand: bool = False, dialling: bool = False) -> Peer:
    facts = PppFacts(transport="pppoe", peer=name, demand=demand)
    return Peer(name=peer_name(name), facts=facts, dialling=dialling)


@pytest.fixture
def dialer() -> FakeDialer:
    return FakeDialer(peers=[peer("fibre"), peer("cable"), peer("lazy", demand=True), peer("busy", dialling=True)])


@pytest.fixture
def dialling(dialer: FakeDialer) -> Dialling:
    return Dialling(dialer, dialer.look)


def test_connecting_twice_dials_once(dialling: Dialling, dialer: FakeDialer) -> None:
    dialling.connect("fibre", silent)
    dialling.connect("fibre", silent)
    assert dialer.done == ["dial fibre as ppp-fibre for icshare-user"]
    dialling.disconnect("fibre", silent)
    dialling.disconnect("fibre", silent)
    assert dialer.done[1:] == ["hang up fibre"]


def test_what_is_being_dialled_is_not_dialled_again(dialling: Dialling, dialer: FakeDialer) -> None:
    with pytest.raises(ConflictError, match="busy is being dialled already"):
        dialling.connect("busy", silent)
    dialling.connect("fibre", silent)
    dialer.lines["fibre"].up = False
    with pytest.raises(ConflictError, match="fibre is being dialled already"):
        dialling.connect("fibre", silent)


def test_a_peer_whose_file_is_gone_is_gone(dialling: Dialling) -> None:
    with pytest.raises(GoneError, match="no pppd peer 'gone'"):
        dialling.connect("gone", silent)


def test_a_peer_that_dials_on_demand_by_itself_is_connected_all_the_same(
    dialling: Dialling, dialer: FakeDialer
) -> None:
    dialling.connect("lazy", silent)
    assert dialer.done == ["stand by lazy as ppp-lazy for icshare-user", "wake lazy on ppp-lazy"]
    dialling.disconnect("lazy", silent)
    assert dialer.lines == {}


def test_a_sharing_dials_what_it_needs_and_hangs_up_nothing_else(dialling: Dialling, dialer: FakeDialer) -> None:
    dialling.connect("cable", silent)
    needed = [dialer.connection(name) for name in ("fibre", "cable", "eth0")]
    said: list[str] = []
    with dialling.held(needed, None, said.append):
        assert dialer.lines["fibre"].connected
    assert said == ["dialling fibre"]
    assert dialling.release([peer_guid("fibre")], silent) == 0
    assert dialling.release([], said.append) == 1
    assert said[1:] == ["hanging up fibre"]
    assert list(dialer.lines) == ["cable"]


def test_a_sharing_that_fails_leaves_no_line_open(dialling: Dialling, dialer: FakeDialer) -> None:
    needed = [dialer.connection("fibre"), dialer.connection("cable")]
    dialer.busy.add("cable")
    with pytest.raises(HostError, match="cannot dial cable"), dialling.held(needed, None, silent):
        raise AssertionError("it was not refused")
    assert dialer.lines == {}


@pytest.mark.parametrize("error", [HostError("no"), KeyboardInterrupt()])
def test_a_block_that_fails_hangs_up_what_it_had_dialled(
    dialling: Dialling, dialer: FakeDialer, error: BaseException
) -> None:
    with pytest.raises(type(error)), dialling.held([dialer.connection("fibre")], WAITING, silent):
        raise error
    assert dialer.done[-1] == "hang up fibre"


def test_what_cannot_be_hung_up_is_told_of_beside_the_reason(dialling: Dialling, dialer: FakeDialer) -> None:
    dialer.stuck.add("fibre")
    with (
        pytest.raises(HostError, match="no") as caught,
        dialling.held([dialer.connection("fibre")], None, silent),
    ):
        raise HostError("no")
    assert caught.value.__notes__ == ["not hung up: fibre: fibre does not end"]
    with pytest.raises(ExceptionGroup, match="1 of 1 connections could not be hung up"):
        dialling.release([], silent)


def test_on_demand_only_the_public_connection_waits(dialling: Dialling, dialer: FakeDialer) -> None:
    with dialling.held([dialer.connection("fibre"), dialer.connection("cable")], WAITING, silent):
        pass
    assert dialer.done == [
        "stand by fibre as ppp-fibre for icshare-shared",
        "dial cable as ppp-cable for icshare-shared",
    ]
    dialling.connect("fibre", silent)
    assert dialer.done[-1] == "wake fibre on ppp-fibre"
    dialling.disconnect("fibre", silent)
    assert dialer.done[-1] == "pause fibre"
    assert dialling.release([], silent) == 2
    assert dialer.done[-1] == "sweep"
    assert dialer.lines == {}


def test_whoever_comes_second_waits_and_finds_it_connected(dialling: Dialling, dialer: FakeDialer) -> None:
    """Each hung up the other's pppd, and both failed."""
    dialer.rivals.add("fibre")
    dialling.connect("fibre", silent)
    assert dialer.done == ["dial fibre as ppp-fibre for icshare-user"]


def test_a_sharing_that_fails_hangs_up_nobody_elses_call(dialling: Dialling, dialer: FakeDialer) -> None:
    needed = [dialer.connection("fibre")]
    dialer.rivals.add("fibre")
    with pytest.raises(HostError, match="no"), dialling.held(needed, None, silent):
        raise HostError("no")
    assert list(dialer.lines) == ["fibre"]


def test_what_is_being_dialled_is_not_put_on_demand(dialling: Dialling, dialer: FakeDialer) -> None:
    with (
        pytest.raises(ConflictError, match="busy is being dialled already"),
        dialling.held([dialer.connection("busy")], WAITING, silent),
    ):
        raise AssertionError("it was not refused")


def test_a_peer_is_dialled_by_the_name_that_it_is_listed_with(dialling: Dialling, dialer: FakeDialer) -> None:
    """One whose file asks for another's name took it when it was dialled first, and with it the other's firewall."""
    dialer.peers.append(replace(peer("thief"), interface="ppp-fibre"))
    assert dialer.connection("thief").interface == "ppp-thief"
    dialling.connect("thief", silent)
    assert dialer.done == ["dial thief as ppp-thief for icshare-user"]
