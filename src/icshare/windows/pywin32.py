"""The modules of pywin32: ``pythoncom``, ``pywintypes``, ``winerror``, ``win32com.client`` and what belongs to it.

Source:
    pywin32 documentation.
"""

from collections.abc import Callable, Mapping
from types import ModuleType
from uuid import uuid4

from icshare.netcon import constants as netcon_constants
from icshare.netcon.identifiers import IIDS, LIBID_NETCONLib
from icshare.windows.codes import CO_E_NOTINITIALIZED, TEXTS, WINERROR
from icshare.windows.latebound import CDispatch
from icshare.windows.makepy import CLASSES, DispatchBaseClass, typed
from icshare.windows.members import NATUPNP_LIBID
from icshare.windows.objects import Com
from icshare.windows.oleobjects import (
    DISPATCH_METHOD,
    DISPATCH_PROPERTYGET,
    DISPATCH_PROPERTYPUT,
    PyIDispatch,
    PyIID,
    PyIStream,
    PyIUnknown,
    as_dispatch,
    com_error,
    error,
    raising,
)

CONSTANTS: Mapping[str, int] = {
    name: int(value)
    for name, value in vars(netcon_constants).items()
    if name.startswith(("NCM_", "NCCF_", "NCS_", "NCT_", "ICS", "NCME_", "NCUC_")) and isinstance(value, int)
}
"""The constants of the type library."""

_IUNKNOWN, _IDISPATCH = PyIID(IIDS["IUnknown"]), PyIID(IIDS["IDispatch"])


class Constants:
    """The constants of the type libraries that are loaded, as attributes."""

    def __init__(self) -> None:
        self._loaded: dict[str, int] = {}

    def load(self) -> None:
        """Have the constants from now on: what the makepy style needs is generated; an addition of ours."""
        self._loaded = dict(CONSTANTS)

    def __getattr__(self, name: str) -> int:
        try:
            return self._loaded[name]
        except KeyError:
            raise AttributeError(name) from None


class Pywin32:
    """pywin32 of one process."""

    def __init__(self, com: Com, winmgmts: Callable[[str], object]) -> None:
        """Take what it gives to programs.

        Args:
            com: Objects of COM.
            winmgmts: Returns the namespace of WMI that a moniker names.
        """
        self._com = com
        self._constants = Constants()
        self._winmgmts = winmgmts

    def _oleobj(self, given: object) -> tuple[PyIDispatch, str | None]:
        """Return the object that a program names or has, and the name."""
        if isinstance(given, PyIID):
            given = str(given)
        if isinstance(given, str):
            with raising():
                return as_dispatch(PyIUnknown(self._com.create(given))), given
        inner = getattr(given, "_oleobj_", given)
        if not isinstance(inner, PyIUnknown):
            raise TypeError(f"The Python instance can not be converted to a COM object: {type(given).__name__}")
        return as_dispatch(inner), None

    def dispatch(self, dispatch: object, userName: str | None = None, *_: object, **__: object) -> CDispatch:  # noqa: N803 (pywin32's name)
        """Return an object in the late-bound style.

        Args:
            dispatch: ProgID, CLSID in braces, or an object.
            userName: Its name for ``repr``.

        Raises:
            com_error: There is no such class, or this thread has not called CoInitialize.
        """
        oleobj, name = self._oleobj(dispatch)
        return CDispatch(oleobj, userName or name)

    def dispatch_on(self, clsid: object, machine: str | None = None, *_: object, **__: object) -> CDispatch:
        """Return an object in the late-bound style, as `dispatch`.

        Raises:
            com_error: As `dispatch`, or *machine* is another one.
        """
        if machine not in (None, "", ".", "localhost", "127.0.0.1"):
            raise com_error(-2147023174, "The RPC server is unavailable.")
        return self.dispatch(clsid)

    def ensure_dispatch(self, prog_id: object, *_: object, **__: object) -> DispatchBaseClass:
        """Return an object in the makepy style.

        Raises:
            com_error: As `dispatch`.
        """
        made = typed(self._oleobj(prog_id)[0])
        self._constants.load()
        return made

    def cast(self, ob: object, target: str, *_: object) -> DispatchBaseClass:
        """Return *ob* by its interface *target*, in the makepy style.

        Raises:
            ValueError: There is no such interface.
            com_error: The object has another.
        """
        if target not in CLASSES:
            raise ValueError(f"The interface name '{target}' does not appear in the same library as object '{ob!r}'")
        made = CLASSES[target](self._oleobj(ob)[0])
        self._constants.load()
        return made

    def get_object(self, Pathname: str | None = None, Class: str | None = None, *_: object) -> object:  # noqa: N803 (likewise)
        """Return what a moniker names: ``new:CLSID`` or ``winmgmts:NAMESPACE``; no object is registered as running.

        Raises:
            com_error: Anything else.
            ValueError: Not exactly one argument.
        """
        if (Pathname is None) == (Class is None):
            raise ValueError("You must specify a value for Pathname or Class, but not both.")
        if Pathname and Pathname.lower().startswith("winmgmts:"):
            return self._winmgmts(Pathname)
        if Pathname and Pathname.lower().startswith("new:"):
            text = Pathname[4:]
            return self.dispatch(text if "." in text or text.startswith("{") else f"{{{text}}}")
        raise com_error(-2147221021 if Class else -2147221020, "Operation unavailable" if Class else "Invalid syntax")

    def create_instance(self, clsid: object, _outer: object, _context: int, iid: PyIID | str) -> PyIUnknown:
        """Return a new object by its interface *iid*, as ``CoCreateInstance`` does.

        Raises:
            com_error: As `dispatch`, or it has no such interface.
        """
        with raising():
            return PyIUnknown(self._com.create(str(clsid))).QueryInterface(iid)

    def new(self, iid: object) -> PyIDispatch:
        """Return a new object for scripts."""
        return self._oleobj(str(iid))[0]

    def initialize(self, *_: object, **__: object) -> None:
        """Begin to use COM on this thread."""
        self._com.apartments.enter()

    def uninitialize(self) -> None:
        """End to use COM on this thread."""
        self._com.apartments.leave()

    def marshal(self, _iid: object, obj: PyIUnknown) -> PyIStream:
        """Return a stream with *obj* for another thread.

        Raises:
            TypeError: It is no object.
        """
        return PyIStream(obj)

    def unmarshal(self, stream: PyIStream, iid: PyIID | str) -> PyIUnknown:
        """Return the object in *stream* by its interface *iid*.

        Raises:
            com_error: This thread has not called CoInitialize, or the object has no such interface.
        """
        if not self._com.apartments.depth:
            raise com_error(CO_E_NOTINITIALIZED, TEXTS[CO_E_NOTINITIALIZED])
        return stream.held.QueryInterface(iid)

    def modules(self) -> dict[str, dict[str, object]]:
        """Return the content of each module; packages are those that have others below them."""
        library = {"CLSID": PyIID(LIBID_NETCONLib), "MajorVersion": 1, "MinorVersion": 0, **CLASSES}

        def ensure_module(typelib: object, *_: object, **__: object) -> ModuleType:
            known = (PyIID(LIBID_NETCONLib), PyIID(NATUPNP_LIBID))
            if str(typelib).upper() not in [str(one) for one in known]:
                raise com_error(-2147319779, "Library not registered.")
            module = ModuleType("win32com.gen_py.NETCONLib")
            self._constants.load()
            module.__dict__.update(library, constants=self._constants)
            return module

        types: dict[str, object] = {"com_error": com_error, "error": error, "IID": PyIID, "IIDType": PyIID}
        dispatch = {"Dispatch": self.dispatch, "CDispatch": CDispatch}
        return {
            "pywintypes": types,
            "pythoncom": {
                "com_error": com_error,
                "ole_error": com_error,
                "error": com_error,
                "CoInitialize": self.initialize,
                "CoInitializeEx": self.initialize,
                "CoUninitialize": self.uninitialize,
                "CoInitializeSecurity": _nothing,
                "CoFreeUnusedLibraries": _nothing,
                "PumpWaitingMessages": _zero,
                "CoCreateInstance": self.create_instance,
                "CoMarshalInterThreadInterfaceInStream": self.marshal,
                "CoGetInterfaceAndReleaseStream": self.unmarshal,
                "CreateGuid": _new_guid,
                "MakeIID": PyIID,
                "new": self.new,
                "IID_IUnknown": _IUNKNOWN,
                "IID_IDispatch": _IDISPATCH,
                "IID_NULL": PyIID("{00000000-0000-0000-0000-000000000000}"),
                "PyIUnknown": PyIUnknown,
                "TypeIIDs": {_IUNKNOWN: PyIUnknown, _IDISPATCH: PyIDispatch},
                "DISPATCH_METHOD": DISPATCH_METHOD,
                "DISPATCH_PROPERTYGET": DISPATCH_PROPERTYGET,
                "DISPATCH_PROPERTYPUT": DISPATCH_PROPERTYPUT,
                "COINIT_MULTITHREADED": 0,
                "COINIT_APARTMENTTHREADED": 2,
                "COINIT_DISABLE_OLE1DDE": 4,
                "COINIT_SPEED_OVER_MEMORY": 8,
                "CLSCTX_INPROC_SERVER": 1,
                "CLSCTX_INPROC_HANDLER": 2,
                "CLSCTX_LOCAL_SERVER": 4,
                "CLSCTX_REMOTE_SERVER": 16,
                "CLSCTX_INPROC": 3,
                "CLSCTX_SERVER": 21,
                "CLSCTX_ALL": 23,
                "RPC_C_AUTHN_LEVEL_PKT": 4,
                "RPC_C_IMP_LEVEL_IMPERSONATE": 3,
                "EOAC_NONE": 0,
            },
            "winerror": dict(WINERROR),
            "win32com": {"__version__": "emulated"},
            "win32com.client": {
                **dispatch,
                "DispatchEx": self.dispatch_on,
                "DispatchBaseClass": DispatchBaseClass,
                "GetObject": self.get_object,
                "CastTo": self.cast,
                "constants": self._constants,
                "Constants": Constants,
            },
            "win32com.client.dynamic": {**dispatch, "DumbDispatch": self.dispatch},
            "win32com.client.gencache": {
                "EnsureDispatch": self.ensure_dispatch,
                "EnsureModule": ensure_module,
                "is_readonly": False,
                "GetGeneratePath": _no_path,
                "Rebuild": _nothing,
            },
        }


def _nothing(*_: object, **__: object) -> None:
    """Do nothing."""


def _zero(*_: object) -> int:
    """Return 0: no messages."""
    return 0


def _no_path() -> str:
    """Return "": nothing is generated into files."""
    return ""


def _new_guid() -> PyIID:
    """Return a new identifier."""
    return PyIID(uuid4())
