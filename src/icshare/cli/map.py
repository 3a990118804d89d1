"""``icshare map``: ports of the public connection that lead to a host behind it, or to this one."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from icshare.cli.changing import changing
from icshare.cli.lazy import App
from icshare.cli.options import Json, Verbose
from icshare.cli.output import Cell, Printer, write_json
from icshare.cli.session import Session, session_of
from icshare.errors import GoneError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from icshare.model.mapping import MappingStatus, PortMapping

app = App(help="Let ports of the public connection lead to hosts behind it.")

_STYLES = {"active": "green", "disabled": "dim", "inactive": "yellow"}
_LIST = "icshare map list"


def _complete_name(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the names of mappings."""
    from icshare.cli.completion import mapping_names

    return mapping_names(session_of(context), incomplete)


def _complete_enabled(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the names of mappings that are enabled."""
    from icshare.cli.completion import mapping_names

    return mapping_names(session_of(context), incomplete, lambda one: one.enabled)


def _complete_disabled(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the names of mappings that are disabled."""
    from icshare.cli.completion import mapping_names

    return mapping_names(session_of(context), incomplete, lambda one: not one.enabled)


def _complete_connection(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the connections."""
    from icshare.cli.completion import interfaces

    return interfaces(session_of(context), incomplete, lambda one: not one.hidden)


def _name(complete: "Callable[[typer.Context, str], list[tuple[str, str]]]") -> Any:  # noqa: ANN401 (typer's)
    words = "Its name; or '#' and its number, in quotes."
    return typer.Argument(metavar="NAME", show_default=False, autocompletion=complete, help=words)


Name = Annotated[str, _name(_complete_name)]
EnabledName = Annotated[str, _name(_complete_enabled)]
DisabledName = Annotated[str, _name(_complete_disabled)]


def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="A name of your choice.")],
    protocol: Annotated[str, typer.Argument(metavar="PROTOCOL", show_default=False, help="tcp or udp.")],
    external: Annotated[
        str,
        typer.Argument(
            metavar="EXTERNAL", show_default=False, help="Port on the public side, or a range of them: 8000-8010."
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET[:PORT]",
            show_default=False,
            help="The host that gets the packets: an address, a host name, or a hardware address, which needs brackets "
            "if a port follows: [52:54:00:00:00:01]:80. The port, of a range the first, is the external one if it is "
            "not given.",
        ),
    ],
    *,
    disabled: Annotated[bool, typer.Option("--disabled", help="Only define it; 'map enable' lets it work.")] = False,
    connection: Annotated[
        str | None,
        typer.Option(
            metavar="INTERFACE",
            autocompletion=_complete_connection,
            help="The connection that packets come in by. [default: the public one]",
        ),
    ] = None,
    json: Json = False,
    _verbose: Verbose = 0,
) -> None:
    """Let a port of the public connection lead to a host.

    A mapping to this machine itself opens the port in its firewall. A host that is called by its name or its hardware
    address is followed when its address changes.
    """
    from icshare.cli.choosing import check_new_name, connection_for_mapping
    from icshare.cli.endpoint import first_port, parse_endpoint
    from icshare.model.mapping import parse_ports, parse_protocol

    session = session_of(context)
    transport = parse_protocol(protocol)
    first, count = parse_ports(external)
    host, ports = parse_endpoint(target)
    internal = first_port(ports, count)
    mappings = session.manager.mappings
    check_new_name(mappings.all(), name)
    guid = connection_for_mapping(session.manager, connection)
    with changing(_LIST):
        made = mappings.add(
            guid,
            name=name,
            protocol=transport,
            external=first,
            internal=first if internal is None else internal,
            count=count,
            target=host,
            enabled=not disabled,
        )
    _tell(session, made.number, json=json)


def listing(context: typer.Context, json: Json = False, _verbose: Verbose = 0) -> None:
    """List the mappings, and tell whether they work."""
    session = session_of(context)
    known = session.manager.mappings.statuses()
    if json:
        from icshare.cli.documents import map_list_document

        write_json(session.stdout, map_list_document(known))
    elif known:
        _print(session.out, known)
    else:
        session.out.line("There is no mapping; icshare map add makes one.")


def enable(context: typer.Context, name: DisabledName, json: Json = False, _verbose: Verbose = 0) -> None:
    """Let a mapping work."""
    session = session_of(context)
    meant = _meant(session, name)
    with changing(_LIST):
        session.manager.mappings.enable(meant.number)
    _tell(session, meant.number, json=json)


def disable(context: typer.Context, name: EnabledName, json: Json = False, _verbose: Verbose = 0) -> None:
    """Stop a mapping and cut what came through it, but keep it."""
    session = session_of(context)
    meant = _meant(session, name)
    with changing(_LIST):
        session.manager.mappings.disable(meant.number)
    _tell(session, meant.number, json=json)


def remove(context: typer.Context, name: Name, json: Json = False, _verbose: Verbose = 0) -> None:
    """Stop a mapping, cut what came through it, and forget it."""
    session = session_of(context)
    meant = _meant(session, name)
    with changing(_LIST):
        session.manager.mappings.remove(meant.number)
    if json:
        from icshare.cli.documents import map_remove_document

        write_json(session.stdout, map_remove_document(meant))
    else:
        session.out.line(Cell(f"The mapping {meant.name} is gone.", "bold"))


def change(
    context: typer.Context,
    name: Name,
    external: Annotated[
        str | None, typer.Option(metavar="EXTERNAL", help="Other external ports; the first port of the target stays.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="TARGET[:PORT]", help="Another host; without a port, the port stays.")
    ] = None,
    protocol: Annotated[str | None, typer.Option(metavar="PROTOCOL", help="tcp or udp.")] = None,
    new_name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Another name.")] = None,
    json: Json = False,
    _verbose: Verbose = 0,
) -> None:
    """Change a mapping; what is not named stays as it is."""
    from icshare.cli.choosing import check_new_name
    from icshare.cli.endpoint import first_port, parse_endpoint
    from icshare.model.mapping import parse_ports, parse_protocol

    session = session_of(context)
    if external is None and target is None and protocol is None and new_name is None:
        raise InvalidRequestError(
            "nothing to change is named", hint="give one or more of --external, --target, --protocol, --name"
        )
    mappings = session.manager.mappings
    meant = _meant(session, name)
    first, count = (None, None) if external is None else parse_ports(external)
    host, ports = (None, None) if target is None else parse_endpoint(target)
    if new_name is not None and new_name != meant.name:
        check_new_name(mappings.all(), new_name)
    transport = None if protocol is None else parse_protocol(protocol)
    internal = first_port(ports, meant.count if count is None else count)
    with changing(_LIST):
        mappings.update(
            meant.number,
            name=new_name,
            protocol=transport,
            external=first,
            internal=internal,
            count=count,
            target=host,
        )
    _tell(session, meant.number, json=json)


app.command("add")(add)
app.command("list")(listing)
app.command("enable")(enable)
app.command("disable")(disable)
app.command("remove")(remove)
app.command("set")(change)


def _meant(session: Session, word: str) -> "PortMapping":
    from icshare.cli.choosing import mapping_named

    return mapping_named(session.manager.mappings.all(), word)


def _tell(session: Session, number: int, *, json: bool) -> None:
    """Tell what has become of a mapping.

    Raises:
        GoneError: Somebody else has removed it in the meantime.
    """
    mappings = session.manager.mappings
    if json:
        status = next((one for one in mappings.statuses() if one.mapping.number == number), None)
    else:
        status = mappings.status(number)
    if status is None:
        raise GoneError(f"the mapping #{number} has been removed by somebody else just now")
    if json:
        from icshare.cli.documents import mapping_document

        write_json(session.stdout, mapping_document(status))
        return
    from icshare.cli.endpoint import endpoint_in_words, ports_in_words

    mapping, out = status.mapping, session.out
    out.line(Cell(f"The mapping {mapping.name} is {status.state}", "bold"), f": {status.text}" if status.text else ".")
    external = f"{mapping.protocol.name.lower()} {ports_in_words(mapping.external, mapping.count)}"
    of = f" of {status.interface}" if status.interface else ""
    known = status.address is not None and str(status.address) != mapping.target.value
    at = " (this machine)" if status.own else f" ({status.address})" if known else ""
    out.line(f"  {external}{of} to {endpoint_in_words(mapping)}{at}")


def _print(out: Printer, known: "Sequence[MappingStatus]") -> None:
    from icshare.cli.endpoint import endpoint_in_words, ports_in_words

    twice = len({one.mapping.name for one in known}) < len(known)
    several = len({one.mapping.connection for one in known}) > 1
    counted = any(one.received is not None for one in known)
    titles = [
        *(["#"] if twice else []),
        "Name",
        *(["Connection"] if several else []),
        *("Protocol", "External", "Target", "Hits"),
        *(["Received", "Sent"] if counted else []),
        "State",
    ]
    rows: list[list[str | Cell]] = []
    for one in known:
        mapping = one.mapping
        state = f"{one.state}: {one.text}" if one.text else one.state.value
        rows.append(
            [
                *([str(mapping.number)] if twice else []),
                Cell(mapping.name, "bold"),
                *([one.interface or "-"] if several else []),
                mapping.protocol.name.lower(),
                ports_in_words(mapping.external, mapping.count),
                endpoint_in_words(mapping),
                "-" if one.hits is None else str(one.hits),
                *([_bytes(one.received), _bytes(one.sent)] if counted else []),
                Cell(state, _STYLES[one.state]),
            ]
        )
    out.table(titles, rows, right=range(titles.index("Hits"), len(titles) - 1))


def _bytes(count: int | None) -> str:
    from icshare.cli.words import bytes_in_words

    return "-" if count is None else bytes_in_words(count)
