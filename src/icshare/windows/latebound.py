"""The late-bound style of pywin32: members are looked up by name when they are used.

Source:
    pywin32, ``win32com.client.dynamic`` (observed behaviour).
"""

from collections.abc import Iterator

from icshare.windows.codes import DISP_E_MEMBERNOTFOUND, TEXTS
from icshare.windows.oleobjects import PyIDispatch, called, com_error, dressed, raising, unwrapped


class CDispatch:
    """An object that scripts can use. Names are found in any case; a method is one only when it is called."""

    __module__ = "win32com.client"

    _oleobj_: PyIDispatch
    _username_: str

    def __init__(self, oleobj: PyIDispatch, name: str | None = None) -> None:
        self.__dict__["_oleobj_"] = oleobj
        self.__dict__["_username_"] = name or "<unknown>"

    def __repr__(self) -> str:
        return f"<COMObject {self._username_}>"

    def __bool__(self) -> bool:
        return True  # an empty collection is an object too

    def __eq__(self, other: object) -> bool:
        return self._oleobj_ == getattr(other, "_oleobj_", other)

    def __hash__(self) -> int:
        return hash(self._oleobj_)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._oleobj_.com.interface.members})

    def __getattr__(self, name: str) -> object:
        if name.startswith("_") and name.endswith("_"):
            raise AttributeError(name)
        com = self._oleobj_.com
        member = com.interface.find(name)
        if member is None:
            raise AttributeError(f"{self._username_}.{name}")
        if member.plain or member.put:
            with raising():
                value = com.get(member)
            return dressed(value, CDispatch)

        def method(self: "CDispatch", *arguments: object, **named: object) -> object:
            return dressed(called(self._oleobj_.com, member, arguments, named), CDispatch)

        method.__name__ = method.__qualname__ = member.name
        return method.__get__(self)

    def __setattr__(self, name: str, value: object) -> None:
        member = self._oleobj_.com.interface.find(name)
        if member is None or not member.put:
            raise AttributeError(f"Property '{self._username_}.{name}' can not be set.")
        with raising():
            self._oleobj_.com.put(member, unwrapped(value))

    def __call__(self, *arguments: object) -> object:
        """Ask for the default member, which only a collection with ``Item`` has.

        Raises:
            com_error: There is none.
        """
        if "Item" not in self._oleobj_.com.interface.members:
            raise com_error(DISP_E_MEMBERNOTFOUND, TEXTS[DISP_E_MEMBERNOTFOUND])
        return self.Item(*arguments)  # type: ignore[operator]  # a method

    def __len__(self) -> int:
        if "Count" not in self._oleobj_.com.interface.members:
            raise TypeError("This dispatch object does not define a Count method")
        with raising():
            return self._oleobj_.com.count()

    def __iter__(self) -> Iterator[object]:
        com = self._oleobj_.com
        if not com.interface.element:
            raise TypeError(f"'{type(self).__name__}' object is not iterable")
        with raising():
            elements = tuple(com.elements())
        return (dressed(one, CDispatch) for one in elements)

    def __getitem__(self, index: object) -> object:
        """Return the element at *index*, counted from 0.

        Raises:
            IndexError: There are not so many.
            TypeError: This is no collection, or *index* is no number.
        """
        if self._oleobj_.com.interface.element and isinstance(index, int):
            found = list(self)
            if not 0 <= index < len(found):
                raise IndexError("list index out of range")
            return found[index]
        if "Item" in self._oleobj_.com.interface.members:
            return self.Item(index)  # type: ignore[operator]  # a method
        raise TypeError("This object does not support enumeration")
