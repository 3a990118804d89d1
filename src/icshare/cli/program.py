"""The command line as a whole: all commands, and what becomes of their results.

Each command lives in a module of its own, which is imported when it is called. The table `COMMANDS` says where. A
module exposes either the command as a function with typer's annotations (``cli/demo.py``: ``def demo(...)``), or, for a
command with commands of its own, a ``typer.Typer`` (``cli/lab.py``: ``app``, made by `icshare.cli.lazy.App`).

A command takes ``context: typer.Context`` and gets its `Session` from it by `session_of`: manager, printers, progress.
It raises errors of `icshare.errors` and lets them travel: they are told about here, once, and become the exit status
by the table in `icshare.cli.errors`. It ends by returning, or by ``typer.Exit`` when a check failed.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.main import get_command

from icshare import __version__
from icshare.cli.errors import CLOSED_PIPE, WRONG_REQUEST
from icshare.cli.lazy import Lazy, LazyGroup
from icshare.cli.options import Verbose
from icshare.cli.output import PipeClosedError, writing
from icshare.cli.report import report
from icshare.cli.session import Session, session_of

COMMANDS = {
    "list": Lazy(module="icshare.cli.listing", name="listing"),
    "share": Lazy(module="icshare.cli.sharing", name="share"),
    "status": Lazy(module="icshare.cli.status", name="status"),
    "stop": Lazy(module="icshare.cli.stop", name="stop"),
    "connect": Lazy(module="icshare.cli.dialling", name="connect"),
    "disconnect": Lazy(module="icshare.cli.dialling", name="disconnect"),
    "clients": Lazy(module="icshare.cli.clients", name="clients"),
    "wifi": Lazy(module="icshare.cli.wifi", name="app"),
    "map": Lazy(module="icshare.cli.map", name="app"),
    "firewall": Lazy(module="icshare.cli.firewall", name="app"),
    "run-windows": Lazy(module="icshare.cli.run_windows", name="app"),
    "doctor": Lazy(module="icshare.cli.doctor", name="doctor"),
    "demo": Lazy(module="icshare.cli.demo", name="demo"),
    "lab": Lazy(module="icshare.cli.lab", name="app"),
}


class _Group(LazyGroup):
    commands_by_name = COMMANDS


def _show_version(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        session_of(context).out.line(f"icshare {__version__}")
        raise typer.Exit


def icshare(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, expose_value=False, callback=_show_version, help="Show the version."),
    ] = False,
    _verbose: Verbose = 0,
) -> None:
    """Share one Internet connection with a whole network."""
    if context.invoked_subcommand is None:
        session_of(context).stderr.write(context.get_help() + "\n")
        raise typer.Exit(WRONG_REQUEST)


def make_group() -> Any:  # noqa: ANN401 (the class is private to typer)
    """Return the whole command line as typer's group."""
    app = typer.Typer(
        cls=_Group,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        subcommand_metavar="COMMAND ...",
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback(invoke_without_command=True)(icshare)
    return get_command(app)


def main(arguments: Sequence[str], session: Session) -> int:
    """Run the command line and return the exit status.

    Args:
        arguments: What follows the program's name.
        session: Streams, clock and manager.
    """
    try:
        result = make_group().main(list(arguments), prog_name="icshare", standalone_mode=False, obj=session)
        with writing():
            session.stdout.flush()
    except PipeClosedError:
        return CLOSED_PIPE
    except Exception as error:  # the one place where errors are told about  # noqa: BLE001
        return report(error, session, json="--json" in arguments)
    return result if isinstance(result, int) else 0
