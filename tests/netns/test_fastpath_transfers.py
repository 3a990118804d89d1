"""Long transfers by clients nobody here wrote, with what may happen in their middle: they go on, or end as without it.

Each transfer is one connection with as much to send as to receive, fed little by little so that it lasts; what has arrived
at both ends is compared by its hash.
"""

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import pytest
from tests.netns.fastlab import MODES, compute_checksums, fast_laboratory, fast_packets, standing_in
from tests.netns.gateway import (
    assert_unchanged,
    document,
    icshare_command,
    json_of,
    laboratory,
    output,
    settled,
    udhcpc,
)

from icshare.host.command import PIPE, Process, end
from icshare.lab import ECHO_ADDRESS, GATEWAY, UPLINK, UPLINK_ROUTER, WEB_ADDRESS, Lab
from icshare.lab.processes import namespace_of

pytestmark = pytest.mark.netns

PORT = 5000
CHUNK = 64_000
CHUNKS = 25
OTHER_ADDRESS = "198.51.100.77"
SETTINGS = ("net.netfilter.nf_conntrack_tcp_be_liberal", "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst")

FEED = f"i=0; while [ $i -lt {CHUNKS} ]; do dd if=/run/sent bs={CHUNK} skip=$i count=1 status=none; sleep 0.1; i=$((i+1)); done"
# Arguments: address, port. The client knows the end by the end of what it gets.
SERVERS = {
    "nc": "nc -N -l $0 $1",
    "socat": "socat - TCP-LISTEN:$1,bind=$0,reuseaddr",
}
CLIENTS = {
    "nc": "nc -N $0 $1",
    "socat": "socat - TCP:$0:$1",
}


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    wanted: str = request.param
    return wanted


@pytest.fixture(scope="module")
def office(lab_allowed: None, mode: str) -> Iterator[Lab]:  # noqa: ARG001 - asked for, not used
    """Give a lab with a bridged segment of two links, each of which leads to a switch that clients can be moved between."""
    with fast_laboratory("transfers", mode, "lan0", "lan1", clients_per_private=2) as lab:
        for node in ("c0", "inet"):
            lab.path(node, "/run/sent").write_bytes(os.urandom(CHUNK * CHUNKS))
        yield lab


class Transfer:
    """A connection from a client to a server in the Internet, which both send at the same time."""

    def __init__(self, lab: Lab, tool: str = "nc") -> None:
        self._lab = lab
        self._tool = tool
        self._processes: dict[str, Process] = {}

    def __enter__(self) -> Self:
        for node, program in (("inet", SERVERS[self._tool]), ("c0", CLIENTS[self._tool])):
            self._got(node).unlink(missing_ok=True)
            script = f"({FEED}) | {program} > /run/got"
            self._processes[node] = self._lab.popen(node, ["sh", "-c", script, str(ECHO_ADDRESS), str(PORT)])
            if node == "inet":
                self._await_listener()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            end(process)

    def middle(self) -> None:
        """Return when a third of it is there, and has gone fast."""
        fast = _fast(self._lab)
        self._await(lambda: min(self.sizes()) >= CHUNK * CHUNKS // 3, 30)
        assert _fast(self._lab) > fast

    def sizes(self) -> tuple[int, int]:
        """Return how many bytes have arrived at the client and at the server."""
        found = [self._got(node) for node in ("c0", "inet")]
        client, server = (one.stat().st_size if one.exists() else 0 for one in found)
        return client, server

    def signal(self, number: int) -> None:
        os.killpg(self._processes["c0"].pid, number)

    def is_whole(self) -> bool:
        """Wait for the end of both ends, and tell whether each has got what the other had."""
        statuses = [process.wait(60) for process in self._processes.values()]
        hashes = {node: [_hash(self._lab.path(node, f"/run/{name}")) for name in ("sent", "got")] for node in self._processes}
        return statuses == [0, 0] and hashes["c0"][1] == hashes["inet"][0] and hashes["inet"][1] == hashes["c0"][0]

    def fate(self, seconds: float) -> str:
        """Tell whether the client goes on to the end, is told of the end, or hangs for so long."""
        before = self.sizes()
        try:
            self._processes["c0"].wait(seconds)
        except Exception:  # noqa: BLE001
            return "hangs" if self.sizes() == before else "goes on"
        return "whole" if self.is_whole() else "broken"

    def _await_listener(self) -> None:
        self._await(lambda: f":{PORT} " in output(self._lab, "inet", "ss", "-Hltn"), 10)

    def _await(self, what: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, self.sizes()
            time.sleep(0.02)

    def _got(self, node: str) -> Path:
        return self._lab.path(node, "/run/got")


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _fast(lab: Lab) -> int:
    with standing_in(lab, GATEWAY):
        return fast_packets()


def _share(lab: Lab, mode: str) -> None:
    document(lab, "share", "wan0", "lan0", "lan1", "--fast-path", mode)


@pytest.mark.parametrize("tool", CLIENTS)
def test_a_transfer_gets_through_whole(office: Lab, tool: str) -> None:
    with Transfer(office, tool) as transfer:
        transfer.middle()
        assert transfer.is_whole()


def test_a_transfer_goes_on_after_a_pause(office: Lab) -> None:
    with Transfer(office) as transfer:
        transfer.middle()
        transfer.signal(signal.SIGSTOP)
        time.sleep(3)
        transfer.signal(signal.SIGCONT)
        assert transfer.is_whole()


def test_a_transfer_goes_on_without_any_process_of_ours(office: Lab, mode: str) -> None:
    with Transfer(office) as transfer:
        transfer.middle()
        there = office.path(GATEWAY, "/run").stat()
        space = Path("/run/netns", office.namespace(GATEWAY)).stat()
        killed = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and namespace_of(int(entry.name)) == (space.st_dev, space.st_ino)
        ]
        assert killed, there
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        before = _fast(office)
        assert transfer.is_whole()
        assert _fast(office) > before
    _share(office, mode)


def test_a_transfer_goes_on_when_it_is_shared_again(office: Lab, mode: str) -> None:
    with Transfer(office) as transfer:
        transfer.middle()
        for other in (mode, "tc" if mode == "xdp" else "xdp", "off", mode):
            _share(office, other)
        assert transfer.is_whole()


def test_a_transfer_goes_on_when_the_client_moves_to_another_port_of_the_bridge(office: Lab) -> None:
    with Transfer(office) as transfer:
        transfer.middle()
        output(office, "switch", "ip", "link", "set", "port0", "master", "br1")
        before = _fast(office)
        assert transfer.is_whole()
        assert _fast(office) > before
    with Transfer(office) as transfer:
        transfer.middle()
        output(office, "switch", "ip", "link", "set", "port0", "master", "br0")
        assert transfer.is_whole()


@pytest.mark.parametrize("what", [["-F"], ["-D", "-p", "tcp", "--orig-port-dst", str(PORT)]], ids=["flush", "delete"])
def test_a_transfer_goes_on_when_conntrack_has_forgotten_it(office: Lab, what: list[str]) -> None:
    with Transfer(office) as transfer:
        transfer.middle()
        output(office, GATEWAY, "conntrack", *what)
        assert transfer.is_whole()
