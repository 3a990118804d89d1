"""What a demonstration did and found, as values, and who is told while it goes on."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One command.

    Attributes:
        node: Where it ran: a node of the lab, or "" for the machine that holds the lab.
        line: The command line, to be typed into a shell there.
        status: Its exit status.
        output: What it printed, standard error first.
        seconds: How long it took.
    """

    node: str
    line: str
    status: int
    output: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fact that was looked at.

    Attributes:
        ok: It is as it should be.
        text: What was found, one sentence for people.
    """

    ok: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a demonstration.

    Attributes:
        name: Stable name for programs.
        title: What it shows, for people.
        ran: Its commands.
        findings: What was found; at least one.
        seconds: How long it took.
    """

    name: str
    title: str
    ran: tuple[Ran, ...]
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Everything is as it should be."""
        return all(finding.ok for finding in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A demonstration that came to its end.

    Attributes:
        steps: Its steps, in order.
        seconds: How long it took.
    """

    steps: tuple[Step, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Everything was as it should be."""
        return all(step.ok for step in self.steps)


class Watcher(Protocol):
    """Is told of everything at the moment it happens."""

    def begins(self, number: int, title: str) -> None:
        """Step *number*, from 1, begins."""
        ...

    def draws(self, picture: str) -> None:
        """There is a picture to be shown."""
        ...

    def ran(self, ran: Ran, *, show: bool) -> None:
        """A command has ended; *show* if people want to see what it printed."""
        ...

    def found(self, finding: Finding) -> None:
        """A fact was looked at."""
        ...

    def ends(self, step: Step, /) -> None:
        """The step that began last has ended."""
        ...
