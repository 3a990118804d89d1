"""``icshare status``: what is shared, and whether it works."""

from typing import TYPE_CHECKING

import typer

from icshare.cli.errors import FAILED
from icshare.cli.findings import print_checks
from icshare.cli.options import Json, Verbose
from icshare.cli.output import Cell, write_json
from icshare.cli.session import Session, session_of
from icshare.cli.summary import mapping_notes, partners, print_firewalls, print_notes, print_summary
from icshare.cli.words import ago, quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icshare.api import SharingStatus
    from icshare.model.connection import Connection
    from icshare.model.firewall import Firewall
    from icshare.model.mapping import MappingStatus


def status(context: typer.Context, json: Json = False, _verbose: Verbose = 0) -> None:
    """Tell what is shared, and test that it works.

    A change that is under way is waited for, ten seconds at the most. The exit status is 1 when a check failed, 0
    when nothing is shared.
    """
    session = session_of(context)
    present = session.manager.status()
    mappings = session.manager.mappings.statuses()
    if json:
        from icshare.cli.documents import status_document

        write_json(session.stdout, status_document(present, mappings))
    else:
        _print(session, present, mappings)
    if not present.health.ok or (present.record is not None and not present.record.complete):
        raise typer.Exit(FAILED)


def _print(session: Session, present: "SharingStatus", mappings: "Sequence[MappingStatus]") -> None:
    out, record = session.out, present.record
    if present.changing:
        out.line(Cell("What is shared is being changed", "bold yellow"), "; this is what there is meanwhile.")
        out.line()
    elif record is not None and not record.complete:
        count = quantity(len(record.entries), "change")
        out.line(Cell("A change of what is shared was cut off", "bold red"), f"; {count} on record.")
        out.line("  ", Cell("mend: ", "bold"), "icshare stop takes them back; icshare share brings a new state about")
        if record.sharing is None:
            return
        out.line()
    sharing = record.sharing if record else None
    if record is None or sharing is None:
        missing = _print_unshared(session, record.firewalls if record else (), mappings)
        if present.health.checks:
            out.line()
        print_checks(out, present.health.checks)
        print_notes(out, [*(record.notes if record else ()), *missing, *mapping_notes(mappings)])
        return
    out.line(
        Cell(f"Sharing {sharing.public} with {partners(sharing)}", "bold"),
        f" for {ago(session.now(), record.since)}.",
    )
    out.line()
    print_summary(
        out, sharing, record.segments, record.firewalls, mappings, paths=record.paths, packets=present.packets
    )
    out.line()
    print_checks(out, present.health.checks)
    print_notes(out, [*record.notes, *mapping_notes(mappings)])


def _print_unshared(
    session: Session, firewalls: "Sequence[Firewall]", mappings: "Sequence[MappingStatus]"
) -> list[str]:
    """Print what there is without a sharing: who is to take part in one, firewalls, mappings.

    Returns:
        A note on each firewall that is on and could be in force, and is not.
    """
    from icshare.cli.firewall import firewall_in_words, is_missing

    known = session.manager.connections()
    public = next((_with_presence(one) for one in known if one.role == "public"), None)
    private = [_with_presence(one) for one in known if one.role == "private"]
    privates = ", ".join(private)
    if public and privates:
        words = f": {public} is to be shared with {privates}, and that is not in force."
    elif public:
        words = f": {public} is public, and there is no private connection yet."
    elif privates:
        words = f": {privates} {'is' if len(private) == 1 else 'are'} private, and there is no public connection yet."
    else:
        words = "."
    session.out.line("Nothing is shared", words)
    if firewalls or mappings:
        session.out.line()
        print_firewalls(session.out, firewalls, mappings)
    asked = [(one, session.manager.firewall(one.guid)) for one in known]
    return [
        f"the firewall of {one.interface} is {firewall_in_words(one, options)}"
        for one, options in asked
        if is_missing(one, options)
    ]


def _with_presence(connection: "Connection") -> str:
    return f"{connection.interface}{' (absent)' if connection.status.name == 'HARDWARE_NOT_PRESENT' else ''}"
