"""Other processes: found by their arguments, ended without ever hitting another that took over the number.

A pid alone names nobody for long. A pid and the start time name one process; a pidfd, opened and then checked against
the start time, cannot slip to another one between the check and the signal.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from icshare.errors import HostError, PrivilegeError

PROC: Final = Path("/proc")

CAP_NET_ADMIN: Final = 12
"""Number of the capability that changes of links, routes and rulesets need (capabilities(7))."""

_DEAD: Final = frozenset("ZXx")
# What cannot die of SIGKILL within this time hangs in the kernel.
_KILL_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process, from its start to its end.

    Attributes:
        pid: Its number.
        start: Its start, in clock ticks since boot: tells it from a later process with its number.
        argv: Its argument vector.
    """

    pid: int
    start: int
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """What the kernel says of a process.

    Attributes:
        letter: Its state: ``Z`` is a zombie.
        parent: Pid of its parent, 0 when that is outside of our pid namespace.
        start: Its start, in clock ticks since boot.
    """

    letter: str
    parent: int
    start: int


def find_processes(wanted: Callable[[Sequence[str]], bool], *, proc: Path = PROC) -> tuple[Process, ...]:
    """Return the living processes whose argument vector is *wanted*, by pid."""
    found = (find_process(pid, wanted, proc=proc) for pid in pids(proc))
    return tuple(process for process in found if process is not None)


def find_process(pid: int, wanted: Callable[[Sequence[str]], bool], *, proc: Path = PROC) -> Process | None:
    """Return the living process with number *pid*, None when there is none or its argument vector is not *wanted*."""
    argv = _argv(pid, proc)
    if not argv or not wanted(argv):
        return None
    state = read_state(pid, proc)
    return None if state is None or state.letter in _DEAD else Process(pid=pid, start=state.start, argv=argv)


def is_alive(process: Process, *, proc: Path = PROC) -> bool:
    """Tell whether *process* still runs; a zombie does not."""
    state = read_state(process.pid, proc)
    return state is not None and state.start == process.start and state.letter not in _DEAD


def shares_our_network(pid: int) -> bool:
    """Tell whether a process is in our network namespace.

    Another gateway on this machine, in a namespace or container with a /run of its own, has a dnsmasq with the very
    same arguments. Without privilege the kernel does not tell, and then nothing can be ended by mistake either. To
    root it does not tell in a container without CAP_SYS_PTRACE, where our dnsmasq is another account's, and of
    processes outside of root's own user namespace, which it may not even signal: those are none of ours.
    """
    try:
        return Path(f"/proc/{pid}/ns/net").samefile("/proc/self/ns/net")
    except PermissionError:
        return os.geteuid() != 0 or _may_signal(pid)
    except (FileNotFoundError, ProcessLookupError):
        return False


def terminate(process: Process, *, timeout_seconds: float) -> None:
    """End *process*: ask by SIGTERM, and kill it when *timeout_seconds* have passed. It is gone when this returns.

    A process that is gone already is no error.

    Raises:
        HostError: It survived even SIGKILL: it hangs in the kernel.
        PrivilegeError: It belongs to somebody else.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if not is_alive(process):  # asked after the pidfd was opened, so the answer is about what it points to
            return
        for number, seconds in ((signal.SIGTERM, timeout_seconds), (signal.SIGKILL, _KILL_SECONDS)):
            signal.pidfd_send_signal(descriptor, number)
            if _ends(descriptor, seconds):
                return
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise PrivilegeError(
            f"process {process.pid} ({process.argv[0]}) is not ours to end", hint="run it as root"
        ) from error
    finally:
        os.close(descriptor)
    raise HostError(f"process {process.pid} ({process.argv[0]}) survived SIGKILL: it hangs in the kernel")


def send_signal(process: Process, number: signal.Signals) -> None:
    """Send a signal to *process*; one that is gone already is no error.

    Raises:
        PrivilegeError: It belongs to somebody else.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if is_alive(process):  # as in `terminate`
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise PrivilegeError(f"process {process.pid} ({process.argv[0]}) is not ours", hint="run it as root") from error
    finally:
        os.close(descriptor)


def read_state(pid: int, proc: Path = PROC) -> ProcessState | None:
    """Read the state of a process, None when there is none.

    Source:
        proc(5), /proc/pid/stat: the program's name stands in parentheses and may itself hold spaces and parentheses.
    """
    try:
        text = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # from field 3, the state
    try:
        return ProcessState(letter=fields[0], parent=int(fields[1]), start=int(fields[19]))
    except (IndexError, ValueError):
        return None


def program_name(pid: int, proc: Path = PROC) -> str | None:
    """Return the name of the program that a process runs, at most 15 characters; None when it is gone."""
    try:
        return (proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").removesuffix("\n")
    except OSError:
        return None


def owner(pid: int, proc: Path = PROC) -> int | None:
    """Return the effective user id of a process, None when it is gone.

    Not that of its directory: there the kernel puts root in place of whoever has made a process undumpable.

    Source:
        proc(5), /proc/pid/status, and the ownership of /proc/pid.
    """
    try:
        status = (proc / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return next((int(line.split()[2]) for line in status.splitlines() if line.startswith("Uid:")), None)


def own_capabilities(kind: str = "Eff") -> int:
    """Return the capabilities of this process as bits by their numbers: effective ("Eff") or permitted ("Prm") ones.

    Source:
        capabilities(7); proc(5), ``/proc/self/status``.
    """
    status = (PROC / "self/status").read_text(encoding="ascii", errors="replace")
    found = (line.split()[1] for line in status.splitlines() if line.startswith(f"Cap{kind}:"))
    return int(next(found, "0"), 16)


def pids(proc: Path = PROC) -> list[int]:
    """Return the number of every process, in ascending order."""
    return sorted(int(name) for name in os.listdir(proc) if name.isascii() and name.isdigit())  # noqa: PTH208 - names are all that is wanted


def ancestors(proc: Path = PROC) -> Iterator[int]:
    """Yield our own pid, our parent's, its parent's, and so on up to the first process that can be seen."""
    seen: set[int] = set()
    pid = _own_pid(proc)
    while pid and pid not in seen:
        yield pid
        seen.add(pid)
        state = read_state(pid, proc)
        pid = state.parent if state else 0


def _own_pid(proc: Path) -> int:
    try:
        return int((proc / "self").readlink().name)
    except (OSError, ValueError):
        return 0


def _may_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (PermissionError, ProcessLookupError):
        return False
    return True


def _argv(pid: int, proc: Path) -> tuple[str, ...]:
    """Return the argument vector, empty for kernel threads, zombies and what is gone."""
    try:
        # No Path: every process is asked, and to make one takes longer than to read.
        with open(f"{proc}/{pid}/cmdline", "rb", buffering=0) as file:  # noqa: PTH123
            raw = file.read()
    except OSError:
        return ()
    return tuple(os.fsdecode(word) for word in raw.removesuffix(b"\0").split(b"\0")) if raw else ()


def _ends(descriptor: int, seconds: float) -> bool:
    """Wait until the process behind a pidfd has ended; tell whether it did so in time."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + seconds
    while True:
        left = deadline - time.monotonic()
        if poll.poll(max(0.0, left) * 1000):
            return True
        if left <= 0:
            return False
