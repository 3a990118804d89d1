"""``icshare connect`` and ``icshare disconnect``: dial and hang up, or set a link up and down."""

from typing import TYPE_CHECKING, Annotated

import typer

from icshare.cli.changing import changing
from icshare.cli.options import Json, Verbose
from icshare.cli.output import Cell, write_json
from icshare.cli.session import Session, session_of
from icshare.cli.words import state

if TYPE_CHECKING:
    from icshare.model.connection import Connection


def _complete(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the connections, those that are dialled by the names of their peers."""
    from icshare.cli.completion import interfaces

    return interfaces(session_of(context), incomplete, lambda one: not one.hidden)


Name = Annotated[
    str,
    typer.Argument(
        metavar="CONNECTION",
        show_default=False,
        autocompletion=_complete,
        help="Its interface, as in icshare list, or the name of a pppd peer.",
    ),
]


def connect(context: typer.Context, connection: Name, json: Json = False, _verbose: Verbose = 0) -> None:
    """Connect a connection: dial it, or set its link up.

    What can be dialled are the peers of pppd, the files in /etc/ppp/peers.
    If it has a part in sharing that waits for it, that comes into force.
    """
    session = session_of(context)
    one = _connection(session, connection)
    with (
        session.progress(f"connecting {connection}", quiet=json) as progress,
        changing("icshare list"),
    ):
        session.manager.connect(one.guid, progress)
    _print(session, one, "connected", json=json)


def disconnect(context: typer.Context, connection: Name, json: Json = False, _verbose: Verbose = 0) -> None:
    """Disconnect a connection: hang it up, or set its link down.

    If it is shared, it stays so: clients are cut off until it is connected again.
    """
    session = session_of(context)
    one = _connection(session, connection)
    with (
        session.progress(f"disconnecting {connection}", quiet=json) as progress,
        changing("icshare list"),
    ):
        session.manager.disconnect(one.guid, progress)
    _print(session, one, "disconnected", json=json)


def _connection(session: Session, name: str) -> "Connection":
    from icshare.cli.choosing import connection_named

    return connection_named(session.manager.connections(), name)


def _print(session: Session, connection: "Connection", verb: str, *, json: bool) -> None:
    now = next((one for one in session.manager.connections() if one.guid == connection.guid), connection)
    if json:
        from icshare.cli.documents import dial_document

        write_json(session.stdout, dial_document(now))
        return
    name = now.peer or now.interface
    session.out.line(Cell(f"{name} is {verb}", "bold"), f": {now.interface}, {state(now.status)}.")
