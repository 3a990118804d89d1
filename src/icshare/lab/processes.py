"""The processes of a lab: found by namespace, ended without ever hitting a stranger.

A number alone does not name a process: it may have been given to somebody else since. A pid with its start time does,
and so does a descriptor of the process (pidfd), which also tells of its end. Signals go through descriptors only, and
only after the descriptor's process was looked at again.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from icshare.errors import HostError

# Field 22 of /proc/PID/stat, counted after the command's name, which may itself contain spaces and parentheses.
_START_TIME = 22 - 3


def start_time(pid: int) -> int | None:
    """Return when process *pid* started, in clock ticks since boot, or None when there is no such process.

    Source: proc(5), ``/proc/[pid]/stat``.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[_START_TIME])


def is_running(pid: int, started: int) -> bool:
    """Tell whether process *pid* is the one that started at *started* and is not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return int(stat[_START_TIME]) == started and stat[0] not in {"Z", "X"}


def end_those_in(namespaces: frozenset[tuple[int, int]], *, grace: float = 1.0) -> int:
    """End every process whose network namespace is in *namespaces*, but not this one; return how many there were.

    Args:
        namespaces: Device and inode numbers of network namespaces.
        grace: Seconds from SIGTERM to SIGKILL.

    Raises:
        HostError: A process survived SIGKILL for *grace* seconds, or a new one came with every look.
    """
    ended = 0
    for _ in range(10):  # a process may fork while we look: look until there is none
        found = list(_find(lambda pid: namespace_of(pid) in namespaces))
        if not found:
            return ended
        ended += len(found)
        try:
            _end(found, grace)
        finally:
            for descriptor in found:
                os.close(descriptor)
    raise HostError("processes keep appearing in the lab's namespaces")


def namespace_of(pid: int) -> tuple[int, int] | None:
    """Return device and inode of process *pid*'s network namespace; None for a process that is gone or a zombie."""
    try:
        found = Path(f"/proc/{pid}/ns/net").stat()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return found.st_dev, found.st_ino


def _find(ours: Callable[[int], bool]) -> Iterator[int]:
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    for pid in pids:
        if pid == os.getpid() or not ours(pid):
            continue
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        if ours(pid):  # still the one we looked at: the descriptor pins it from here on
            yield descriptor
        else:
            os.close(descriptor)


def _end(descriptors: list[int], grace: float) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for descriptor in descriptors:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
        if _wait(descriptors, grace):
            return
    raise HostError("a process of the lab does not die of SIGKILL")


def _wait(descriptors: list[int], seconds: float) -> bool:
    """Wait until all have ended; False when *seconds* were not enough. A pidfd is readable once its process ended."""
    deadline = time.monotonic() + seconds
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    alive = len(descriptors)
    while alive:
        events = poll.poll(max(0, deadline - time.monotonic()) * 1000)
        if not events:
            return False
        for descriptor, _ in events:
            poll.unregister(descriptor)
            alive -= 1
    return True
