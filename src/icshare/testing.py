"""Fakes to test with: a host and a journal that live in memory, and obey the same contracts as the real ones."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

from icshare.errors import HostError, IcshareError
from icshare.model.fastpath import Abilities
from icshare.model.sharing import Segment, Wanted
from icshare.model.snapshot import Snapshot
from icshare.model.state import State
from icshare.model.status import Check, Grade, Health
from icshare.plan.diff import Entry
from icshare.plan.planner import Environment, Plan
from icshare.plan.statebook import Book
from icshare.plan.staterecords import Fact
from icshare.plan.steps import AnyStep, StartFastPath
from icshare.plan.transition import after
from icshare.ports import Record
from icshare.render.dnsmasq import ServiceFiles


class FakeHost:
    """A host whose whole behaviour is `transition.after`.

    Attributes:
        snapshot: The host as it is now.
        ran: Every step that was run, in order.
        fail_at: Number of runs, from 1, at which a step fails and changes nothing; 0 never.
        refuses: Tells of a step that it always fails.
        other_ways: What its links can do for a fast path when one has failed, one after the other.
        health: What `check` finds.
        account: User id of dnsmasq, None when it has none of its own.
        abilities: What its links can do for a fast path, None when that is not known.
        direct: The file that names whom a name server on this host asks, None without one.
    """

    def __init__(self, snapshot: Snapshot, *, fail_at: int = 0) -> None:
        self.snapshot = snapshot
        self.ran: list[AnyStep] = []
        self.fail_at = fail_at
        self.account: int | None = 65_527
        self.direct: str | None = None
        self.abilities: Abilities | None = None
        self.other_ways: list[Abilities] = []
        self.refuses: Callable[[AnyStep], bool] = lambda _: False
        self.health = Health(checks=(Check(name="fake", grade=Grade.OK, text="all is well"),))

    def observe(self) -> Snapshot:
        """Return the host as it is."""
        return self.snapshot

    def run(self, step: AnyStep) -> None:
        """Apply *step*, or fail when its turn has come."""
        self.ran.append(step)
        if len(self.ran) == self.fail_at or self.refuses(step):
            raise HostError(f"the fake host refuses step {len(self.ran)}")
        self.snapshot = after(self.snapshot, step)

    def has_another_way(self, step: AnyStep, error: IcshareError) -> bool:  # noqa: ARG002 (the port's signature)
        """Take the next of the other ways, if there is one."""
        if not isinstance(step, StartFastPath) or not self.other_ways:
            return False
        self.abilities = self.other_ways.pop(0)
        return True

    def preflight(self, plan: Plan) -> None:
        """Accept every plan."""

    def check(self, wanted: Wanted, segments: Sequence[Segment]) -> Health:  # noqa: ARG002 (the port's signature)
        """Return the health that the test has set."""
        return self.health

    @property
    def environment(self) -> Environment:
        """Paths that need not exist."""
        files = ServiceFiles(
            pid="/run/icshare/dnsmasq.pid",
            leases="/run/icshare/dnsmasq.leases",
            resolv=("/etc/resolv.conf",),
            direct=self.direct,
        )
        return Environment(
            files=files,
            user="dnsmasq",
            account=self.account,
            profile=UUID(int=1),
            abilities=lambda _: self.abilities,
        )


class FakeJournal:
    """A journal in memory.

    Attributes:
        record: What is on record.
        locked: Somebody holds the lock.
    """

    def __init__(self) -> None:
        self.record: Record | None = None
        self.locked = False
        self._number = 0
        self._rank = 0

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock; taking it twice is a bug of ours."""
        assert not self.locked, "the lock is held"
        self.locked = True
        try:
            yield
        finally:
            self.locked = False

    def load(self) -> Record | None:
        """Return what is on record."""
        return self.record

    def begin(self, step: AnyStep, rank: int | None) -> Entry:
        """Put *step* on record."""
        self._number += 1
        if rank is None:
            rank = self._rank + 1
        self._rank = max(self._rank, rank)
        entry = Entry(number=self._number, rank=rank, step=step)
        record = self.record or Record(sharing=None)
        entries = sorted((*record.entries, entry), key=lambda one: one.rank)
        self.record = replace(record, entries=tuple(entries), complete=False)
        return entry

    def gone(self, entry: Entry) -> None:
        """Note that *entry* is no longer in force."""
        assert self.record is not None
        entries = tuple(one for one in self.record.entries if one.number != entry.number)
        self.record = replace(self.record, entries=entries, complete=False)

    def complete(self, plan: Plan) -> None:
        """Note that *plan* is in force."""
        record = self.record or Record(sharing=None)
        self.record = replace(
            record,
            sharing=plan.wanted.sharing,
            segments=plan.segments,
            firewalls=plan.wanted.firewalls,
            notes=plan.notes,
            paths=plan.paths,
            complete=True,
        )

    def clear(self) -> None:
        """Forget everything."""
        self.record = None
        self._number = self._rank = 0


class FakeStore:
    """A state in memory.

    Attributes:
        unfinished: The mark that a change of the kernel's mappings is under way.
        locked: How often the lock is held, by its one holder.
        refuses: Tells of facts that they cannot be written.
    """

    def __init__(self) -> None:
        self.unfinished = False
        self.locked = 0
        self.refuses: Callable[[Sequence[Fact]], bool] = lambda _: False
        self._book = Book()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock; its holder may take it again."""
        self.locked += 1
        try:
            yield
        finally:
            self.locked -= 1

    def load(self) -> State:
        """Return everything asked for."""
        return self._book.state

    def append(self, *facts: Fact) -> None:
        """Take *facts* in, or fail when the test says so."""
        assert self.locked, "the state's lock is not held"
        if self.refuses(facts):
            raise HostError("the fake store refuses to be written")
        self._book.refuse(facts)
        self._book.take(facts)
