"""Processes that die at a chosen moment, as by SIGKILL: what they would still do does not happen."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.hosts import connections_of
from tests.scenarios import Machine

from icshare.engine import Engine
from icshare.errors import IcshareError
from icshare.model.sharing import Segment, Wanted
from icshare.model.snapshot import Snapshot
from icshare.model.status import Health
from icshare.plan.diff import Entry
from icshare.plan.planner import Environment, Plan
from icshare.plan.steps import AnyStep
from icshare.ports import Journal, Record
from icshare.testing import FakeHost


class KilledError(BaseException):
    """The process is dead: nothing that it would still do happens."""


class Life:
    """What is left of a process's life, in changes of the host or the journal."""

    def __init__(self, actions: int) -> None:
        self.left = actions

    def spend(self) -> None:
        if self.left == 0:
            raise KilledError
        self.left -= 1


class MortalHost:
    """A host whose process may die before any of its changes."""

    def __init__(self, host: FakeHost, life: Life) -> None:
        self._host = host
        self._life = life

    def observe(self) -> Snapshot:
        return self._host.observe()

    def run(self, step: AnyStep) -> None:
        self._life.spend()
        self._host.run(step)

    def has_another_way(self, step: AnyStep, error: IcshareError) -> bool:
        return self._host.has_another_way(step, error)

    def preflight(self, plan: Plan) -> None:
        self._host.preflight(plan)

    def check(self, wanted: Wanted, segments: Sequence[Segment]) -> Health:
        return self._host.check(wanted, segments)

    @property
    def environment(self) -> Environment:
        return self._host.environment


class MortalJournal:
    """A journal whose process may die before any line that it writes."""

    def __init__(self, journal: Journal, life: Life) -> None:
        self._journal = journal
        self._life = life

    @contextmanager
    def lock(self) -> Iterator[None]:
        with self._journal.lock():
            yield

    def load(self) -> Record | None:
        return self._journal.load()

    def begin(self, step: AnyStep, rank: int | None) -> Entry:
        self._life.spend()
        return self._journal.begin(step, rank)

    def gone(self, entry: Entry) -> None:
        self._life.spend()
        self._journal.gone(entry)

    def complete(self, plan: Plan) -> None:
        self._life.spend()
        self._journal.complete(plan)

    def clear(self) -> None:
        self._life.spend()
        self._journal.clear()


def mortal(machine: Machine, life: Life) -> Engine:
    """Return an engine on *machine* in a process with that much *life*."""
    return Engine(MortalHost(machine.host, life), MortalJournal(machine.journal, life), connections_of)
