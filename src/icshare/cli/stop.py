"""``icshare stop``: take everything back."""

import typer

from icshare.cli.errors import CancelledError
from icshare.cli.options import Json, Verbose
from icshare.cli.output import Cell, write_json
from icshare.cli.session import session_of
from icshare.cli.signals import Interrupted, interruptible
from icshare.cli.words import quantity


def stop(context: typer.Context, json: Json = False, _verbose: Verbose = 0) -> None:
    """Stop sharing, and give the machine back as it was."""
    session = session_of(context)
    taken_back: list[str] = []
    with session.progress("looking at what is shared", quiet=json) as show:

        def progress(step: str) -> None:
            taken_back.append(step)
            show(step)

        try:
            with interruptible():
                session.manager.stop(progress)
        except Interrupted as interruption:
            raise CancelledError(
                "interrupted; icshare stop takes back what is left", interruption.number
            ) from interruption
    if json:
        from icshare.cli.documents import stop_document

        write_json(session.stdout, stop_document(taken_back))
    elif not taken_back:
        session.out.line("Nothing is shared, so nothing had to be taken back.")
    else:
        session.out.line(Cell("Sharing stopped.", "bold"))
        session.out.line(f"{quantity(len(taken_back), 'change')} taken back; everything is as it was before.")
