"""Run one program written for Windows in this interpreter, which is there for nothing else."""

import contextlib
import runpy
import sys
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
        program: A Python file, or a directory or archive with a ``__main__.py``.
        arguments: What it finds in ``sys.argv[1:]``.
        open_system: Opens the system that it shares.

    Raises:
        InvalidRequestError: There is no such file.
        SystemExit: The program has asked for it.
    """
    if not program.exists():
        raise InvalidRequestError(f"can't open file '{program}': No such file or directory")
    apartments = Apartments()
    names = builtins_with(views(apartments))
    directory = program.resolve().parent if program.is_file() else program.resolve()
    # The program's modules go before the emulated ones: its own wmi.py is what it means by wmi.
    sys.meta_path[:0] = [
        ProgramFinder(directory, names),
        EmulatedFinder(modules(open_system, apartments), apartments.enter),
    ]
    sys.path.insert(0, str(directory))
    sys.argv[:] = [str(program), *arguments]
    sys.excepthook = _excepthook(str(program))
    runpy.run_path(str(program), init_globals={"__builtins__": names}, run_name="__main__")


def _excepthook(program: str) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """Return a hook that shows the traceback of an uncaught error from the program on, as Python would."""

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        shown = []
        while traceback is not None:
            shown.append(traceback)
            traceback = traceback.tb_next
        while shown and not shown[0].tb_frame.f_code.co_filename.startswith(program):
            del shown[0]
        for one in reversed(shown):
            if not one.tb_frame.f_code.co_filename.startswith(_OURS):
                traceback = TracebackType(traceback, one.tb_frame, one.tb_lasti, one.tb_lineno)
        sys.__excepthook__(kind, error.with_traceback(traceback), traceback)

    return hook
