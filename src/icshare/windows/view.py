"""The standard library as a program for Windows expects it: ``sys.platform`` says ``win32``, to that program alone.

The modules of the program (its file, and what it imports from its own directory) get an ``__import__`` of their own,
which gives them a view of ``sys``, ``os``, ``platform`` and ``ctypes``: the real module but for the few names below.
The standard library and installed packages see the real ones, because they decide by them what of Linux they use.
"""

import _ctypes
import builtins
import ctypes
import os
import platform
import sys
from collections import namedtuple
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import NoReturn

from icshare.host.settings import may_administrate
from icshare.windows.codes import windows_error
from icshare.windows.objects import Apartments
from icshare.windows.pointers import COMError

_VERSION = "10.0.19045"
_SAYINGS = {
    0: "The operation completed successfully.",
    2: "The system cannot find the file specified.",
    5: "Access is denied.",
}
_WindowsVersion = namedtuple("_WindowsVersion", "major minor build platform service_pack")  # noqa: PYI024 (as in sys)
_Uname = namedtuple("_Uname", "system node release version machine processor")  # noqa: PYI024 (as in platform)


class View(ModuleType):
    """A module with a few names changed; setting a name sets it in the real one."""

    def __init__(self, module: ModuleType, changes: Mapping[str, object]) -> None:
        super().__init__(module.__name__, module.__doc__)
        self.__dict__.update({"_module": module, "_changes": dict(changes)})

    def __getattribute__(self, name: str) -> object:
        own = super().__getattribute__("__dict__")
        if name in ("__class__", "__dict__"):
            return super().__getattribute__(name)
        if name == "__all__":  # from ... import *
            public = getattr(own["_module"], "__all__", vars(own["_module"]))
            return sorted({one for one in (*public, *own["_changes"]) if not one.startswith("_")})
        return own["_changes"][name] if name in own["_changes"] else getattr(own["_module"], name)

    def __setattr__(self, name: str, value: object) -> None:
        own = super().__getattribute__("__dict__")
        if name in own["_changes"]:
            own["_changes"][name] = value
        else:
            setattr(own["_module"], name, value)

    def __dir__(self) -> list[str]:
        own = super().__getattribute__("__dict__")
        return sorted({*dir(own["_module"]), *own["_changes"]})


def _is_admin() -> int:
    """Tell whether this process may change what is shared."""
    return int(may_administrate())


def _shell_execute(_window: object = None, verb: str | None = None, *_: object) -> int:
    """Start nothing, as when the user says no to the question for other privileges: 5, access denied.

    A program that wants to be started again as administrator ends without a word then; so the user is told.
    """
    if verb and verb.lower() == "runas" and not may_administrate():
        sys.stderr.write("icshare: the program asks for administrator rights: run it with sudo\n")
    return 5


def _format_error(code: int = 0) -> str:
    """Return what is known of a code of Windows."""
    return _SAYINGS.get(code, f"error {code}")


def _win_error(code: int = 0, descr: str | None = None) -> OSError:
    """Return the error for a code of Windows."""
    return windows_error(code, descr or _format_error(code))


def _succeeds(*_: object) -> int:
    """Do nothing, with success."""
    return 0


def _not_here(*_: object) -> NoReturn:
    raise windows_error(126, "The specified module could not be found")


class _Libraries:
    """``ctypes.windll``: the few functions that programs of this kind call.

    Raises:
        OSError: Another library.
        AttributeError: Another function.
    """

    def __init__(self, apartments: Apartments) -> None:
        def enter(*_: object) -> int:
            apartments.enter()
            return 0

        def leave(*_: object) -> int:
            apartments.leave()
            return 0

        self._libraries = {
            "shell32": SimpleNamespace(IsUserAnAdmin=_is_admin, ShellExecuteW=_shell_execute),
            "ole32": SimpleNamespace(
                CoInitialize=enter, CoInitializeEx=enter, CoUninitialize=leave, CoInitializeSecurity=_succeeds
            ),
            "kernel32": SimpleNamespace(GetLastError=_succeeds, SetConsoleTitleW=_succeeds),
        }

    def __getattr__(self, name: str) -> SimpleNamespace:
        return self.LoadLibrary(name)

    def __getitem__(self, name: str) -> SimpleNamespace:
        return self.LoadLibrary(name)

    def LoadLibrary(self, name: str, *_: object, **__: object) -> SimpleNamespace:  # noqa: N802 (its name in ctypes)
        """Return a library by its name, with or without ``.dll``."""
        return self._libraries.get(name.lower().removesuffix(".dll")) or _not_here()


def views(apartments: Apartments) -> dict[str, ModuleType]:
    """Return the modules that the program sees in another way.

    Args:
        apartments: The threads that use COM.
    """
    version = _WindowsVersion(10, 0, 19045, 2, "")
    real = platform.uname()
    uname = _Uname("Windows", real.node, "10", _VERSION, "AMD64" if real.machine == "x86_64" else real.machine, "")
    libraries = _Libraries(apartments)
    return {
        "sys": View(sys, {"platform": "win32", "getwindowsversion": lambda: version, "winver": sys.version[:4]}),
        "os": View(os, {"name": "nt"}),
        "platform": View(
            platform,
            {
                "system": lambda: "Windows",
                "release": lambda: "10",
                "version": lambda: _VERSION,
                "machine": lambda: uname.machine,
                "platform": lambda *_, **__: f"Windows-10-{_VERSION}-SP0",
                "uname": lambda: uname,
                "win32_ver": lambda *_: ("10", _VERSION, "SP0", "Multiprocessor Free"),
            },
        ),
        "_ctypes": View(_ctypes, {"COMError": COMError}),
        "ctypes": View(
            ctypes,
            {
                "windll": libraries,
                "oledll": libraries,
                "WinDLL": libraries.LoadLibrary,
                "OleDLL": libraries.LoadLibrary,
                "GetLastError": _succeeds,
                "FormatError": _format_error,
                "WinError": _win_error,
                "HRESULT": ctypes.c_long,
                "WINFUNCTYPE": ctypes.CFUNCTYPE,
            },
        ),
    }


def builtins_with(seen: Mapping[str, ModuleType]) -> dict[str, object]:
    """Return the built-in names for a module of the program, with an ``import`` that gives the modules *seen*."""
    real: Callable[..., ModuleType] = builtins.__import__

    def importing(
        name: str,
        globals: object = None,  # noqa: A002 (the protocol of imports)
        locals: object = None,  # noqa: A002 (likewise)
        fromlist: tuple[str, ...] = (),
        level: int = 0,
    ) -> ModuleType:
        module = real(name, globals, locals, fromlist or (), level)
        # what the statement binds is the first package of a dotted name, unless names are taken from the last one
        bound = name if fromlist else name.partition(".")[0]
        return seen.get(bound, module) if level == 0 else module

    return {**vars(builtins), "__import__": importing, "WindowsError": OSError}


class _Loader(SourceFileLoader):
    """Loads a module of the program with its own built-in names."""

    names: Mapping[str, object] = {}

    def exec_module(self, module: ModuleType) -> None:
        """Run the module."""
        module.__dict__["__builtins__"] = self.names
        super().exec_module(module)


class ProgramFinder:
    """Finds modules in the directory of the program, before all others, as Python itself does."""

    def __init__(self, directory: Path, names: Mapping[str, object]) -> None:
        self._directory = directory
        self._names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002 (the protocol)
        """Return how to load a module of the program; None when it is none."""
        place = self._directory.joinpath(*name.split("."))
        for file, inside in ((place / "__init__.py", [str(place)]), (place.with_name(place.name + ".py"), None)):
            if file.is_file():
                loader = _Loader(name, str(file))
                loader.names = self._names
                return spec_from_file_location(name, file, loader=loader, submodule_search_locations=inside)
        return None
