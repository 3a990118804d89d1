"""A machine in memory for Windows programs; as a program it runs one: ``machine.py MARKS PROGRAM [ARGUMENT...]``."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from uuid import UUID

from tests.unit.netcon.fake import ETH0, ETH1, NO_PRIVILEGE, FakeSystem, guid, small_host

from icshare.host import command
from icshare.host.command import Completed
from icshare.windows.launch import modules, run
from icshare.windows.objects import Apartments

ROOT = Path(__file__).parents[3]
PROGRAMS = ROOT / "tests" / "windows" / "programs"


class Machine(FakeSystem):
    """A fake system with the subnet of the next sharing, and names as Windows would give them."""

    def __init__(self) -> None:
        super().__init__(*small_host().links.values())
        self.subnet: IPv4Network | None = None

    def set_subnet(self, subnet: IPv4Network | None, /) -> None:
        """Remember the subnet."""
        self.may_write()
        self.subnet = subnet

    def windows_names(self) -> Mapping[UUID, str]:
        """Number the connections."""
        names = super().windows_names()
        return {**names, guid(4): "Wi-Fi"}

    def forbid(self) -> None:
        """Refuse every write from now on."""
        self.error = NO_PRIVILEGE


@dataclass(frozen=True, kw_only=True)
class Windows:
    """The modules of Windows on a machine, their content by name.

    Attributes:
        machine: The machine.
        modules: Content of each module.
        apartments: Threads that use COM; this one does.
    """

    machine: Machine
    modules: Mapping[str, Mapping[str, object]]
    apartments: Apartments


def windows() -> Windows:
    """Return the modules on a new machine, for a thread that has called CoInitialize."""
    machine, apartments = Machine(), Apartments()
    apartments.enter()
    return Windows(machine=machine, modules=modules(lambda: machine, apartments), apartments=apartments)


def start(program: Path, *arguments: str, shared: bool = False, forbidden: bool = False) -> Completed:
    """Run *program* on a new machine in an interpreter of its own.

    Args:
        program: The program.
        arguments: Its arguments.
        shared: ``eth0`` and ``eth1`` are shared already.
        forbidden: There is no privilege.
    """
    marks = [mark for mark, on in (("shared", shared), ("forbidden", forbidden)) if on]
    argv = [sys.executable, __file__, ",".join(marks), str(program), *arguments]
    return command.run(argv, env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}, timeout=60, check=False)


def _main() -> None:
    marks, program, *arguments = sys.argv[1:]
    machine = Machine()
    if "shared" in marks:
        machine.set_public(guid(ETH0))
        machine.add_private(guid(ETH1))
    if "forbidden" in marks:
        machine.forbid()
    run(Path(program), arguments, lambda: machine)


if __name__ == "__main__":
    _main()
