"""New connections per second: opened and closed through a gateway, by far ends that cost next to nothing.

Whatever opens connections by sockets measures the sockets, which are slower than most gateways. Here both far ends are
XDP programs, ``handshakes.bpf.c``: the one packet that begins a connection is a live frame, and each that follows is
the answer to the one before. All of it runs on one CPU, as when the rate of small packets is measured, so nearly all of
the time that passes is the gateway's. That the far ends are not the limit shows in the bare redirect and in plain
routing, which know no connections.

A connection has five packets, three of them its client's: SYN, SYN and ACK, ACK, FIN and ACK, RST. Only those that came
to their end are counted, so a gateway that drops or forgets some has that much less.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from struct import Struct
from typing import Final

from benchmarks.paths import live
from benchmarks.paths.frames import attach, hardware_address, link_index, load
from benchmarks.paths.rig import CLIENT_ADDRESS, INTERNET_ADDRESS, Rig

OBJECT: Final = Path(__file__).with_name("handshakes.bpf.o")

BATCH: Final = 16
"""Connections begun at a time. All that follows is done with before the next ones, or the rings of the links overflow:
it is that of five packets, and the kernel leaves what is too much at a time to a thread that takes turns with us."""

_FIRST: Final = bytes(4)
_OPENING: Final = Struct("=II4s4s6s6s")
_COUNT: Final = Struct("=Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshaken:
    """What came of some connections.

    Attributes:
        begun: How many were begun.
        closed: How many came to their end.
        seconds: From the first packet to the last.
    """

    begun: int
    closed: int
    seconds: float

    @property
    def rate(self) -> float:
        """Connections in one second, those that came to their end."""
        return self.closed / self.seconds


class Handshakes:
    """Both far ends of connections, loaded; closed by *stack*."""

    def __init__(self, stack: ExitStack, *, batch: int = BATCH) -> None:
        """Load them; *batch* connections are begun at a time.

        Raises:
            CannotRunError: The kernel does not take them, or libbpf is missing.
        """
        self._object = load(stack, OBJECT)
        self._opening = stack.enter_context(self._object.map(".data.opening"))
        self._closed = stack.enter_context(self._object.map("closed"))
        self._cpu = min(os.sched_getaffinity(0))
        self._batch = batch
        # No two runs have ports in common for as long as conntrack keeps what is closed.
        self._numbers = count(step=1 << 20)

    @contextmanager
    def answering(self, rig: Rig) -> Iterator[None]:
        """Have both far ends of a rig answer, for as long as this lasts."""
        with ExitStack() as stack:
            for node in (rig.client, rig.internet):
                attach(stack, self._object.program("answer"), node, "eth0")
            yield

    def open_and_close(self, rig: Rig, connections: int) -> Handshaken:
        """Take connections from their first packet to their last while `answering`; return what came of them.

        Raises:
            CannotRunError: The kernel does not send live frames.
        """
        sender = link_index(rig.client, "eth0")
        addresses = IPv4Address(CLIENT_ADDRESS).packed, IPv4Address(INTERNET_ADDRESS).packed
        hardware = hardware_address(rig.gateway, "lan0"), hardware_address(rig.client, "eth0")
        number = next(self._numbers) % 50_000_000
        self._opening.update(_FIRST, _OPENING.pack(number, sender, *addresses, *hardware))
        before = self._count()
        seconds = live.send(
            self._object.program("begin"), rig.client, sender, connections, cpu=self._cpu, batch=self._batch
        )
        return Handshaken(begun=connections, closed=self._count() - before, seconds=seconds)

    def _count(self) -> int:
        return sum(value for (value,) in _COUNT.iter_unpack(self._closed.lookup(_FIRST) or b""))
