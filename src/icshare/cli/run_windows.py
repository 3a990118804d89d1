"""``icshare run-windows``: a program written for Windows, unchanged."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from icshare.cli.lazy import App
from icshare.cli.options import Verbose
from icshare.cli.output import Cell
from icshare.cli.session import session_of
from icshare.errors import InvalidRequestError

if TYPE_CHECKING:
    from icshare.netcon.session import System


def run_windows(
    context: typer.Context,
    program: Annotated[
        str, typer.Argument(metavar="PROGRAM", help="A Python program, or a directory with a __main__.py.")
    ] = "",
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGUMENT", help="What the program is given.")
    ] = None,
    names: Annotated[
        bool, typer.Option("--names", help="List the connections with the names that such programs see.")
    ] = False,
    _verbose: Verbose = 0,
) -> None:
    """Run a Python program written for Windows' Internet Connection Sharing.

    Options go before PROGRAM; what follows it is the program's own.
    """
    if names:
        if program:
            raise InvalidRequestError("--names lists names, and runs no program", hint="leave one of the two out")
        session = session_of(context)
        manager = cast("System", session.manager)
        given = manager.windows_names()
        rows: list[list[str | Cell]] = [
            [Cell(one.interface, "bold"), given.get(one.guid, one.name)]
            for one in manager.connections()
            if not one.hidden
        ]
        session.out.table(["Connection", "Windows name"], rows)
        return
    if not program:
        raise InvalidRequestError("no program is named", hint="icshare run-windows PROGRAM [ARGUMENT...]")
    if not Path(program).exists():
        raise InvalidRequestError(f"there is no program {program!r}")
    from icshare.host.command import become

    # -P: a directory that happens to be the current one adds nothing to what the interpreter imports of ours
    become([sys.executable, "-P", "-m", "icshare.windows", program, *(arguments or [])])


app = App()
app.command("run-windows", context_settings={"allow_interspersed_args": False})(run_windows)
