"""How a sharing fares: the outcome of its checks."""

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """Weight of a finding."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: Stable name for programs: ``rules``, ``forwarding``, ``dns``, ...
        grade: How it came out.
        text: What was found, one sentence for people.
        remedy: The command or act that mends it; "" when nothing is to be done.
    """

    name: str
    grade: Grade
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """All findings about a sharing or a machine, in the order they were looked at."""

    checks: tuple[Check, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing has failed; there may be warnings."""
        return not any(check.grade is Grade.FAILED for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.grade is Grade.FAILED)

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The checks that found something to know, but nothing that stops the sharing."""
        return tuple(check for check in self.checks if check.grade is Grade.WARNING)
