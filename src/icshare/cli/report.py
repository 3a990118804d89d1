"""The one place that tells about errors."""

import logging
import traceback
from collections.abc import Iterator

from icshare.cli.errors import exit_status, hint_of, is_expected, messages, notes_of
from icshare.cli.output import Cell, Printer, write_json
from icshare.cli.session import Session

_LONGEST_LINE = 1000

log = logging.getLogger(__name__)


def report(error: Exception, session: Session, *, json: bool) -> int:
    """Tell about *error*, once, and return the exit status.

    Args:
        error: What ended the command.
        session: Where to tell.
        json: As a document on standard output, in place of the one that the command would have printed.
    """
    if log.isEnabledFor(logging.DEBUG) or not is_expected(error):
        log.debug("ended by this error", exc_info=error)
    if not is_expected(error):
        session.stderr.write("".join(traceback.format_exception(error)))
        session.err.line("icshare: this is a bug of icshare; please report it with the lines above")
    elif json:
        from icshare.cli.documents import error_document

        write_json(session.stdout, error_document(error, exit_status(error)))
    else:
        _tell(error, session.err)
    return exit_status(error)


def _tell(error: Exception, err: Printer) -> None:
    for message in messages(error):
        for number, line in enumerate(_lines(message)):
            err.line(Cell("icshare: " if number == 0 else "         ", "bold red"), line)
    if isinstance(error, ExceptionGroup):
        for one in error.exceptions:
            _tell(one, err)
    for note in notes_of(error):
        err.line(Cell("note: ", "bold"), _short(note))
    hint = hint_of(error)
    if hint:
        for number, line in enumerate(_lines(hint)):  # commands, one a line
            err.line(Cell("hint: " if number == 0 else "      ", "bold"), line)


def _lines(message: str) -> Iterator[str]:
    """Break what another program has said into its lines."""
    return (_short(line) for line in message.splitlines() or [""])


def _short(text: str) -> str:
    cut = len(text) - _LONGEST_LINE
    return text if cut <= 0 else f"{text[:_LONGEST_LINE]}... (and {cut} characters more)"
