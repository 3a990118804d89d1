"""Whatever happens to a change, and whenever: the host is never left in between.

Every golden scenario goes through every failure and every kill there can be, on a host and with a journal in memory.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from tests import scenarios
from tests.hosts import abilities, settled
from tests.mortal import KilledError, Life, mortal
from tests.scenarios import Machine, Scenario

from icshare.engine import Engine
from icshare.errors import ConflictError, HostError, IcshareError, RefusedError, VerificationError
from icshare.model.fastpath import Abilities, Mode, Path
from icshare.model.names import InterfaceName
from icshare.model.sharing import Sharing, Wanted
from icshare.model.snapshot import Snapshot
from icshare.model.status import Check, Grade, Health
from icshare.plan.diff import Entry
from icshare.plan.planner import Plan
from icshare.plan.steps import (
    AddAddress,
    AnyStep,
    LoadFirewall,
    LoadRuleset,
    SetMaster,
    SetSysctl,
    StartFastPath,
    StartService,
)
from icshare.plan.transition import after
from icshare.testing import FakeHost, FakeJournal

ALL = pytest.mark.parametrize("name", scenarios.names())
CHANGES = pytest.mark.parametrize("name", [one for one in scenarios.names() if scenarios.load(one).present is not None])


class ForgetfulHost(FakeHost):
    """A host on which one kind of step comes to nothing, without an error."""

    def __init__(self, snapshot: Snapshot, forgets: type) -> None:
        super().__init__(snapshot)
        self._forgets = forgets

    def run(self, step: AnyStep) -> None:
        if not isinstance(step, self._forgets):
            super().run(step)


class FullJournal(FakeJournal):
    """A journal on a disk that is full after some lines."""

    def __init__(self) -> None:
        super().__init__()
        self.room = -1

    def begin(self, step: AnyStep, rank: int | None) -> Entry:
        self._write()
        return super().begin(step, rank)

    def complete(self, plan: Plan) -> None:
        self._write()
        super().complete(plan)

    def _write(self) -> None:
        if self.room == 0:
            raise HostError("the journal cannot be written: No space left on device")
        self.room -= 1


def lives(machine: Callable[[], Machine], act: Callable[[Engine], object]) -> Iterator[Machine]:
    """Let a process do *act* on new machines, and die at each moment in turn; the last one lives."""
    for actions in range(10_000):
        made, life = machine(), Life(actions)
        try:
            act(mortal(made, life))
        except KilledError:
            yield made
        else:
            assert actions > 3, "nothing was done"
            return
    raise AssertionError("it never ends")


def steps_on_record(machine: Machine) -> list[tuple[int, AnyStep]]:
    return [(entry.rank, entry.step) for entry in machine.journal.record.entries] if machine.journal.record else []


def simple(wanted: str = "lan0") -> tuple[Scenario, Machine]:
    scenario = scenarios.load("bridges_two_privates")
    assert scenario.wanted.sharing is not None
    sharing = replace(scenario.wanted.sharing, privates=(InterfaceName(wanted),))
    scenario = replace(scenario, wanted=replace(scenario.wanted, sharing=sharing))
    return scenario, scenarios.machine(scenario)


@ALL
def test_sharing_reports_success_and_stop_gives_back_the_host(name: str) -> None:
    scenario = scenarios.load(name)
    machine = scenarios.machine(scenario)
    outcome = machine.engine.apply(scenario.wanted)
    assert machine.journal.record is not None
    assert machine.journal.record.complete
    assert machine.journal.record.wanted == scenario.wanted
    assert {step.describe() for _, step in steps_on_record(machine)} == {one.describe() for one in outcome.plan.steps}
    assert machine.engine.stop() == len(outcome.plan.steps)
    assert settled(machine.host.snapshot) == settled(scenario.host)
    assert machine.journal.record is None


@ALL
def test_sharing_again_plans_nothing(name: str) -> None:
    """A private's own address was planned to be removed again, because the time of its removal was part of the step."""
    scenario = scenarios.load(name)
    machine = scenarios.machine(scenario)
    machine.engine.apply(scenario.wanted)
    there = machine.host.snapshot
    machine.host.snapshot = replace(there, boot_seconds=there.boot_seconds + 500)
    assert machine.engine.propose(scenario.wanted).changes == ()
    assert machine.engine.apply(scenario.wanted).changes == ()
    assert replace(machine.host.snapshot, boot_seconds=there.boot_seconds) == there
    machine.engine.stop()
    assert settled(replace(machine.host.snapshot, boot_seconds=there.boot_seconds)) == settled(scenario.host)


@pytest.mark.parametrize("name", [name for name in scenarios.names() if name.startswith(("changes_", "turns_"))])
def test_a_change_ends_where_a_fresh_start_would(name: str) -> None:
    scenario = scenarios.load(name)
    changed, fresh = scenarios.machine(scenario), scenarios.machine(replace(scenario, present=None))
    changed.engine.apply(scenario.wanted)
    plan = fresh.engine.apply(scenario.wanted).plan
    assert plan == changed.engine.propose(scenario.wanted).plan
    assert settled(changed.host.snapshot) == settled(fresh.host.snapshot)


@ALL
def test_failure_of_any_step_leaves_the_host_as_it_was(name: str) -> None:
    scenario = scenarios.load(name)
    changes = scenarios.machine(scenario).engine.propose(scenario.wanted).changes
    for number, change in enumerate(changes, start=1):
        machine = scenarios.machine(scenario)
        before, on_record, record = machine.host.snapshot, steps_on_record(machine), machine.journal.record
        machine.host.fail_at = len(machine.host.ran) + number
        with pytest.raises(HostError) as caught:
            machine.engine.apply(scenario.wanted)
        assert caught.value.__notes__ == [f"while: {change.describe()}"]
        assert settled(machine.host.snapshot) == settled(before)
        assert steps_on_record(machine) == on_record
        assert (machine.journal.record is None) == (record is None)
        if machine.journal.record and record:
            assert (machine.journal.record.complete, machine.journal.record.sharing) == (True, record.sharing)
        machine.host.fail_at = 0
        again = machine.engine.propose(scenario.wanted).changes
        assert sorted(one.describe() for one in again) == sorted(one.describe() for one in changes)
        machine.engine.stop()
        assert settled(machine.host.snapshot) == settled(scenario.host)


def _slower(**fast: object) -> Abilities:
    found = abilities({"fast": {"wan0": {}, "lan0": {}, **fast}})
    assert found is not None
    return found


def test_a_fast_path_that_is_refused_gives_way_to_another_and_sharing_goes_on() -> None:
    machine = scenarios.machine(scenarios.load("goes_by_xdp_between_two_cards"))
    wanted = scenarios.load("goes_by_xdp_between_two_cards").wanted
    machine.host.refuses = lambda step: isinstance(step, StartFastPath)
    slow = {"native_xdp": False, "why_not_native": "the driver refused"}
    machine.host.other_ways = [_slower(lan0=slow), _slower(kernel={"bpf": False, "why_not_bpf": "it refused"})]
    told: list[str] = []
    prepared: list[bool] = []
    outcome = machine.engine.apply(wanted, told.append, prepare=lambda: prepared.append(True))
    assert [one.path for one in outcome.plan.paths] == [Path.FLOWTABLE]
    assert [type(step) for step in machine.host.ran].count(StartFastPath) == 2
    assert sum("trying another way" in line for line in told) == 2
    assert prepared == [True]
    assert machine.journal.record is not None
    assert machine.journal.record.complete
    assert machine.engine.propose(wanted).changes == ()


def test_a_fast_path_that_is_refused_and_was_asked_for_by_name_is_an_error() -> None:
    scenario = scenarios.load("goes_by_xdp_between_two_cards")
    machine = scenarios.machine(scenario)
    machine.host.refuses = lambda step: isinstance(step, StartFastPath)
    machine.host.other_ways = [_slower()]
    assert scenario.wanted.sharing is not None
    forced = replace(scenario.wanted, sharing=replace(scenario.wanted.sharing, fast_path=Mode.XDP))
    with pytest.raises(HostError):
        machine.engine.apply(forced)
    assert settled(machine.host.snapshot) == settled(scenario.host)
    assert machine.journal.record is None


@ALL
def test_stop_after_a_kill_at_any_moment_gives_back_the_host(name: str) -> None:
    scenario = scenarios.load(name)
    for dead in lives(lambda: scenarios.machine(scenario), lambda engine: engine.apply(scenario.wanted)):
        dead.engine.stop()
        assert settled(dead.host.snapshot) == settled(scenario.host)
        assert dead.journal.record is None


@ALL
def test_sharing_after_a_kill_at_any_moment_gets_there(name: str) -> None:
    scenario = scenarios.load(name)
    whole = scenarios.machine(scenario)
    whole.engine.apply(scenario.wanted)
    for dead in lives(lambda: scenarios.machine(scenario), lambda engine: engine.apply(scenario.wanted)):
        dead.engine.apply(scenario.wanted)
        assert settled(dead.host.snapshot) == settled(whole.host.snapshot)
        assert dead.engine.propose(scenario.wanted).changes == ()
        dead.engine.stop()
        assert settled(dead.host.snapshot) == settled(scenario.host)


@ALL
def test_stop_killed_at_any_moment_can_be_finished(name: str) -> None:
    scenario = scenarios.load(name)

    def shared() -> Machine:
        machine = scenarios.machine(scenario)
        machine.engine.apply(scenario.wanted)
        return machine

    for dead in lives(shared, Engine.stop):
        dead.engine.stop()
        assert settled(dead.host.snapshot) == settled(scenario.host)
        assert dead.journal.record is None


@CHANGES
def test_rollback_killed_at_any_moment_can_still_be_taken_back(name: str) -> None:
    """The worst case: a change between two sharings fails at its end, and the process dies while it rolls back."""
    scenario = scenarios.load(name)

    def failing() -> Machine:
        machine = scenarios.machine(scenario)
        failed = Check(name="dns", grade=Grade.FAILED, text="nobody answers")
        machine.host.health = Health(checks=(failed,))
        return machine

    def share(engine: Engine) -> None:
        with pytest.raises(VerificationError):
            engine.apply(scenario.wanted)

    for dead in lives(failing, share):
        dead.engine.stop()
        assert settled(dead.host.snapshot) == settled(scenario.host)


@ALL
def test_what_is_undone_behind_our_back_is_done_again(name: str) -> None:
    """A bridge that was deleted came back without ports: with nothing to change, those steps seemed in force."""
    scenario = scenarios.load(name)
    machine = scenarios.machine(scenario)
    steps = machine.engine.apply(scenario.wanted).plan.steps
    whole = machine.host.snapshot
    for step in steps:
        machine.host.snapshot = after(whole, step.inverse())
        drifted = machine.host.snapshot != whole
        assert bool(machine.engine.apply(scenario.wanted).changes) == drifted
        assert settled(machine.host.snapshot) == settled(whole)
    machine.engine.stop()
    assert settled(machine.host.snapshot) == settled(scenario.host)


@CHANGES
def test_the_rulesets_are_made_first_and_taken_back_last_whatever_was_shared_before(name: str) -> None:
    scenario = scenarios.load(name)
    machine = scenarios.machine(scenario)
    machine.engine.apply(scenario.wanted)
    made = [step for _, step in steps_on_record(machine)]
    rulesets = [LoadFirewall, LoadRuleset] if scenario.wanted.firewalls else [LoadRuleset]
    assert [type(step) for step in made[: len(rulesets)]] == rulesets
    machine.engine.stop()
    assert machine.host.ran[-len(rulesets) :] == [step.inverse() for step in reversed(made[: len(rulesets)])]


def test_stopping_twice_does_nothing_the_second_time() -> None:
    scenario, machine = simple()
    machine.engine.apply(scenario.wanted)
    assert machine.engine.stop() > 0
    ran = len(machine.host.ran)
    assert machine.engine.stop() == 0
    assert len(machine.host.ran) == ran


def test_stop_goes_on_past_errors_reports_them_all_and_keeps_them_on_record() -> None:
    scenario, machine = simple()
    machine.engine.apply(scenario.wanted)
    machine.host.refuses = lambda step: isinstance(step, SetSysctl)
    with pytest.raises(ExceptionGroup, match="2 of 7 steps could not be taken back") as caught:
        machine.engine.stop()
    notes = [note for error in caught.value.exceptions for note in error.__notes__]
    assert notes == [
        "while: sysctl net.ipv4.conf.wan0.forwarding: 1 -> 0",
        "while: sysctl net.ipv4.conf.lan0.forwarding: 1 -> 0",
    ]
    assert [type(step) for _, step in steps_on_record(machine)] == [SetSysctl, SetSysctl]
    assert machine.journal.record is not None
    assert not machine.journal.record.complete
    machine.host.refuses = lambda _: False
    assert machine.engine.stop() == 2
    assert settled(machine.host.snapshot) == settled(scenario.host)


def test_a_sharing_that_does_not_work_is_rolled_back_with_its_findings_and_remedies() -> None:
    scenario, machine = simple()
    machine.host.health = Health(
        checks=(
            Check(name="dns", grade=Grade.FAILED, text="nobody answers", remedy="start it"),
            Check(name="rules", grade=Grade.OK, text="fine"),
            Check(name="forward", grade=Grade.FAILED, text="another firewall drops", remedy="stop it"),
            Check(name="mtu", grade=Grade.WARNING, text="small", remedy="mind it"),
        )
    )
    with pytest.raises(VerificationError, match=r"^nobody answers; another firewall drops$") as caught:
        machine.engine.apply(scenario.wanted)
    assert caught.value.hint == "start it\nstop it"
    assert settled(machine.host.snapshot) == settled(scenario.host)
    assert machine.journal.record is None


def test_a_finding_without_a_remedy_gives_no_hint() -> None:
    scenario, machine = simple()
    machine.host.health = Health(checks=(Check(name="dns", grade=Grade.FAILED, text="nobody answers"),))
    with pytest.raises(VerificationError) as caught:
        machine.engine.apply(scenario.wanted)
    assert caught.value.hint is None


@pytest.mark.parametrize("forgotten", [LoadRuleset, SetSysctl, AddAddress, StartService])
def test_a_step_that_came_to_nothing_is_no_success(forgotten: type) -> None:
    scenario, _ = simple()
    machine = Machine(host=ForgetfulHost(scenario.host, forgotten), journal=FakeJournal())
    with pytest.raises(VerificationError, match=r"^the host did not keep: "):
        machine.engine.apply(scenario.wanted)
    assert settled(machine.host.snapshot) == settled(scenario.host)
    assert machine.journal.record is None


def test_a_private_that_vanishes_meanwhile_is_no_success() -> None:
    """Steps on a link that is gone are no errors, but they are not in force either."""

    class Unplugging(FakeHost):
        def run(self, step: AnyStep) -> None:
            super().run(step)
            if isinstance(step, StartService):
                links = tuple(link for link in self.snapshot.links if link.name != "lan0")
                addresses = tuple(one for one in self.snapshot.addresses if one.index in {link.index for link in links})
                self.snapshot = replace(self.snapshot, links=links, addresses=addresses)

    scenario, _ = simple()
    machine = Machine(host=Unplugging(scenario.host), journal=FakeJournal())
    with pytest.raises(VerificationError, match=r"^the host did not keep: .*address 192.168.137.1/24: add to lan0$"):
        machine.engine.apply(scenario.wanted)
    assert machine.journal.record is None


def test_what_cannot_be_rolled_back_is_noted_and_stays_on_record() -> None:
    scenario, machine = simple()
    machine.host.refuses = lambda step: (
        isinstance(step, StartService) or step.describe().endswith("wan0.forwarding: 1 -> 0")
    )
    with pytest.raises(HostError) as caught:
        machine.engine.apply(scenario.wanted)
    assert caught.value.__notes__[0].startswith("while: dnsmasq: start")
    assert caught.value.__notes__[1:] == [
        "not rolled back: sysctl net.ipv4.conf.wan0.forwarding: 0 -> 1: the fake host refuses step 11"
    ]
    assert [step.describe() for _, step in steps_on_record(machine)] == ["sysctl net.ipv4.conf.wan0.forwarding: 0 -> 1"]
    machine.host.refuses = lambda _: False
    machine.engine.stop()
    assert settled(machine.host.snapshot) == settled(scenario.host)


@pytest.mark.parametrize("room", range(7))
def test_a_journal_that_cannot_be_written_is_a_failure_like_any_other(room: int) -> None:
    """The last line was written outside of what is rolled back: the sharing stayed, and nobody was told so."""
    scenario, _ = simple()
    journal = FullJournal()
    machine = Machine(host=FakeHost(scenario.host), journal=journal)
    journal.room = room
    with pytest.raises(HostError, match="No space left"):
        machine.engine.apply(scenario.wanted)
    assert settled(machine.host.snapshot) == settled(scenario.host)


def test_a_rollback_that_cannot_be_put_on_record_says_so() -> None:
    scenario = scenarios.load("changes_the_public_connection")
    journal = FullJournal()
    machine = Machine(host=FakeHost(scenario.host), journal=journal)
    assert scenario.present is not None
    machine.engine.apply(scenario.present)
    before = machine.host.snapshot
    journal.room = 2  # enough to begin the second step, which fails before anything has to be put on record again
    with pytest.raises(HostError) as caught:
        machine.engine.apply(scenario.wanted)
    assert any(note.startswith("not rolled back: ") for note in caught.value.__notes__)
    journal.room = -1
    machine.engine.apply(scenario.present)
    assert settled(machine.host.snapshot) == settled(before)
    machine.engine.stop()
    assert settled(machine.host.snapshot) == settled(scenario.host)


def test_a_clean_rollback_that_cannot_be_noted_says_so() -> None:
    scenario = scenarios.load("changes_the_public_connection")
    journal = FullJournal()
    machine = Machine(host=FakeHost(scenario.host), journal=journal)
    assert scenario.present is not None
    machine.engine.apply(scenario.present)
    before = machine.host.snapshot
    journal.room = 1  # to begin the first step, which fails; nothing has to be put on record again but that all is well
    machine.host.fail_at = len(machine.host.ran) + 1
    with pytest.raises(HostError) as caught:
        machine.engine.apply(scenario.wanted)
    assert caught.value.__notes__[1:] == [
        "rolled back, but not noted so: the journal cannot be written: No space left on device"
    ]
    assert settled(machine.host.snapshot) == settled(before)
    journal.room = -1
    assert machine.engine.apply(scenario.present).changes == ()
    assert machine.journal.record is not None
    assert machine.journal.record.complete


def test_a_failure_after_a_kill_does_not_pass_for_a_whole_sharing() -> None:
    """What the dead process left is brought back by the rollback, and stays what it was: half of a change."""
    scenario, machine = simple()
    with pytest.raises(KilledError):
        mortal(machine, Life(5)).apply(scenario.wanted)
    before = steps_on_record(machine)
    machine.host.fail_at = len(machine.host.ran) + 1
    with pytest.raises(HostError):
        machine.engine.apply(scenario.wanted)
    assert steps_on_record(machine) == before
    assert machine.journal.record is not None
    assert not machine.journal.record.complete


def test_what_the_machine_objects_to_beforehand_touches_nothing() -> None:
    class Objecting(FakeHost):
        def preflight(self, plan: Plan) -> None:  # noqa: ARG002 (the port's signature)
            raise ConflictError(f"{scenario.wanted.sharing} is in use")

    scenario, _ = simple()
    machine = Machine(host=Objecting(scenario.host), journal=FakeJournal())
    with pytest.raises(ConflictError, match="is in use"):
        machine.engine.apply(scenario.wanted)
    assert machine.host.ran == []
    assert machine.journal.record is None


def test_a_refused_sharing_leaves_the_present_one_alone() -> None:
    scenario, machine = simple()
    machine.engine.apply(scenario.wanted)
    before, record = machine.host.snapshot, machine.journal.record
    with pytest.raises(RefusedError):
        machine.engine.apply(Wanted(sharing=Sharing(public=InterfaceName("wan0"), privates=())))
    assert machine.host.snapshot is before
    assert machine.journal.record is record


def test_every_change_is_told_before_it_is_made() -> None:
    scenario, machine = simple()
    told: list[str] = []
    machine.engine.apply(scenario.wanted, told.append)
    assert told == [step.describe() for step in machine.host.ran]
    told.clear()
    machine.host.ran.clear()
    machine.engine.stop(told.append)
    assert told == [step.describe() for step in machine.host.ran]


def test_rolling_back_is_told_too() -> None:
    scenario, machine = simple()
    machine.host.fail_at = 2
    told: list[str] = []
    with pytest.raises(IcshareError):
        machine.engine.apply(scenario.wanted, told.append)
    second, first = told[1], told[0]
    assert told == [first, second, f"rolling back: {second}", f"rolling back: {first}"]


def test_baseline_is_the_host_without_us() -> None:
    scenario, machine = simple()
    assert machine.engine.baseline(machine.engine.record()) == scenario.host
    machine.engine.apply(scenario.wanted)
    assert settled(machine.engine.baseline(machine.engine.record())) == settled(scenario.host)


def test_what_somebody_else_changed_meanwhile_is_left_as_they_made_it() -> None:
    """Only what we did is taken back: an address that the administrator adds while we share stays."""
    scenario, machine = simple()
    machine.engine.apply(scenario.wanted)
    lan0 = machine.host.snapshot.link("lan0")
    assert lan0 is not None
    (own,) = [step for _, step in steps_on_record(machine) if isinstance(step, AddAddress)]
    foreign = AddAddress(link=own.link, address=type(own.address)("10.77.0.1/24"))
    machine.host.snapshot = after(machine.host.snapshot, foreign)
    assert machine.engine.propose(scenario.wanted).changes != ()
    machine.engine.stop()
    assert settled(machine.host.snapshot) == settled(after(scenario.host, foreign))


def test_what_a_rollback_cannot_do_again_is_told() -> None:
    """NetworkManager clears a link when its access point is put back; to give the link its master again fails too."""
    scenario = scenarios.load("moves_networkmanagers_access_point_to_another_channel")
    machine = scenarios.machine(scenario)
    done = len(machine.host.ran)
    machine.host.refuses = lambda step: isinstance(step, SetMaster) and len(machine.host.ran) in {done + 2, done + 5}
    with pytest.raises(HostError) as caught:
        machine.engine.apply(scenario.wanted)
    assert [note.partition(":")[0] for note in caught.value.__notes__][-1] == "not all that was in force is again"
    assert machine.journal.record is not None
    assert not machine.journal.record.complete
    machine.host.refuses = lambda _: False
    machine.engine.stop()
    assert settled(machine.host.snapshot) == settled(scenario.host)
