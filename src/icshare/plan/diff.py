"""From the steps in force to the steps wanted, by the fewest changes.

Steps with one key are values of one thing: an equal value is kept, another value replaces the old one in its place, and
what nobody wants any more is taken back. Additions come before removals, so a link is never left bare and a client that
stays notices nothing; removals go in reverse order of their making.

The order in which steps are taken back at the end is not the order of time but their *rank*: a replacement inherits the
rank of what it replaces, so the ruleset stays the first thing done and the last undone however often it changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from icshare.model.snapshot import Snapshot
from icshare.plan.steps import AnyStep, RemoveAddress
from icshare.plan.transition import after, in_force


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A step on record.

    Attributes:
        number: Its number in the journal, in order of time.
        rank: Its place in the order of undoing: higher ranks are undone first.
        step: The step.
    """

    number: int
    rank: int
    step: AnyStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Do:
    """Run a step.

    Attributes:
        step: The step.
        rank: Its place in the order of undoing, None for a new one at the end.
        replaces: The entries it takes the place of: they are no longer undone.
    """

    step: AnyStep
    rank: int | None = None
    replaces: tuple[Entry, ...] = ()

    def describe(self) -> str:
        """Say in one line what is done."""
        return self.step.describe()


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """Take a step on record back."""

    entry: Entry

    def describe(self) -> str:
        """Say in one line what is done."""
        return self.entry.step.inverse().describe()


Change = Do | Undo
"""One change of the host."""


def changes(present: Sequence[Entry], wanted: Sequence[AnyStep], observed: Snapshot) -> tuple[Change, ...]:
    """Return what leads from the steps *present* to the steps *wanted*.

    Args:
        present: The entries on record, in any order.
        wanted: All steps of the new plan, in order.
        observed: The host as it is: a step on record that something else has undone is run again.

    Returns:
        The changes in the order to make them; () when the host is as wanted.
    """
    by_key: dict[str, list[Entry]] = {}
    for entry in sorted(present, key=lambda one: one.rank):
        by_key.setdefault(entry.step.key, []).append(entry)
    result: list[Change] = []
    reached = observed  # what a change takes away that a later step has given is given again
    wanted_keys = {step.key for step in wanted}
    for step in wanted:
        old = by_key.get(step.key, [])
        if len(old) == 1 and _equal(old[0].step, step) and in_force(reached, step):
            continue
        rank = min((entry.rank for entry in old), default=None)
        result.append(Do(step=step, rank=rank, replaces=tuple(old)))
        reached = after(reached, step)
    gone = [entry for entry in present if entry.step.key not in wanted_keys]
    result += [Undo(entry=entry) for entry in sorted(gone, key=lambda one: one.rank, reverse=True)]
    return tuple(result)


def _equal(old: AnyStep, new: AnyStep) -> bool:
    """Tell whether both want the same; when an address was taken away is the past's business."""
    if isinstance(old, RemoveAddress) and isinstance(new, RemoveAddress):
        return msgspec.structs.replace(new, taken=old.taken) == old
    return old == new
