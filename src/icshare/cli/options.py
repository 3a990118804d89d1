"""Options that several commands have."""

import logging
from typing import Annotated

import typer

from icshare.cli.session import session_of


def _be_verbose(context: typer.Context, count: int) -> None:
    """Tell steps, or commands as well, on standard error."""
    session = session_of(context)
    if not count or context.resilient_parsing:
        return
    session.verbose += count
    level = logging.INFO if session.verbose == 1 else logging.DEBUG
    logging.basicConfig(stream=session.stderr, level=logging.WARNING, format="icshare: %(message)s", force=True)
    logging.getLogger("icshare").setLevel(level)


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        expose_value=False,
        callback=_be_verbose,
        show_default=False,
        help="Tell every step on standard error; given twice, every command as well.",
    ),
]
