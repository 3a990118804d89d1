"""``icshare firewall``: the firewall of a connection, with or without sharing."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from icshare.cli.changing import changing
from icshare.cli.errors import FAILED
from icshare.cli.lazy import App
from icshare.cli.options import Json, Verbose
from icshare.cli.output import Cell, Printer, write_json
from icshare.cli.session import Session, session_of
from icshare.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from icshare.model.connection import Connection
    from icshare.model.firewall import FirewallOptions, IcmpOption

app = App(help="Protect connections of this machine, shared or not.")

_NONE = "none"
_STATUS = "icshare firewall status"


def _complete_off(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the connections whose firewall is off."""
    from icshare.cli.completion import interfaces

    session = session_of(context)
    return interfaces(session, incomplete, lambda one: not one.hidden and session.manager.firewall(one.guid) is None)


def _complete_on(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the connections whose firewall is on."""
    from icshare.cli.completion import interfaces

    session = session_of(context)
    return interfaces(session, incomplete, lambda one: session.manager.firewall(one.guid) is not None)


def _complete_icmp(_: typer.Context, incomplete: str) -> list[str]:
    """Return the ICMP options."""
    from icshare.model.firewall import IcmpOption

    return [one for one in (*IcmpOption, _NONE) if one.startswith(incomplete)]


Protected = Annotated[
    str,
    typer.Argument(
        metavar="CONNECTION", show_default=False, autocompletion=_complete_on, help="Its interface, as in icshare list."
    ),
]
Unprotected = Annotated[
    str,
    typer.Argument(
        metavar="CONNECTION",
        show_default=False,
        autocompletion=_complete_off,
        help="Its interface, as in icshare list.",
    ),
]


def on(context: typer.Context, connection: Unprotected, json: Json = False, _verbose: Verbose = 0) -> None:
    """Switch the firewall of a connection on.

    Then nothing comes in by it but answers, what port mappings let in, and the ICMP messages that 'set' allows.
    A bridge, a port of one, and a private connection can have no firewall.
    """
    from icshare.model.firewall import FirewallOptions

    session = session_of(context)
    one = _connection(session, connection)
    options = session.manager.firewall(one.guid) or FirewallOptions()
    _change(session, one, options, json=json)


def off(context: typer.Context, connection: Protected, json: Json = False, _verbose: Verbose = 0) -> None:
    """Switch the firewall of a connection off.

    What listens on this machine can be reached through the connection then.
    """
    session = session_of(context)
    _change(session, _connection(session, connection), None, json=json)


def change(
    context: typer.Context,
    connection: Protected,
    icmp: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPTION",
            show_default=False,
            autocompletion=_complete_icmp,
            help="Let ICMP messages of this kind through, and of no other; may be given several times: "
            "inbound-echo-request, inbound-timestamp-request, inbound-mask-request, inbound-router-request, "
            "outbound-destination-unreachable, outbound-source-quench, outbound-parameter-problem, "
            "outbound-time-exceeded, redirect, outbound-packet-too-big; or none.",
        ),
    ] = None,
    log_dropped: Annotated[
        bool | None,
        typer.Option("--log-dropped/--no-log-dropped", show_default=False, help="Write dropped packets into the log."),
    ] = None,
    log_opened: Annotated[
        bool | None,
        typer.Option(
            "--log-opened/--no-log-opened",
            show_default=False,
            help="Write connections that were let through into the log.",
        ),
    ] = None,
    json: Json = False,
    _verbose: Verbose = 0,
) -> None:
    """Set the firewall of a connection; what is not named stays."""
    session = session_of(context)
    if not icmp and log_dropped is None and log_opened is None:
        raise InvalidRequestError(
            "nothing to set is named", hint="give one or more of --icmp, --log-dropped, --log-opened"
        )
    chosen = _icmp(icmp) if icmp else None
    one = _connection(session, connection)
    present = session.manager.firewall(one.guid)
    if present is None:
        raise InvalidRequestError(
            f"the firewall of {connection} is off", hint=f"switch it on first: icshare firewall on {connection}"
        )
    options = replace(
        present,
        icmp=present.icmp if chosen is None else chosen,
        log_dropped=present.log_dropped if log_dropped is None else log_dropped,
        log_opened=present.log_opened if log_opened is None else log_opened,
    )
    _change(session, one, options, json=json)


def status(context: typer.Context, json: Json = False, _verbose: Verbose = 0) -> None:
    """Tell which connections have their firewall on, and how it is set.

    The exit status is 1 when a firewall is on but not in force, though its connection is there.
    """
    from icshare.model.connection import Characteristics

    session = session_of(context)
    known = session.manager.connections()
    if session.manager.has_lost_firewalls():
        kept = ~Characteristics.FIREWALLED
        known = tuple(replace(one, characteristics=one.characteristics & kept) for one in known)
    found = [(one, session.manager.firewall(one.guid)) for one in known]
    shown = [(one, options) for one, options in found if options is not None or not one.hidden]
    if json:
        from icshare.cli.documents import firewall_status_document

        write_json(session.stdout, firewall_status_document(shown))
    else:
        _print(session.out, shown)
    if any(is_missing(one, options) for one, options in shown):
        raise typer.Exit(FAILED)


app.command("on")(on)
app.command("off")(off)
app.command("set")(change)
app.command("status")(status)


def _connection(session: Session, name: str) -> "Connection":
    from icshare.cli.choosing import connection_named

    return connection_named(session.manager.connections(), name)


def _icmp(words: "Sequence[str]") -> "tuple[IcmpOption, ...]":
    """Return the options that *words* name, in their order.

    Raises:
        InvalidRequestError: One that there is not, or "none" beside others.
    """
    from difflib import get_close_matches

    from icshare.model.firewall import IcmpOption

    if list(words) == [_NONE]:
        return ()
    if _NONE in words:
        raise InvalidRequestError("--icmp none cannot be given beside others")
    for word in words:
        if word not in set(IcmpOption):
            close = get_close_matches(word, list(IcmpOption), n=1)
            hint = f"did you mean {close[0]}?" if close else "icshare firewall set --help names them"
            raise InvalidRequestError(f"{word!r:.80} is no ICMP option", hint=hint)
    return tuple(option for option in IcmpOption if option in words)


def _change(session: Session, connection: "Connection", options: "FirewallOptions | None", *, json: bool) -> None:
    from icshare.render.logsettings import LogSettings

    with changing(_STATUS):
        session.manager.set_firewall(connection.guid, options)
    now = next((one for one in session.manager.connections() if one.guid == connection.guid), connection)
    if json:
        from icshare.cli.documents import firewall_document

        write_json(session.stdout, firewall_document(now, options))
    else:
        session.out.line(Cell(f"The firewall of {connection.interface} is {firewall_in_words(now, options)}.", "bold"))
        if options is not None:
            log = _log_words(options)
            if options.log_dropped or options.log_opened:
                log += f", in {LogSettings().path}"
            session.out.fields((("ICMP let through", _icmp_words(options)), ("log", log)))
    if is_missing(now, options):
        raise typer.Exit(FAILED)


def _in_force(connection: "Connection") -> bool:
    from icshare.model.connection import Characteristics

    return Characteristics.FIREWALLED in connection.characteristics


def is_missing(connection: "Connection", options: "FirewallOptions | None") -> bool:
    """Tell whether a firewall is on that could be in force, and is not."""
    waits = connection.status.name == "HARDWARE_NOT_PRESENT" or connection.role == "private"
    return options is not None and not waits and not _in_force(connection)


def firewall_in_words(connection: "Connection", options: "FirewallOptions | None") -> str:
    """Return whether a firewall is on, and if it is not in force, why."""
    if options is None:
        return "off"
    if _in_force(connection):
        return "on"
    if connection.status.name == "HARDWARE_NOT_PRESENT":
        return "on, and waits for the connection"
    if connection.role == "private":
        return "on, but not while the connection is private"
    return f"on, but not in force: icshare firewall on {connection.interface} brings it back"


def _icmp_words(options: "FirewallOptions | None") -> str:
    return (", ".join(options.icmp) or _NONE) if options is not None else ""


def _log_words(options: "FirewallOptions | None") -> str:
    if options is None:
        return ""
    if options.log_dropped and options.log_opened:
        return "dropped packets, connections"
    return "dropped packets" if options.log_dropped else "connections" if options.log_opened else "off"


def _print(out: Printer, shown: "Sequence[tuple[Connection, FirewallOptions | None]]") -> None:
    rows: list[list[str | Cell]] = []
    for one, options in shown:
        style = "bold red" if is_missing(one, options) else "green" if options is not None else "dim"
        state = Cell(firewall_in_words(one, options), style)
        rows.append([Cell(one.interface, "bold"), state, _log_words(options), _icmp_words(options)])
    out.table(("Connection", "Firewall", "Log", "ICMP let through"), rows)
