"""The forwarding rate: one TCP stream from a client through NAT to the Internet, beside few and many port mappings.

Sender and receiver are Python and share the machine with the gateway, so the rate itself says little; that it is the
same with many mappings as with few says that no packet meets them.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

from benchmarks.figures import ENVIRONMENT, SECONDS, Figures, Measures, rates_table, ratio, verdict
from benchmarks.gateways import MappedGateway, Program
from benchmarks.sharing import CLIENT

from icshare.lab import ECHO_ADDRESS, INTERNET

STREAM_SECONDS = 1.0
_PORT = 5_001

# Takes one stream after the other; prints the bytes per second from the first byte to the last.
_SINK = f"""
import socket, time
server = socket.create_server(("{ECHO_ADDRESS}", {_PORT}))
buffer = bytearray(1 << 20)
print("ready", flush=True)
while True:
    stream, _ = server.accept()
    with stream:
        total, began = stream.recv_into(buffer), time.monotonic()
        while got := stream.recv_into(buffer):
            total += got
        print(total / (time.monotonic() - began), flush=True)
"""

_SOURCE = f"""
import socket, time
with socket.create_connection(("{ECHO_ADDRESS}", {_PORT}), timeout=10) as stream:
    chunk, end = bytes(1 << 20), time.monotonic() + {STREAM_SECONDS}
    while time.monotonic() < end:
        stream.sendall(chunk)
"""


class Forwarding:
    """The forwarding rate of the gateways with the fewest and the most mappings."""

    def __init__(self, stack: ExitStack, gateways: Mapping[int, MappedGateway]) -> None:
        """Take gateways by the number of their mappings; *stack* ends what is started on the Internet's side."""
        self._ends = {size: gateways[size] for size in (min(gateways), max(gateways))}
        self._sinks = {size: Program(stack, one.lab, INTERNET, _SINK) for size, one in self._ends.items()}

    @property
    def measures(self) -> Measures:
        """What is measured, in the order of one repeat."""
        found: dict[str, Callable[[], float]] = {}
        for size in self._ends:
            found[_name(size)] = partial(self._rate, size)
        return found

    def report(self, figures: Figures) -> int:
        """Print rates, and whether they are equal: the medians differ by no more than the values of one do."""
        rates = [figures[_name(size)] for size in self._ends]
        rates_table("forwarded megabytes per second", rates, {}, scale=1e6)
        few, many = rates
        times = ratio(figures, many.name, few.name)
        noise = max(one.spread / one.median for one in rates)
        text = (
            f"forwarding: {times:.3f} times the rate with the most mappings, spread {noise:.3f}, goal equal within it"
        )
        return verdict(text, met=abs(times - 1) <= noise)

    def _rate(self, size: int) -> float:
        self._ends[size].lab.run(CLIENT, [sys.executable, "-c", _SOURCE], env=ENVIRONMENT, timeout=SECONDS)
        return float(self._sinks[size].read())


def _name(size: int) -> str:
    return f"with {size} mappings"
