"""Print checks and what mends them."""

from collections.abc import Iterable

from icshare.cli.output import Cell, Printer
from icshare.model.status import Check, Grade

_STYLES = {Grade.OK: "green", Grade.WARNING: "yellow", Grade.FAILED: "bold red"}
_WIDTH = max(len(grade) for grade in Grade)


def print_checks(out: Printer, checks: Iterable[Check]) -> None:
    """Print a paragraph for each check, and a line for each command that mends it, which can be copied whole."""
    for check in checks:
        out.paragraph("  ", Cell(check.grade.ljust(_WIDTH), _STYLES[check.grade]), "  ", text=check.text)
        for number, line in enumerate(check.remedy.splitlines()):
            out.line("  ", " " * _WIDTH, "  ", Cell("mend: " if number == 0 else "      ", "bold"), line)
