"""Gateways that share, with many port mappings, and the programs that live around them."""

import sys
import time
from contextlib import ExitStack

from benchmarks.figures import ENVIRONMENT, SECONDS, icshare_seconds
from benchmarks.sharing import CLIENT, CLIENT_ADDRESS, settle_client

from icshare.host import command
from icshare.host.command import PIPE
from icshare.lab import GATEWAY, INTERNET, Lab, LabPlan, lab_name
from icshare.lab.plan import UPLINK

PORT = 60_000
"""The external port of the mapping that comes and goes; those that are always there lie below."""
ECHO_PORT = 7
_FIRST_PORT = 10_000

# Answers every packet.
_ECHO = f"""
import socket
one = socket.socket(type=socket.SOCK_DGRAM)
one.bind(("{CLIENT_ADDRESS}", {ECHO_PORT}))
print("ready", flush=True)
while True:
    one.sendto(*one.recvfrom(100))
"""

# For each line: asks from a new port, every millisecond, until it is answered; prints when that was.
_ASKER = f"""
import socket, sys, time
print("ready", flush=True)
for _ in sys.stdin:
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.settimeout(0.001)
        print("asking", flush=True)
        while True:
            try:
                one.sendto(b"?", ("{UPLINK.ip}", {PORT}))
                one.recv(100)
            except OSError:
                continue
            print(time.monotonic(), flush=True)
            break
"""

# Defines mappings in the state, then brings them all into force; then adds and removes one for each line.
_RESIDENT = f"""
import sys, time
from icshare.api import SharingManager
from icshare.model.mapping import PortMapping, Protocol, address_target
from icshare.netcon import NetSharingManager
from icshare.plan.staterecords import Mapped
manager = SharingManager()
guid = next(one.guid for one in manager.connections() if one.interface == "wan0")
target = address_target("{CLIENT_ADDRESS}")
facts = [
    Mapped(mapping=PortMapping(number=one, connection=guid, name=f"mapping {{one}}", protocol=Protocol.UDP,
                               external={_FIRST_PORT} + one, internal={_FIRST_PORT} + one, target=target, enabled=True))
    for one in range(1, int(sys.argv[1]) + 1)
]
with manager._store.lock():
    manager._store.append(*facts)
    manager._store.compact()
manager.mappings.sync()
print("ready", flush=True)
for line in sys.stdin:
    began = time.monotonic()
    if line == "add\\n":
        added = manager.mappings.add(
            guid, name="one more", protocol=Protocol.UDP, external={PORT}, internal={ECHO_PORT}, target=target,
            enabled=True,
        )
    else:
        manager.mappings.remove(added.number)
    print(began, time.monotonic(), flush=True)
"""


class Program:
    """A program on a node that answers lines by lines, until *stack* ends it."""

    def __init__(self, stack: ExitStack, lab: Lab, node: str, code: str, *arguments: str) -> None:
        """Start it, and wait until it is ready."""
        argv = [sys.executable, "-c", code, *arguments]
        self._process = lab.popen(node, argv, env=ENVIRONMENT, stdin=PIPE, stdout=PIPE)
        stack.callback(command.end, self._process)
        stack.callback(self._process.kill)
        assert self.read() == "ready"

    def write(self, line: str) -> None:
        """Hand it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def read(self) -> str:
        """Return its next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        assert line, "the program has ended"
        return line.rstrip("\n")


class MappedGateway:
    """A gateway that shares, with *size* mappings in force, an echo service behind it and an asker outside."""

    def __init__(self, stack: ExitStack, size: int) -> None:
        """Build it; *stack* takes it down."""
        self.lab = stack.enter_context(Lab.up(LabPlan(prefix=lab_name(f"mapped{size}"), privates=1)))
        settle_client(self.lab)
        icshare_seconds(self.lab, "share", "wan0", "lan0")
        self._echo = Program(stack, self.lab, CLIENT, _ECHO)
        self._asker = Program(stack, self.lab, INTERNET, _ASKER)
        self._resident = Program(stack, self.lab, GATEWAY, _RESIDENT, str(size))

    def add(self) -> float:
        """Add one mapping by the Python API; return the seconds to its first packet."""
        self._ask()
        self._resident.write("add")
        began = float(self._resident.read().split()[0])
        return float(self._asker.read()) - began

    def remove(self) -> float:
        """Remove it by the Python API; return the seconds that took."""
        self._resident.write("remove")
        began, ended = map(float, self._resident.read().split())
        return ended - began

    def command_add(self) -> tuple[float, float]:
        """Add one mapping by the command line; return the seconds to its first packet, and to the command's end."""
        self._ask()
        began = time.monotonic()
        seconds = icshare_seconds(self.lab, "map", "add", "one more", "udp", str(PORT), f"{CLIENT_ADDRESS}:{ECHO_PORT}")
        return float(self._asker.read()) - began, seconds

    def command_remove(self) -> float:
        """Remove it by the command line; return the seconds that took."""
        return icshare_seconds(self.lab, "map", "remove", "one more")

    def told(self, code: str) -> str:
        """Return what a program of its own on the gateway prints."""
        return self.lab.run(GATEWAY, [sys.executable, "-c", code], env=ENVIRONMENT, timeout=SECONDS).stdout

    def _ask(self) -> None:
        self._asker.write("ask")
        assert self._asker.read() == "asking"
