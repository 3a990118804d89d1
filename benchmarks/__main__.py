"""Measure on this machine what a user waits for: ``python -m benchmarks [REPEATS]``, or ``make bench``.

Theory of operation
-------------------
Everything runs in labs, as a user would run it: icshare as a process of its own, Python's start included, and a client
that has configured itself already and keeps asking. Only what a neighbour does at that moment differs from run to run,
so every repeat measures everything once, and medians are compared; the spread (the middle half of the values) tells how
far to trust them, and the best value what a quiet machine may give. ``python`` is an interpreter that does nothing:
figures of two machines are best compared by their ratio to it.

The client asks the Internet's echo service by UDP, every millisecond; its clock and ours are the same
(CLOCK_MONOTONIC), so *first packet* is the time from the start of ``icshare share`` to the first answer that came back
through NAT. *First lease* adds udhcpc, which begins when ``share`` has ended, as if it were plugged in at that moment.

How ``share`` grows is fitted as a straight line through the medians for 1, 8 and 64 private connections.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import icshare
from icshare.host import command
from icshare.host.command import PIPE
from icshare.lab import ECHO_ADDRESS, GATEWAY, Lab, LabPlan, lab_name

REPEATS = 9
SIZES = (1, 8, 64)
GOALS = {"share to first packet": 0.5, "list": 0.15}
CLIENT = "c0"
# Where the client finds the gateway, whichever subnet it has (192.168.137.0/24 in a lab).
GATEWAY_ADDRESS = "192.168.137.1"
_ENVIRONMENT = {"PYTHONPATH": str(Path(icshare.__file__).parents[1])}
_SECONDS = 60.0

# Asks until it is answered; prints when that was. While nobody serves, there is no route and no neighbour: it goes on.
ASK = """
import socket, sys, time
one = socket.socket(type=socket.SOCK_DGRAM)
one.settimeout(0.001)
print("ready", flush=True)
while True:
    try:
        one.sendto(b"?", (sys.argv[1], 7))
        one.recv(100)
    except OSError:
        continue
    print(time.monotonic(), flush=True)
    break
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured under one name.

    Attributes:
        name: What.
        seconds: One value for each repeat.
    """

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value, in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Width of the middle half of the values, in seconds; 0 for a single one."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return high - low


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table, and return 1 when a goal is missed."""
    repeats = int(arguments[0]) if arguments else REPEATS
    values: dict[str, list[float]] = {}
    with ExitStack() as stack:
        labs = {
            size: stack.enter_context(Lab.up(LabPlan(prefix=lab_name(f"bench{size}"), privates=size))) for size in SIZES
        }
        _settle_client(labs[1])
        measures = _measures(labs)
        for number in range(repeats):
            for name, measure in measures.items():
                _progress(f"repeat {number + 1} of {repeats}: {name}")
                values.setdefault(name, []).append(measure())
    _progress("")
    figures = {name: Figure(name=name, seconds=tuple(seconds)) for name, seconds in values.items()}
    return _print(figures, repeats)


def _measures(labs: dict[int, Lab]) -> dict[str, Callable[[], float]]:
    """Return what is measured, in the order of one repeat; each leaves the lab as the next expects it."""
    small = labs[1]
    found: dict[str, Callable[[], float]] = {
        "python": lambda: _timed(lambda: small.run(GATEWAY, [sys.executable, "-c", "pass"])),
        "list": lambda: _icshare(small, "list"),
        "share to first packet": lambda: _first_packet(small),
        "list while sharing": lambda: _icshare(small, "list"),
        "status": lambda: _icshare(small, "status"),
        "stop": lambda: _icshare(small, "stop"),
        "share to first lease": lambda: _first_lease(small),
    }
    for size, lab in labs.items():
        found[_growth(size)] = lambda lab=lab, size=size: _share_all(lab, size)  # type: ignore[misc]
    return found


def _growth(size: int) -> str:
    return f"share with {size}"


def _share_all(lab: Lab, size: int) -> float:
    seconds = _icshare(lab, "share", "wan0", *(f"lan{number}" for number in range(size)))
    _icshare(lab, "stop")
    return seconds


def _first_packet(lab: Lab) -> float:
    client = lab.popen(CLIENT, [sys.executable, "-c", ASK, str(ECHO_ADDRESS)], stdout=PIPE)
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        began = time.monotonic()
        _icshare(lab, "share", "wan0", "lan0")
        return float(client.stdout.readline()) - began
    finally:
        client.kill()
        command.end(client)


def _first_lease(lab: Lab) -> float:
    """Return the seconds from the start of ``share`` until a client that asks when it ends has its lease."""
    began = time.monotonic()
    _icshare(lab, "share", "wan0", "lan0")
    lab.run(CLIENT, ["udhcpc", "-f", "-n", "-q", "-i", "eth0", "-s", "/bin/true"], timeout=_SECONDS)
    seconds = time.monotonic() - began
    _icshare(lab, "stop")
    return seconds


def _settle_client(lab: Lab) -> None:
    lab.run(CLIENT, ["ip", "address", "add", "192.168.137.10/24", "dev", "eth0"])
    lab.run(CLIENT, ["ip", "route", "add", "default", "via", GATEWAY_ADDRESS])
    # ARP asks once a second by default: the client's patience, not the gateway's speed, would be measured.
    lab.run(CLIENT, ["busybox", "sysctl", "-qw", "net.ipv4.neigh.eth0.retrans_time_ms=5"])


def _icshare(lab: Lab, *arguments: str) -> float:
    argv = [sys.executable, "-m", "icshare.cli.main", *arguments]
    return _timed(lambda: lab.run(GATEWAY, argv, env=_ENVIRONMENT, timeout=_SECONDS))


def _timed(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def _print(figures: dict[str, Figure], repeats: int) -> int:
    python = figures["python"].median
    missed = 0
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    print(f"{repeats} repeats, interleaved; seconds; spread is the middle half of the values")
    print(f"load average {load:.1f} on {cores} cores{': too busy to judge goals by' if load > 2 * cores else ''}\n")
    print(f"{'':24}{'median':>8}{'spread':>8}{'best':>8}{'x python':>10}{'goal':>8}")
    for name, figure in figures.items():
        goal = GOALS.get(name)
        verdict = "" if goal is None else "met" if figure.median < goal else "MISSED"
        missed += verdict == "MISSED"
        shown = "" if goal is None else f"{goal:.2f}"
        numbers = f"{figure.median:8.3f}{figure.spread:8.3f}{min(figure.seconds):8.3f}{figure.median / python:10.1f}"
        print(f"{name:24}{numbers}{shown:>8} {verdict}".rstrip())
    slope, base = statistics.linear_regression(SIZES, [figures[_growth(size)].median for size in SIZES])
    print(f"\nshare grows by {slope * 1000:.1f} ms for each private connection, from {base + slope:.3f} s for one")
    for size in SIZES[1:]:
        ratio = figures[_growth(size)].median / figures[_growth(SIZES[0])].median
        print(f"share with {size} takes {ratio:.2f} times as long as with {SIZES[0]}")
    return 1 if missed else 0


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[2K{text}")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
