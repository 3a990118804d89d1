"""COM below the bindings: objects of an interface, calls by the tables, classes that can be created, apartments."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar
from uuid import UUID

from icshare.netcon.identifiers import PROGIDS
from icshare.windows.codes import (
    CO_E_CLASSSTRING,
    CO_E_NOTINITIALIZED,
    DISP_E_MEMBERNOTFOUND,
    DISP_E_PARAMNOTOPTIONAL,
    DISP_E_TYPEMISMATCH,
    REGDB_E_CLASSNOTREG,
    CallError,
)
from icshare.windows.members import FLAG, INTERFACES, NUMBER, OBJECT, TEXT, Interface, Member, Parameter

T = TypeVar("T")


class _Missing(Enum):
    """Stands for an argument that was not given."""

    MISSING = 0


MISSING = _Missing.MISSING


class ComObject:
    """An object as COM sees it: something with an interface. Two are the same if they are one.

    Attributes:
        target: The object that does the work.
        interface: What it can be asked.
    """

    __slots__ = ("interface", "target")

    def __init__(self, target: object, interface: Interface) -> None:
        self.target = target
        self.interface = interface

    def get(self, member: Member, arguments: Sequence[object] = ()) -> object:
        """Read a property or call a method.

        Args:
            member: One of the interface's.
            arguments: One for each parameter, `MISSING` for one that was not given.

        Returns:
            A `ComObject`, a plain value, or None.

        Raises:
            CallError: An argument is missing or of a type that cannot become the right one.
            ComError: The object refused.
        """
        if not member.get and member.put:
            raise CallError(DISP_E_MEMBERNOTFOUND)
        given = [coerced(one, value) for one, value in zip(member.parameters, arguments, strict=True)]
        found = getattr(self.target, member.name)
        return outgoing(found if member.plain else found(*given), member.result)

    def put(self, member: Member, value: object) -> None:
        """Set a property.

        Raises:
            CallError: It can only be read.
            ComError: The object refused.
        """
        if not member.put:
            raise CallError(DISP_E_MEMBERNOTFOUND)
        setattr(self.target, member.name, value)

    def count(self) -> int:
        """Return how many elements the collection holds.

        Raises:
            CallError: It is no collection.
        """
        member = self.interface.members.get("Count")
        if member is None:
            raise CallError(DISP_E_MEMBERNOTFOUND)
        return int(str(self.get(member)))

    def elements(self) -> Iterator["ComObject"]:
        """Give what the collection holds."""
        element = INTERFACES[self.interface.element]
        for one in self.target:  # type: ignore[attr-defined]  # only collections have an element
            yield ComObject(one, element)


def coerced(parameter: Parameter, value: object) -> object:
    """Return *value* as COM would pass it for *parameter*.

    Raises:
        CallError: It is missing, or it cannot become what is wanted.
    """
    if value is MISSING:
        raise CallError(DISP_E_PARAMNOTOPTIONAL)
    if parameter.kind == OBJECT:
        if value is not None and not isinstance(value, ComObject):
            raise CallError(DISP_E_TYPEMISMATCH)
        return value.target if isinstance(value, ComObject) else None
    if parameter.kind == TEXT:
        return str(int(value)) if isinstance(value, int) else _of_type(value, str)
    if parameter.kind == FLAG:
        return bool(_of_type(value, int))
    assert parameter.kind == NUMBER
    if isinstance(value, str | float):
        try:
            return int(value)
        except (ValueError, OverflowError):
            raise CallError(DISP_E_TYPEMISMATCH) from None
    return int(_of_type(value, int))


def _of_type(value: object, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise CallError(DISP_E_TYPEMISMATCH)
    return value


def outgoing(value: object, interface: str) -> object:
    """Return what a program gets for *value*: an object for one, a plain value for an enumeration's member."""
    if value is None:
        return None
    if interface:
        return ComObject(value, INTERFACES[interface])
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def bound(member: Member, positional: Sequence[object], named: Mapping[str, object]) -> list[object]:
    """Return the arguments of a call in the order of the parameters, `MISSING` where one was not given.

    Raises:
        TypeError: Too many, or names that no parameter has; as Python says it of its own functions.
    """
    names = [one.name for one in member.parameters]
    if len(positional) > len(names):
        # pywin32 counts the object itself, and so do we
        raise TypeError(
            f"{member.name}() takes {len(names) + 1} positional arguments but {len(positional) + 1} were given"
        )
    found: dict[str, object] = dict(zip(names, positional, strict=False))
    for name, value in named.items():
        if name not in names:
            raise TypeError(f"{member.name}() got an unexpected keyword argument {name!r}")
        if name in found:
            raise TypeError(f"{member.name}() got multiple values for argument {name!r}")
        found[name] = value
    return [found.get(name, MISSING) for name in names]


class Apartments:
    """Which threads have called CoInitialize, and how often."""

    def __init__(self) -> None:
        self._local = threading.local()

    @property
    def depth(self) -> int:
        """How often this thread has to call CoUninitialize."""
        return getattr(self._local, "depth", 0)

    def enter(self) -> None:
        """Begin to use COM on this thread."""
        self._local.depth = self.depth + 1

    def leave(self) -> None:
        """End it; once too often does no harm. Objects live on."""
        self._local.depth = max(0, self.depth - 1)


@dataclass(frozen=True, kw_only=True)
class Com:
    """COM of one process.

    Attributes:
        classes: For each class that can be created, its interface and how to make an object.
        apartments: The threads that use it.
    """

    classes: Mapping[UUID, tuple[str, Callable[[], object]]]
    apartments: Apartments

    def create(self, name: str) -> ComObject:
        """Create an object.

        Args:
            name: ProgID in any case, or CLSID in braces.

        Raises:
            CallError: This thread has not called CoInitialize, or there is no such class.
        """
        if not self.apartments.depth:
            raise CallError(CO_E_NOTINITIALIZED)
        guid = clsid(name)
        if guid not in self.classes:
            raise CallError(REGDB_E_CLASSNOTREG)
        interface, make = self.classes[guid]
        return ComObject(make(), INTERFACES[interface])


def clsid(name: str) -> UUID:
    """Return the class that a ProgID or a CLSID in braces names.

    Raises:
        CallError: It is neither.
    """
    found = {known.lower(): guid for known, guid in PROGIDS.items()}.get(name.lower())
    if found is None and name.startswith("{") and name.endswith("}"):
        try:
            found = UUID(name)
        except ValueError:
            found = None
    if found is None:
        raise CallError(CO_E_CLASSSTRING)
    return found
