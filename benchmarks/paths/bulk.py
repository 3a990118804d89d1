"""Bulk TCP by iperf3, from the client to the Internet, and what it costs.

One and eight streams, as many bytes for everybody but for programs of a user's own, which may take long. CPU per
gigabyte is what all CPUs of the machine did meanwhile (``/proc/stat``: all but idle and waiting for disks), over what
arrived: both ends and the gateway, as they share the machine, and whatever else ran on it.
"""

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from benchmarks.paths.peers import USER_MODE
from benchmarks.paths.results import BULK, CPU, STREAMS, Results
from benchmarks.paths.rig import INTERNET_ADDRESS, CannotRunError
from benchmarks.paths.stand import Stand

from icshare.errors import HostError
from icshare.host import command
from icshare.host.command import PIPE, CommandError

BYTES: Final = "384M"
"""In all streams together: from a third of a second to two."""
USER_MODE_BYTES: Final = "64M"

_STAT: Final = Path("/proc/stat")
_IDLE: Final = (3, 4)  # columns of proc(5): idle, iowait
_GUESTS: Final = 8  # columns from here on are part of others


class Bulk:
    """The rate of bulk TCP, and CPU per gigabyte."""

    def __init__(self, stack: ExitStack, stands: Sequence[Stand], results: Results) -> None:
        """Start a server on each rig's Internet, until *stack* ends."""
        self._results = results
        for stand in stands:
            try:
                serve(stack, stand)
            except HostError as error:
                for measure in (*BULK, *CPU):
                    results.unable[stand.name, measure] = str(error)

    def measure(self, stands: Sequence[Stand], repeat: int) -> None:
        """Measure each stand once, in the order given."""
        for streams, bulk, cpu in zip(STREAMS, BULK, CPU, strict=True):
            for stand in stands:
                if (stand.name, bulk) in self._results.unable:
                    continue
                before = _busy_seconds()
                try:
                    received = run(stand, streams)
                except CannotRunError as error:
                    self._results.unable[stand.name, bulk] = self._results.unable[stand.name, cpu] = str(error)
                    continue
                busy = _busy_seconds() - before
                self._results.add(stand.name, bulk, repeat, received["bits_per_second"])
                self._results.add(stand.name, cpu, repeat, busy / (received["bytes"] / 1e9))


def serve(stack: ExitStack, stand: Stand) -> None:
    """Start iperf3's server on a rig's Internet, until *stack* ends.

    Raises:
        HostError: It is not installed, or does not start.
    """
    server = stand.rig.popen(stand.rig.internet, ["iperf3", "--server", "--forceflush"], stdout=PIPE)
    stack.callback(command.end, server)
    assert server.stdout is not None
    for line in server.stdout:
        if b"Server listening" in line:
            return
    raise HostError("iperf3 does not start")


def client(streams: int, *length: str) -> list[str]:
    """Return the command of iperf3's client, which sends by so many streams, for so long."""
    argv = ["iperf3", "--client", INTERNET_ADDRESS, "--parallel", str(streams), *length]
    return [*argv, "--connect-timeout", "3000", "--json"]


def run(stand: Stand, streams: int) -> dict[str, Any]:
    """Return what iperf3's server received.

    Raises:
        CannotRunError: Nothing came through.
    """
    try:
        done = stand.rig.run(
            stand.rig.client, client(streams, "--bytes", USER_MODE_BYTES if stand.name in USER_MODE else BYTES)
        )
    except CommandError as error:
        raise CannotRunError(f"iperf3 fails: {_error(error.output)}") from error
    told = json.loads(done.stdout)
    received: dict[str, Any] = told["end"].get("sum_received", {})
    if not received.get("bytes"):
        raise CannotRunError(f"iperf3 received nothing: {told.get('error', 'no reason given')}")
    return received


def _error(output: str) -> str:
    try:
        return str(json.loads(output)["error"])
    except (ValueError, KeyError):
        return " ".join(output.split())[-200:]


def _busy_seconds() -> float:
    columns = [int(one) for one in _STAT.read_text(encoding="ascii").splitlines()[0].split()[1:]]
    ticks = sum(value for number, value in enumerate(columns[:_GUESTS]) if number not in _IDLE)
    return ticks / os.sysconf("SC_CLK_TCK")
