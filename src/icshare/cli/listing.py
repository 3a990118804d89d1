"""``icshare list``: every connection, and what it may be used for."""

from typing import TYPE_CHECKING, Annotated

import typer

from icshare.cli.options import Json, Verbose
from icshare.cli.output import Cell, Printer, write_json
from icshare.cli.session import session_of
from icshare.cli.words import label, quantity, state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from icshare.model.connection import Connection

_ROLES = {"public": "bold green", "private": "bold cyan"}


def listing(
    context: typer.Context,
    every: Annotated[
        bool, typer.Option("--all", help="Show hidden connections as well, and Windows-like names.")
    ] = False,
    json: Json = False,
    _verbose: Verbose = 0,
) -> None:
    """List the connections of this machine, and what each can be."""
    session = session_of(context)
    known = session.manager.connections()
    shown = [one for one in known if every or not one.hidden]
    windows_names = session.manager.windows_names() if every or json else {}
    if json:
        from icshare.cli.documents import list_document

        write_json(session.stdout, list_document(shown, windows_names))
        return
    _print(session.out, shown, windows_names)
    hidden = len(known) - len(shown)
    if hidden and session.terminal:
        session.out.line(Cell(f"{quantity(hidden, 'connection')} hidden; --all shows everything", "dim"))


def _print(out: Printer, connections: "Sequence[Connection]", windows_names: "Mapping[UUID, str]") -> None:
    named = any(one.name != one.interface for one in connections)
    shared = any(one.role != "none" for one in connections)
    titles = [
        "Connection",
        *(["Name"] if named else []),
        *(["Windows name"] if windows_names else []),
        *("Kind", "Media", "Status"),
        *(["Role"] if shared else []),
    ]
    rows: list[list[str | Cell]] = []
    for one in connections:
        name = [one.name if one.name != one.interface else ""] if named else []
        windows_name = [windows_names.get(one.guid, "")] if windows_names else []
        role = [Cell("" if one.role == "none" else one.role.value, _ROLES.get(one.role, ""))] if shared else []
        status = Cell(state(one.status), "green" if one.status.name == "CONNECTED" else "")
        words = [*name, *windows_name, one.kind, label(one.media)]
        rows.append([Cell(one.interface, "bold"), *words, status, *role, _sharable(one)])
    out.table([*titles, "Sharable"], rows)


def _sharable(connection: "Connection") -> Cell:
    """Say what a connection may be, or why not."""
    public, private = connection.as_public, connection.as_private
    if public.ok and private.ok:
        return Cell("yes", "green")
    if public.ok:
        return Cell(f"as public only: {private.text}", "yellow")
    if private.ok:  # a bridge too, though the rule as such does not share it
        return Cell(f"as private only: {public.text}", "yellow")
    return Cell(f"no: {public.text}", "dim")
