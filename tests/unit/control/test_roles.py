"""Roles are designated one by one, in any order; what cannot be in force waits, and a failure changes nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.hosts import connections_of, settled, snapshot

from icshare.control.roles import Roles
from icshare.engine import Engine
from icshare.errors import ConflictError, GoneError, HostError, PolicyError, PrivilegeError, RefusedError
from icshare.model.connection import Connection
from icshare.model.firewall import FirewallOptions, IcmpOption
from icshare.model.mapping import PortMapping, Protocol, address_target
from icshare.model.names import InterfaceName
from icshare.model.settings import Policy, Settings
from icshare.model.sharing import Sharing, Wanted
from icshare.model.state import Designation, State
from icshare.plan.statebook import Book
from icshare.plan.staterecords import Fact, Mapped, Protected
from icshare.plan.steps import LoadRuleset
from icshare.plan.transition import rewind
from icshare.ports import silent
from icshare.testing import FakeHost, FakeJournal

LINKS: list[dict[str, Any]] = [
    {"name": "wan0"},
    {"name": "wan1"},
    {"name": "lan0"},
    {"name": "lan1"},
    {"name": "ppp0", "kind": "ppp"},
    {"name": "br0", "kind": "bridge"},
    {"name": "port0", "master": "br0"},
]
HOST = snapshot(
    {
        "links": LINKS,
        "addresses": ["wan0 198.51.100.2/24", "lan0 10.5.0.1/16"],
        "routes": ["default via 198.51.100.1 dev wan0 proto dhcp metric 100"],
    }
)
GUIDS = {one.interface: one.guid for one in connections_of(HOST)}
Change = Callable[[], object]
PING = FirewallOptions(icmp=(IcmpOption.INBOUND_ECHO_REQUEST,))


class Mappings:
    """Remembers what was done to them, and whether the sharing was in force then."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def withdraw(self) -> None:
        self.done.append("withdraw")

    def sync(self) -> None:
        self.done.append("sync")

    def enable(self, number: int) -> None:
        self.done.append(f"enable {number}")

    def disable_all(self, connection: UUID) -> None:
        self.done.append(f"disable {next(name for name, guid in GUIDS.items() if guid == connection)}")


class Store:
    """The state in memory."""

    def __init__(self) -> None:
        self.book = Book()
        self.depth = 0

    @contextmanager
    def lock(self) -> Iterator[None]:
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def load(self) -> State:
        return self.book.state

    def append(self, *facts: Fact) -> None:
        assert self.depth, "written without the lock"
        self.book.take(facts)


class Machine:
    """A host with roles on it."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.host = FakeHost(HOST)
        self.journal = FakeJournal()
        self.engine = Engine(self.host, self.journal, connections_of)
        self.store = Store()
        self.mappings = Mappings()
        self.admin = True
        self.settings = settings or Settings()

    @property
    def roles(self) -> Roles:
        return Roles(store=self.store, engine=self.engine, host=self, mappings=self.mappings, settings=self.settings)

    def require_admin(self) -> None:
        if not self.admin:
            raise PrivilegeError("no")

    def connections(self) -> tuple[Connection, ...]:
        record = self.journal.record
        return tuple(connections_of(rewind(self.host.snapshot, [one.step for one in record.entries] if record else [])))

    def login(self, interface: str) -> int | None:
        return 22 if interface == "wan1" else None

    @property
    def inforce(self) -> Wanted:
        return self.journal.record.wanted if self.journal.record else Wanted()

    @property
    def shared(self) -> tuple[str, ...]:
        sharing = self.inforce.sharing
        return (sharing.public, *sharing.privates) if sharing else ()

    @property
    def protected(self) -> list[str]:
        return [one.interface for one in self.inforce.firewalls]

    @property
    def designation(self) -> tuple[str | None, ...]:
        by_guid = {guid: name for name, guid in GUIDS.items()}
        found = self.store.load().designation
        return (by_guid.get(found.public) if found.public else None, *(by_guid[one] for one in found.privates))

    @property
    def firewalls(self) -> dict[str, FirewallOptions]:
        by_guid = {guid: name for name, guid in GUIDS.items()}
        return {by_guid[guid]: options for guid, options in self.store.load().firewalls.items()}

    def set_public(self, name: str) -> None:
        self.roles.set_public(GUIDS[name])

    def add_private(self, name: str) -> None:
        self.roles.add_private(GUIDS[name])

    def unshare(self, name: str) -> None:
        self.roles.unshare(GUIDS[name])

    def share(self, public: str, *privates: str, firewall: bool = True, subnet: IPv4Network | None = None) -> None:
        sharing = Sharing(
            public=InterfaceName(public), privates=tuple(InterfaceName(one) for one in privates), subnet=subnet
        )
        self.roles.share(sharing, firewall=firewall, progress=silent)


def mapping(number: int, name: str, *, enabled: bool) -> PortMapping:
    return PortMapping(
        number=number,
        connection=GUIDS[name],
        name="web",
        protocol=Protocol.TCP,
        external=8000 + number,
        internal=80,
        target=address_target("192.168.137.2"),
        enabled=enabled,
    )


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.mark.parametrize("order", [("public", "private"), ("private", "public")])
def test_sharing_works_as_soon_as_both_sides_are_designated(machine: Machine, order: tuple[str, str]) -> None:
    def designate(side: str) -> tuple[str, ...]:
        if side == "public":
            machine.set_public("wan0")
        else:
            machine.add_private("lan0")
        return machine.shared

    assert [designate(side) for side in order] == [(), ("wan0", "lan0")]
    assert machine.protected == ["wan0"]


def test_public_alone_is_protected_and_not_shared(machine: Machine) -> None:
    machine.set_public("wan0")
    assert (machine.designation, machine.shared, machine.protected) == (("wan0",), (), ["wan0"])


def test_private_alone_is_left_as_it_is(machine: Machine) -> None:
    machine.add_private("lan0")
    assert machine.designation == (None, "lan0")
    assert machine.host.snapshot is HOST
    assert machine.journal.record is None


def test_a_second_public_takes_the_role_and_the_first_keeps_its_firewall(machine: Machine) -> None:
    machine.share("wan0", "lan0")
    machine.mappings.done.clear()
    machine.set_public("wan1")
    assert machine.shared == ("wan1", "lan0")
    assert sorted(machine.protected) == ["wan0", "wan1"]
    assert machine.mappings.done == ["disable wan0", "withdraw", "sync"]
    login = {one.interface: one.login_port for one in machine.inforce.firewalls}
    assert login == {"wan0": None, "wan1": 22}


def test_public_disables_the_mappings_of_a_private_and_of_nobody_else(machine: Machine) -> None:
    """Mappings of a connection that had no part, open through its firewall, were disabled when it became public."""
    machine.set_public("wan0")
    assert "disable wan0" not in machine.mappings.done
    machine.add_private("lan0")
    machine.set_public("lan0")
    assert [one for one in machine.mappings.done if one.startswith("disable")] == ["disable wan0", "disable lan0"]


def test_a_private_that_becomes_public_is_private_no_longer_and_back(machine: Machine) -> None:
    machine.share("wan0", "lan0", "lan1")
    machine.set_public("lan1")
    assert (machine.designation, machine.shared) == (("lan1", "lan0"), ("lan1", "lan0"))
    machine.add_private("lan1")
    assert (machine.designation, machine.shared) == ((None, "lan0", "lan1"), ())


def test_a_further_private_extends_the_segment(machine: Machine) -> None:
    machine.share("wan0", "lan0")
    machine.add_private("lan1")
    assert machine.shared == ("wan0", "lan0", "lan1")
    machine.add_private("lan1")
    assert machine.shared == ("wan0", "lan0", "lan1")


@pytest.mark.parametrize(("name", "left"), [("wan0", (None, "lan0")), ("lan0", ("wan0",)), ("lan1", ("wan0", "lan0"))])
def test_without_a_side_sharing_rests_and_the_firewall_stays(
    machine: Machine, name: str, left: tuple[str | None, ...]
) -> None:
    machine.share("wan0", "lan0")
    machine.unshare(name)
    assert machine.designation == left
    assert machine.shared == (("wan0", "lan0") if name == "lan1" else ())
    assert machine.protected == ["wan0"]
    assert f"disable {name}" in machine.mappings.done


def test_repeating_a_designation_changes_nothing(machine: Machine) -> None:
    machine.share("wan0", "lan0")
    before, ran = machine.host.snapshot, len(machine.host.ran)
    machine.set_public("wan0")
    machine.add_private("lan0")
    assert (machine.host.snapshot, len(machine.host.ran)) == (before, ran)
    assert "disable wan0" not in machine.mappings.done


def test_what_cannot_have_a_part_is_refused_and_nothing_is_written(machine: Machine) -> None:
    refusals: tuple[Change, ...] = (
        lambda: machine.set_public("br0"),
        lambda: machine.set_public("port0"),
        lambda: machine.add_private("ppp0"),
        lambda: machine.share("wan0", "wan0"),
        lambda: machine.share("wan0", "eth9"),
        lambda: machine.roles.set_firewall(GUIDS["br0"], PING),
        lambda: machine.roles.set_firewall(GUIDS["port0"], PING),
    )
    for refused in refusals:
        with pytest.raises(RefusedError):
            refused()
    assert machine.store.book.recorded == 0
    assert machine.host.ran == []


def test_unknown_connections_are_gone_and_absent_ones_can_be_unshared(machine: Machine) -> None:
    absent = uuid4()
    for change in (machine.roles.set_public, machine.roles.add_private):
        with pytest.raises(GoneError):
            change(absent)
    with pytest.raises(GoneError):
        machine.roles.set_firewall(absent, PING)
    machine.roles.set_firewall(absent, None)


def test_absent_hardware_hinders_nobody(machine: Machine) -> None:
    machine.share("wan0", "lan0", "lan1")
    gone = {"wan0", "lan1"}
    machine.roles.stop(silent)
    machine.share("wan0", "lan0", "lan1")
    machine.roles.unshare(GUIDS["wan0"])
    links = tuple(link for link in machine.host.snapshot.links if link.name not in gone)
    machine.host.snapshot = replace(machine.host.snapshot, links=links)
    machine.set_public("wan1")
    assert machine.shared == ("wan1", "lan0")


def test_the_firewall_is_set_apart_from_sharing(machine: Machine) -> None:
    machine.roles.set_firewall(GUIDS["wan1"], PING)
    assert (machine.firewalls, machine.protected) == ({"wan1": PING}, ["wan1"])
    machine.share("wan0", "lan0", firewall=False)
    assert machine.protected == ["wan1"]
    machine.set_public("wan1")
    assert machine.firewalls == {"wan1": PING}
    machine.roles.set_firewall(GUIDS["wan1"], None)
    assert (machine.protected, machine.shared) == ([], ("wan1", "lan0"))


def test_the_firewall_of_a_private_rests_and_cannot_be_switched_on(machine: Machine) -> None:
    machine.roles.set_firewall(GUIDS["lan0"], PING)
    machine.share("wan0", "lan0")
    assert machine.firewalls == {"lan0": PING, "wan0": FirewallOptions()}
    assert machine.protected == ["wan0"]
    with pytest.raises(RefusedError, match="private"):
        machine.roles.set_firewall(GUIDS["lan0"], FirewallOptions())
    machine.unshare("lan0")
    assert sorted(machine.protected) == ["lan0", "wan0"]


def test_switching_on_once_more_brings_a_lost_firewall_back(machine: Machine) -> None:
    machine.roles.set_firewall(GUIDS["wan0"], PING)
    protected = machine.host.snapshot
    machine.host.snapshot = replace(protected, firewall=None)
    machine.roles.set_firewall(GUIDS["wan0"], PING)
    assert machine.host.snapshot == protected


def test_switching_off_once_more_takes_away_what_a_killed_one_has_left(machine: Machine) -> None:
    machine.roles.set_firewall(GUIDS["wan0"], PING)
    with machine.store.lock():
        machine.store.append(Protected(connection=GUIDS["wan0"], options=None))
    machine.roles.set_firewall(GUIDS["wan0"], None)
    assert machine.host.snapshot == HOST


def test_the_last_firewall_off_leaves_no_trace(machine: Machine) -> None:
    machine.roles.set_firewall(GUIDS["wan0"], PING)
    machine.roles.set_firewall(GUIDS["wan0"], None)
    assert machine.host.snapshot == HOST
    assert machine.journal.record is None


def test_stop_takes_back_roles_and_firewalls(machine: Machine) -> None:
    machine.roles.set_firewall(GUIDS["wan1"], PING)
    machine.share("wan0", "lan0")
    assert machine.roles.stop(silent) > 0
    assert settled(machine.host.snapshot) == settled(HOST)
    assert (machine.store.load().designation, machine.firewalls) == (Designation(), {})
    assert machine.roles.stop(silent) == 0


@pytest.mark.parametrize("part", ["lock", "load", "append"])
def test_stop_takes_everything_back_whatever_the_state_is(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    machine.share("wan0", "lan0")

    def refuse(*_: object) -> None:
        raise HostError(part)

    monkeypatch.setattr(machine.store, part, refuse)
    with pytest.raises(HostError, match=part) as caught:
        machine.roles.stop(silent)
    assert settled(machine.host.snapshot) == settled(HOST)
    assert machine.journal.record is None
    assert "nothing is in force any more" in caught.value.__notes__[0]


@pytest.mark.parametrize("number", range(1, 12))
def test_a_failure_puts_roles_and_host_back(machine: Machine, number: int) -> None:
    machine.share("wan0", "lan0")
    machine.host.fail_at = len(machine.host.ran) + number
    changes: tuple[Change, ...] = (lambda: machine.set_public("wan1"), lambda: machine.add_private("lan1"))
    for change in changes:
        before = machine.designation, machine.firewalls, machine.shared
        host = machine.host.snapshot
        try:
            change()
        except HostError:
            assert (machine.designation, machine.firewalls, machine.shared) == before
            assert settled(machine.host.snapshot) == settled(host)
            return
    assert number > 2


def test_stop_cuts_what_came_in_by_mappings_before_all_else(machine: Machine) -> None:
    machine.share("wan0", "lan0")
    machine.mappings.done.clear()
    machine.roles.stop(silent)
    assert machine.mappings.done == ["sync"]
    machine.share("wan0", "lan0")
    with machine.store.lock():
        machine.store.append(Mapped(mapping=mapping(1, "wan0", enabled=True)))
    machine.mappings.done.clear()
    machine.roles.stop(silent)
    assert machine.mappings.done == ["withdraw", "sync"]


def test_what_cannot_be_put_back_is_noted_and_the_rest_is(machine: Machine) -> None:
    machine.share("wan0", "lan0")
    with machine.store.lock():
        for number in (1, 2):
            machine.store.append(Mapped(mapping=mapping(number, "wan0", enabled=True)))

    def refuse(number: int) -> None:
        machine.mappings.done.append(f"enable {number}")
        raise HostError(f"not {number}")

    machine.mappings.enable = refuse  # type: ignore[method-assign]
    machine.host.refuses = lambda step: isinstance(step, LoadRuleset)
    with pytest.raises(HostError) as caught:
        machine.set_public("wan1")
    assert caught.value.__notes__[-2:] == ["not put back: not 1", "not put back: not 2"]
    assert machine.mappings.done[-3:] == ["enable 1", "enable 2", "sync"]


def test_a_failure_enables_again_what_was_disabled(machine: Machine) -> None:
    machine.share("wan0", "lan0")
    with machine.store.lock():
        for number, name, enabled in ((1, "wan0", True), (2, "wan0", False), (3, "lan1", True)):
            machine.store.append(Mapped(mapping=mapping(number, name, enabled=enabled)))
    machine.host.fail_at = len(machine.host.ran) + 1
    machine.mappings.done.clear()
    with pytest.raises(HostError):
        machine.set_public("wan1")
    assert machine.mappings.done[0] == "disable wan0"
    assert machine.mappings.done[-2:] == ["enable 1", "sync"]


def test_a_refusal_closes_no_port(machine: Machine) -> None:
    """It did: mappings were disabled, their connections cut, before anything was asked."""
    machine.share("wan0", "lan0", subnet=IPv4Network("10.20.0.0/24"))
    with machine.store.lock():
        machine.store.append(Mapped(mapping=mapping(1, "wan0", enabled=True)))
    taken = snapshot({"links": LINKS, "addresses": ["wan1 10.20.0.7/24"]}).addresses
    machine.host.snapshot = replace(machine.host.snapshot, addresses=(*machine.host.snapshot.addresses, *taken))
    machine.mappings.done.clear()
    with pytest.raises(ConflictError):
        machine.set_public("wan1")
    with pytest.raises(ConflictError):
        machine.add_private("lan1")
    assert machine.mappings.done == ["sync"]


def test_what_is_in_force_counts_where_the_state_file_was_lost(machine: Machine) -> None:
    machine.share("wan0", "lan0", "lan1")
    machine.store = Store()
    machine.unshare("lan1")
    assert (machine.designation, machine.shared) == (("wan0", "lan0"), ("wan0", "lan0"))
    machine.store = Store()
    machine.unshare("wan0")
    assert (machine.designation, machine.shared) == ((None, "lan0"), ())


def test_mappings_that_fail_leave_the_rest_in_force_and_say_so(machine: Machine) -> None:
    def refuse() -> None:
        raise HostError("no")

    machine.mappings.sync = refuse  # type: ignore[method-assign]
    with pytest.raises(HostError) as caught:
        machine.share("wan0", "lan0")
    assert caught.value.__notes__ == ["the rest is in force; icshare map list shows what is not"]
    assert machine.shared == ("wan0", "lan0")


def test_a_firewall_that_is_on_is_brought_back_by_switching_it_on(machine: Machine) -> None:
    machine.roles.set_firewall(GUIDS["wan0"], PING)
    machine.host.snapshot = replace(machine.host.snapshot, firewall=None)
    machine.roles.set_firewall(GUIDS["wan0"], PING)
    assert machine.host.snapshot.firewall is not None


def test_the_subnet_is_remembered_for_what_is_designated_later(machine: Machine) -> None:
    machine.roles.set_subnet(IPv4Network("10.20.0.0/24"))
    machine.set_public("wan0")
    machine.add_private("lan0")
    assert machine.inforce.sharing is not None
    assert machine.inforce.sharing.subnet == IPv4Network("10.20.0.0/24")
    machine.share("wan0", "lan0", subnet=IPv4Network("10.21.0.0/24"))
    machine.add_private("lan1")
    assert machine.inforce.sharing.subnet == IPv4Network("10.21.0.0/24")


def test_a_subnet_that_is_taken_is_a_conflict_and_nothing_changes(machine: Machine) -> None:
    with pytest.raises(ConflictError):
        machine.share("wan0", "lan0", subnet=IPv4Network("198.51.100.0/24"))
    assert machine.store.book.recorded == 0


def test_changes_need_the_privilege(machine: Machine) -> None:
    machine.admin = False
    roles = machine.roles
    changes: tuple[Change, ...] = (
        lambda: roles.set_public(GUIDS["wan0"]),
        lambda: roles.add_private(uuid4()),
        lambda: roles.unshare(GUIDS["wan0"]),
        lambda: roles.set_firewall(GUIDS["wan0"], PING),
        lambda: roles.set_subnet(None),
        lambda: roles.stop(silent),
        lambda: machine.share("wan0", "lan0"),
    )
    for change in changes:
        with pytest.raises(PrivilegeError):
            change()


def test_where_the_policy_prohibits_sharing_every_change_fails_and_the_present_one_ends(machine: Machine) -> None:
    machine.share("wan0", "lan0")
    machine.settings = Settings(policy=Policy(sharing=False))
    with pytest.raises(PolicyError, match="prohibits sharing; the present one was stopped"):
        machine.add_private("lan1")
    assert (machine.shared, machine.protected) == ((), ["wan0"])
    changes: tuple[Change, ...] = (
        lambda: machine.set_public("wan0"),
        lambda: machine.unshare("lan0"),
        lambda: machine.share("wan0", "lan0"),
        lambda: machine.roles.set_subnet(None),
    )
    for change in changes:
        with pytest.raises(PolicyError, match=r"prohibits sharing$"):
            change()
    assert machine.roles.stop(silent) > 0


def test_where_the_policy_forbids_a_bridge_one_private_is_the_most(machine: Machine) -> None:
    machine.settings = Settings(policy=Policy(bridge=False))
    machine.share("wan0", "lan0")
    with pytest.raises(PolicyError, match="bridge"):
        machine.add_private("lan1")
    with pytest.raises(PolicyError, match="bridge"):
        machine.share("wan0", "lan0", "lan1")
    assert machine.shared == ("wan0", "lan0")


def test_where_the_policy_forbids_firewalls_none_is_switched(machine: Machine) -> None:
    machine.settings = Settings(policy=Policy(firewall=False))
    for options in (PING, None):
        with pytest.raises(PolicyError, match="firewalls"):
            machine.roles.set_firewall(GUIDS["wan0"], options)
