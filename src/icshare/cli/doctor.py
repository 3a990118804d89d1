"""``icshare doctor``: what stands in the way of sharing, and what mends it."""

import typer

from icshare.cli.errors import FAILED
from icshare.cli.findings import print_checks
from icshare.cli.options import Json, Verbose
from icshare.cli.output import Cell, write_json
from icshare.cli.session import session_of
from icshare.cli.words import quantity


def doctor(context: typer.Context, json: Json = False, _verbose: Verbose = 0) -> None:
    """Find what stands in the way of sharing, and what mends it.

    The exit status is 1 when something does.
    """
    session = session_of(context)
    health = session.manager.doctor()
    if json:
        from icshare.cli.documents import doctor_document

        write_json(session.stdout, doctor_document(health))
    else:
        print_checks(session.out, health.checks)
        session.out.line()
        failures, warnings = len(health.failures), len(health.warnings)
        if failures:
            stand = "thing stands" if failures == 1 else "things stand"
            session.out.line(Cell(f"{failures} {stand} in the way of sharing.", "bold red"))
        elif warnings:
            session.out.line(Cell(f"Nothing stands in the way; {quantity(warnings, 'warning')}.", "bold yellow"))
        else:
            session.out.line(Cell("Nothing stands in the way.", "bold green"))
    if not health.ok:
        raise typer.Exit(FAILED)
