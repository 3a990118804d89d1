"""Port mappings defined, changed, enabled and removed: what is written, what the kernel gets, what is refused."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any
from uuid import UUID

import pytest

from icshare.control.mappings import PortMappings
from icshare.errors import (
    AlreadyExistsError,
    GoneError,
    HostError,
    InvalidRequestError,
    NotSupportedError,
    PrivilegeError,
    RefusedError,
)
from icshare.model.connection import (
    YES,
    Characteristics,
    Connection,
    MediaType,
    Reason,
    Role,
    Status,
    Verdict,
)
from icshare.model.mapping import MappingState, PortMapping, Protocol, parse_target
from icshare.model.names import InterfaceName
from icshare.model.sharing import Segment
from icshare.plan.placing import InForce, Socket, by_slot
from icshare.plan.targets import Known, known
from icshare.render.mappings import Element
from icshare.testing import FakeStore

WAN, LTE, BRIDGE, ODD = (UUID(int=number) for number in (1, 2, 3, 4))
LAN = Segment(
    interface=InterfaceName("lan0"),
    members=(InterfaceName("lan0"),),
    network=IPv4Network("192.168.137.0/24"),
    gateway=IPv4Address("192.168.137.1"),
)
NAS, PC = IPv4Address("192.168.137.2"), IPv4Address("192.168.137.3")
SHARED = InForce(
    interfaces={WAN: InterfaceName("wan0"), LTE: InterfaceName("wan1")},
    public="wan0",
    segments=(LAN,),
    firewalled=frozenset({"wan0"}),
)


def connection(guid: UUID, interface: str, sharable: Verdict = YES) -> Connection:
    return Connection(
        guid=guid,
        name=interface,
        device="",
        interface=interface,
        status=Status.CONNECTED,
        media=MediaType.LAN,
        characteristics=Characteristics.NONE,
        role=Role.NONE,
        kind="",
        sharable=sharable,
        as_public=sharable,
        as_private=sharable,
        bridgeable=True,
    )


class Kernel:
    """The kernel's elements."""

    def __init__(self) -> None:
        self.elements: dict[Element, int | None] = {}
        self.resets: list[Socket] = []
        self.fails = self.hidden = False

    def present(self) -> dict[Element, int | None]:
        if self.hidden:
            raise PrivilegeError("no")
        return dict(self.elements)

    def change(self, remove: Sequence[Element], add: Sequence[Element], cut: Sequence[Socket]) -> None:
        if self.fails:
            raise HostError("the kernel refuses")
        for one in remove:
            del self.elements[one]
        assert not by_slot(add).keys() & by_slot(self.elements).keys()
        self.elements |= dict.fromkeys(add, 0)
        self.resets += cut

    @property
    def external(self) -> dict[int, str]:
        """External ports and where they lead, "" for this host."""
        found = {int(one.key[1]): str(one.value[0]) for one in self.elements if one.name == "port_mappings"}
        return found | {int(one.key[1]): "" for one in self.elements if one.name.startswith("holes_")}

    @property
    def sources(self) -> dict[str, Any]:
        """Mapped sockets and the external port that they keep."""
        return {f"{one.key[0]}:{one.key[2]}": one.value[0] for one in self.elements if one.name == "mapped_sources"}


class Machine:
    """The surroundings."""

    def __init__(self) -> None:
        self.admin = True
        self.there = SHARED
        self.hosts = {"nas": [NAS]}
        self.cuts: list[Socket] = []
        self.uncuttable: Exception | None = None
        self.attended: list[bool] = []
        self.unattended: BaseException | None = None

    def require_admin(self) -> None:
        if not self.admin:
            raise PrivilegeError("no")

    def connections(self) -> Sequence[Connection]:
        refused = Verdict(ok=False, reason=Reason.MEDIA_TYPE, text="it is a bridge")
        return [
            connection(WAN, "wan0"),
            connection(LTE, "wan1"),
            connection(BRIDGE, "br0", refused),
            connection(ODD, "a name of 16 cha"),
        ]

    def in_force(self) -> InForce:
        return self.there

    def known(self, there: InForce) -> Known:
        return known(
            leases=[],
            neighbours=[],
            hosts=self.hosts,
            domain="home.arpa",
            own_names=["gw"],
            own_addresses=[LAN.gateway],
            segments=there.segments,
        )

    def attend(self, *, follow: bool) -> None:
        if self.unattended:
            raise self.unattended
        self.attended.append(follow)

    def cut(self, sockets: Iterable[Socket]) -> int:
        if self.uncuttable:
            raise self.uncuttable
        self.cuts += sockets
        return 1


class World:
    """All of it."""

    def __init__(self) -> None:
        self.store, self.kernel, self.machine = FakeStore(), Kernel(), Machine()
        self.mappings = PortMappings(store=self.store, table=self.kernel, surroundings=self.machine)

    def add(self, name: str = "web", external: int = 8080, target: str = "192.168.137.2", **rest: Any) -> PortMapping:
        values = {"protocol": Protocol.TCP, "internal": 80, "enabled": True, **rest}
        guid = values.pop("connection", WAN)
        return self.mappings.add(guid, name=name, external=external, target=parse_target(target), **values)

    def state(self, number: int) -> tuple[MappingState, str]:
        (found,) = (one for one in self.mappings.statuses() if one.mapping.number == number)
        return found.state, found.text


@pytest.fixture
def world() -> World:
    return World()


# ------------------------------------------------------------------------------------------------- asked for, and found


def test_definitions_are_found_by_connection_by_number_and_by_name(world: World) -> None:
    one, two = world.add("one", 1), world.add("two", 2, connection=LTE)
    mappings = world.mappings
    assert mappings.all() == (one, two)
    assert (mappings.all(LTE), mappings.all(BRIDGE)) == ((two,), ())
    assert (mappings.get(one.number), mappings.get(99)) == (one, None)
    assert mappings.named("two") == two


def test_a_name_that_none_or_two_have_means_nothing(world: World) -> None:
    world.add("web", 1)
    world.add("web", 2)
    with pytest.raises(InvalidRequestError, match="2 port mappings have the name 'web'") as caught:
        world.mappings.named("web")
    assert caught.value.hint == "their numbers are 1, 2"
    with pytest.raises(InvalidRequestError, match="there is no port mapping 'ftp'"):
        world.mappings.named("ftp")


# ------------------------------------------------------------------------------------------------------ add and change


def test_a_mapping_is_disabled_and_keeps_its_port_unless_told_otherwise(world: World) -> None:
    made = world.mappings.add(
        WAN, name="web", protocol=Protocol.TCP, external=8080, target=parse_target("192.168.137.2")
    )
    assert (made.enabled, made.internal, made.count) == (False, 8080, 1)
    assert world.kernel.elements == {}
    assert world.state(made.number) == (MappingState.DISABLED, "")


def test_a_connection_is_remembered_by_its_interface_if_that_can_be_written(world: World) -> None:
    world.add("one", 1)
    world.add("two", 2)
    world.add("odd", 3, connection=ODD)
    assert world.store.load().interfaces == {WAN: "wan0"}


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"name": " "}, InvalidRequestError, "no name"),
        ({"external": 0}, InvalidRequestError, "external port"),
        ({"internal": 65_535, "count": 2}, InvalidRequestError, "internal port"),
        ({"connection": UUID(int=99)}, GoneError, "no connection"),
        ({"connection": BRIDGE}, RefusedError, "br0 cannot have port mappings: it is a bridge"),
        ({"external": 7999, "count": 2}, AlreadyExistsError, "tcp port 8000 is mapped already, by 'taken'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    world: World, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    world.add("taken", 8000)
    before = world.mappings.all(), dict(world.kernel.elements)
    with pytest.raises(error, match=words):
        world.add(**arguments)
    assert (world.mappings.all(), world.kernel.elements) == before
    assert not world.store.unfinished


def test_a_refused_connection_names_its_reason(world: World) -> None:
    with pytest.raises(RefusedError) as caught:
        world.add(connection=BRIDGE)
    assert caught.value.problems == ((str(Reason.MEDIA_TYPE), "br0 cannot have port mappings: it is a bridge"),)


def test_a_port_is_another_one_with_another_protocol_or_connection(world: World) -> None:
    for rest in ({}, {"protocol": Protocol.UDP}, {"connection": LTE}):
        world.add(**rest)
    with pytest.raises(AlreadyExistsError):
        world.mappings.update(2, protocol=Protocol.TCP)
    assert world.mappings.all()[1].protocol is Protocol.UDP


def test_a_change_touches_only_the_elements_that_differ(world: World) -> None:
    made = world.add(count=2)
    kept = next(one for one in world.kernel.elements if one.name == "port_mappings")
    world.kernel.elements[kept] = 7
    found = world.mappings.update(made.number, name="other", count=3)
    assert found == replace(made, name="other", count=3) == world.mappings.get(made.number)
    assert world.kernel.elements[kept] == 7
    assert sorted(world.kernel.external) == [8080, 8081, 8082]
    assert world.machine.cuts == []


def test_a_change_of_everything_cuts_what_it_closes(world: World) -> None:
    made = world.add()
    world.mappings.update(
        made.number, protocol=Protocol.UDP, external=9, internal=8, target=parse_target("192.168.137.3")
    )
    assert world.kernel.external == {9: str(PC)}
    assert world.machine.cuts == world.kernel.resets == [Socket(Protocol.TCP, 8080, NAS, 80)]


def test_a_change_to_the_same_and_one_of_a_disabled_mapping_are_nothing_to_the_kernel(world: World) -> None:
    made = world.add()
    resting = world.add("resting", 9, enabled=False)
    world.kernel.fails = True
    assert world.mappings.update(made.number, external=8080) == made
    assert world.mappings.update(resting.number, external=10).external == 10


@pytest.mark.parametrize("wrong", [{"name": ""}, {"external": 70_000}, {"count": 0}])
def test_a_change_to_what_cannot_be_is_refused(world: World, wrong: dict[str, Any]) -> None:
    made = world.add()
    with pytest.raises(InvalidRequestError):
        world.mappings.update(made.number, **wrong)
    assert world.mappings.all() == (made,)


def test_a_number_of_nothing_is_gone(world: World) -> None:
    mappings = world.mappings
    for change in (mappings.update, mappings.enable, mappings.disable, mappings.remove):
        with pytest.raises(GoneError, match="there is no port mapping 5 any more"):
            change(5)


# ---------------------------------------------------------------------------------------------------------- on and off


def test_enabled_disabled_and_removed(world: World) -> None:
    made = world.add(enabled=False)
    world.mappings.enable(made.number)
    world.mappings.enable(made.number)
    assert world.kernel.external == {8080: str(NAS)}
    world.mappings.disable(made.number)
    world.mappings.disable(made.number)
    assert world.kernel.external == {}
    assert world.machine.cuts == [Socket(Protocol.TCP, 8080, NAS, 80)]
    world.mappings.remove(made.number)
    assert world.mappings.all() == ()
    assert world.add("next").number == made.number + 1


def test_all_of_a_connection_are_disabled_and_others_are_not(world: World) -> None:
    world.add("one", 1)
    world.add("two", 2, "192.168.137.3")
    world.add("other", 3, connection=LTE)
    world.mappings.disable_all(WAN)
    world.mappings.disable_all(BRIDGE)
    assert [one.enabled for one in world.mappings.all()] == [False, False, True]
    assert world.kernel.external == {}


def test_a_socket_that_two_lead_to_keeps_the_port_of_the_first_as_long_as_that_works(world: World) -> None:
    first, second = world.add("first", 8001), world.add("second", 8002)
    assert world.kernel.sources == {"192.168.137.2:80": 8001}
    world.mappings.disable(first.number)
    assert (world.kernel.external, world.kernel.sources) == ({8002: str(NAS)}, {"192.168.137.2:80": 8002})
    world.mappings.enable(first.number)
    assert world.kernel.sources == {"192.168.137.2:80": 8001}
    world.mappings.remove(second.number)
    assert (world.kernel.external, world.kernel.sources) == ({8001: str(NAS)}, {"192.168.137.2:80": 8001})


def test_where_connections_cannot_be_cut_the_port_closes_all_the_same(world: World) -> None:
    made = world.add()
    world.machine.uncuttable = NotSupportedError("no conntrack")
    world.mappings.disable(made.number)
    assert world.kernel.external == {}


def test_where_cutting_fails_all_is_as_before(world: World) -> None:
    made = world.add()
    world.machine.uncuttable = HostError("busy")
    with pytest.raises(HostError, match="busy"):
        world.mappings.remove(made.number)
    assert (world.mappings.all(), world.kernel.external) == ((made,), {8080: str(NAS)})
    assert not world.store.unfinished


@pytest.mark.parametrize("error", [HostError("no follower"), KeyboardInterrupt()])
def test_a_mapping_that_nobody_can_follow_is_not_added(world: World, error: BaseException) -> None:
    world.machine.unattended = error
    with pytest.raises(type(error)):
        world.add(target="nas")
    assert world.mappings.all() == ()
    assert world.kernel.elements == {}
    # Of a failure it is known what was done; after an interruption the next change looks.
    assert world.store.unfinished == isinstance(error, KeyboardInterrupt)


@pytest.mark.parametrize("enabled", [True, False])
def test_where_nothing_can_be_written_nothing_changes(world: World, enabled: bool) -> None:
    made = world.add(enabled=enabled)
    before = dict(world.kernel.elements)
    world.store.refuses = lambda _: True
    mappings = world.mappings
    for change in (
        lambda: world.add("other", 9),
        lambda: mappings.update(made.number, external=9),
        lambda: mappings.remove(made.number),
        lambda: mappings.disable(made.number) if enabled else mappings.enable(made.number),
    ):
        with pytest.raises(HostError, match="refuses to be written"):
            change()
        assert (mappings.all(), world.kernel.elements) == ((made,), before)
        assert not world.store.unfinished


def test_where_the_kernel_refuses_nothing_changes(world: World) -> None:
    made = world.add()
    world.kernel.fails = True
    for change in (lambda: world.add("other", 9), lambda: world.mappings.remove(made.number)):
        with pytest.raises(HostError, match="the kernel refuses"):
            change()
        assert world.mappings.all() == (made,)
        assert not world.store.unfinished


def test_targets_that_move_are_followed_and_fixed_ones_are_not(world: World) -> None:
    world.add()
    assert world.machine.attended == []
    world.add("named", 2, "nas")
    assert world.machine.attended == [True]


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.add(WAN, name="x", protocol=Protocol.TCP, external=1, target=parse_target("gw")),
        lambda one: one.update(1),
        lambda one: one.enable(1),
        lambda one: one.disable(1),
        lambda one: one.remove(1),
        lambda one: one.disable_all(WAN),
        lambda one: one.sync(),
        lambda one: one.withdraw(),
        lambda one: one.follow(),
    ],
)
def test_changes_need_the_privilege(world: World, change: Any) -> None:
    world.machine.admin = False
    with pytest.raises(PrivilegeError):
        change(world.mappings)


# ------------------------------------------------------------------------------------------------------- how they fare


def test_statuses_tell_state_reason_address_and_hits(world: World) -> None:
    world.add("client", 1, count=2)
    world.add("own", 2 + 1, "gw", internal=9)
    world.add("resting", 4, enabled=False)
    world.add("nobody", 5, "tv")
    world.add("elsewhere", 6, connection=LTE)
    for one in world.kernel.elements:
        if one.name in {"port_mappings", "holes_tcp", "own_ports"}:
            world.kernel.elements[one] = 3
    client, own, resting, nobody, elsewhere = world.mappings.statuses()
    assert (client.state, client.address, client.own, client.hits) == (MappingState.ACTIVE, NAS, False, 6)
    # It passes two elements that count: the redirect and the hole.
    assert (own.state, own.address, own.own, own.hits) == (MappingState.ACTIVE, None, True, 3)
    assert (resting.state, resting.hits) == (MappingState.DISABLED, 0)
    assert (nobody.state, nobody.text) == (MappingState.INACTIVE, "no client with the name tv is known")
    assert (elsewhere.state, elsewhere.interface) == (MappingState.INACTIVE, "wan1")
    assert elsewhere.text == "wan1 is neither the public connection nor protected by a firewall"
    assert world.mappings.statuses(LTE) == (elsewhere,)


def test_one_mapping_is_told_of_without_the_kernel(world: World) -> None:
    made = world.add()
    world.kernel.hidden = True
    found = world.mappings.status(made.number)
    assert found is not None
    assert (found.mapping, found.state, found.address, found.hits) == (made, MappingState.ACTIVE, NAS, None)
    assert world.mappings.status(99) is None


def test_without_privilege_there_are_no_hits_and_what_is_wanted_counts_as_there(world: World) -> None:
    made = world.add()
    world.kernel.elements.clear()
    world.kernel.hidden = True
    (found,) = world.mappings.statuses()
    assert (found.mapping, found.state, found.hits) == (made, MappingState.ACTIVE, None)


def test_what_somebody_else_took_out_of_the_kernel_is_told_and_mended_by_sync(world: World) -> None:
    made = world.add()
    there = dict(world.kernel.elements)
    del world.kernel.elements[next(iter(there))]
    assert world.state(made.number) == (
        MappingState.INACTIVE,
        "the kernel does not have it; share again to mend that",
    )
    world.mappings.sync()
    assert world.kernel.elements == there
    assert world.state(made.number) == (MappingState.ACTIVE, "")


# ------------------------------------------------------------------------------ sharing comes and goes, so do clients


def test_withdrawn_mappings_are_defined_as_they_were_and_back_with_sync(world: World) -> None:
    made = world.add()
    world.mappings.withdraw()
    assert (world.kernel.elements, world.mappings.all()) == ({}, (made,))
    assert world.machine.cuts == [Socket(Protocol.TCP, 8080, NAS, 80)]
    assert world.store.unfinished
    world.mappings.sync()
    assert world.kernel.external == {8080: str(NAS)}
    assert not world.store.unfinished


def test_sync_closes_what_should_not_be_open_and_cuts_it(world: World) -> None:
    made = world.add()
    world.machine.there = InForce(interfaces=SHARED.interfaces)
    world.mappings.sync()
    assert world.kernel.elements == {}
    assert world.machine.cuts == [Socket(Protocol.TCP, 8080, NAS, 80)]
    assert world.state(made.number)[0] is MappingState.INACTIVE


@pytest.mark.parametrize(("target", "follow"), [("192.168.137.2", False), ("nas", True)])
def test_sync_has_targets_followed_that_move(world: World, target: str, follow: bool) -> None:
    world.add(target=target)
    world.machine.attended.clear()
    world.mappings.sync()
    assert world.machine.attended == [follow]


def test_a_mark_that_somebody_left_makes_the_next_change_repair_first(world: World) -> None:
    world.add()
    stray = Element("icshare_firewall", "holes_tcp", ("wan0", 22))
    world.kernel.elements[stray] = 0
    world.store.unfinished = True
    world.mappings.enable(1)
    assert world.kernel.external == {8080: str(NAS)}
    assert not world.store.unfinished


def test_who_moves_is_followed_and_the_old_address_cut(world: World) -> None:
    world.add("fixed", 1)
    named = world.add("named", 2, "nas", internal=81)
    resting = world.add("resting", 3, "nas", internal=82, enabled=False)
    assert world.mappings.follow() == ()
    world.machine.hosts = {"nas": [PC]}
    assert world.mappings.follow() == (named.number,)
    assert world.kernel.external == {1: str(NAS), 2: str(PC)}
    assert world.machine.cuts == [Socket(Protocol.TCP, 2, NAS, 81)]
    world.machine.hosts = {}
    assert world.mappings.follow() == (named.number,)
    assert (world.kernel.external, world.state(named.number)[0]) == ({1: str(NAS)}, MappingState.INACTIVE)
    assert world.mappings.follow() == ()
    assert world.mappings.get(resting.number) == resting


def test_without_anybody_to_follow_the_kernel_is_not_asked(world: World) -> None:
    world.add()
    world.kernel.hidden = True
    assert world.mappings.follow() == ()
