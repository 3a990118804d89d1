"""The registry, as far as Internet Connection Sharing has keys in it: module ``winreg``.

Source:
    Python documentation, ``winreg``; KB4055559; reports of the keys of the service SharedAccess.
"""

# ruff: noqa: N802 (the names are those of winreg)

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network
from typing import NoReturn, Protocol, Self, cast

from icshare.errors import IcshareError, PrivilegeError
from icshare.netcon.session import System
from icshare.windows.codes import windows_error

HKEY_CLASSES_ROOT = 0x80000000
HKEY_CURRENT_USER = 0x80000001
HKEY_LOCAL_MACHINE = 0x80000002
HKEY_USERS = 0x80000003
REG_SZ = 1
REG_DWORD = 4
KEY_READ = 0x20019
KEY_WRITE = 0x20006
KEY_ALL_ACCESS = 0xF003F

PARAMETERS = r"SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters"
PERSISTENCE = r"SOFTWARE\Microsoft\Windows\CurrentVersion\SharedAccess"
_DEFAULT = "192.168.137.1"

_CONSTANTS: Mapping[str, int] = {
    "HKEY_CLASSES_ROOT": HKEY_CLASSES_ROOT,
    "HKEY_CURRENT_USER": HKEY_CURRENT_USER,
    "HKEY_LOCAL_MACHINE": HKEY_LOCAL_MACHINE,
    "HKEY_USERS": HKEY_USERS,
    "HKEY_PERFORMANCE_DATA": 0x80000004,
    "HKEY_CURRENT_CONFIG": 0x80000005,
    "KEY_QUERY_VALUE": 0x1,
    "KEY_SET_VALUE": 0x2,
    "KEY_CREATE_SUB_KEY": 0x4,
    "KEY_ENUMERATE_SUB_KEYS": 0x8,
    "KEY_NOTIFY": 0x10,
    "KEY_CREATE_LINK": 0x20,
    "KEY_WOW64_64KEY": 0x100,
    "KEY_WOW64_32KEY": 0x200,
    "KEY_READ": KEY_READ,
    "KEY_EXECUTE": KEY_READ,
    "KEY_WRITE": KEY_WRITE,
    "KEY_ALL_ACCESS": KEY_ALL_ACCESS,
    "REG_NONE": 0,
    "REG_SZ": REG_SZ,
    "REG_EXPAND_SZ": 2,
    "REG_BINARY": 3,
    "REG_DWORD": REG_DWORD,
    "REG_DWORD_LITTLE_ENDIAN": REG_DWORD,
    "REG_DWORD_BIG_ENDIAN": 5,
    "REG_LINK": 6,
    "REG_MULTI_SZ": 7,
    "REG_QWORD": 11,
}

_SETTING = 0x2


class Subnets(Protocol):
    """What this module asks of ``icshare.api.SharingManager`` beyond `System`."""

    @property
    def subnet(self) -> IPv4Network | None:
        """The subnet asked for, None to choose one."""

    def set_subnet(self, subnet: IPv4Network | None, /) -> None:
        """Remember the subnet for the next sharing."""


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A key: its root, and its path in lower case."""

    root: int
    path: str
    access: int = KEY_READ


class HKEYType:
    """An open key."""

    def __init__(self, place: _Place) -> None:
        self._place: _Place | None = place

    def Close(self) -> None:
        """Close it; twice does no harm."""
        self._place = None

    def Detach(self) -> int:
        """Close it, and return a number that means nothing."""
        self.Close()
        return 0

    @property
    def place(self) -> _Place:
        """Which key it is; an addition of ours.

        Raises:
            OSError: It is closed.
        """
        if self._place is None:
            raise windows_error(6, "The handle is invalid")
        return self._place

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.Close()

    def __bool__(self) -> bool:
        return self._place is not None

    def __int__(self) -> int:
        return id(self._place) if self._place else 0


class Registry:
    """The registry of one process: four values, of which one can be set."""

    def __init__(self, open_system: Callable[[], System]) -> None:
        """Take the way to the system; nothing is asked yet."""
        self._open_system = open_system

    def _subnets(self) -> Subnets:
        return cast("Subnets", self._open_system())

    def _values(self, place: _Place) -> dict[str, tuple[object, int]]:
        if place.path == PARAMETERS.lower():
            subnet = self._subnets().subnet
            address = str(subnet.network_address + 1) if subnet else _DEFAULT
            names = ("ScopeAddress", "ScopeAddressBackup", "StandaloneDhcpAddress")
            return dict.fromkeys(names, (address, REG_SZ))
        # sharing survives a reboot, whatever this says on Windows
        return {"EnableRebootPersistConnection": (1, REG_DWORD)} if place.path == PERSISTENCE.lower() else {}

    def open(self, key: object, sub_key: str | None, reserved: int = 0, access: int = KEY_READ) -> HKEYType:  # noqa: ARG002 (its signature)
        """Open a key.

        Raises:
            FileNotFoundError: There is no such key here.
        """
        place = _place(key)
        parts = [part for part in (place.path, (sub_key or "").strip("\\").lower()) if part]
        found = replace(place, path="\\".join(parts), access=access)
        known = [PARAMETERS.lower(), PERSISTENCE.lower()] if found.root == HKEY_LOCAL_MACHINE else []
        if found.path and not any(one == found.path or one.startswith(found.path + "\\") for one in known):
            _missing()
        return HKEYType(found)

    def create(self, key: object, sub_key: str | None, reserved: int = 0, access: int = KEY_WRITE) -> HKEYType:
        """Open a key that is there.

        Raises:
            PermissionError: It is not, and none can be made here.
        """
        try:
            return self.open(key, sub_key, reserved, access)
        except FileNotFoundError:
            raise windows_error(5, "Access is denied") from None

    def query(self, key: object, value_name: str | None) -> tuple[object, int]:
        """Return a value and its type.

        Raises:
            FileNotFoundError: There is no such value here.
        """
        for name, value in self._values(_place(key)).items():
            if name.lower() == (value_name or "").lower():
                return value
        return _missing()

    def set(self, key: object, value_name: str, reserved: object, type: int, value: object) -> None:  # noqa: A002, ARG002 (its signature)
        """Set a value: ``ScopeAddress`` is the subnet of the next sharing, the others are as they are.

        Raises:
            PermissionError: A privilege is missing, the key is open for reading only, or it is no value of these.
            OSError: The text is no address, or no sharing can have that subnet.
        """
        place = _place(key)
        name = value_name.lower()
        if not place.access & _SETTING or name not in {one.lower() for one in self._values(place)}:
            raise windows_error(5, "Access is denied")
        if name != "scopeaddress":
            return
        try:
            address = IPv4Address(str(value))
            self._subnets().set_subnet(IPv4Interface(f"{address}/24").network)
        except AddressValueError:
            raise windows_error(87, f"The parameter is incorrect: {value!r} is no IPv4 address") from None
        except PrivilegeError as error:
            raise windows_error(5, f"Access is denied: {error}") from error
        except IcshareError as error:
            raise windows_error(87, str(error)) from error

    def enum_value(self, key: object, index: int) -> tuple[str, object, int]:
        """Return the name, value and type of a value by number.

        Raises:
            OSError: There are not so many.
        """
        values = list(self._values(_place(key)).items())
        if not 0 <= index < len(values):
            raise windows_error(259, "No more data is available")
        name, (value, kind) = values[index]
        return name, value, kind

    def enum_key(self, key: object, index: int) -> str:
        """Return the name of a key below *key* by number.

        Raises:
            OSError: There are not so many.
        """
        place = _place(key)
        known = (PARAMETERS, PERSISTENCE) if place.root == HKEY_LOCAL_MACHINE else ()
        depth = len(place.path.split("\\")) if place.path else 0
        below = [one.split("\\")[depth] for one in known if not place.path or one.lower().startswith(place.path + "\\")]
        names = list({one.lower(): one for one in below}.values())
        if not 0 <= index < len(names):
            raise windows_error(259, "No more data is available")
        return names[index]

    def info(self, key: object) -> tuple[int, int, int]:
        """Return how many keys and values a key has, and when it was last changed: never."""
        place = _place(key)
        keys = 0
        while True:
            try:
                self.enum_key(place, keys)
            except OSError:
                return keys, len(self._values(place)), 0
            keys += 1

    def modules(self) -> dict[str, dict[str, object]]:
        """Return the content of the module."""
        return {
            "winreg": {
                **_CONSTANTS,
                "error": OSError,
                "HKEYType": HKEYType,
                "OpenKey": self.open,
                "OpenKeyEx": self.open,
                "CreateKey": self.create,
                "CreateKeyEx": self.create,
                "ConnectRegistry": _connect,
                "CloseKey": _close,
                "FlushKey": _close_nothing,
                "QueryValueEx": self.query,
                "SetValueEx": self.set,
                "EnumValue": self.enum_value,
                "EnumKey": self.enum_key,
                "QueryInfoKey": self.info,
                "DeleteValue": _refused,
                "DeleteKey": _refused,
            }
        }


def _place(key: object) -> _Place:
    if isinstance(key, _Place):
        return key
    if isinstance(key, HKEYType):
        return key.place
    if isinstance(key, int):
        return _Place(root=key, path="", access=KEY_ALL_ACCESS)
    raise TypeError("The object is not a PyHKEY object")


def _missing() -> NoReturn:
    raise windows_error(2, "The system cannot find the file specified")


def _refused(*_: object) -> NoReturn:
    raise windows_error(5, "Access is denied")


def _connect(computer_name: str | None, key: int) -> HKEYType:
    """Return a root of this machine's registry.

    Raises:
        OSError: It is another machine's.
    """
    if computer_name:
        raise windows_error(53, "The network path was not found")
    return HKEYType(_place(key))


def _close(key: object) -> None:
    """Close a key; a root is never closed."""
    if isinstance(key, HKEYType):
        key.Close()


def _close_nothing(_: object) -> None:
    """Do nothing: every value is written when it is set."""
