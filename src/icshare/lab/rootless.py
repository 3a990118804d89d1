"""Run a command in a machine of its own: new user, mount, network and process namespaces.

Everything it makes (links, rules, mounts, processes, files below ``/run``) vanishes with it, whatever happens, and the
host sees nothing of it. A user needs no privilege for this where the kernel allows user namespaces; root does without
the user namespace and has the same seclusion.

As a program::

    python -m icshare.lab.rootless COMMAND [ARGUMENT...]

Theory of operation
-------------------
``unshare`` makes the namespaces and forks; the child is process 1 of its namespace, with a ``/proc`` of its own, and
puts an empty tmpfs on ``/run``, where ``ip netns`` and the lab keep their things. The kernel kills every process of a
namespace whose process 1 ends. The first process stays outside to pass on the end: it gets the terminal's and the
system's signals, and its own death takes the child along (``--pdeathsig``, ``--kill-child``).

Sources: user_namespaces(7), pid_namespaces(7), unshare(1), setpriv(1).
"""

import os
import re
import signal
import sys
from collections.abc import Sequence
from operator import ne
from pathlib import Path
from types import FrameType

from icshare.errors import IcshareError, InvalidRequestError, NotSupportedError
from icshare.host import command

# Where the process outside was. Whoever is in other namespaces than those is inside.
_MARK = "ICSHARE_OUTSIDE"
_NAMESPACES = re.compile(r"(mnt:\[[0-9]+\]) (net:\[[0-9]+\])")

# Constant text: the command comes as arguments and is never read by the shell.
_PREPARE = 'mount -t tmpfs -o mode=755 tmpfs /run && exec "$@"'
# The lab needs these two; a container or AppArmor may grant the namespaces and still refuse them.
_TRY = "mount -t tmpfs tmpfs /run && mount -t sysfs sysfs /sys"


def is_inside() -> bool:
    """Tell whether this process runs in a machine of its own that `enter` has made."""
    outside, here = _NAMESPACES.fullmatch(os.environ.get(_MARK, "")), _NAMESPACES.fullmatch(where())
    return outside is not None and here is not None and all(map(ne, outside.groups(), here.groups()))


def enter(argv: Sequence[str] | None = None) -> None:
    """Return when inside; otherwise run this command again inside and exit with its status.

    Args:
        argv: The command to run inside; by default the one that this process was started with.

    Raises:
        NotSupportedError: The kernel or its settings refuse; the hint says which, and what to do.
        SystemExit: Outside, with the status of the command; 128 + N when signal N ended it or us.
    """
    if not is_inside():
        raise SystemExit(run(argv or [sys.executable, *sys.orig_argv[1:]]))


def run(argv: Sequence[str]) -> int:
    """Run *argv* in a machine of its own, on our terminal, and return its exit status.

    Raises:
        NotSupportedError: The kernel or its settings refuse; the hint says which, and what to do.
    """
    refused = refusal()
    if refused is not None:
        raise refused
    process = command.start(
        inside_argv(argv),
        env={_MARK: where()},
        inherit_environment=True,
        stdin=None,
        stdout=None,
        stderr=None,
        new_session=False,
    )

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
        process.kill()  # unshare; --kill-child does the rest
        raise SystemExit(128 + number)

    previous = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, stop),
        signal.SIGHUP: signal.signal(signal.SIGHUP, stop),
        # Ctrl-C goes to the command too, as the terminal's foreground; that one decides what it means.
        signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
    }
    try:
        status = process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def inside_argv(argv: Sequence[str], *, root: bool | None = None) -> list[str]:
    """Return the argument vector that runs *argv* in a machine of its own.

    Args:
        argv: The command; its program is a path, or searched in ``PATH``.
        root: Whether the caller is root and needs no user namespace; by default whether we are.
    """
    return ["setpriv", "--pdeathsig=KILL", "--", *_unshare(root=root), "sh", "-c", _PREPARE, "sh", *argv]


def refusal(*, root: bool | None = None) -> NotSupportedError | None:
    """Try it, and return why this machine cannot; None when it can. Takes some 10 ms."""
    tried = command.run([*_unshare(root=root), "sh", "-c", _TRY], check=False, timeout=30)
    if tried.returncode == 0:
        return None
    reason = tried.stderr.strip() or f"status {tried.returncode}"
    return NotSupportedError(f"cannot make namespaces for a machine of its own: {reason}", hint=_hint())


def _unshare(*, root: bool | None) -> list[str]:
    user = [] if (os.geteuid() == 0 if root is None else root) else ["--user", "--map-root-user"]
    # Slave and not private: what the host unmounts must not stay busy here.
    rest = ["--net", "--mount", "--propagation=slave", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["unshare", *user, *rest, "--"]


def _hint() -> str:
    """Say what stands in the way, by the settings that distributions are known to ship."""
    for setting, refusing in (
        ("kernel/unprivileged_userns_clone", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
        ("user/max_user_namespaces", "0"),
    ):
        path = Path("/proc/sys") / setting
        if path.exists() and path.read_text().strip() == refusing:
            return f"the setting {setting.replace('/', '.')} = {refusing} forbids it: use sudo, or change the setting"
    return "use sudo; in a container, allow it user namespaces and mounts"


def where() -> str:
    """Name the mount and network namespaces that this process is in."""
    return f"{Path('/proc/self/ns/mnt').readlink()} {Path('/proc/self/ns/net').readlink()}"


def main(arguments: Sequence[str]) -> int:
    """Run the command that *arguments* are; report an error of ours like the command line does."""
    try:
        if not arguments:
            raise InvalidRequestError("no command given", hint="python -m icshare.lab.rootless COMMAND [ARGUMENT...]")
        return run(arguments)
    except IcshareError as error:
        sys.stderr.write(f"error: {error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return 2 if isinstance(error, InvalidRequestError) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
