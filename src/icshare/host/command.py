"""Run other programs: the one module that may start a process.

No shell, ever: an argument vector goes to the kernel as it is. The environment is built from nothing, so that a
user's locale, ``IP_*`` variables or an odd ``PATH`` cannot change what a tool prints or which tool runs. Every
command is logged at debug level as one line that can be pasted into a terminal.
"""

import contextlib
import logging
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Never

from icshare.errors import HostError, NotSupportedError

log = logging.getLogger(__name__)

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PIPE = subprocess.PIPE
DEVNULL = subprocess.DEVNULL
STDOUT = subprocess.STDOUT

Process = subprocess.Popen[bytes]
Stream = int | IO[bytes] | None

# Debian's names. A program that is not here is named after its package.
_PACKAGES = {
    "busybox": "busybox",
    "dhclient": "isc-dhcp-client",
    "dig": "bind9-dnsutils",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "modprobe": "kmod",
    "mount": "mount",
    "nft": "nftables",
    "nsenter": "util-linux",
    "ping": "iputils-ping",
    "setpriv": "util-linux",
    "ss": "iproute2",
    "sysctl": "procps",
    "umount": "mount",
    "unshare": "util-linux",
}

# Enough of a failed tool's output to see the reason, short enough for one message.
_OUTPUT_LIMIT = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What a finished command left behind.

    Attributes:
        argv: The argument vector that ran.
        returncode: Exit status; -N when signal N ended it.
        stdout: Standard output, decoded as UTF-8, undecodable bytes replaced.
        stderr: Standard error, likewise.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


class CommandError(HostError):
    """A command ended with another status than 0, or not in time.

    Attributes:
        argv: The argument vector that ran.
        status: Exit status, -N for signal N, None when it was killed for taking too long.
        output: What it printed, standard error first.
    """

    def __init__(self, argv: Sequence[str], status: int | None, output: str, *, hint: str | None = None) -> None:
        self.argv = tuple(argv)
        self.status = status
        self.output = output
        outcome = "did not finish in time" if status is None else f"failed with status {status}"
        said = output.strip()[-_OUTPUT_LIMIT:]
        super().__init__(f"{shlex.join(argv)} {outcome}" + (f": {said}" if said else ""), hint=hint)


def find_program(name: str) -> str:
    """Return the path of the program *name*, searched in the standard directories only.

    Raises:
        NotSupportedError: It is not installed; the hint names the package.
    """
    found = shutil.which(name, path=PATH)
    if found is None:
        raise NotSupportedError(
            f"the program {name!r} is not installed",
            hint=f"install it (Debian: apt install {_PACKAGES.get(name, name)})",
        )
    return found


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment of a command: a fixed ``PATH``, the C locale in UTF-8, and *extra*."""
    return {"PATH": PATH, "LC_ALL": "C.UTF-8", **(extra or {})}


def describe(argv: Sequence[str], *, env: Mapping[str, str] | None = None, text: str | None = None) -> str:
    """Return one line for a terminal that does what running *argv* does."""
    assignments = [f"{name}={shlex.quote(value)}" for name, value in sorted((env or {}).items())]
    line = " ".join([*assignments, shlex.join(argv)])
    if text is not None:
        line = f"printf %s {shlex.quote(text)} | {line}"
    # An argument that is no UTF-8 holds surrogates, which no log can be written with.
    return line.encode("utf-8", "backslashreplace").decode()


def run(
    argv: Sequence[str],
    *,
    input: str | None = None,  # noqa: A002 - the name that subprocess has taught everybody
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    check: bool = True,
) -> Completed:
    """Run *argv* to its end and return what it printed.

    Args:
        argv: Program and arguments; the program is a name, searched in the standard directories, or a path.
        input: Text for standard input, which is empty otherwise.
        env: Variables added to the clean environment.
        timeout: Seconds after which the command is killed; None waits for ever.
        check: Raise when the status is not 0.

    Raises:
        CommandError: The status was not 0 (with *check*), or the time was up.
        HostError: The kernel refused to start it.
        NotSupportedError: The program is not installed.
    """
    log.debug("%s", describe(argv, env=env, text=input))
    try:
        done = subprocess.run(
            [_resolve(argv[0]), *argv[1:]],
            input=None if input is None else input.encode(),
            stdin=DEVNULL if input is None else None,
            capture_output=True,
            env=environment(env),
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(argv, None, _text(error.stderr) + _text(error.stdout)) from error
    except OSError as error:
        raise HostError(f"cannot start {shlex.join(argv)}: {error}") from error
    completed = Completed(
        argv=tuple(argv), returncode=done.returncode, stdout=_text(done.stdout), stderr=_text(done.stderr)
    )
    if check and completed.returncode != 0:
        raise CommandError(argv, completed.returncode, completed.stderr + completed.stdout)
    return completed


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    inherit_environment: bool = False,
    stdin: Stream = DEVNULL,
    stdout: Stream = DEVNULL,
    stderr: Stream = DEVNULL,
    new_session: bool = True,
) -> Process:
    """Start *argv* in the background and return it; the caller waits for it or kills it.

    Args:
        argv: Program and arguments, as for `run`.
        env: Variables added to the environment.
        inherit_environment: Begin with our own environment and not with the clean one: for commands that are
            the user's and not ours.
        stdin: A file, `PIPE` or `DEVNULL`; None shares ours.
        stdout: Likewise.
        stderr: Likewise, or `STDOUT`.
        new_session: Detach it from our terminal, so that Ctrl-C reaches only us.

    Raises:
        HostError: The kernel refused to start it.
        NotSupportedError: The program is not installed.
    """
    log.debug("%s &", describe(argv, env=env))
    whole = {**os.environ, **(env or {})} if inherit_environment else environment(env)
    try:
        return subprocess.Popen(
            [_resolve(argv[0]), *argv[1:]],
            env=whole,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=new_session,
        )
    except OSError as error:
        raise HostError(f"cannot start {shlex.join(argv)}: {error}") from error


def become(argv: Sequence[str]) -> Never:
    """Replace this process by *argv*, with our own environment and terminal. Does not return.

    Raises:
        HostError: The kernel refused to start it.
        NotSupportedError: The program is not installed.
    """
    log.debug("exec %s", describe(argv))
    program = _resolve(argv[0])
    try:
        os.execv(program, list(argv))  # noqa: S606 - no shell is the point
    except OSError as error:
        raise HostError(f"cannot start {shlex.join(argv)}: {error}") from error


def end(process: Process, *, grace: float = 2.0) -> int:
    """End *process* and return its status: SIGTERM, and SIGKILL when *grace* seconds have passed.

    Its pipes are closed. A process that is gone already is no error.
    """
    process.terminate()
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):  # unread input: its reader is dead by our own hand
                stream.close()
    return process.returncode


def _resolve(program: str) -> str:
    return program if "/" in program else find_program(program)


def _text(output: bytes | str | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""
