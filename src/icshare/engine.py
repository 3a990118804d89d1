"""Observe, plan, execute, verify, roll back.

Theory of operation
-------------------
`apply` holds the one lock from the first look at the host to the last. It observes, plans on the host as it would be
without us, and lets the machine object (`Host.preflight`) before anything is touched. Then it makes the changes one by
one; each is on disk, with what takes it back, before it is made. A change that fails is the end: what this call has
done is taken back in strict reverse, and what that undid of the sharing before is done again; so the host is as it was
when the call began, be that unshared or another sharing. At last the host is read and tested; a sharing that does not
work is no success and is rolled back as well.

`stop` needs nothing but the journal. It takes back what is there, goes on past errors, and reports them all. What could
not be taken back stays on record, so that it can be tried again.

A process that dies anywhere leaves a journal whose entries are a superset of what was done (an entry is written before
its step runs), and every inverse is tolerant of finding its work done. So the next `stop` gives back the same host.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from icshare.errors import IcshareError, VerificationError
from icshare.model.connection import Connection
from icshare.model.fastpath import Mode
from icshare.model.sharing import Wanted
from icshare.model.snapshot import Snapshot
from icshare.model.status import Health
from icshare.plan.diff import Change, Do, Entry, Undo, changes
from icshare.plan.planner import Plan, make_plan
from icshare.plan.segments import Present
from icshare.plan.steps import AnyStep, CreateBridge, SetConntrack
from icshare.plan.transition import in_force, rewind
from icshare.ports import Host, Journal, Progress, Record, silent

log = logging.getLogger(__name__)

Inspector = Callable[[Snapshot], Sequence[Connection]]
"""Turns a host without us into its connections and their verdicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A plan and what it takes to get there.

    Attributes:
        plan: The plan, from a host without us.
        changes: What has to be done on the host as it is.
    """

    plan: Plan
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was brought into force and proved to work.

    Attributes:
        plan: What is in force.
        changes: What was done; () if the host was as wanted.
        health: What the self-test found.
    """

    plan: Plan
    changes: tuple[Change, ...]
    health: Health


_Done = tuple[Change, Entry | None]
"""A change that was begun, and its entry unless it takes one back."""


class Engine:
    """The one way to change what is shared."""

    def __init__(self, host: Host, journal: Journal, inspect: Inspector) -> None:
        self._host = host
        self._journal = journal
        self._inspect = inspect
        self._refused: AnyStep | None = None

    def propose(self, wanted: Wanted) -> Proposal:
        """Return what `apply` would do, without doing it.

        Raises:
            RefusedError: The sharing may not be; carries every problem.
            ConflictError: It clashes with this host.
        """
        return self._propose(wanted, self._journal.load())

    def apply(
        self, wanted: Wanted, progress: Progress = silent, *, prepare: Callable[[], None] = lambda: None
    ) -> Outcome:
        """Bring *wanted* into force and prove it.

        Args:
            wanted: What is to be in force.
            progress: Told before each change.
            prepare: Called when nothing speaks against it any more, before anything is touched.

        Raises:
            RefusedError: The sharing may not be; nothing was touched.
            ConflictError: It clashes with this host; nothing was touched.
            HostError: The machine refused a step; everything was rolled back.
            VerificationError: It does not work; everything was rolled back.
        """
        with self._journal.lock():
            proposal = self._preflighted(wanted)
            prepare()
            while True:
                try:
                    return self._reach(proposal, progress)
                except IcshareError as error:
                    if not self._has_another_way(wanted, error):
                        raise
                    progress(f"{error}; trying another way")
                proposal = self._preflighted(wanted)

    def _preflighted(self, wanted: Wanted) -> Proposal:
        proposal = self._propose(wanted, self._journal.load())
        self._host.preflight(proposal.plan)
        return proposal

    def _reach(self, proposal: Proposal, progress: Progress) -> Outcome:
        """Make the changes and prove them, or roll back."""
        record = self._journal.load()
        done: list[_Done] = []
        try:
            for change in proposal.changes:
                progress(change.describe())
                self._make(change, done)
            health = self._verify(proposal.plan)
            self._journal.complete(proposal.plan)
        except BaseException as error:  # cancellation must roll back too
            self._roll_back(record, done, error, progress)
            raise
        return Outcome(plan=proposal.plan, changes=proposal.changes, health=health)

    def _has_another_way(self, wanted: Wanted, error: IcshareError) -> bool:
        """Tell whether what failed was a fast path that nobody has asked for by name, and there is another."""
        step, self._refused = self._refused, None
        chosen = wanted.sharing is not None and wanted.sharing.fast_path is Mode.AUTO
        return chosen and step is not None and self._host.has_another_way(step, error)

    def stop(self, progress: Progress = silent) -> int:
        """Take everything back.

        Returns:
            How many steps were taken back; 0 when nothing was shared.

        Raises:
            ExceptionGroup: Some steps could not be taken back (`HostError` each); the others were.
        """
        with self._journal.lock():
            record = self._journal.load()
            if record is None:
                self._journal.clear()  # of a process killed while it began: half a first line
                return 0
            failures: list[IcshareError] = []
            for entry in sorted(record.entries, key=_order, reverse=True):
                step: AnyStep = entry.step.inverse()
                progress(step.describe())
                try:
                    self._run(step)
                except IcshareError as error:
                    failures.append(error)
                else:
                    self._journal.gone(entry)
            if failures:
                raise ExceptionGroup(
                    f"{len(failures)} of {len(record.entries)} steps could not be taken back", failures
                )
            self._journal.clear()
            return len(record.entries)

    def record(self) -> Record | None:
        """Return what is on record, None when nothing is shared."""
        return self._journal.load()

    def baseline(self, record: Record | None) -> Snapshot:
        """Return the host as it would be without us."""
        observed = self._host.observe()
        return rewind(observed, [entry.step for entry in record.entries]) if record else observed

    def _propose(self, wanted: Wanted, record: Record | None) -> Proposal:
        observed = self._host.observe()
        entries = record.entries if record else ()
        baseline = rewind(observed, [entry.step for entry in entries])
        plan = make_plan(wanted, baseline, self._inspect(baseline), self._host.environment, _present(record))
        return Proposal(plan=plan, changes=changes(entries, plan.steps, observed))

    def _make(self, change: Change, done: list[_Done]) -> None:
        if isinstance(change, Do):
            entry = self._journal.begin(change.step, change.rank)
            done.append((change, entry))
            self._run(change.step)
            for old in change.replaces:
                self._journal.gone(old)
        else:
            done.append((change, None))
            self._run(change.entry.step.inverse())
            self._journal.gone(change.entry)

    def _run(self, step: AnyStep) -> None:
        log.info("%s", step.describe())
        try:
            self._host.run(step)
        except IcshareError as error:
            error.add_note(f"while: {step.describe()}")
            self._refused = step
            raise

    def _verify(self, plan: Plan) -> Health:
        observed = self._host.observe()
        missing = [step.describe() for step in plan.steps if not in_force(observed, step)]
        if missing:
            raise VerificationError(f"the host did not keep: {'; '.join(missing)}")
        health = self._host.check(plan.wanted, plan.segments)
        if not health.ok:
            raise VerificationError(
                "; ".join(check.text for check in health.failures),
                hint="\n".join(check.remedy for check in health.failures if check.remedy) or None,
            )
        return health

    def _roll_back(
        self, before: Record | None, done: Sequence[_Done], error: BaseException, progress: Progress
    ) -> None:
        """Return to where this call began; what fails becomes a note of *error*."""
        clean = True
        for change, entry in reversed(done):
            progress(f"rolling back: {change.describe()}")
            try:
                self._take_back(change, entry)
            except IcshareError as failure:
                clean = False
                error.add_note(f"not rolled back: {change.describe()}: {failure}")
        if not clean:
            return
        if before is not None and before.complete and done:
            try:
                self._give_again(before)
            except IcshareError as failure:
                error.add_note(f"not all that was in force is again: {failure}")
                return
        try:
            if before is None or not before.entries:
                self._journal.clear()
            elif before.complete and done:
                steps = tuple(entry.step for entry in before.entries)
                self._journal.complete(
                    Plan(
                        wanted=before.wanted,
                        segments=before.segments,
                        steps=steps,
                        notes=before.notes,
                        paths=before.paths,
                    )
                )
        except IcshareError as failure:
            error.add_note(f"rolled back, but not noted so: {failure}")

    def _give_again(self, record: Record) -> None:
        """Run the steps on record again that are not in force: what was taken back last may have undone them."""
        observed = self._host.observe()
        for entry in sorted(record.entries, key=_order):
            if not in_force(observed, entry.step):
                self._run(entry.step)
                observed = self._host.observe()

    def _take_back(self, change: Change, entry: Entry | None) -> None:
        if isinstance(change, Undo):
            self._redo(change.entry)
            return
        for old in change.replaces:
            self._redo(old)
        if not change.replaces:
            self._host.run(change.step.inverse())
        assert entry is not None, "every step is on record before it runs"
        self._journal.gone(entry)

    def _redo(self, entry: Entry) -> None:
        """Bring a step that this call has taken back, or replaced, into force again."""
        record = self._journal.load()
        if record is None or entry not in record.entries:
            self._journal.begin(entry.step, entry.rank)
        self._host.run(entry.step)


def _order(entry: Entry) -> tuple[int, int]:
    """Return the key of the order in which steps were made: by rank, and a replacement after what it replaces."""
    return entry.rank, entry.number


def _present(record: Record | None) -> Present | None:
    if record is None:
        return None
    bridge = next((entry.step for entry in record.entries if isinstance(entry.step, CreateBridge)), None)
    members = tuple(name for segment in record.segments for name in segment.members)
    went_fast = any(isinstance(entry.step, SetConntrack) for entry in record.entries)
    return Present(members=members, bridge_mac=bridge.mac if bridge else None, went_fast=went_fast)
