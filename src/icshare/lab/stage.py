"""Run a demonstration's steps on a lab: time them, tell a watcher, keep what was found."""

import os
import pty
import shlex
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

import icshare
from icshare.errors import HostError, IcshareError
from icshare.host import command
from icshare.lab.lab import Lab
from icshare.lab.plan import GATEWAY, NodeName
from icshare.lab.report import Finding, Ran, Report, Step, Watcher

OUTSIDE = NodeName("")

T = TypeVar("T")

_TIMEOUT = 20.0
_ROWS = 100
# Passed on to our own commands: where byte code may be left, and how the user wants colour.
_PASSED_ON = ("PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "TERM", "COLORTERM", "NO_COLOR")


class SkippedError(Exception):
    """A step cannot go on; what went wrong has been told."""


class Stage:
    """Where a demonstration runs."""

    def __init__(self, watcher: Watcher, *, width: int | None) -> None:
        """Take who is told, and where icshare's own output goes.

        Args:
            watcher: Is told of everything.
            width: Columns of the terminal on which icshare's output will be shown; None for plain text.
        """
        self._watcher = watcher
        self._width = width
        self._started = time.monotonic()
        self._steps: list[Step] = []
        self._ran: list[Ran] = []
        self._findings: list[Finding] = []

    @property
    def ok(self) -> bool:
        """Whether the step before this moment found everything as it should be."""
        return self._steps[-1].ok

    def report(self) -> Report:
        """Return what was done and found so far."""
        return Report(steps=tuple(self._steps), seconds=time.monotonic() - self._started)

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[None]:
        """Begin a step and end it with the context; an error of ours becomes a finding."""
        self._ran, self._findings = [], []
        started = time.monotonic()
        self._watcher.begins(len(self._steps) + 1, title)
        try:
            yield
        except SkippedError:
            assert not all(finding.ok for finding in self._findings)
        except IcshareError as error:
            self.find(str(error) + (f" ({error.hint})" if error.hint else ""), ok=False)
        step = Step(
            name=name,
            title=title,
            ran=tuple(self._ran),
            findings=tuple(self._findings),
            seconds=time.monotonic() - started,
        )
        self._steps.append(step)
        self._watcher.ends(step)

    def draw(self, picture: str) -> None:
        """Show a picture."""
        self._watcher.draws(picture)

    def find(self, text: str, *, ok: bool) -> None:
        """Tell a fact, and whether it is as it should be."""
        finding = Finding(ok=ok, text=text)
        self._findings.append(finding)
        self._watcher.found(finding)

    def timed(self, line: str, act: Callable[[], T]) -> T:
        """Do in this process what the command *line* would do."""
        started = time.monotonic()
        result = act()
        self._tell(Ran(node=OUTSIDE, line=line, status=0, output="", seconds=time.monotonic() - started), show=True)
        return result

    def run(self, lab: Lab, *commands: tuple[NodeName, Sequence[str]], show: bool = False) -> list[Ran]:
        """Run the commands side by side, and return what became of each, in order; *show* what they print."""
        with ThreadPoolExecutor(len(commands)) as pool:
            jobs = [pool.submit(_run, lab, node, argv) for node, argv in commands]
            return [self._tell(job.result(), show=show) for job in jobs]

    def icshare(self, lab: Lab, *arguments: str) -> Ran:
        """Run icshare on the gateway and show what it prints."""
        return self._tell(_icshare(lab, arguments, self._width), show=True)

    def facts(self, lab: Lab, *arguments: str, show: bool = False) -> Any:  # noqa: ANN401 (a JSON document)
        """Return the document that icshare prints on the gateway; *show* what it prints to people, too.

        Raises:
            HostError: It printed none.
        """
        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(_icshare, lab, (*arguments, "--json"), None)
            if show:
                self.icshare(lab, *arguments)
            ran = job.result()
        if not show:
            self._tell(ran, show=False)
        try:
            document = msgspec.json.decode(ran.output)
        except msgspec.DecodeError as error:
            raise HostError(f"{ran.line} printed no document but: {last_line(ran)}") from error
        if "error" in document:
            raise HostError(document["error"]["message"], hint=document["error"]["hint"])
        return document

    def _tell(self, ran: Ran, *, show: bool) -> Ran:
        self._ran.append(ran)
        self._watcher.ran(ran, show=show)
        return ran


def last_line(ran: Ran) -> str:
    """Return the last line that a command printed, or its exit status when it printed nothing."""
    lines = ran.output.strip().splitlines()
    return lines[-1] if lines else f"status {ran.status}"


def _run(lab: Lab, node: NodeName, argv: Sequence[str]) -> Ran:
    started = time.monotonic()
    done = lab.run(node, argv, check=False, timeout=_TIMEOUT)
    return Ran(
        node=node,
        line=shlex.join(argv),
        status=done.returncode,
        output=done.stderr + done.stdout,
        seconds=time.monotonic() - started,
    )


def _icshare(lab: Lab, arguments: Sequence[str], width: int | None) -> Ran:
    argv = [sys.executable, "-m", "icshare.cli.main", *arguments]
    env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    env["PYTHONPATH"] = str(Path(icshare.__file__).parents[1])
    started = time.monotonic()
    if width is None:
        done = lab.run(GATEWAY, argv, env=env, check=False, timeout=_TIMEOUT)
        status, output = done.returncode, done.stderr + done.stdout
    else:
        status, output = _on_terminal(lab, argv, env, width)
    return Ran(
        node=GATEWAY,
        line=shlex.join(["icshare", *arguments]),
        status=status,
        output=output,
        seconds=time.monotonic() - started,
    )


def _on_terminal(lab: Lab, argv: Sequence[str], env: dict[str, str], width: int) -> tuple[int, str]:
    """Run with the output on a terminal of its own, for colour and line breaks as a user would see them.

    Standard error, where progress is drawn over and over, is no terminal: it has plain lines.
    """
    ours, theirs = pty.openpty()
    try:
        termios.tcsetwinsize(theirs, (_ROWS, width))
        process = lab.popen(GATEWAY, argv, env=env, stdout=theirs, stderr=command.PIPE)
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    assert process.stderr is not None
    limit = threading.Timer(_TIMEOUT, process.kill)
    limit.start()
    with ThreadPoolExecutor(1) as pool, process.stderr, os.fdopen(ours, "rb", buffering=0):
        printed = pool.submit(_read_terminal, ours)
        try:
            errors = process.stderr.read()
            output = printed.result()
            status = process.wait()
        except BaseException:  # Ctrl-C: the reader waits for the end of the process
            process.kill()
            raise
        finally:
            limit.cancel()
    return status, (errors + output).decode(errors="replace").replace("\r\n", "\n")


def _read_terminal(terminal: int) -> bytes:
    """Return all that is printed until the last program has closed its side; then the kernel says EIO."""
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            part = b""
        if not part:
            return b"".join(parts)
        parts.append(part)
