"""``icshare status``: what is shared, and whether it works."""

from typing import TYPE_CHECKING

import typer

from icshare.cli.errors import FAILED
from icshare.cli.findings import print_checks
from icshare.cli.options import Json, Verbose
from icshare.cli.output import Cell, write_json
from icshare.cli.session import Session, session_of
from icshare.cli.summary import print_notes, print_summary
from icshare.cli.words import ago, quantity

if TYPE_CHECKING:
    from icshare.api import SharingStatus


def status(context: typer.Context, json: Json = False, _verbose: Verbose = 0) -> None:
    """Tell what is shared, and test that it works.

    The exit status is 1 when a check failed, 0 when nothing is shared.
    """
    session = session_of(context)
    present = session.manager.status()
    if json:
        from icshare.cli.documents import status_document

        write_json(session.stdout, status_document(present))
    else:
        _print(session, present)
    if not present.health.ok or (present.record is not None and not present.record.complete):
        raise typer.Exit(FAILED)


def _print(session: Session, present: "SharingStatus") -> None:
    out, record = session.out, present.record
    if record is None:
        out.line("Nothing is shared.")
        return
    if not record.complete:
        count = quantity(len(record.entries), "change")
        out.line(Cell("A change of what is shared was cut off", "bold red"), f"; {count} on record.")
        out.line("  ", Cell("mend: ", "bold"), "icshare stop takes them back; icshare share brings a new state about")
    sharing = record.sharing
    if sharing is None:
        return
    if not record.complete:
        out.line()
    out.line(
        Cell(f"Sharing {sharing.public} with {', '.join(sharing.privates)}", "bold"),
        f" for {ago(session.now(), record.since)}.",
    )
    out.line()
    print_summary(out, sharing, record.segments)
    out.line()
    print_checks(out, present.health.checks)
    print_notes(out, record.notes)
