"""The style of comtypes: a class for each interface, whose instances are pointers to objects.

Source:
    comtypes (observed behaviour).
"""

# ruff: noqa: N802, SLF001 (the names are those of comtypes; programs see nothing of ours)

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ctypes import ArgumentError
from types import MappingProxyType, SimpleNamespace
from typing import ClassVar
from uuid import UUID

from icshare.netcon.connections import NETCON_PROPERTIES
from icshare.netcon.hresults import ComError
from icshare.netcon.identifiers import IIDS, braced
from icshare.windows.codes import DISP_E_PARAMNOTOPTIONAL, DISP_E_TYPEMISMATCH, E_NOINTERFACE, TEXTS, CallError
from icshare.windows.members import INTERFACES, Interface, Member
from icshare.windows.objects import MISSING, ComObject, bound


class COMError(Exception):
    """A call failed.

    Attributes:
        hresult: The code of the object, or of COM.
        text: What Windows says to it.
        details: ``(text, source, help file, help context, ProgID)``.
    """

    __module__ = "_ctypes"

    def __init__(self, hresult: int, text: str | None, details: tuple[object, ...]) -> None:
        super().__init__(hresult, text, details)
        self.hresult = hresult
        self.text = text
        self.details = details


class CreationError(COMError, OSError):
    """An object could not be created: an OSError in comtypes, where programs catch either.

    Attributes:
        winerror: The code once more.
    """

    def __init__(self, hresult: int, text: str) -> None:
        super().__init__(hresult, text, (None, None, None, 0, None))
        self.winerror = hresult

    def __str__(self) -> str:
        return f"[WinError {self.winerror}] {self.text}"


@contextmanager
def raising() -> Iterator[None]:
    """Turn errors into those of comtypes.

    Raises:
        COMError: In place of `CallError` and of any HRESULT.
        ArgumentError: An argument is of the wrong type.
        TypeError: An argument is missing.
    """
    try:
        yield
    except CallError as failed:
        if failed.code == DISP_E_TYPEMISMATCH:
            raise ArgumentError("wrong type") from None
        if failed.code == DISP_E_PARAMNOTOPTIONAL:
            raise TypeError("required argument missing") from None
        raise COMError(failed.code, TEXTS[failed.code], (None, None, None, 0, None)) from None
    except ComError as refused:
        said = refused.text + (f" ({refused.hint})" if refused.hint else "")
        raise COMError(refused.signed, refused.meaning, (said, "HNetCfg", None, 0, None)) from None


class Pointer:
    """Base of all interfaces. Names are found in any case.

    Attributes:
        _iid_: Interface id, as text in braces.
    """

    _iid_: ClassVar[str] = braced(IIDS["IUnknown"])
    _interface: ClassVar[Interface | None] = None

    def __init__(self, com: ComObject) -> None:
        self._object = com

    def QueryInterface(self, interface: "type[Pointer]") -> "Pointer":
        """Return the object by another of its interfaces.

        Raises:
            COMError: It has no such interface.
        """
        wanted = interface._interface
        has = wanted is self._object.interface if wanted else True
        if interface is IDispatch:
            has = self._object.interface.scriptable
        if not has:
            raise COMError(E_NOINTERFACE, TEXTS[E_NOINTERFACE], (None, None, None, 0, None))
        return interface(self._object)

    def AddRef(self) -> int:
        """Do nothing: Python counts."""
        return 2

    def Release(self) -> int:
        """Do nothing: Python counts."""
        return 1

    def __getattr__(self, name: str) -> object:
        member = self._interface.find(name) if self._interface else None
        if member is None or member.name == name:
            raise AttributeError(name)
        return getattr(self, member.name)

    def __bool__(self) -> bool:
        return True  # a pointer to something

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pointer) and other._object.target is self._object.target

    def __hash__(self) -> int:
        return id(self._object.target)

    def __repr__(self) -> str:
        return f"<POINTER({type(self).__name__}) ptr=0x{id(self._object.target):x} at {id(self):x}>"


class IUnknown(Pointer):
    """An object of which nothing is known but what `Pointer` has."""


class IDispatch(Pointer):
    """An object that scripts could use."""

    _iid_ = braced(IIDS["IDispatch"])


class NamedProperty:
    """A property with arguments: it can be called, and indexed by them."""

    def __init__(self, name: str, get: Callable[..., object]) -> None:
        self.name = name
        self._get = get

    def __call__(self, *arguments: object) -> object:
        """Read it with these arguments."""
        return self._get(*arguments)

    def __getitem__(self, index: object) -> object:
        return self._get(*index) if isinstance(index, tuple) else self._get(index)

    def __repr__(self) -> str:
        return f"<bound_named_property {self.name!r}>"


class Structure:
    """A pointer to a structure.

    Attributes:
        contents: The structure; identifiers are text in braces.
    """

    def __init__(self, properties: NETCON_PROPERTIES) -> None:
        fields = {name: getattr(properties, name) for name in properties.__dataclass_fields__}
        self.contents = SimpleNamespace(
            **{name: braced(value) if isinstance(value, UUID) else value for name, value in fields.items()}
        )

    def __getitem__(self, index: int) -> SimpleNamespace:
        if index:
            raise IndexError("there is one structure only")
        return self.contents


def pointer(value: object) -> object:
    """Return what a program gets: an enumerator, a pointer to another object or a structure, a value as it is."""
    if isinstance(value, NETCON_PROPERTIES):
        return Structure(value)
    if not isinstance(value, ComObject):
        return value
    if value.interface.element and not value.interface.scriptable:
        return Enumerator(tuple(pointer(one) for one in value.elements()))
    return POINTERS[value.interface.name](value)


def _called(self: Pointer, member: Member, arguments: tuple[object, ...]) -> object:
    given = bound(member, [one._object if isinstance(one, Pointer) else one for one in arguments], {})
    if MISSING in given:
        raise TypeError(f"call takes exactly {len(given)} arguments ({len(arguments)} given)")
    with raising():
        return pointer(self._object.get(member, given))


def _property(member: Member) -> property:
    def get(self: Pointer) -> object:
        return _called(self, member, ())

    def named(self: Pointer) -> object:
        return NamedProperty(member.name, lambda *arguments: _called(self, member, arguments))

    def put(self: Pointer, value: object) -> None:
        with raising():
            self._object.put(member, value)

    if member.put:
        return property(None, put)
    return property(get if member.plain else named)


def _method(member: Member) -> Callable[..., object]:
    def method(self: Pointer, *arguments: object) -> object:
        return _called(self, member, arguments)

    method.__name__ = method.__qualname__ = member.name
    return method


def _length(self: Pointer) -> int:
    with raising():
        return self._object.count()


def _enumerator(self: Pointer) -> "Enumerator":
    with raising():
        elements = tuple(self._object.elements())
    return Enumerator(tuple(pointer(one) if one.interface.scriptable else IUnknown(one) for one in elements))


def _item(self: Pointer, index: object) -> object:
    item: NamedProperty = self.Item  # type: ignore[assignment]  # a property with arguments
    return item[index]


def _default(self: Pointer, *arguments: object) -> object:
    item: NamedProperty = self.Item  # type: ignore[assignment]  # likewise
    return item(*arguments)


class Enumerator:
    """An enumerator; that of a collection has elements for scripts by their own interface, others by `IUnknown`."""

    def __init__(self, elements: tuple[object, ...], position: int = 0) -> None:
        self._elements = elements
        self._position = position

    def Next(self, celt: int) -> tuple[object, int]:
        """Return the next element, or None, and how many there were; for more than one a tuple of them."""
        found = self._elements[self._position : self._position + celt]
        self._position += len(found)
        return (found if celt != 1 else found[0] if found else None), len(found)

    def Skip(self, celt: int) -> int:
        """Move on; returns 1 when there were fewer."""
        return int(self.Next(celt)[1] < celt)

    def Reset(self) -> int:
        """Go back to the first element."""
        self._position = 0
        return 0

    def Clone(self) -> "Enumerator":
        """Return another one at the same position."""
        return Enumerator(self._elements, self._position)

    def __iter__(self) -> "Enumerator":
        return self

    def __next__(self) -> object:
        element, fetched = self.Next(1)
        if not fetched:
            raise StopIteration
        return element


def _generated(interface: Interface) -> type[Pointer]:
    content: dict[str, object] = {"_iid_": braced(interface.iid), "_interface": interface}
    for name, member in interface.members.items():
        content[name] = _property(member) if member.get or member.put else _method(member)
    if "Count" in interface.members:
        content["__len__"] = _length
    if interface.element:
        content |= {"__iter__": _enumerator, "_NewEnum": property(_enumerator)}
    if "Item" in interface.members:
        content |= {"__getitem__": _item, "__call__": _default}
    return type(interface.name, (IDispatch if interface.scriptable else IUnknown,), content)


POINTERS: Mapping[str, type[Pointer]] = MappingProxyType(
    {name: _generated(interface) for name, interface in INTERFACES.items()}
)
"""The classes of the interfaces by name."""
