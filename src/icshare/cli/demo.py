"""``icshare demo``: the whole of icshare on one machine that has no second network card and is not touched."""

import os
import textwrap
from typing import TYPE_CHECKING

import typer

from icshare.cli.errors import FAILED, CancelledError
from icshare.cli.lab import can_show, own_program, print_drawing
from icshare.cli.options import Json, Verbose
from icshare.cli.output import Cell, write_json
from icshare.cli.session import Session, session_of
from icshare.cli.signals import Interrupted, interruptible

if TYPE_CHECKING:
    from icshare.cli.labschema import DemoDocument
    from icshare.lab.report import Finding, Ran, Report, Step

_INDENT = " " * 4
_WIDEST = 120
_ESCAPE = "\x1b"


def demo(context: typer.Context, json: Json = False, _verbose: Verbose = 0) -> None:
    """Share a connection in a virtual network, and watch what happens.

    It takes place in namespaces of its own: nothing of this machine is touched, and nothing is left. Where the kernel
    gives users namespaces it needs no root. The exit status is 1 when something was not as it should be.
    """
    from icshare.lab import rootless
    from icshare.lab.demo import run_demo

    session = session_of(context)
    rootless.enter()
    os.environ.pop("ICSHARE_LAB_DIR", None)  # it may be a place outside, which files and locks in here must not reach
    width = _width() - len(_INDENT) if session.terminal and not json else None
    try:
        with interruptible():
            report = run_demo(_Silent() if json else _Display(session), width=width)
    except Interrupted as interruption:
        raise CancelledError(
            "interrupted; the lab and all that was in it is gone", interruption.number
        ) from interruption
    tell(session, report, json=json)


def tell(session: Session, report: "Report", *, json: bool) -> None:
    """Sum up a demonstration.

    Raises:
        typer.Exit: Something was not as it should be.
    """
    if json:
        write_json(session.stdout, _document(report))
    else:
        _print_summary(session, report)
    if not report.ok:
        raise typer.Exit(FAILED)


class _Silent:
    """Shows nothing: the document says it all at the end."""

    def begins(self, number: int, title: str) -> None:
        """Show nothing."""

    def draws(self, picture: str) -> None:
        """Show nothing."""

    def ran(self, ran: "Ran", *, show: bool) -> None:
        """Show nothing."""

    def found(self, finding: "Finding") -> None:
        """Show nothing."""

    def ends(self, _: "Step") -> None:
        """Show nothing."""


class _Display:
    """Prints everything as it comes."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._width = _width() if session.terminal else _WIDEST

    def begins(self, number: int, title: str) -> None:
        """Print a heading."""
        self._session.out.line(Cell(f"{number:>2}  {title}", "bold"))
        self._session.stdout.flush()

    def draws(self, picture: str) -> None:
        """Print the picture; it fits into 80 columns."""
        print_drawing(self._session, picture)

    def ran(self, ran: "Ran", *, show: bool) -> None:
        """Print a command as it looks in a terminal of its node, and what it printed."""
        prompt = f"{ran.node}# " if ran.node else "# "
        for line in self._wrapped(prompt + ran.line, len(prompt) + 2):
            self._session.out.line(Cell(line, "cyan"))
        if show:
            for line in ran.output.rstrip("\n").splitlines():
                if _ESCAPE in line or len(line) < self._width - len(_INDENT):
                    # icshare has printed it, for just this width: it is printable already.
                    self._session.stdout.write(f"{_INDENT}{line}".rstrip() + "\n")
                else:
                    for part in self._wrapped(line, 2):
                        self._session.out.line(part)
        self._session.stdout.flush()

    def found(self, finding: "Finding") -> None:
        """Print a fact with its mark."""
        first, *rest = self._wrapped("  " + finding.text, 2)
        mark = _mark(self._session, ok=finding.ok)
        style = "" if finding.ok else "red"
        self._session.out.line(_INDENT, mark, Cell(" " + first.lstrip(), style))
        for line in rest:
            self._session.out.line(Cell(line, style))
        self._session.stdout.flush()

    def ends(self, _: "Step") -> None:
        """Print an empty line."""
        self._session.out.line()

    def _wrapped(self, text: str, hang: int) -> list[str]:
        return textwrap.wrap(
            text,
            self._width - 1,
            initial_indent=_INDENT,
            subsequent_indent=_INDENT + " " * hang,
            break_on_hyphens=False,
            drop_whitespace=True,
        )


def _print_summary(session: Session, report: "Report") -> None:
    findings = [finding for step in report.steps for finding in step.findings]
    wrong = sum(not finding.ok for finding in findings)
    outcome = (
        f"{wrong} of {len(findings)} facts are not as they should be" if wrong else f"all {len(findings)} facts hold"
    )
    out = session.out
    out.line(_mark(session, ok=not wrong), Cell(f" {outcome}, in {report.seconds:.1f} s", "bold"))
    times = "seconds: " + ", ".join(f"{step.name} {step.seconds:.1f}" for step in report.steps)
    for line in textwrap.wrap(times, (_width() if session.terminal else _WIDEST) - 3):
        out.line("  ", Cell(line, "dim"))
    out.line()
    program = own_program()
    out.line("To play with the same network: ", Cell(f"sudo {program} lab up", "bold"))
    out.line("To share your own connection:  ", Cell(f"sudo {program} share PUBLIC PRIVATE...", "bold"))


def _mark(session: Session, *, ok: bool) -> Cell:
    fancy = "✓" if ok else "✗"
    text = fancy if can_show(session, fancy) else "+" if ok else "!"
    return Cell(text, "bold green" if ok else "bold red")


def _width() -> int:
    import shutil

    return max(60, min(shutil.get_terminal_size().columns, _WIDEST))


def _document(report: "Report") -> "DemoDocument":
    from icshare.cli import labschema as schema
    from icshare.lab.demo import PLAN
    from icshare.lab.drawing import draw

    return schema.DemoDocument(
        ok=report.ok,
        topology=draw(PLAN),
        seconds=round(report.seconds, 3),
        steps=tuple(
            schema.StepDocument(
                name=step.name,
                title=step.title,
                ok=step.ok,
                seconds=round(step.seconds, 3),
                commands=tuple(
                    schema.RanDocument(
                        node=ran.node,
                        line=ran.line,
                        exit_status=ran.status,
                        output=ran.output,
                        seconds=round(ran.seconds, 3),
                    )
                    for ran in step.ran
                ),
                observations=tuple(schema.FindingDocument(ok=one.ok, text=one.text) for one in step.findings),
            )
            for step in report.steps
        ),
    )
