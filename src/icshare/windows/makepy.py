"""The makepy style of pywin32: a class for each interface, generated from its type library.

Source:
    pywin32, ``win32com.client.makepy`` and ``gencache`` (observed behaviour).
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar

from icshare.windows.members import INTERFACES, Interface, Member
from icshare.windows.oleobjects import PyIDispatch, PyIID, as_dispatch, called, dressed, raising, unwrapped


class DispatchBaseClass:
    """Base of the generated classes. Names are found in their own case only.

    Attributes:
        CLSID: Interface id of the class.
    """

    CLSID: ClassVar[PyIID]
    _oleobj_: PyIDispatch
    _interface: ClassVar[Interface]

    def __init__(self, oleobj: "PyIDispatch | DispatchBaseClass") -> None:
        inner = oleobj._oleobj_ if isinstance(oleobj, DispatchBaseClass) else oleobj
        self.__dict__["_oleobj_"] = as_dispatch(inner, self.CLSID)

    def __repr__(self) -> str:
        return f"<win32com.gen_py.{type(self).__module__}.{type(self).__name__} instance at 0x{id(self)}>"

    def __eq__(self, other: object) -> bool:
        return self._oleobj_ == getattr(other, "_oleobj_", other)

    def __hash__(self) -> int:
        return hash(self._oleobj_)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._interface.members})

    def __getattr__(self, name: str) -> object:
        member = self._interface.members.get(name)
        if member is None or not member.plain:
            raise AttributeError(f"'{self!r}' object has no attribute '{name}'")
        with raising():
            value = self._oleobj_.com.get(member)
        return dressed(value, typed)

    def __setattr__(self, name: str, value: object) -> None:
        member = self._interface.members.get(name)
        if member is None or not member.put:
            raise AttributeError(f"'{self!r}' object has no attribute '{name}'")
        with raising():
            self._oleobj_.com.put(member, unwrapped(value))


def typed(oleobj: PyIDispatch) -> DispatchBaseClass:
    """Return *oleobj* in the class of its interface."""
    return CLASSES[oleobj.com.interface.name](oleobj)


def _method(member: Member) -> Callable[..., object]:
    def method(self: DispatchBaseClass, *arguments: object, **named: object) -> object:
        return dressed(called(self._oleobj_.com, member, arguments, named), typed)

    method.__name__ = method.__qualname__ = member.name
    return method


def _length(self: DispatchBaseClass) -> int:
    with raising():
        return self._oleobj_.com.count()


def _truth(_: DispatchBaseClass) -> bool:
    return True  # an empty collection is an object too


def _elements(self: DispatchBaseClass) -> Iterator[object]:
    with raising():
        elements = tuple(self._oleobj_.com.elements())
    return (dressed(one, typed) for one in elements)


def _default(self: DispatchBaseClass, *arguments: object, **named: object) -> object:
    item: Callable[..., object] = self.Item  # type: ignore[assignment]  # a method
    return item(*arguments, **named)


def _generated(interface: Interface) -> type[DispatchBaseClass]:
    content: dict[str, object] = {"CLSID": PyIID(interface.iid), "_interface": interface, "__module__": "NETCONLib"}
    for name, member in interface.members.items():
        if not member.plain and not member.put:
            content[name] = _method(member)
    if "Count" in interface.members:
        content |= {"__len__": _length, "__bool__": _truth}
    if interface.element:
        content["__iter__"] = _elements
    if "Item" in interface.members:
        content["__call__"] = _default
    return type(interface.name, (DispatchBaseClass,), content)


CLASSES: Mapping[str, type[DispatchBaseClass]] = MappingProxyType(
    {name: _generated(interface) for name, interface in INTERFACES.items() if interface.scriptable}
)
"""The generated classes by name."""
