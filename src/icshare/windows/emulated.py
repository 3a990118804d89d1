"""The modules of Windows as Python finds them: a finder that makes them when the program imports them."""

from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType


class EmulatedFinder:
    """Finds the modules of Windows.

    Attributes:
        begin: Called for a module whose import makes the importing thread use COM.
    """

    def __init__(self, modules: Mapping[str, Mapping[str, object]], begin: Callable[[], None]) -> None:
        """Take what there is.

        Args:
            modules: Content of each module, by full name.
            begin: Begins to use COM on this thread, as importing ``pythoncom`` or ``comtypes`` does.
        """
        self._modules = modules
        self._begin = begin

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002 (the protocol)
        """Return how to make a module; None when Windows has nothing to do with it."""
        if name not in self._modules:
            return None
        package = any(one.startswith(name + ".") for one in self._modules)
        return ModuleSpec(name, self, origin="icshare.windows", is_package=package)  # type: ignore[arg-type]  # a loader

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python."""

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module; what pywin32 and comtypes import themselves comes along."""
        name = module.__name__
        if name in ("pythoncom", "comtypes"):
            self._begin()
        for other in _IMPORTS.get(name, ()):
            imported = __import__(other, fromlist=("*",))
            setattr(module, other.rpartition(".")[2], imported)
        module.__dict__.update(self._modules[name])


_IMPORTS: Mapping[str, tuple[str, ...]] = {
    "pythoncom": ("pywintypes",),
    "win32com": ("pythoncom",),
    "win32com.client": ("pythoncom", "pywintypes", "win32com.client.dynamic", "win32com.client.gencache"),
    "comtypes": ("comtypes.hresult",),
    "comtypes.client": ("comtypes", "comtypes.automation"),
    "wmi": ("win32com.client",),
}
"""What each module imports itself."""
