"""The process that writes the firewall's log: started, found again by any later process, stopped.

The configuration file's name carries its digest, and stands in the process's own argument list; the process's number
is in a file that only root can write. So whoever looks finds our process and knows which configuration it has.
"""

import sys
from pathlib import Path
from typing import Final

from icshare.errors import HostError
from icshare.host import command
from icshare.host.firewall_log import PID_FILE
from icshare.host.processes import Process, find_process, shares_our_network, terminate
from icshare.plan.steps import digest

_MODULE: Final = "icshare.host.firewall_log"
_START_SECONDS = 20.0
_STOP_SECONDS = 5.0


class LogService:
    """The log's process of one run directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._prefix = str(directory / "firewall-log-")

    def running(self) -> str | None:
        """Return the digest of the configuration that it has, None when it does not run."""
        return next((self._digest(process) for process in self.processes()), None)

    def processes(self) -> tuple[Process, ...]:
        """Return the log's process, or none."""
        try:
            pid = int((self._directory / PID_FILE).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return ()
        found = find_process(
            pid, lambda argv: len(argv) > 2 and argv[-2] == _MODULE and argv[-1].startswith(self._prefix)
        )
        return (found,) if found is not None and shares_our_network(pid) else ()

    def start(self, text: str) -> None:
        """Write the log as the configuration *text* says (`render.logsettings`), in place of what is written now.

        The process goes into the background only when the kernel sends it the packets, so none is missed from then on.

        Raises:
            HostError: It does not start; the message has its words.
        """
        path = self._path(digest(text))
        if self.running() == digest(text) and path.exists():
            return
        self._end()
        temporary = path.with_suffix(".new")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
        try:
            command.run([sys.executable, "-I", "-m", _MODULE, str(path)], timeout=_START_SECONDS)
        except HostError as error:
            self._end()
            raise HostError(f"the firewall's log does not start: {_reason(error)}") from error

    def stop(self) -> None:
        """Stop writing and remove what was written for it; the log itself stays."""
        self._end()

    def _end(self) -> None:
        self._remove_configurations()  # first: one that begins just now ends when it sees that
        for process in self.processes():
            terminate(process, timeout_seconds=_STOP_SECONDS)
        (self._directory / PID_FILE).unlink(missing_ok=True)

    def _remove_configurations(self) -> None:
        for path in self._directory.glob("firewall-log-*.*"):
            path.unlink(missing_ok=True)

    def _path(self, version: str) -> Path:
        return self._directory / f"firewall-log-{version}.json"

    def _digest(self, process: Process) -> str:
        return process.argv[-1].removeprefix(self._prefix).removesuffix(".json")


def _reason(error: HostError) -> str:
    said = error.output.strip().splitlines() if isinstance(error, command.CommandError) else []
    return said[-1] if said else str(error)
