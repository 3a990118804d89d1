"""From the steps in force to the steps wanted: no more than needed, nothing left bare, everything in its place."""

from functools import reduce
from ipaddress import IPv4Interface

from hypothesis import given
from hypothesis import strategies as st
from tests import strategies
from tests.hosts import snapshot

from icshare.model.sharing import BRIDGE_NAME
from icshare.model.snapshot import Snapshot
from icshare.plan.diff import Change, Do, Entry, Undo, changes
from icshare.plan.steps import AnyStep, LinkRef, LoadRuleset, RemoveAddress, SetSysctl
from icshare.plan.transition import after

HOST = snapshot({"links": [{"name": name} for name in (*strategies.NAMES, BRIDGE_NAME, "br7")]})
"""Every link that the strategies name is there, so that no step is in vain."""

step_lists = st.lists(strategies.steps, unique_by=lambda step: step.key, max_size=8)


def entries(steps: list[AnyStep]) -> list[Entry]:
    return [Entry(number=number, rank=number, step=step) for number, step in enumerate(steps, start=1)]


def record_after(present: list[Entry], made: tuple[Change, ...]) -> list[Entry]:
    """Return what is on record when the changes have been made, as the engine keeps it."""
    record = list(present)
    for number, change in enumerate(made, start=100):
        if isinstance(change, Do):
            rank = change.rank if change.rank is not None else max((one.rank for one in record), default=0) + 1
            record = [one for one in record if one not in change.replaces]
            record.append(Entry(number=number, rank=rank, step=change.step))
        else:
            record.remove(change.entry)
    return sorted(record, key=lambda one: one.rank)


def in_force_on(host: Snapshot, steps: list[AnyStep]) -> Snapshot:
    return reduce(after, steps, host)


@given(step_lists)
def test_a_converged_host_needs_nothing(steps: list[AnyStep]) -> None:
    for step in steps:  # one by one: some of them undo each other
        assert changes(entries([step]), [step], in_force_on(HOST, [step])) == ()


@given(step_lists, step_lists)
def test_what_is_on_record_in_the_end_is_what_was_wanted(present: list[AnyStep], wanted: list[AnyStep]) -> None:
    old = entries(present)
    made = changes(old, wanted, in_force_on(HOST, present))
    assert {one.step.key: one.step for one in record_after(old, made)} == {step.key: step for step in wanted}
    assert len(record_after(old, made)) == len(wanted)


@given(step_lists, step_lists)
def test_additions_come_before_removals_and_removals_undo_the_newest_first(
    present: list[AnyStep], wanted: list[AnyStep]
) -> None:
    made = changes(entries(present), wanted, in_force_on(HOST, present))
    undone = [change for change in made if isinstance(change, Undo)]
    assert list(made[len(made) - len(undone) :]) == undone
    ranks = [change.entry.rank for change in undone]
    assert ranks == sorted(ranks, reverse=True)
    order = [step.key for step in wanted]
    added = [order.index(change.step.key) for change in made if isinstance(change, Do)]
    assert added == sorted(added)


@given(step_lists, step_lists)
def test_a_replacement_takes_the_rank_of_what_it_replaces(present: list[AnyStep], wanted: list[AnyStep]) -> None:
    old = {entry.step.key: entry for entry in entries(present)}
    for change in changes(list(old.values()), wanted, in_force_on(HOST, present)):
        if isinstance(change, Do):
            before = old.get(change.step.key)
            assert change.rank == (before.rank if before else None)
            assert change.replaces == ((before,) if before else ())


def test_a_step_that_was_undone_behind_our_back_is_run_again_in_its_place() -> None:
    step = LoadRuleset(text="one")
    (entry,) = entries([step])
    assert changes([entry], [step], HOST) == (Do(step=step, rank=1, replaces=(entry,)),)


def test_two_entries_of_one_thing_become_one_with_the_smaller_rank() -> None:
    """A process that died between a replacement and the note that the old one is gone leaves both."""
    old = Entry(number=1, rank=1, step=LoadRuleset(text="one"))
    new = Entry(number=9, rank=1, step=LoadRuleset(text="two"))
    wanted = LoadRuleset(text="two")
    made = changes([new, old], [wanted], after(HOST, wanted))
    assert made == (Do(step=wanted, rank=1, replaces=(new, old)),)


def test_when_an_address_was_taken_away_makes_no_difference() -> None:
    interface, link = IPv4Interface("10.0.0.1/24"), LinkRef(strategies.NAMES[0], 2)
    before = RemoveAddress(link=link, address=interface, raw=b"raw", taken=5.0)
    now = RemoveAddress(link=link, address=interface, raw=b"raw", taken=500.0)
    assert changes(entries([before]), [now], HOST) == ()


def test_a_device_that_was_unplugged_is_not_mistaken_for_its_successor() -> None:
    """Both are called lan0: what was done to the first is taken back from that one alone, wherever it is now."""
    first = SetSysctl(link=LinkRef(strategies.NAMES[1], 77), setting="ipv4/forwarding", value="1", previous="0")
    second = SetSysctl(link=LinkRef(strategies.NAMES[1], 3), setting="ipv4/forwarding", value="1", previous="0")
    (entry,) = entries([first])
    assert changes([entry], [second], HOST) == (Do(step=second), Undo(entry=entry))


def test_changes_describe_themselves() -> None:
    step = LoadRuleset(text="one")
    assert Do(step=step).describe() == step.describe()
    assert Undo(entry=Entry(number=1, rank=1, step=step)).describe() == "nftables: delete table inet icshare"
