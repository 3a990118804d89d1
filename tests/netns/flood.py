"""Both ends of many UDP flows, each packet with the moment at which it was sent, for tests of what gets through when.

Run as ``flood.py FILE ROLE ADDRESS PORT COUNT RATE`` at both ends. Flow number i goes from port PORT+i of the one whose
role is "client" to the same port of the "server", which has the ADDRESS. Both send RATE packets a second, to the flows
in turn; the server as soon as it knows where a flow comes from.

It prints "both ways" as soon as each flow has brought something. When its standard input ends, it reads what has
arrived and writes FILE: the records `RECORD` of all packets received, flow and `time.monotonic_ns` of the sender.
"""

import contextlib
import os
import select
import socket
import struct
import sys
import time

RECORD = struct.Struct("=HQ")
_STAMP = struct.Struct("=Q")
_TICK = 0.001


class Flow:
    """One end of a flow; it can send as soon as it knows the other."""

    def __init__(self, role: str, address: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("" if role == "client" else address, port))
        self._socket.setblocking(False)
        self.received: list[bytes] = []
        self._known = role == "client"
        if self._known:
            self._socket.connect((address, port))

    def send(self) -> None:
        if self._known:
            with contextlib.suppress(OSError):  # a rejected packet is an error of the next one
                self._socket.send(_STAMP.pack(time.monotonic_ns()))

    def receive(self) -> None:
        while True:
            try:
                data, peer = self._socket.recvfrom(64)
            except BlockingIOError:
                return
            except OSError:
                continue  # a rejected packet
            self.received.append(data)
            if not self._known:
                self._socket.connect(peer)
                self._known = True


def main(path: str, role: str, address: str, port: str, count: str, rate: str) -> None:
    """Send and receive until standard input ends."""
    flows = [Flow(role, address, int(port) + number) for number in range(int(count))]
    each = max(1, round(int(rate) * _TICK))
    told, turn, due = False, 0, time.monotonic()
    while not select.select([0], [], [], 0)[0]:
        for _ in range(each):
            flows[turn % len(flows)].send()
            turn += 1
        for flow in flows:
            flow.receive()
        if not told and all(flow.received for flow in flows):
            told = True
            os.write(1, b"both ways\n")
        due = max(due + _TICK, time.monotonic() - _TICK)
        time.sleep(max(0.0, due - time.monotonic()))
    for flow in flows:
        flow.receive()
    with open(path, "wb") as file:  # noqa: PTH123 - in isolated mode, pathlib costs more than all the rest
        for number, flow in enumerate(flows):
            file.writelines(RECORD.pack(number, *_STAMP.unpack(data)) for data in flow.received)


if __name__ == "__main__":
    main(*sys.argv[1:])
