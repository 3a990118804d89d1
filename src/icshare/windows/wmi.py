r"""WMI, as far as programs ask it about Internet Connection Sharing: module ``wmi``.

Source:
    Python package WMI (calling habits); class Win32_Service; namespace ``root\Microsoft\HomeNet`` of KB828807.
"""

# ruff: noqa: N802, N803 (the names are those of WMI)

import re
from collections.abc import Callable, Iterator
from typing import NoReturn

from icshare.model.connection import Characteristics, Connection, MediaType, Role
from icshare.netcon.hresults import E_ACCESSDENIED, E_INVALIDARG, ComError, translated
from icshare.netcon.identifiers import braced
from icshare.netcon.session import System
from icshare.windows.oleobjects import com_error, raising

_WHERE = re.compile(r"\s*(\w+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\"|(\w+))\s*", re.IGNORECASE)
_SELECT = re.compile(r"\s*select\s+.+?\s+from\s+(\w+)(?:\s+where\s+(.*))?\s*", re.IGNORECASE | re.DOTALL)


class x_wmi(Exception):  # noqa: N801, N818 (its name in wmi)
    """A question that WMI cannot answer.

    Attributes:
        info: Why.
        com_error: The error of COM, or None.
    """

    def __init__(self, info: str = "", com_error: Exception | None = None) -> None:
        super().__init__(info, com_error)
        self.info = info
        self.com_error = com_error


class Row:
    """One object of a class. Properties are attributes; setting one is effective at once.

    A question is asked when it is read, so that it is true after any change.
    """

    _name: str
    _read: Callable[[], dict[str, object]]
    _put: Callable[[str, object], None]

    def __init__(self, name: str, read: Callable[[], dict[str, object]], put: Callable[[str, object], None]) -> None:
        self.__dict__.update({"_name": name, "_read": read, "_put": put})

    def __getattr__(self, name: str) -> object:
        for known, value in self._read().items():
            if known.lower() == name.lower():
                return value
        raise AttributeError(f"<COMObject {self._name}>.{name}")

    def __setattr__(self, name: str, value: object) -> None:
        known = {one.lower(): one for one in self._read()}
        if name.lower() not in known:
            raise AttributeError(f"<COMObject {self._name}>.{name}")
        with raising():
            self._put(known[name.lower()], value)

    def __str__(self) -> str:
        lines = "".join(f"\t{name} = {value!r};\n" for name, value in self._read().items() if not callable(value))
        return f"\ninstance of {self._name}\n{{\n{lines}}};\n"

    @property
    def properties(self) -> list[str]:
        """Names of the properties."""
        return [name for name, value in self._read().items() if not callable(value)]

    def Put_(self, *_: object) -> None:
        """Do nothing: what was set is in force."""

    def set(self, **values: object) -> None:
        """Set several properties."""
        for name, value in values.items():
            setattr(self, name, value)


class Namespace:
    """A namespace: its classes are attributes, called with what their objects must have."""

    def __init__(self, classes: dict[str, Callable[[], list[Row]]]) -> None:
        self._classes = classes

    def _rows(self, name: str) -> list[Row]:
        for known, rows in self._classes.items():
            if known.lower() == name.lower():
                return rows()
        raise AttributeError(f"{name} is no class of this namespace")

    def __getattr__(self, name: str) -> "Class":
        if name.startswith("__"):
            raise AttributeError(name)
        self._rows(name)
        return Class(lambda: self._rows(name))

    def instances(self, class_name: str) -> list[Row]:
        """Return all objects of a class."""
        return self._rows(class_name)

    def query(self, wql: str) -> list[Row]:
        """Return what ``SELECT * FROM Class WHERE Property = value AND ...`` asks for.

        Raises:
            x_wmi: It is another sentence, or there is no such class.
        """
        sentence = _SELECT.fullmatch(wql)
        pairs = (
            [_WHERE.fullmatch(one) for one in re.split(r"\band\b", sentence[2], flags=re.IGNORECASE)]
            if (sentence and sentence[2])
            else []
        )
        if sentence is None or None in pairs:
            raise x_wmi(f"Invalid query: {wql}")
        wanted = {one[1]: one[2] or one[3] or one[4] for one in pairs if one}
        try:
            return [one for one in self._rows(sentence[1]) if _has(one, wanted)]
        except AttributeError as error:
            raise x_wmi(f"Invalid class: {sentence[1]}") from error

    ExecQuery = query
    InstancesOf = instances


class Class:
    """A class, called with what its objects must have."""

    def __init__(self, rows: Callable[[], list[Row]]) -> None:
        self._rows = rows

    def __call__(self, _fields: object = None, **wanted: object) -> list[Row]:
        """Return the objects that have these properties; texts are compared without regard to case."""
        return [one for one in self._rows() if _has(one, wanted)]

    query = __call__

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows())

    def instances(self) -> list[Row]:
        """Return all objects."""
        return self._rows()


class Wmi:
    """WMI of one process."""

    def __init__(self, open_system: Callable[[], System]) -> None:
        """Take the way to the system; nothing is asked yet."""
        self._open_system = open_system
        self._started = False

    def connect(self, computer: str = "", *, namespace: str = "", moniker: str = "", **_: object) -> Namespace:
        """Return a namespace: ``root/cimv2`` unless another is named.

        Raises:
            x_wmi: It is another machine's.
            com_error: There is no such namespace here.
        """
        if computer not in ("", ".", "localhost", "127.0.0.1"):
            raise x_wmi("The RPC server is unavailable", com_error(-2147023174, "The RPC server is unavailable."))
        asked = namespace or re.sub(r"winmgmts:({.*}!?)?", "", moniker, flags=re.IGNORECASE) or "root/cimv2"
        name = asked.replace("\\", "/").lower()
        name = name.removeprefix("//./").strip("/")
        if name.removeprefix("root/") == "cimv2":
            return Namespace({"Win32_Service": self._services})
        if name.removeprefix("root/") == "microsoft/homenet":
            return Namespace({"HNet_ConnectionProperties": self._rows, "HNet_Connection": self._connections})
        raise com_error(-2147217394, "Invalid namespace")

    def named(self, moniker: str) -> Namespace:
        """Return the namespace that ``winmgmts:{impersonationLevel=impersonate}!root/cimv2`` names.

        Raises:
            com_error: There is no such namespace here.
        """
        return self.connect(moniker=moniker)

    def _services(self) -> list[Row]:
        return [Row("Win32_Service", self._service, _refuse)]

    def _service(self) -> dict[str, object]:
        with raising(), translated():
            system = self._open_system()
            running = self._started or any(one.role is not Role.NONE for one in system.connections())
        return {
            "Name": "SharedAccess",
            "Caption": "Internet Connection Sharing (ICS)",
            "DisplayName": "Internet Connection Sharing (ICS)",
            "State": "Running" if running else "Stopped",
            "StartMode": "Auto",
            "Status": "OK",
            "Started": running,
            "StartName": "LocalSystem",
            "ServiceType": "Share Process",
            "StartService": self._start,
            "StopService": self._stop,
            "ChangeStartMode": lambda StartMode="": (0 if StartMode in ("Automatic", "Manual") else 2,),
        }

    def _start(self) -> tuple[int]:
        """Say from now on that it runs: nothing has to be started. Returns 0, or 10 when it runs already."""
        running = self._service()["Started"]
        self._started = True
        return (10 if running else 0,)

    def _stop(self) -> tuple[int]:
        """Disable sharing on every connection; returns 0, 2 without privilege, 5 when nothing is shared."""
        started, self._started = self._started, False
        with raising(), translated():
            system = self._open_system()
            shared = [one.guid for one in system.connections() if one.role is not Role.NONE]
        try:
            with translated():
                for guid in shared:
                    system.unshare(guid)
        except E_ACCESSDENIED:
            return (2,)
        except ComError:
            return (8,)
        return (0,) if shared or started else (5,)

    def _known(self) -> list[Connection]:
        with raising(), translated():
            return [one for one in self._open_system().connections() if not one.hidden or one.role is not Role.NONE]

    def _connections(self) -> list[Row]:
        def row(one: Connection) -> Row:
            return Row("HNet_Connection", lambda: {"Guid": braced(one.guid), "Name": self._name(one)}, _refuse)

        return [row(one) for one in self._known()]

    def _name(self, connection: Connection) -> str:
        with raising(), translated():
            return self._open_system().windows_names().get(connection.guid, connection.name)

    def _rows(self) -> list[Row]:
        return [self._row(one) for one in self._known()]

    def _row(self, connection: Connection) -> Row:
        def read() -> dict[str, object]:
            now = next((one for one in self._known() if one.guid == connection.guid), connection)
            flags = now.characteristics
            return {
                "Connection": f'HNet_Connection.Guid="{braced(now.guid)}"',
                "IsBridge": now.media is MediaType.BRIDGE,
                "IsBridgeMember": bool(flags & Characteristics.BRIDGED),
                "IsFirewalled": bool(flags & Characteristics.FIREWALLED),
                "IsIcsPrivate": now.role is Role.PRIVATE,
                "IsIcsPublic": now.role is Role.PUBLIC,
            }

        def put(name: str, value: object) -> None:
            if read()[name] == bool(value):
                return
            if name not in ("IsIcsPublic", "IsIcsPrivate") or value:
                raise E_INVALIDARG(f"{name} cannot be set here", hint="use HNetCfg.HNetShare")
            with translated():
                self._open_system().unshare(connection.guid)

        return Row("HNet_ConnectionProperties", read, put)

    def modules(self) -> dict[str, dict[str, object]]:
        """Return the content of the module."""
        return {"wmi": {"WMI": self.connect, "connect": self.connect, "x_wmi": x_wmi, "__version__": "emulated"}}


def _refuse(name: str, _: object) -> NoReturn:
    raise E_INVALIDARG(f"{name} cannot be set")


def _has(row: Row, wanted: dict[str, object] | dict[str, str]) -> bool:
    return all(str(getattr(row, name)).lower() == str(value).lower() for name, value in wanted.items())
