"""One table from what went wrong to the exit status, and what there is to say about it."""

from collections.abc import Sequence
from enum import StrEnum

from typer.exceptions import TyperException

from icshare.cli.output import printable
from icshare.errors import (
    AlreadyExistsError,
    ConflictError,
    GoneError,
    HostError,
    IcshareError,
    InvalidRequestError,
    NotSupportedError,
    PolicyError,
    PrivilegeError,
    RefusedError,
    VerificationError,
)

DONE = 0
FAILED = 1
WRONG_REQUEST = 2
NO_PRIVILEGE = 3
BUG = 70
"""Source: sysexits.h, ``EX_SOFTWARE``."""
CLOSED_PIPE = 141
"""As of a program that SIGPIPE ended."""


class ErrorKind(StrEnum):
    """What reaction an error asks for: the word for programs."""

    USAGE = "usage"
    INVALID_REQUEST = "invalid-request"
    REFUSED = "refused"
    CONFLICT = "conflict"
    ALREADY_EXISTS = "already-exists"
    GONE = "gone"
    NOT_SUPPORTED = "not-supported"
    PRIVILEGE = "privilege"
    POLICY = "policy"
    HOST = "host"
    VERIFICATION = "verification"
    CANCELLED = "cancelled"
    SEVERAL = "several"
    OTHER = "other"


class CancelledError(Exception):
    """A signal ended the command.

    Attributes:
        message: What that means, one line.
        number: The signal.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.message = message
        self.number = number


TABLE: dict[type[Exception], tuple[int, ErrorKind]] = {
    InvalidRequestError: (WRONG_REQUEST, ErrorKind.INVALID_REQUEST),
    RefusedError: (WRONG_REQUEST, ErrorKind.REFUSED),
    ConflictError: (FAILED, ErrorKind.CONFLICT),
    AlreadyExistsError: (FAILED, ErrorKind.ALREADY_EXISTS),
    GoneError: (FAILED, ErrorKind.GONE),
    NotSupportedError: (FAILED, ErrorKind.NOT_SUPPORTED),
    PrivilegeError: (NO_PRIVILEGE, ErrorKind.PRIVILEGE),
    PolicyError: (NO_PRIVILEGE, ErrorKind.POLICY),
    HostError: (FAILED, ErrorKind.HOST),
    VerificationError: (FAILED, ErrorKind.VERIFICATION),
    IcshareError: (FAILED, ErrorKind.OTHER),
    TyperException: (WRONG_REQUEST, ErrorKind.USAGE),
    CancelledError: (FAILED, ErrorKind.CANCELLED),
}
"""Exit status and kind by class; a class that is not listed counts as the nearest of its bases."""


def exit_status(error: Exception) -> int:
    """Return the exit status that tells about *error*; of a group, the largest of its members."""
    if isinstance(error, ExceptionGroup):
        return max(exit_status(one) for one in error.exceptions)
    if isinstance(error, CancelledError):
        return 128 + error.number
    return _row(error)[0] if is_expected(error) else BUG


def kind(error: Exception) -> ErrorKind:
    """Return the word that tells programs what kind of error an expected one is."""
    return ErrorKind.SEVERAL if isinstance(error, ExceptionGroup) else _row(error)[1]


def _row(error: Exception) -> tuple[int, ErrorKind]:
    return next(TABLE[one] for one in type(error).__mro__ if one in TABLE)


def is_expected(error: Exception) -> bool:
    """Tell whether *error* is one of ours: the machine or the request, not a bug."""
    if isinstance(error, ExceptionGroup):
        return all(is_expected(one) for one in error.exceptions)
    return isinstance(error, IcshareError | TyperException | CancelledError)


def messages(error: Exception) -> tuple[str, ...]:
    """Return what to say about *error*, one line each."""
    if isinstance(error, ExceptionGroup):
        return (error.message,)
    if isinstance(error, RefusedError):
        return tuple(text for _, text in error.problems)
    if isinstance(error, TyperException):
        return (_usage_message(error),)
    return (str(error),)


def hint_of(error: Exception) -> str | None:
    """Return what can be done about *error*, None when nothing is known."""
    if isinstance(error, TyperException):
        path = getattr(getattr(error, "ctx", None), "command_path", None)
        return f"{path} --help shows how it is used" if path else None
    return error.hint if isinstance(error, IcshareError) else None


def notes_of(error: Exception) -> Sequence[str]:
    """Return what was noted on the error's way, such as the step it ended."""
    return tuple(getattr(error, "__notes__", ()))


def _usage_message(error: TyperException) -> str:
    text = error.format_message().rstrip(".")
    return printable(text[:1].lower() + text[1:])
