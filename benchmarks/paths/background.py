"""Programs that run behind a contender, and what they have to say when it does not work."""

import contextlib
import os
import select
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from icshare.host import command
from icshare.host.command import STDOUT

_END_SECONDS: Final = 10.0
_LOG_LIMIT: Final = 600


class Daemon:
    """A program that runs in the background and writes into a file."""

    def __init__(self, stack: ExitStack, argv: list[str], *, name: str, env: dict[str, str] | None = None) -> None:
        """Start it; *stack* ends it, first by the signal that lets it clean up."""
        self.name = name
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="icshare-bench-"))
        self._log = Path(directory) / "log"
        with self._log.open("wb") as file:
            self._process = command.start(argv, env=env, stdout=file, stderr=STDOUT)
        stack.callback(command.end, self._process, grace=_END_SECONDS)

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def said(self) -> str:
        """Return the end of what it has written, and its status if it has ended."""
        how = "runs" if self.runs else f"has ended with status {self._process.returncode}"
        said = self._log.read_text(errors="replace").strip()[-_LOG_LIMIT:]
        return f"{self.name} {how}" + (f": {said}" if said else "")


def end_those_that_see(mounts: tuple[int, int]) -> None:
    """End every process in a mount namespace, given by device and inode, at once; return when they have ended."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or mounts_of(entry) != mounts:
            continue
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(int(entry.name))
            try:
                if mounts_of(entry) == mounts:  # the number may have been given to another meanwhile
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                    select.select([descriptor], [], [], _END_SECONDS)
            finally:
                os.close(descriptor)


def mounts_of(process: Path) -> tuple[int, int] | None:
    """Return device and inode of the mount namespace of the process with this directory; None for one that is gone."""
    try:
        found = (process / "ns" / "mnt").stat()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return found.st_dev, found.st_ino
