"""What a user waits for: share, stop, list, status, and how share grows with the number of private connections.

The client asks the Internet's echo service by UDP, every millisecond; its clock and ours are the same
(CLOCK_MONOTONIC), so *first packet* is the time from the start of ``icshare share`` to the first answer that came back
through NAT. *First lease* adds udhcpc, which begins when ``share`` has ended, as if it were plugged in at that moment.

How ``share`` grows is fitted as a straight line through the medians for 1, 8 and 64 private connections.
"""

import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from benchmarks.figures import ENVIRONMENT, SECONDS, Figures, Measures, icshare_seconds, ratio, seconds_table, timed

from icshare.host import command
from icshare.host.command import PIPE
from icshare.lab import ECHO_ADDRESS, GATEWAY, Lab, LabPlan, lab_name

SIZES = (1, 8, 64)
GOALS = {"share to first packet": 0.5, "list": 0.15}
CLIENT = "c0"
# Where the client finds the gateway, whichever subnet it has (192.168.137.0/24 in a lab).
GATEWAY_ADDRESS = "192.168.137.1"
CLIENT_ADDRESS = "192.168.137.10"

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


class Sharing:
    """Sharing, in labs of three sizes."""

    def __init__(self, stack: ExitStack) -> None:
        """Build the labs, which *stack* takes down."""
        self._labs = {
            size: stack.enter_context(Lab.up(LabPlan(prefix=lab_name(f"bench{size}"), privates=size))) for size in SIZES
        }
        settle_client(self._labs[1])

    @property
    def measures(self) -> Measures:
        """What is measured, in the order of one repeat."""
        small = self._labs[1]
        found: dict[str, Callable[[], float]] = {
            "python": lambda: timed(lambda: small.run(GATEWAY, [sys.executable, "-c", "pass"])),
            "list": lambda: icshare_seconds(small, "list"),
            "share to first packet": lambda: _first_packet(small),
            "list while sharing": lambda: icshare_seconds(small, "list"),
            "status": lambda: icshare_seconds(small, "status"),
            "stop": lambda: icshare_seconds(small, "stop"),
            "share to first lease": lambda: _first_lease(small),
        }
        for size, lab in self._labs.items():
            found[_growth(size)] = partial(_share_all, lab, size)
        return found

    def report(self, figures: Figures) -> int:
        """Print the table and the growth."""
        missed = seconds_table([figures[name] for name in self.measures], figures["python"].median, GOALS)
        slope, base = statistics.linear_regression(SIZES, [figures[_growth(size)].median for size in SIZES])
        print(f"share grows by {slope * 1000:.1f} ms for each private connection, from {base + slope:.3f} s for one")
        for size in SIZES[1:]:
            times = ratio(figures, _growth(size), _growth(SIZES[0]))
            print(f"share with {size} takes {times:.2f} times as long as with {SIZES[0]}")
        return missed


def settle_client(lab: Lab) -> None:
    """Configure the client, once and for all."""
    lab.run(CLIENT, ["ip", "address", "add", f"{CLIENT_ADDRESS}/24", "dev", "eth0"])
    lab.run(CLIENT, ["ip", "route", "add", "default", "via", GATEWAY_ADDRESS])
    # ARP asks once a second by default: the client's patience, not the gateway's speed, would be measured.
    lab.run(CLIENT, ["busybox", "sysctl", "-qw", "net.ipv4.neigh.eth0.retrans_time_ms=5"])


def _growth(size: int) -> str:
    return f"share with {size}"


def _share_all(lab: Lab, size: int) -> float:
    seconds = icshare_seconds(lab, "share", "wan0", *(f"lan{number}" for number in range(size)))
    icshare_seconds(lab, "stop")
    return seconds


def _first_packet(lab: Lab) -> float:
    client = lab.popen(CLIENT, [sys.executable, "-c", ASK, str(ECHO_ADDRESS)], env=ENVIRONMENT, stdout=PIPE)
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        began = time.monotonic()
        icshare_seconds(lab, "share", "wan0", "lan0")
        return float(client.stdout.readline()) - began
    finally:
        client.kill()
        command.end(client)


def _first_lease(lab: Lab) -> float:
    """Return the seconds from the start of ``share`` until a client that asks when it ends has its lease."""
    began = time.monotonic()
    icshare_seconds(lab, "share", "wan0", "lan0")
    lab.run(CLIENT, ["udhcpc", "-f", "-n", "-q", "-i", "eth0", "-s", "/bin/true"], timeout=SECONDS)
    seconds = time.monotonic() - began
    icshare_seconds(lab, "stop")
    return seconds
