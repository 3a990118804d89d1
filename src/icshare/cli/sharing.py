"""``icshare share``: share one connection with others, or show what that would do."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from icshare.cli.accesspoint import Options, key_of, parse, print_key
from icshare.cli.errors import CancelledError
from icshare.cli.options import Json, Verbose
from icshare.cli.output import Cell, Printer, write_json
from icshare.cli.session import Session, session_of
from icshare.cli.signals import Interrupted, interruptible
from icshare.cli.summary import partners, paths_in_words, print_notes, print_summary, security_in
from icshare.cli.words import quantity
from icshare.errors import IcshareError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from icshare.control.keys import Key
    from icshare.engine import Outcome, Proposal

_AUTO = "auto"


def _complete_public(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return what may be the public connection."""
    from icshare.cli.completion import candidates

    automatic = [(_AUTO, "the connection with the best default route")] if _AUTO.startswith(incomplete) else []
    return automatic + candidates(session_of(context), incomplete, public=True)


def _complete_private(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return what may be a private connection and was not given before."""
    from icshare.cli.completion import candidates

    given = {context.params.get("public"), *(context.params.get("privates") or ())}
    return [one for one in candidates(session_of(context), incomplete, public=False) if one[0] not in given]


def _complete_band(_: typer.Context, incomplete: str) -> list[str]:
    """Return the bands."""
    from icshare.model.wifi import Band

    return [band.value for band in Band if band.startswith(incomplete)]


def _complete_fast_path(_: typer.Context, incomplete: str) -> list[str]:
    """Return the fast paths."""
    from icshare.model.fastpath import Mode

    return [mode.value for mode in Mode if mode.startswith(incomplete)]


def share(
    context: typer.Context,
    public: Annotated[
        str,
        typer.Argument(
            metavar="PUBLIC",
            show_default=False,
            autocompletion=_complete_public,
            help="The connection to share: its interface, a pppd peer, or 'auto' for the best default route.",
        ),
    ],
    privates: Annotated[
        list[str],
        typer.Argument(
            metavar="PRIVATE",
            show_default=False,
            autocompletion=_complete_private,
            help="The connections to share it with; two or more become one network. With --ssid one is a radio.",
        ),
    ],
    *,
    subnet: Annotated[
        str | None,
        typer.Option(metavar="CIDR", help="Addresses of the private network. [default: the first that is free]"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    no_firewall: Annotated[
        bool, typer.Option("--no-firewall", help="Leave the public connection itself unprotected.")
    ] = False,
    dial_on_demand: Annotated[
        bool | None,
        typer.Option(
            "--dial-on-demand/--dial-now",
            show_default=False,
            help="Dial PUBLIC when a client needs it and hang up when it is idle, or dial it at once.",
        ),
    ] = None,
    fast_path: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            autocompletion=_complete_fast_path,
            help="How the later packets of connections go: xdp, tc, flowtable, off, or auto for the fastest that goes "
            "past nothing that others have set up. [default: fast_path in icshare.toml, else auto; not what was chosen "
            "for the sharing before]",
        ),
    ] = None,
    ssid: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Make a Wi-Fi access point of this name on the Wi-Fi connection given."),
    ] = None,
    passphrase_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Its passphrase is the first line of this file, '-' for standard input. "
            "[default: the one that the network has had, or a new one]",
        ),
    ] = None,
    band: Annotated[
        str | None,
        typer.Option(metavar="BAND", autocompletion=_complete_band, help="2.4, 5 or 6 (GHz). [default: chosen]"),
    ] = None,
    channel: Annotated[str | None, typer.Option(metavar="NUMBER", help="Its channel. [default: chosen]")] = None,
    hidden: Annotated[bool, typer.Option("--hidden", help="Do not announce its name.")] = False,
    isolate: Annotated[bool, typer.Option("--isolate", help="Keep its clients apart from each other.")] = False,
    country: Annotated[
        str | None,
        typer.Option(metavar="CC", help="Country whose rules hold, as in DE. [default: what the machine is set to]"),
    ] = None,
    json: Json = False,
    _verbose: Verbose = 0,
) -> None:
    """Share a connection with the networks behind others.

    They get addresses, names and Internet access through it, and are protected from the outside.
    A pppd peer that is not connected is dialled for it, and hung up when sharing stops.
    What is shared already is moved to the new state; clients that stay notice nothing.

    With --ssid the one Wi-Fi connection among the private ones becomes an access point; named as public as well, it
    stays what it is, and the access point is made beside it on the same radio.
    """
    from icshare.model.fastpath import parse_mode
    from icshare.model.names import subnet as parse_subnet

    session = session_of(context)
    network = None if subnet is None else parse_subnet(subnet)
    firewall = False if no_firewall else None
    fast = None if fast_path is None else parse_mode(fast_path)
    options = Options(
        ssid=ssid,
        passphrase_file=passphrase_file,
        band=band,
        channel=channel,
        hidden=hidden,
        isolate=isolate,
        country=country,
    )
    wifi = parse(session, public, privates, options)
    manager = session.manager
    if dry_run:
        planned = wifi.access_point(manager.keys.known(wifi.ssid, wifi.given)) if wifi else None
        proposal = manager.propose(
            manager.request(public, privates, subnet=network, firewall=firewall, access_point=planned, fast_path=fast)
        )
        if json:
            from icshare.cli.documents import proposal_document

            write_json(session.stdout, proposal_document(proposal))
        else:
            _print_proposal(session.out, proposal)
        return
    with key_of(session, wifi) as key:
        access_point = wifi.access_point(key.secret) if wifi and key else None
        change = partial(
            manager.share,
            public,
            privates,
            subnet=network,
            firewall=firewall,
            dial_on_demand=dial_on_demand,
            access_point=access_point,
            fast_path=fast,
        )
        outcome = _bring_about(session, change, quiet=json)
    if json:
        from icshare.cli.documents import share_document

        write_json(session.stdout, share_document(outcome))
    else:
        _print_outcome(session.out, outcome, key, wifi.notes if wifi else ())


def _bring_about(session: Session, change: "Callable[..., Outcome]", *, quiet: bool) -> "Outcome":
    """Make the change, show how far it is, and tell what an interruption has left."""
    with session.progress("looking at the connections", quiet=quiet) as progress:
        try:
            with interruptible():
                return change(progress=progress)
        except Interrupted as interruption:
            error = CancelledError(f"interrupted; {_present(session)}", interruption.number)
            for note in getattr(interruption, "__notes__", ()):
                error.add_note(note)
            raise error from interruption


def _present(session: Session) -> str:
    """Tell what an interruption has left: usually what was before, but it may have come a moment too late."""
    try:
        record = session.manager.record()
    except IcshareError:
        return "icshare status tells what is shared now"
    if record is None:
        return "nothing is shared, and everything is as it was before"
    if record.sharing is None or not record.complete:
        return "icshare stop takes back what is left"
    return f"{record.sharing.public} is shared with {partners(record.sharing)} now"


def _print_proposal(out: Printer, proposal: "Proposal") -> None:
    sharing = proposal.plan.sharing
    assert sharing is not None, "it was asked for"
    names = f"{sharing.public} with {partners(sharing)}"
    if proposal.changes:
        out.line(Cell(f"To share {names} would take {quantity(len(proposal.changes), 'change')}:", "bold"))
        width = len(str(len(proposal.changes)))
        for number, change in enumerate(proposal.changes, start=1):
            out.line("  ", Cell(f"{number:>{width}}", "dim"), "  ", change.describe())
    else:
        out.line(Cell(f"To share {names} would take no change: it is so already.", "bold"))
    for words in paths_in_words(proposal.plan.paths):
        out.line(Cell("Fast path: ", "bold"), words)
    out.line()
    out.line(Cell("The ruleset:", "bold"))
    for line in proposal.plan.ruleset.expandtabs(4).splitlines():
        out.line("  " + line if line else "")
    print_notes(out, proposal.plan.notes)


def _print_outcome(out: Printer, outcome: "Outcome", key: "Key | None", notes: "Sequence[str]") -> None:
    sharing = outcome.plan.sharing
    assert sharing is not None, "it was asked for"
    names = f"{sharing.public} with {partners(sharing)}"
    verb = "Sharing" if outcome.changes else "Nothing to do, already sharing"
    out.line(Cell(f"{verb} {names}.", "bold"))
    out.line()
    print_summary(out, sharing, outcome.plan.segments, outcome.plan.firewalls, paths=outcome.plan.paths)
    print_notes(out, [*notes, *outcome.plan.notes], outcome.health.warnings)
    if key is not None and sharing.access_point is not None:
        print_key(out, sharing.access_point, key, security_in(outcome.plan.steps))
    out.line()
    out.line("To see how it fares: ", Cell("icshare status", "bold"), "; to stop: ", Cell("icshare stop", "bold"))
