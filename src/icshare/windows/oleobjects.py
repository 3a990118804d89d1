"""What pywin32 has below its two styles: the error, identifiers, and objects that nothing is known of.

Source:
    pywin32 documentation (``pywintypes.com_error``, ``PyIUnknown``, ``PyIDispatch``, ``PyIID``).
"""

# ruff: noqa: N801, N802, N818, SLF001 (the names are pywin32's; PyIUnknown shows nothing else)

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from icshare.netcon.hresults import ComError
from icshare.netcon.identifiers import IIDS, braced
from icshare.windows.codes import (
    DISP_E_BADPARAMCOUNT,
    DISP_E_EXCEPTION,
    DISP_E_MEMBERNOTFOUND,
    DISP_E_UNKNOWNNAME,
    E_NOINTERFACE,
    TEXTS,
    CallError,
)
from icshare.windows.members import Member
from icshare.windows.objects import ComObject, bound

DISPATCH_METHOD = 1
DISPATCH_PROPERTYGET = 2
DISPATCH_PROPERTYPUT = 4

IID_IUNKNOWN = IIDS["IUnknown"]
IID_IDISPATCH = IIDS["IDispatch"]


class com_error(Exception):
    """A call failed.

    Attributes:
        hresult: Code of the call: `DISP_E_EXCEPTION` when the object itself refused.
        strerror: What Windows says to that code.
        excepinfo: ``(0, source, text, None, 0, code)`` when the object refused, with its code; None otherwise.
        argerror: Number of the argument that is wrong, None when it is not known.
    """

    __module__ = "pywintypes"

    def __init__(
        self,
        hresult: int,
        strerror: str | None = None,
        excepinfo: tuple[object, ...] | None = None,
        argerror: int | None = None,
    ) -> None:
        super().__init__(hresult, strerror, excepinfo, argerror)
        self.hresult = hresult
        self.strerror = strerror
        self.excepinfo = excepinfo
        self.argerror = argerror


class error(Exception):
    """A call to Windows failed.

    Attributes:
        winerror: Its code.
        funcname: The function.
        strerror: What Windows says to the code.
    """

    __module__ = "pywintypes"

    def __init__(self, winerror: int, funcname: str | None = None, strerror: str | None = None) -> None:
        super().__init__(winerror, funcname, strerror)
        self.winerror = winerror
        self.funcname = funcname
        self.strerror = strerror


@contextmanager
def raising() -> Iterator[None]:
    """Turn errors into those of pywin32.

    Raises:
        com_error: In place of `CallError` and of any HRESULT.
    """
    try:
        yield
    except CallError as failed:
        raise com_error(failed.code, TEXTS[failed.code]) from None
    except ComError as refused:
        said = refused.text + (f" ({refused.hint})" if refused.hint else "")
        excepinfo = (0, "HNetCfg", said, None, 0, refused.signed)
        raise com_error(DISP_E_EXCEPTION, TEXTS[DISP_E_EXCEPTION], excepinfo) from None


class PyIID:
    """An identifier, equal to its text."""

    def __init__(self, value: "str | PyIID | UUID") -> None:
        try:
            self._guid = value if isinstance(value, UUID) else UUID(str(value))
        except ValueError:
            raise com_error(-2147221005, "Invalid class string") from None

    def __str__(self) -> str:
        return braced(self._guid)

    def __repr__(self) -> str:
        return f"IID('{self}')"

    def __eq__(self, other: object) -> bool:
        return str(self).lower() == str(other).lower() if isinstance(other, PyIID | str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._guid)

    @property
    def guid(self) -> UUID:
        """The identifier as Python has it; an addition of ours."""
        return self._guid


class PyIUnknown:
    """An object of which only its identity is known: it can be kept, compared and passed on."""

    __slots__ = ("_object",)

    def __init__(self, com: ComObject) -> None:
        self._object = com

    def QueryInterface(self, iid: PyIID | str, useIID: PyIID | str | None = None) -> "PyIUnknown":  # noqa: N803
        """Return the object by another of its interfaces.

        Raises:
            com_error: It has no such interface.
            TypeError: pywin32 knows no such interface, which is so for all of netcon.
        """
        wanted, known = PyIID(iid).guid, PyIID(useIID or iid).guid
        interface = self._object.interface
        if known not in (IID_IUNKNOWN, IID_IDISPATCH):
            raise TypeError("There is no interface object registered that supports this IID")
        dispatch = known == IID_IDISPATCH
        if wanted not in {IID_IUNKNOWN, *({IID_IDISPATCH} if interface.scriptable else ()), interface.iid} or (
            dispatch and not interface.scriptable
        ):
            raise com_error(E_NOINTERFACE, TEXTS[E_NOINTERFACE])
        return PyIDispatch(self._object) if dispatch else PyIUnknown(self._object)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PyIUnknown) and other._object.target is self._object.target

    def __hash__(self) -> int:
        return id(self._object.target)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at 0x{id(self):016X} with obj at 0x{id(self._object.target):016X}>"


class PyIDispatch(PyIUnknown):
    """An object that scripts can use, before a style is chosen."""

    __slots__ = ()

    @property
    def com(self) -> ComObject:
        """What is behind it; an addition of ours."""
        return self._object

    def GetIDsOfNames(self, *names: object) -> int | tuple[int, ...]:
        """Return the dispatch id of a name, of several a tuple; a number before them is the language.

        Raises:
            com_error: There is no such member.
        """
        found = []
        for name in names[isinstance(names[0], int) :] if names else ():
            member = self._object.interface.find(str(name))
            if member is None:
                raise com_error(DISP_E_UNKNOWNNAME, TEXTS[DISP_E_UNKNOWNNAME])
            found.append(member.dispid)
        return found[0] if len(found) == 1 else tuple(found)

    def Invoke(self, dispid: int, _lcid: int, flags: int, _wanted: object = None, *arguments: object) -> object:
        """Call a method, or read or set a property, by its dispatch id; objects come bare.

        Args:
            dispid: Dispatch id.
            flags: `DISPATCH_METHOD`, `DISPATCH_PROPERTYGET`, `DISPATCH_PROPERTYPUT`.
            arguments: One for each parameter.

        Raises:
            com_error: There is no such member, the arguments are wrong, or the object refused.
        """
        com = self._object
        member = next((one for one in com.interface.members.values() if one.dispid == dispid), None)
        if member is None or not flags & _flag(member):
            raise com_error(DISP_E_MEMBERNOTFOUND, TEXTS[DISP_E_MEMBERNOTFOUND])
        if len(arguments) != (1 if member.put else len(member.parameters)):
            raise com_error(DISP_E_BADPARAMCOUNT, TEXTS[DISP_E_BADPARAMCOUNT])
        given = [unwrapped(one) for one in arguments]
        with raising():
            if member.put:
                com.put(member, given[0])
                return None
            result = com.get(member, given)
        return dressed(result, lambda one: one) if member.result or member.get else None


class PyIStream:
    """What carries an object to another thread.

    Attributes:
        held: The object; an addition of ours.
    """

    __slots__ = ("held",)

    def __init__(self, held: PyIUnknown) -> None:
        if not isinstance(held, PyIUnknown):
            raise TypeError("The Python object is not a COM object")
        self.held = held


def _flag(member: Member) -> int:
    """Return what a member is asked for by."""
    if member.put:
        return DISPATCH_PROPERTYPUT
    return DISPATCH_PROPERTYGET if member.get else DISPATCH_METHOD


def as_dispatch(oleobj: PyIUnknown, iid: "PyIID | str | None" = None) -> PyIDispatch:
    """Return *oleobj* as an object that scripts can use, by its interface *iid*.

    Raises:
        com_error: It has no such interface, or is none for scripts.
    """
    found = oleobj.QueryInterface(iid or PyIID(IID_IDISPATCH), PyIID(IID_IDISPATCH))
    assert isinstance(found, PyIDispatch)
    return found


def unwrapped(value: object) -> object:
    """Return *value* as an argument: the object behind a wrapper of either style, all else as it is.

    Raises:
        TypeError: It is an object of Python, which COM knows nothing of.
    """
    inner = getattr(value, "_oleobj_", value)
    if isinstance(inner, PyIUnknown):
        return inner._object
    if inner is None or isinstance(inner, str | int | float | ComObject):
        return inner
    raise TypeError("The Python instance can not be converted to a COM object")


def called(com: ComObject, member: Member, arguments: Sequence[object], named: dict[str, object]) -> object:
    """Call a member, or read a property with arguments.

    Raises:
        com_error: COM or the object refused.
        TypeError: The arguments are not what Python or COM can pass.
    """
    given = bound(member, [unwrapped(one) for one in arguments], {key: unwrapped(one) for key, one in named.items()})
    with raising():
        result = com.get(member, given)
    # without a result the code of success is all there is, and pywin32 does not show it
    return result if member.result or member.get else None


def dressed(value: object, dress: Callable[[PyIDispatch], object]) -> object:
    """Return what a program gets: an object for scripts in the style *dress*, another bare, a value as it is."""
    if not isinstance(value, ComObject):
        return value
    return dress(PyIDispatch(value)) if value.interface.scriptable else PyIUnknown(value)
