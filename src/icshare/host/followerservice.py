"""The follower's process: started, found again by any later process, stopped.

Its argument list names the run directory, and it belongs to us; so whoever looks finds ours and takes no other for it.
"""

import os
import sys
from pathlib import Path
from typing import Final

from icshare.errors import HostError
from icshare.host import command
from icshare.host.processes import Process, find_processes, shares_our_network, terminate

MODULE: Final = "icshare.follower"
LOG_FILE: Final = "follower.log"
_VARIABLES: Final = ("ICSHARE_STATE_DIR", "ICSHARE_CONFIG")
_START_SECONDS = 20.0
_STOP_SECONDS = 5.0


class FollowerService:
    """The follower of one run directory."""

    def __init__(self, run_directory: Path, *, module: str = MODULE) -> None:
        """Take the place; nothing is started yet.

        Args:
            run_directory: Where the journal lies.
            module: The program, a Python module that takes the run directory as its argument.
        """
        self._directory = run_directory
        self._module = module

    def running(self) -> bool:
        """Tell whether it runs; needs no privilege."""
        return bool(self.processes())

    def processes(self) -> tuple[Process, ...]:
        """Return its process, or none."""
        tail = (self._module, str(self._directory))
        found = find_processes(lambda argv: len(argv) > 2 and tuple(argv[-2:]) == tail)
        return tuple(one for one in found if _is_ours(one.pid))

    def ensure(self) -> None:
        """Start it unless it runs. It misses nothing that happens after this returns.

        Raises:
            HostError: It does not start; the message has its words.
        """
        if self.running():
            return
        env = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
        argv = [sys.executable, "-I", "-m", self._module, str(self._directory)]
        try:
            command.run(argv, env={**env, "ICSHARE_RUN_DIR": str(self._directory)}, timeout=_START_SECONDS)
        except command.CommandError as error:
            said = error.output.strip().splitlines()
            raise HostError(f"the follower of port mappings does not start: {said[-1] if said else error}") from error

    def stop(self) -> None:
        """End it, and remove what it has written.

        Raises:
            HostError: It hangs in the kernel.
            PrivilegeError: It belongs to somebody else.
        """
        for process in self.processes():
            terminate(process, timeout_seconds=_STOP_SECONDS)
        (self._directory / LOG_FILE).unlink(missing_ok=True)


def _is_ours(pid: int) -> bool:
    """Tell whether a process is root's or ours, and in our network namespace, as far as the kernel tells us that."""
    try:
        owner = Path(f"/proc/{pid}").stat().st_uid
    except (FileNotFoundError, ProcessLookupError):
        return False
    return owner in {0, os.geteuid()} and shares_our_network(pid)
