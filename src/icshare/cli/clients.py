"""``icshare clients``: who is on the segment."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from icshare.cli.options import Json, Verbose
from icshare.cli.output import Cell, write_json
from icshare.cli.session import Session, session_of
from icshare.cli.words import ago, bytes_in_words, rate_in_words

if TYPE_CHECKING:
    from icshare.model.client import Client
    from icshare.model.wifi import Station


def clients(context: typer.Context, json: Json = False, _verbose: Verbose = 0) -> None:
    """List who is there: name, addresses, since when, traffic.

    On Wi-Fi also how well our access point hears a client, and the rate at which it sends to it.
    """
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
    titles = ["Name", "Address", "MAC", "State", "Since", "Sent", "Received"]
    wireless = any(one.station is not None for one in known)
    if wireless:
        titles += ["Signal", "Rate"]
    rows = [[*_row(session.now(), one), *(_radio(one.station) if wireless else ())] for one in known]
    session.out.table(titles, rows, right=range(4, len(titles)))


def _row(now: float, client: "Client") -> list[str | Cell]:
    traffic = client.traffic if client.traffic.seconds is not None else None
    return [
        Cell(client.name or "-", "bold"),
        str(client.address),
        client.mac or "-",
        Cell("online", "green") if client.online else Cell("away", "dim"),
        ago(now, client.since),
        bytes_in_words(traffic.sent) if traffic else "-",
        bytes_in_words(traffic.received) if traffic else "-",
    ]


def _radio(station: "Station | None") -> tuple[str, str]:
    """Return how well a client is heard, and the rate at which it is sent to."""
    if station is None:
        return "-", "-"
    return (
        "-" if station.signal is None else f"{station.signal} dBm",
        "-" if station.received_rate is None else rate_in_words(station.received_rate),
    )
