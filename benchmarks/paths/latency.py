"""How long a client waits for an answer: 64 bytes there and back on one TCP connection, one question after the other.

**Idle** nothing else happens. **Loaded** eight streams of iperf3 go the same way as the questions, each paced by TCP to
a rate that everybody can carry: streams that take what they can get fill the machine and the senders' buffers, so that
the scheduler decides how long an answer takes and no two repeats agree. Both ends are Python, whose share is the same
for every contender.
"""

import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from benchmarks.paths.bulk import client
from benchmarks.paths.results import BULK, IDLE, LOADED, Results
from benchmarks.paths.rig import INTERNET_ADDRESS
from benchmarks.paths.stand import Stand

from icshare.host import command
from icshare.host.command import PIPE, CommandError, Process

IDLE_SECONDS: Final = 0.25
LOADED_SECONDS: Final = 1.0
LOAD: Final = "80M"
"""Bits per second of each of the eight streams."""
SLOW_LOAD: Final = "2M"
"""On an emulated machine."""
_PORT: Final = 5_002

_ANSWER: Final = f"""
import socket
server = socket.create_server(("", {_PORT}))
print("ready", flush=True)
while True:
    one, _ = server.accept()
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with one:
        try:
            while got := one.recv(64):
                one.sendall(got)
        except OSError:
            pass
"""

# Prints median and 99th percentile in seconds.
_ASK: Final = f"""
import socket, sys, time
found = []
with socket.create_connection(("{INTERNET_ADDRESS}", {_PORT}), timeout=5) as one:
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    question, clock = bytes(64), time.perf_counter
    end = clock() + float(sys.argv[1])
    while (began := clock()) < end:
        one.sendall(question)
        left = 64
        while left:
            got = len(one.recv(left))
            if not got:
                sys.exit("the connection has ended")
            left -= got
        found.append(clock() - began)
found.sort()
print([found[len(found) // 2], found[len(found) * 99 // 100]])
"""


class Latency:
    """Median and 99th percentile of the time to an answer."""

    def __init__(self, stack: ExitStack, stands: Sequence[Stand], results: Results, *, slow: bool = False) -> None:
        """Start who answers on each rig's Internet, until *stack* ends; iperf3 serves there already."""
        self._results = results
        self._load = SLOW_LOAD if slow else LOAD
        for stand in stands:
            rig = stand.rig
            server = rig.popen(rig.internet, [sys.executable, "-IS", "-c", _ANSWER], stdout=PIPE)
            stack.callback(command.end, server)
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"

    def measure(self, stands: Sequence[Stand], repeat: int) -> None:
        """Measure each stand once, in the order given."""
        for stand in stands:
            self._ask(stand, IDLE, IDLE_SECONDS, repeat)
        for stand in stands:
            if (reason := self._results.unable.get((stand.name, BULK[1]))) is not None:
                self._refuse(stand, LOADED, f"no load: {reason}")
                continue
            rig = stand.rig
            with ExitStack() as stack:
                load = rig.popen(rig.client, client(8, "--time", "10", "--fq-rate", self._load))
                stack.callback(command.end, load)
                time.sleep(0.2)  # the streams' first moments are not what a client meets
                self._ask(stand, LOADED, LOADED_SECONDS, repeat, load)

    def _ask(
        self, stand: Stand, measures: Sequence[str], seconds: float, repeat: int, load: Process | None = None
    ) -> None:
        if (stand.name, measures[0]) in self._results.unable:
            return
        rig = stand.rig
        try:
            done = rig.run(rig.client, [sys.executable, "-IS", "-c", _ASK, str(seconds)])
        except CommandError as error:
            said = error.output.strip().splitlines() or [str(error)]
            self._refuse(stand, measures, said[-1])
            return
        if load is not None and load.poll() is not None:
            self._refuse(stand, measures, "the load has ended too early")
            return
        for measure, value in zip(measures, json.loads(done.stdout), strict=True):
            self._results.add(stand.name, measure, repeat, value)

    def _refuse(self, stand: Stand, measures: Sequence[str], reason: str) -> None:
        self._results.unable.update({(stand.name, measure): reason for measure in measures})
