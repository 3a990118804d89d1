"""Run one program written for Windows in this interpreter, which is there for nothing else."""

import contextlib
import runpy
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType

from icshare.errors import HostError, InvalidRequestError
from icshare.host.settings import may_administrate
from icshare.netcon.hresults import translated
from icshare.netcon.identifiers import CLSID_ConnectionManager, CLSID_NetSharingManager, CLSID_UPnPNAT
from icshare.netcon.manager import INetConnectionManager, INetSharingManager
from icshare.netcon.session import Session, System
from icshare.windows.address import address_of
from icshare.windows.comtypes import Comtypes
from icshare.windows.emulated import EmulatedFinder
from icshare.windows.natupnp import UPnPNAT
from icshare.windows.objects import Apartments, Com
from icshare.windows.pywin32 import Pywin32
from icshare.windows.registry import Registry
from icshare.windows.view import ProgramFinder, builtins_with, views
from icshare.windows.wmi import Wmi

_OURS = (str(Path(__file__).parent), contextlib.__file__, "<frozen importlib")
"""Beginnings of the names of files whose frames a traceback does not show."""

_IMPORTS = str(Path(__file__).with_name("view.py"))
"""The file through whose frames the program imports its own modules."""

_PACKAGE = str(Path(__file__).parents[1])


def this_machine() -> System:
    """Return the system of this machine; the names that the program sees are remembered, where that is allowed."""
    from icshare.api import SharingManager  # noqa: PLC0415 (a program that only prints its usage needs no engine)

    manager = SharingManager()
    if may_administrate():
        with contextlib.suppress(HostError):  # a disk that cannot be written is no reason not to read
            manager.remember_windows_names()
    return manager


def modules(open_system: Callable[[], System], apartments: Apartments) -> dict[str, dict[str, object]]:
    """Return the content of each module of Windows.

    Args:
        open_system: Opens the system; called whenever a program creates an object.
        apartments: The threads that use COM.
    """

    def session() -> Session:
        with translated():
            return Session(system=open_system(), windows_names=True)

    com = Com(
        classes=MappingProxyType(
            {
                CLSID_NetSharingManager: ("INetSharingManager", lambda: INetSharingManager(session())),
                CLSID_ConnectionManager: ("INetConnectionManager", lambda: INetConnectionManager(session())),
                CLSID_UPnPNAT: ("IUPnPNAT", lambda: UPnPNAT(session(), address_of)),
            }
        ),
        apartments=apartments,
    )
    wmi = Wmi(open_system)
    return {
        **Pywin32(com, wmi.named).modules(),
        **Comtypes(com).modules(),
        **Registry(open_system).modules(),
        **wmi.modules(),
    }


def run(program: Path, arguments: Sequence[str], open_system: Callable[[], System] = this_machine) -> None:
    """Run *program* as Python would; returns when it has come to its end.

    Args:
        program: A Python file, or a directory or archive with a ``__main__.py``. A directory that is a package runs as
            by ``python -m``, so that its modules find each other by relative imports.
        arguments: What it finds in ``sys.argv[1:]``.
        open_system: Opens the system that it shares.

    Raises:
        InvalidRequestError: There is no such file, or nothing to run in the directory.
        SystemExit: The program has asked for it.
    """
    if not program.exists():
        raise InvalidRequestError(f"there is no program '{program}'")
    if program.is_dir() and not (program / "__main__.py").is_file():
        raise InvalidRequestError(f"there is no __main__.py in the directory '{program}'", hint="name a file in it")
    apartments = Apartments()
    names = builtins_with(views(apartments))
    place = program.resolve()
    package = (place / "__init__.py").is_file() and place.name.isidentifier()
    # what the modules of a package know each other by is its name; a file beside it may also be meant without
    directories = [place.parent, place] if package else [place if place.is_dir() else place.parent]
    # The program's modules go before the emulated ones: its own wmi.py is what it means by wmi.
    sys.meta_path[:0] = [
        *(ProgramFinder(one, names) for one in directories),
        EmulatedFinder(modules(open_system, apartments), apartments.enter),
    ]
    sys.path[:0] = map(str, directories)
    sys.argv[:] = [str(program), *arguments]
    sys.excepthook, threading.excepthook = _show, _show_of_thread
    builtin = {"__builtins__": names}
    if package:
        runpy.run_module(place.name, init_globals=builtin, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(str(program), init_globals=builtin, run_name="__main__")


def _show(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    """Show an uncaught error as Python would that runs the program by itself: without what is ours."""
    _prune(error)
    sys.__excepthook__(kind, error, error.__traceback__)


def _show_of_thread(told: threading.ExceptHookArgs) -> None:
    """Show an uncaught error of a thread, likewise."""
    error = told.exc_value
    if error is not None:
        _prune(error)
        told = threading.ExceptHookArgs((told.exc_type, error, error.__traceback__, told.thread))
    threading.__excepthook__(told)


def _prune(error: BaseException) -> None:
    """Leave the frames of the program in the traceback of *error*, and of those that it came from."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or one in seen:
            continue
        seen.append(one)
        waiting += [one.__cause__, one.__context__]
        one.__traceback__ = _of_program(one.__traceback__, interrupted=isinstance(one, KeyboardInterrupt))


def _of_program(traceback: TracebackType | None, *, interrupted: bool) -> TracebackType | None:
    """Return *traceback* without our frames; of what was *interrupted* in us, neither what we were doing."""
    frames: list[tuple[str, TracebackType]] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        frames.append((code.co_filename, traceback))
        if code is run.__code__:  # what follows is the program's
            frames.clear()
        traceback = traceback.tb_next
    while frames and frames[0][0] == "<frozen runpy>":
        del frames[0]
    if interrupted:
        inside = [number for number, (file, _) in enumerate(frames) if file.startswith(_PACKAGE) and file != _IMPORTS]
        del frames[min(inside, default=len(frames)) :]
    for file, one in reversed(frames):
        if not file.startswith(_OURS):
            traceback = TracebackType(traceback, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return traceback
