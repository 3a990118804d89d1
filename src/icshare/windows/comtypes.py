"""The modules of comtypes: ``comtypes``, ``comtypes.client``, and the modules generated from type libraries.

Source:
    comtypes documentation.
"""

from importlib import import_module
from types import ModuleType
from uuid import UUID, uuid4

from icshare.netcon.constants import NETCON_MAX_NAME_LEN
from icshare.netcon.identifiers import CLSID_NetSharingManager, CLSID_UPnPNAT, LIBID_NETCONLib, braced
from icshare.windows.codes import TEXTS, WINERROR, CallError
from icshare.windows.members import NATUPNP, NATUPNP_LIBID, NETCON
from icshare.windows.objects import Com, clsid
from icshare.windows.pointers import POINTERS, COMError, CreationError, IDispatch, IUnknown, Pointer, raising
from icshare.windows.pywin32 import CONSTANTS, Constants

_LIBRARIES = {
    "hnetcfg.dll": "NETCONLib",
    braced(LIBID_NETCONLib): "NETCONLib",
    "natupnp.dll": "NATUPNPLib",
    braced(NATUPNP_LIBID): "NATUPNPLib",
}


class GUID:
    """An identifier, made of its text in braces; without one it is null."""

    def __init__(self, name: str | None = None) -> None:
        try:
            self._guid = UUID(name) if name else UUID(int=0)
        except ValueError:
            raise OSError(None, "Invalid class string", None, -2147221005) from None

    def __str__(self) -> str:
        return braced(self._guid)

    def __repr__(self) -> str:
        return f'GUID("{self}")'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GUID) and other._guid == self._guid

    def __hash__(self) -> int:
        return hash(self._guid)

    @classmethod
    def create_new(cls) -> "GUID":
        """Return a new identifier."""
        return cls(str(uuid4()))

    @classmethod
    def from_progid(cls, progid: object) -> "GUID":
        """Return the class that *progid* names.

        Raises:
            CreationError: It names none.
        """
        try:
            return cls(str(clsid(class_of(progid))))
        except CallError as failed:
            raise CreationError(failed.code, TEXTS[failed.code]) from None


class Comtypes:
    """comtypes of one process."""

    def __init__(self, com: Com) -> None:
        self._com = com

    def create_object(
        self,
        progid: object,
        clsctx: int | None = None,  # noqa: ARG002 (the signature of comtypes)
        machine: str | None = None,  # noqa: ARG002 (likewise)
        interface: type[Pointer] | None = None,
        **_: object,
    ) -> Pointer:
        """Return a new object.

        Args:
            progid: ProgID, CLSID in braces, `GUID`, or a class of a generated module.
            clsctx: Of no consequence.
            machine: This one.
            interface: By which interface; None for its own.

        Raises:
            CreationError: There is no such class, or this thread has not called CoInitialize.
            COMError: It has no such interface.
        """
        try:
            with raising():
                created = self._com.create(class_of(progid))
        except COMError as failed:
            raise CreationError(failed.hresult, str(failed.text)) from None
        pointer = POINTERS[created.interface.name](created)
        return pointer.QueryInterface(interface) if interface else pointer

    def create_instance(
        self, cls_id: object, interface: type[Pointer] | None = None, *_: object, **__: object
    ) -> Pointer:
        """Return a new object, by `IUnknown` unless another interface is named.

        Raises:
            CreationError: As `create_object`.
            COMError: Likewise.
        """
        return self.create_object(cls_id, interface=interface or IUnknown)

    def initialize(self, *_: object) -> None:
        """Begin to use COM on this thread."""
        self._com.apartments.enter()

    def uninitialize(self) -> None:
        """End to use COM on this thread."""
        self._com.apartments.leave()

    def modules(self) -> dict[str, dict[str, object]]:
        """Return the content of each module."""
        netcon: dict[str, object] = {name: POINTERS[name] for name in NETCON}
        natupnp: dict[str, object] = {name: POINTERS[name] for name in NATUPNP}
        return {
            "comtypes": {
                "COMError": COMError,
                "GUID": GUID,
                "IUnknown": IUnknown,
                "CoInitialize": self.initialize,
                "CoInitializeEx": self.initialize,
                "CoUninitialize": self.uninitialize,
                "CoCreateInstance": self.create_instance,
                "COINIT_MULTITHREADED": 0,
                "COINIT_APARTMENTTHREADED": 2,
                "CLSCTX_INPROC_SERVER": 1,
                "CLSCTX_LOCAL_SERVER": 4,
                "CLSCTX_SERVER": 5,
                "CLSCTX_ALL": 7,
            },
            "comtypes.automation": {"IDispatch": IDispatch},
            "comtypes.hresult": dict(WINERROR),
            "comtypes.client": {
                "CreateObject": self.create_object,
                "GetModule": get_module,
                "GetBestInterface": _best,
                "Constants": _constants,
            },
            "comtypes.gen": {},
            "comtypes.gen.NETCONLib": {
                **CONSTANTS,
                "NETCON_MAX_NAME_LEN": NETCON_MAX_NAME_LEN,
                **netcon,
                "NetSharingManager": _coclass("NetSharingManager", CLSID_NetSharingManager, "INetSharingManager"),
            },
            "comtypes.gen.NATUPNPLib": {**natupnp, "UPnPNAT": _coclass("UPnPNAT", CLSID_UPnPNAT, "IUPnPNAT")},
        }


def class_of(progid: object) -> str:
    """Return the text that names the class *progid*: itself, or the CLSID of a generated class."""
    return str(getattr(progid, "_reg_clsid_", progid))


def get_module(tlib: object) -> ModuleType:
    """Return the module of a type library.

    Args:
        tlib: ``hnetcfg.dll`` or ``natupnp.dll`` with or without a directory, or ``(LIBID, major, minor)``.

    Raises:
        OSError: There is no such library.
    """
    named = str(tlib[0] if isinstance(tlib, tuple | list) else tlib)
    key = named.upper() if named.startswith("{") else named.replace("/", "\\").rpartition("\\")[2].lower()
    if key not in _LIBRARIES:
        raise OSError(None, "Error loading type library/DLL", None, -2147312566)
    return import_module(f"comtypes.gen.{_LIBRARIES[key]}")


def _best(pointer: Pointer) -> Pointer:
    """Return *pointer* by the interface it is known for."""
    com = pointer._object  # noqa: SLF001 (programs see nothing of ours)
    return POINTERS[com.interface.name](com)


def _constants(_: object) -> Constants:
    """Return the constants of the type library of an object."""
    found = Constants()
    found.load()
    return found


def _coclass(name: str, cls_id: UUID, interface: str) -> type:
    content: dict[str, object] = {"_reg_clsid_": GUID(braced(cls_id)), "_com_interfaces_": [POINTERS[interface]]}
    return type(name, (), content)
