"""Checks of arguments, the same for all members: COM is typed, and so are we."""

from typing import TypeVar

from icshare.netcon.constants import SHARINGCONNECTION_ENUM_FLAGS
from icshare.netcon.hresults import E_INVALIDARG, E_NOINTERFACE, E_POINTER

T = TypeVar("T")


def whole_number(value: object, word: str, *, least: int = 0, most: int) -> int:
    """Return *value* if it is an int from *least* to *most*; bool is none.

    Raises:
        E_INVALIDARG: It is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise E_INVALIDARG(f"{word} is {_shown(value)} (expected a number from {least} to {most})")
    return int(value)


def text(value: object, word: str) -> str:
    """Return *value* if it is text.

    Raises:
        E_INVALIDARG: It is not.
    """
    if not isinstance(value, str):
        raise E_INVALIDARG(f"{word} is {_shown(value)} (expected text)")
    return value


def default_flags(flags: object) -> None:
    """Check the flags of an enumeration.

    Raises:
        E_INVALIDARG: Anything but ``ICSSC_DEFAULT``.
    """
    if whole_number(flags, "Flags", most=0xFFFFFFFF) != SHARINGCONNECTION_ENUM_FLAGS.ICSSC_DEFAULT:
        raise E_INVALIDARG("Flags is not ICSSC_DEFAULT", hint="pass 0; what is enabled is a property of each element")


def instance(value: object, kind: type[T]) -> T:
    """Return *value* if it is an object of *kind*.

    Raises:
        E_POINTER: It is None.
        E_NOINTERFACE: It is of another kind.
    """
    if value is None:
        raise E_POINTER(f"no {kind.__name__} was given")
    if not isinstance(value, kind):
        raise E_NOINTERFACE(f"{type(value).__name__} is not an {kind.__name__}")
    return value


def _shown(value: object) -> str:
    """Return *value* for a message: text and small numbers as they are, all else by its type."""
    if isinstance(value, str) or (isinstance(value, int | float) and abs(value) < 1 << 64):
        return f"{value!r:.60}"
    return f"a {type(value).__name__}"
