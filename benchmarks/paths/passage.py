"""Proof that a contender shares: a datagram and a TCP connection that the Internet sees coming from the gateway."""

import sys
from contextlib import ExitStack
from typing import Final

from benchmarks.paths.background import Daemon
from benchmarks.paths.rig import INTERNET_ADDRESS, SECONDS, WAN_ADDRESS, CannotRunError, Rig

from icshare.host import command
from icshare.host.command import PIPE

PASSAGE_SECONDS: Final = 20.0
"""How long a contender that says it is ready may take until packets pass."""

_PORT: Final = 4_477

# Tells every visitor, by either protocol, the address it is seen by.
_MIRROR = f"""
import select, socket
datagrams = socket.socket(type=socket.SOCK_DGRAM)
datagrams.bind(("{INTERNET_ADDRESS}", {_PORT}))
server = socket.create_server(("{INTERNET_ADDRESS}", {_PORT}))
print("ready", flush=True)
while True:
    for ready in select.select([datagrams, server], [], [])[0]:
        if ready is server:
            stream, (address, _) = server.accept()
            with stream:
                stream.sendall(address.encode())
        else:
            _, (address, port) = datagrams.recvfrom(100)
            datagrams.sendto(address.encode(), (address, port))
"""

# Asks from new ports, for a NAT remembers what it did not translate, until it is seen as it wishes by both protocols.
_VISITOR = f"""
import socket, sys, time
deadline = time.monotonic() + float(sys.argv[2])
seen = {{}}
for protocol, kind in (("UDP", socket.SOCK_DGRAM), ("TCP", socket.SOCK_STREAM)):
    while seen.get(protocol) != sys.argv[1] and time.monotonic() < deadline:
        with socket.socket(type=kind) as one:
            one.settimeout(0.2)
            try:
                one.connect(("{INTERNET_ADDRESS}", {_PORT}))
                one.send(b"?")
                seen[protocol] = one.recv(100).decode()
            except OSError as error:
                seen.setdefault(protocol, str(error))
                time.sleep(0.02)  # a refusal comes at once
print(*(f"{{protocol}}: {{what}}" for protocol, what in seen.items()), sep=", ")
sys.exit(list(seen.values()) != 2 * [sys.argv[1]])
"""


def prove(rig: Rig, daemon: Daemon | None = None, *, seconds: float = PASSAGE_SECONDS) -> None:
    """Return when UDP and TCP of the client reached the Internet with the gateway's address, and were answered.

    Raises:
        CannotRunError: They did not, within *seconds*; the message has what *daemon* said.
    """
    with ExitStack() as stack:
        mirror = rig.popen(rig.internet, [sys.executable, "-c", _MIRROR], stdout=PIPE)
        stack.callback(command.end, mirror)
        assert mirror.stdout is not None
        assert mirror.stdout.readline() == b"ready\n"
        visitor = [sys.executable, "-c", _VISITOR, WAN_ADDRESS, str(seconds)]
        done = rig.run(rig.client, visitor, check=False, timeout=seconds + SECONDS)
    if done.returncode != 0:
        said = done.stdout.strip() or done.stderr.strip()
        behind = f"; {daemon.said()}" if daemon is not None else ""
        raise CannotRunError(f"the Internet does not see the client as {WAN_ADDRESS}: {said}{behind}")
