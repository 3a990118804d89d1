"""No half-made mapping: whatever fails, and wherever the process is killed, state and kernel agree in the end."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.control.mappings import PortMappings
from icshare.errors import HostError, IcshareError, PolicyError
from icshare.model.connection import YES, Characteristics, Connection, MediaType, Role, Status
from icshare.model.mapping import PortMapping, Protocol, parse_target
from icshare.model.names import InterfaceName
from icshare.model.sharing import Segment
from icshare.plan.placing import InForce, Slot, Socket, by_slot, fate, holders, slot
from icshare.plan.staterecords import Fact
from icshare.plan.targets import Known, known
from icshare.render.mappings import COUNTED, Element
from icshare.testing import FakeStore

WAN = UUID(int=1)
LAN = Segment(
    interface=InterfaceName("lan0"),
    members=(InterfaceName("lan0"),),
    network=IPv4Network("192.168.137.0/24"),
    gateway=IPv4Address("192.168.137.1"),
)


class KilledError(BaseException):
    """The process is gone."""


class World:
    """Store, kernel and surroundings, in which the operation of a chosen number fails or kills."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.store.refuses = self._refuse
        self.elements: dict[Element, int | None] = {}
        self.fail_at = self.kill_at = 0
        self.count = 0
        self.mappings = PortMappings(store=self.store, table=self, surroundings=self)

    def _refuse(self, _: Sequence[Fact]) -> bool:
        return self._turn()

    def _turn(self) -> bool:
        self.count += 1
        if self.kill_at and self.count >= self.kill_at:
            raise KilledError
        return self.count == self.fail_at

    def present(self) -> dict[Element, int | None]:
        return dict(self.elements)

    def change(self, remove: Sequence[Element], add: Sequence[Element], cut: Sequence[Socket]) -> None:
        del cut
        if self._turn():
            raise HostError("the kernel refuses")
        for element in remove:
            del self.elements[element]
        assert not by_slot(add).keys() & by_slot(self.elements).keys()
        self.elements |= dict.fromkeys(add, 0)
        if self.kill_at == self.count + 1:
            raise KilledError

    def cut(self, sockets: Iterable[Socket]) -> int:
        if self._turn():
            raise HostError("the kernel refuses")
        return len(tuple(sockets))

    def require_admin(self) -> None:
        pass

    def attend(self, *, follow: bool) -> None:
        pass

    def connections(self) -> Sequence[Connection]:
        return [
            Connection(
                guid=WAN,
                name="wan",
                device="",
                interface="wan",
                status=Status.CONNECTED,
                media=MediaType.LAN,
                characteristics=Characteristics.NONE,
                role=Role.NONE,
                kind="",
                sharable=YES,
                as_public=YES,
                as_private=YES,
                bridgeable=True,
            )
        ]

    def in_force(self) -> InForce:
        return InForce(
            interfaces={WAN: InterfaceName("wan")}, public="wan", segments=(LAN,), firewalled=frozenset({"wan"})
        )

    def known(self, there: InForce) -> Known:
        hosts = {"nas": [IPv4Address("192.168.137.2")]}
        return known(
            leases=[],
            neighbours=[],
            hosts=hosts,
            domain="home.arpa",
            own_names=[],
            own_addresses=[LAN.gateway],
            segments=there.segments,
        )

    def revive(self) -> None:
        self.fail_at = self.kill_at = self.count = 0

    def wanted(self) -> set[Element]:
        there = self.in_force()
        fates = [fate(one, there, self.known(there)) for one in self.definitions() if one.enabled]
        return {element for _, element in holders(fates).values()}

    def definitions(self) -> tuple[PortMapping, ...]:
        return self.mappings.all()


targets = st.sampled_from(["192.168.137.2", "192.168.137.3", "nas", "nobody", "localhost"]).map(parse_target)
ports = st.integers(1, 4)
numbers = st.integers(1, 4)
Action = Callable[[PortMappings], object]


def _add(external: int, internal: int, target: str, enabled: bool) -> Action:
    return lambda one: one.add(
        WAN,
        name="x",
        protocol=Protocol.TCP,
        external=external,
        internal=internal,
        target=parse_target(target),
        enabled=enabled,
    )


def test_where_it_is_not_allowed_nobody_changes_a_mapping_but_with_a_role() -> None:
    world = World()
    world.mappings.add(WAN, name="x", protocol=Protocol.TCP, external=1, target=parse_target("nas"), enabled=True)
    before = world.definitions(), dict(world.elements)

    def prohibited() -> None:
        raise PolicyError("no")

    mappings = PortMappings(store=world.store, table=world, surroundings=world, authorize=prohibited)
    changes: tuple[Action, ...] = (
        _add(2, 2, "nas", enabled=True),
        lambda one: one.update(1, external=3),
        lambda one: one.enable(1),
        lambda one: one.disable(1),
        lambda one: one.remove(1),
    )
    for change in changes:
        with pytest.raises(PolicyError):
            change(mappings)
    mappings.sync()
    assert (world.definitions(), world.elements) == before
    mappings.disable_all(WAN)
    assert not world.elements


actions: st.SearchStrategy[Action] = st.one_of(
    st.builds(_add, ports, ports, targets.map(str), st.booleans()),
    numbers.map(lambda number: lambda one: one.enable(number)),
    numbers.map(lambda number: lambda one: one.disable(number)),
    numbers.map(lambda number: lambda one: one.remove(number)),
    st.builds(
        lambda number, external, target: lambda one: one.update(number, external=external, target=target),
        numbers,
        ports,
        targets,
    ),
    st.just(lambda one: one.disable_all(WAN)),
)
histories = st.lists(st.tuples(actions, st.integers(0, 4)), max_size=12)


def _open_ports(elements: Iterable[Element]) -> set[Slot]:
    """Return where packets come in."""
    return {slot(one) for one in elements if (one.table, one.name) in COUNTED}


@given(histories)
def test_what_fails_leaves_everything_as_it_was(history: list[tuple[Action, int]]) -> None:
    world = World()
    for action, fail_at in history:
        world.revive()
        world.fail_at = fail_at
        before = world.definitions(), set(world.elements)
        try:
            action(world.mappings)
        except IcshareError:
            assert (world.definitions(), set(world.elements)) == before
        assert set(world.elements) == world.wanted()
        assert not world.store.unfinished
        world.revive()
        for status in world.mappings.statuses():
            assert world.mappings.status(status.mapping.number) == replace(status, hits=None, received=None, sent=None)
        assert world.mappings.status(99) is None


@given(histories)
def test_after_a_kill_the_next_change_repairs(history: list[tuple[Action, int]]) -> None:
    world = World()
    for action, kill_at in history:
        world.revive()
        world.kill_at = kill_at
        with suppress(KilledError, IcshareError):
            action(world.mappings)
        world.revive()
        assert world.store.unfinished or set(world.elements) == world.wanted()
        assert _open_ports(world.elements) <= _open_ports(world.wanted()), "the state does not name an open port"
    world.mappings.disable_all(UUID(int=9))
    assert set(world.elements) == world.wanted()
