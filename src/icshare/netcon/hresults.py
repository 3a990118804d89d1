"""HRESULTs: the codes that Windows programs know, as exceptions, and the way from our errors to them.

Codes of failure are classes (``except E_INVALIDARG``), codes of success are numbers. Every exception says what is wrong
in words, and what to do about it.

Source:
    MicrosoftDocs/sdk-api netcon (the nine codes of every page); MicrosoftDocs/win32 "Routing and Remote Access Error
    Codes" (758 to 799).
"""

# ruff: noqa: N801, N818 (the names are Windows')

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import ClassVar

from icshare.errors import (
    AlreadyExistsError,
    GoneError,
    IcshareError,
    InvalidRequestError,
    NotSupportedError,
    PolicyError,
    PrivilegeError,
    RefusedError,
)

S_OK = 0
"""Success."""

S_FALSE = 1
"""Success, with less than was asked for: an enumeration is at its end."""

S_OBJECT_NO_LONGER_VALID = 2
"""Success, because nothing had to be done: what the object stands for no longer exists."""


class ComError(Exception):
    """A call failed; one subclass for each code.

    Attributes:
        hresult: The code as unsigned 32-bit number, as documents write it: 0x80070057.
        meaning: What the code says in general.
        text: What is wrong in this case, lower case without full stop.
        hint: What to do about it, or None.
        reasons: Why, in words for programs ("media-type", "policy"); () where the code says it all.
    """

    hresult: ClassVar[int]
    meaning: ClassVar[str]

    def __init__(self, text: str = "", *, hint: str | None = None, reasons: tuple[str, ...] = ()) -> None:
        self.text = text or self.meaning
        super().__init__(self.text)
        self.hint = hint
        self.reasons = reasons

    def __str__(self) -> str:
        return f"{self.text} ({self.name}, {self.hresult:#010x})"

    @property
    def name(self) -> str:
        """Name of the code."""
        return type(self).__name__

    @property
    def signed(self) -> int:
        """The code as signed 32-bit number, as pywin32 and comtypes give it."""
        return self.hresult - (1 << 32)


class E_NOTIMPL(ComError):
    """This is not there on this machine."""

    hresult = 0x80004001
    meaning = "this is not there on this machine"


class E_NOINTERFACE(ComError):
    """The object is of another kind."""

    hresult = 0x80004002
    meaning = "the object is of another kind"


class E_POINTER(ComError):
    """An object is missing."""

    hresult = 0x80004003
    meaning = "an object is missing"


class E_ABORT(ComError):
    """The operation was aborted."""

    hresult = 0x80004004
    meaning = "the operation was aborted"


class E_FAIL(ComError):
    """The machine refused it."""

    hresult = 0x80004005
    meaning = "the machine refused it"


class E_UNEXPECTED(ComError):
    """This makes no sense at the moment."""

    hresult = 0x8000FFFF
    meaning = "this makes no sense at the moment"


class E_ACCESSDENIED(ComError):
    """A privilege is missing."""

    hresult = 0x80070005
    meaning = "a privilege is missing"


class E_OUTOFMEMORY(ComError):
    """There is not enough memory."""

    hresult = 0x8007000E
    meaning = "there is not enough memory"


class ERROR_NOT_SUPPORTED(ComError):
    """The request is not supported."""

    hresult = 0x80070032
    meaning = "the request is not supported"


class E_INVALIDARG(ComError):
    """An argument is wrong."""

    hresult = 0x80070057
    meaning = "an argument is wrong"


class ERROR_ALREADY_EXISTS(ComError):
    """There is one already."""

    hresult = 0x800700B7
    meaning = "there is one already"


class EVENT_E_ALL_SUBSCRIBERS_FAILED(ComError):
    """Stale sharing state is in the way: a defect of Windows, named here and never raised."""

    hresult = 0x80040201
    meaning = "stale sharing state is in the way"


class ERROR_CONNECTION_ALREADY_SHARED(ComError):
    """A connection is shared already."""

    hresult = 0x800702F6
    meaning = "a connection is shared already"


class ERROR_SHARING_CHANGE_FAILED(ComError):
    """The sharing could not be changed."""

    hresult = 0x800702F7
    meaning = "the sharing could not be changed"


class ERROR_SHARING_ROUTER_INSTALL(ComError):
    """The router could not be set up."""

    hresult = 0x800702F8
    meaning = "the router could not be set up"


class ERROR_SHARE_CONNECTION_FAILED(ComError):
    """The connection could not be shared."""

    hresult = 0x800702F9
    meaning = "the connection could not be shared"


class ERROR_SHARING_PRIVATE_INSTALL(ComError):
    """The private side could not be set up."""

    hresult = 0x800702FA
    meaning = "the private side could not be set up"


class ERROR_CANNOT_SHARE_CONNECTION(ComError):
    """Several connections could be the private one."""

    hresult = 0x800702FB
    meaning = "several connections could be the private one"


class ERROR_SHARING_ADDRESS_EXISTS(ComError):
    """Another connection has the address that the private one needs."""

    hresult = 0x800702FD
    meaning = "another connection has the address that the private one needs"


class ERROR_SHARING_MULTIPLE_ADDRESSES(ComError):
    """The private connection has several addresses."""

    hresult = 0x800702FF
    meaning = "the private connection has several addresses"


class ERROR_SHARING_RRAS_CONFLICT(ComError):
    """Another program translates addresses already."""

    hresult = 0x8007030E
    meaning = "another program translates addresses already"


class ERROR_SHARING_NO_PRIVATE_LAN(ComError):
    """The private connection is absent or has no network."""

    hresult = 0x8007030F
    meaning = "the private connection is absent or has no network"


class ERROR_SHARING_HOST_ADDRESS_CONFLICT(ComError):
    """Another machine on the network has the address that this one needs."""

    hresult = 0x8007031F
    meaning = "another machine on the network has the address that this one needs"


HRESULTS: Mapping[int, type[ComError]] = MappingProxyType({code.hresult: code for code in ComError.__subclasses__()})
"""Every code of failure."""

_REASONS: Mapping[str, type[ComError]] = MappingProxyType(
    {
        "unknown-connection": E_UNEXPECTED,
        "foreign-nat": ERROR_SHARING_RRAS_CONFLICT,
        "private-absent": ERROR_SHARING_NO_PRIVATE_LAN,
        "private-addresses": ERROR_SHARING_MULTIPLE_ADDRESSES,
        "address-exists": ERROR_SHARING_ADDRESS_EXISTS,
        "address-conflict": ERROR_SHARING_HOST_ADDRESS_CONFLICT,
    }
)
"""Reasons of a refusal that have a code of their own."""

_CODES: tuple[tuple[type[IcshareError], type[ComError]], ...] = (
    (InvalidRequestError, E_INVALIDARG),
    (PrivilegeError, E_ACCESSDENIED),
    (AlreadyExistsError, ERROR_ALREADY_EXISTS),
    (GoneError, E_UNEXPECTED),
    (NotSupportedError, E_NOTIMPL),
    (IcshareError, E_FAIL),
)
"""Our errors and their codes; the first that fits counts."""


def com_error(error: IcshareError) -> ComError:
    """Return what a Windows program is told instead of *error*: the same words and hint under the right code."""
    if isinstance(error, RefusedError):
        reasons = tuple(dict.fromkeys(str(reason) for reason, _ in error.problems))
        code = _REASONS.get(reasons[0], E_INVALIDARG) if len(reasons) == 1 else E_INVALIDARG
        return code(error.message, hint=error.hint, reasons=reasons)
    code = next(code for kind, code in _CODES if isinstance(error, kind))
    reasons = ("policy",) if isinstance(error, PolicyError) else ()
    return code(error.message, hint=error.hint, reasons=reasons)


@contextmanager
def translated() -> Iterator[None]:
    """Turn our errors into HRESULTs.

    Raises:
        ComError: In place of any error of ours; that error is its cause.
    """
    try:
        yield
    except IcshareError as error:
        raise com_error(error) from error
    except ExceptionGroup as group:
        if group.split(IcshareError)[1] is not None:
            raise
        raise E_FAIL("; ".join(str(error) for error in group.exceptions)) from group
