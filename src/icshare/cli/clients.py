"""``icshare clients``: who is on the segment."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from icshare.cli.options import Json, Verbose
from icshare.cli.output import Cell, write_json
from icshare.cli.session import Session, session_of
from icshare.cli.words import ago, bytes_in_words

if TYPE_CHECKING:
    from icshare.model.client import Client


def clients(context: typer.Context, json: Json = False, _verbose: Verbose = 0) -> None:
    """List who is there: name, addresses, since when, traffic."""
    session = session_of(context)
    known = session.manager.clients()
    if json:
        from icshare.cli.documents import clients_document

        write_json(session.stdout, clients_document(known))
    elif known:
        _print(session, known)
    else:
        session.out.line("Nobody is there; icshare status tells what is shared.")


def _print(session: Session, known: "Sequence[Client]") -> None:
    now = session.now()
    rows: list[list[str | Cell]] = []
    for one in known:
        traffic = one.traffic if one.traffic.seconds is not None else None
        rows.append(
            [
                Cell(one.name or "-", "bold"),
                str(one.address),
                one.mac or "-",
                Cell("online", "green") if one.online else Cell("away", "dim"),
                ago(now, one.since),
                bytes_in_words(traffic.sent) if traffic else "-",
                bytes_in_words(traffic.received) if traffic else "-",
            ]
        )
    titles = ("Name", "Address", "MAC", "State", "Since", "Sent", "Received")
    session.out.table(titles, rows, right=(4, 5, 6))
