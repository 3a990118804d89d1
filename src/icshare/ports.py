"""What the engine needs of the outside world."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from icshare.errors import IcshareError
from icshare.model.fastpath import PairPath
from icshare.model.firewall import Firewall
from icshare.model.sharing import Segment, Sharing, Wanted
from icshare.model.snapshot import Snapshot
from icshare.model.status import Health
from icshare.plan.diff import Entry
from icshare.plan.steps import AnyStep

if TYPE_CHECKING:  # who only reads what is on record does not plan
    from icshare.plan.planner import Environment, Plan

Progress = Callable[[str], None]
"""Told, before each change, what is about to be done."""


def silent(_: str) -> None:
    """Report nothing."""


class Host(Protocol):
    """The machine: it is read, and it takes one step at a time."""

    def observe(self) -> Snapshot:
        """Read the host.

        Raises:
            HostError: It could not be read.
        """
        ...

    def run(self, step: AnyStep) -> None:
        """Make one change; after an error the host is as before.

        Tolerant, so that a step may be repeated after a crash: what is already so is left alone, and a change to a link
        that is gone is no error.

        Raises:
            HostError: The machine refused.
            NotSupportedError: The kernel or a tool lacks what the step needs.
            PrivilegeError: A capability is missing.
        """
        ...

    def has_another_way(self, step: AnyStep, error: IcshareError) -> bool:
        """Tell whether a plan made now would do without *step*, which has just failed with *error*.

        What a probe promises, a driver may still refuse. Each way is given up once, so this comes to an end.
        """
        ...

    def preflight(self, plan: "Plan") -> None:
        """Check, without changing anything, what only the machine knows: tools present, ports free, ruleset accepted.

        Raises:
            ConflictError: Something on this host is in the way.
            NotSupportedError: A tool or kernel feature is missing.
            PrivilegeError: A capability is missing.
        """
        ...

    def check(self, wanted: Wanted, segments: Sequence[Segment]) -> Health:
        """Test from end to end that what is wanted works now."""
        ...

    @property
    def environment(self) -> "Environment":
        """Paths and accounts for the planner."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is on record about the present sharing.

    Attributes:
        sharing: The sharing in force; None without one, or when a change was cut off before anything was complete.
        segments: The segments as planned.
        firewalls: The firewalls of connections in force.
        notes: What people should know, from the plan.
        paths: How the later packets of connections go, from the plan.
        entries: The steps in force, by rank.
        complete: The last change reached its end and was verified.
        since: Seconds since the epoch when the sharing began.
    """

    sharing: Sharing | None
    segments: tuple[Segment, ...] = ()
    firewalls: tuple[Firewall, ...] = ()
    notes: tuple[str, ...] = ()
    paths: tuple[PairPath, ...] = ()
    entries: tuple[Entry, ...] = ()
    complete: bool = False
    since: float = 0.0

    @property
    def wanted(self) -> Wanted:
        """What was wanted of it."""
        return Wanted(sharing=self.sharing, firewalls=self.firewalls)


class Journal(Protocol):
    """The steps in force, on disk, so that the next process can take them back."""

    def lock(self) -> AbstractContextManager[None]:
        """Hold the one lock of this run directory.

        Raises:
            ConflictError: Another icshare is at work.
            PrivilegeError: The run directory cannot be written.
        """
        ...

    def load(self) -> Record | None:
        """Return what is on record, None when nothing is shared.

        Raises:
            HostError: The record is damaged, or was written by a newer version.
        """
        ...

    def begin(self, step: AnyStep, rank: int | None) -> Entry:
        """Put *step* on record, on disk, before it runs."""
        ...

    def gone(self, entry: Entry) -> None:
        """Note that *entry* is no longer in force."""
        ...

    def complete(self, plan: "Plan") -> None:
        """Note that *plan* is in force and was verified."""
        ...

    def clear(self) -> None:
        """Forget everything: nothing is shared any more."""
        ...
