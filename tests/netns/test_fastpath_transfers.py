"""Long transfers by clients nobody here wrote, with what may happen in their middle: they go on, or end as without it.

Each transfer is one connection with as much to send as to receive, fed little by little so that it lasts; what has
arrived at both ends is compared by its hash.
"""

import hashlib
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import TimeoutExpired
from types import TracebackType
from typing import Self

import pytest
from tests.netns.fastlab import MODES, compute_checksums, fast_laboratory, fast_packets_of, fetch, standing_in
from tests.netns.gateway import (
    assert_unchanged,
    document,
    icshare_command,
    json_of,
    kill_all,
    laboratory,
    output,
    processes_of,
    settled,
    udhcpc,
)
from tests.netns.wiretap import on_one_cpu

from icshare.host.command import PIPE, Process, end
from icshare.lab import ECHO_ADDRESS, GATEWAY, UPLINK, UPLINK_ROUTER, WEB_ADDRESS, Lab

pytestmark = [pytest.mark.netns, pytest.mark.programs]

PORT = 5000
CHUNK = 64_000
CHUNKS = 25
PROCESSES = 3
CLOSE_SECONDS = 10
CONNECTIONS = 10
OTHER_ADDRESS = "198.51.100.77/24"
SETTINGS = ("net.netfilter.nf_conntrack_tcp_be_liberal", "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst")
WHOLE = ([0, 0], [True, True])

DD = f"dd if=/run/sent bs={CHUNK} skip=$i count=1 status=none"
FEED = f"i=0; while [ $i -lt {CHUNKS} ]; do {DD}; sleep 0.1; i=$((i+1)); done"
# Argument: address. A half of the connection that has ended waits for the other.
SERVER = f"socat -t 60 - TCP-LISTEN:{PORT},bind=$0,reuseaddr"
CLIENT = f"socat -t 60 - TCP:$0:{PORT}"


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    wanted: str = request.param
    return wanted


@pytest.fixture(scope="module")
def office(lab_allowed: None, mode: str) -> Iterator[Lab]:  # noqa: ARG001 - asked for, not used
    """Give a lab with a segment of two links, each to a switch of its own, between which clients can be moved."""
    with fast_laboratory("transfers", mode, "lan0", "lan1", clients_per_private=2) as lab:
        for node in ("c0", "inet"):
            lab.path(node, "/run/sent").write_bytes(os.urandom(CHUNK * CHUNKS))
        yield lab


class Transfer:
    """A connection from a client to a server in the Internet, which both send at the same time."""

    def __init__(self, lab: Lab, *, fast: bool = True) -> None:
        self._lab = lab
        self._goes_fast = fast
        self._processes: dict[str, Process] = {}

    def __enter__(self) -> Self:
        for node, program in (("inet", SERVER), ("c0", CLIENT)):
            self._got(node).unlink(missing_ok=True)
            script = f"({FEED}) | {program} > /run/got"
            self._processes[node] = self._lab.popen(node, ["sh", "-c", script, str(ECHO_ADDRESS)])
            if node == "inet":
                await_listener(self._lab)
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
        fast = fast_packets_of(self._lab)
        self._await(lambda: min(self.sizes()) >= CHUNK * CHUNKS // 3, 30)
        assert (fast_packets_of(self._lab) > fast) is self._goes_fast

    def sizes(self) -> tuple[int, int]:
        """Return how many bytes have arrived at the client and at the server."""
        found = [self._got(node) for node in ("c0", "inet")]
        client, server = (one.stat().st_size if one.exists() else 0 for one in found)
        return client, server

    def signal(self, number: int) -> None:
        os.killpg(self._processes["c0"].pid, number)

    def end(self) -> tuple[list[int], list[bool]]:
        """Wait for both ends; return the statuses of server and client, and whether each got what the other sent."""
        statuses = [process.wait(60) for process in self._processes.values()]
        sent, got = (
            [_hash(self._lab.path(node, f"/run/{name}")) for node in self._processes] for name in ("sent", "got")
        )
        return statuses, [got[0] == sent[1], got[1] == sent[0]]

    def fate(self) -> str:
        """Tell whether the client hangs for seconds, gets through to the end, or is told that there is nobody."""
        before = self._after_what_was_on_its_way()
        try:
            self._processes["c0"].wait(3)
        except TimeoutExpired:
            if self.sizes() == before:
                return "hangs"
        return "whole" if self._processes["c0"].wait(60) == 0 and self.sizes()[0] == CHUNK * CHUNKS else "broken"

    def _after_what_was_on_its_way(self) -> tuple[int, int]:
        time.sleep(0.3)
        return self.sizes()

    def _await(self, what: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, self.sizes()
            time.sleep(0.02)

    def _got(self, node: str) -> Path:
        return self._lab.path(node, "/run/got")


def await_listener(lab: Lab) -> None:
    deadline = time.monotonic() + 30
    while f":{PORT} " not in output(lab, "inet", "ss", "-Hltn"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _share(lab: Lab, mode: str) -> None:
    document(lab, "share", "wan0", "lan0", "lan1", "--fast-path", mode)


def test_a_transfer_gets_through_whole(office: Lab) -> None:
    with Transfer(office) as transfer:
        transfer.middle()
        assert transfer.end() == WHOLE


def test_what_other_programs_transfer_is_whole(office: Lab) -> None:
    fast = fast_packets_of(office)
    curl = f"curl -sS --max-time 60 --limit-rate 3M http://{WEB_ADDRESS}/bytes/3000000 | sha256sum"
    zeros = hashlib.sha256(bytes(3_000_000)).hexdigest()
    assert output(office, "c0", "sh", "-c", curl).split()[0] == zeros
    assert fast_packets_of(office) > fast + 500  # of the 2072 segments some are merged
    office.path("inet", "/run/got").unlink(missing_ok=True)
    server = office.popen("inet", ["sh", "-c", f"exec nc -d -l {ECHO_ADDRESS} {PORT} > /run/got"])
    try:
        await_listener(office)
        output(office, "c0", "sh", "-c", f"nc -N {ECHO_ADDRESS} {PORT} < /run/sent")
        assert server.wait(60) == 0
        assert _hash(office.path("inet", "/run/got")) == _hash(office.path("c0", "/run/sent"))
    finally:
        end(server)
    server = office.popen("inet", ["iperf3", "-s", "-1", "-B", str(ECHO_ADDRESS), "-p", str(PORT)])
    try:
        await_listener(office)
        told = json_of(office, "c0", "iperf3", "-J", "-R", "-n", "5M", "-c", str(ECHO_ADDRESS), "-p", str(PORT))
        assert told["end"]["sum_received"]["bytes"] >= 5 << 20
    finally:
        end(server)


def test_a_transfer_goes_on_after_a_pause(office: Lab) -> None:
    with Transfer(office) as transfer:
        transfer.middle()
        transfer.signal(signal.SIGSTOP)
        time.sleep(3)
        transfer.signal(signal.SIGCONT)
        assert transfer.end() == WHOLE


def test_a_transfer_goes_on_without_any_process_of_ours(office: Lab, mode: str) -> None:
    """Name server, follower of a mapping's target, writer of the firewall's log: all killed."""
    document(office, "firewall", "set", "wan0", "--log-opened")
    (client,) = document(office, "clients")["clients"]
    document(office, "map", "add", "web", "tcp", "8080", f"[{client['mac']}]:80")
    with Transfer(office) as transfer:
        transfer.middle()
        assert kill_all(office) >= PROCESSES
        before = fast_packets_of(office)
        assert transfer.end() == WHOLE
        assert fast_packets_of(office) > before
    _share(office, mode)
    document(office, "map", "remove", "web")
    document(office, "firewall", "set", "wan0", "--no-log-opened")


def test_a_transfer_goes_on_when_it_is_shared_again(office: Lab, mode: str) -> None:
    with Transfer(office) as transfer:
        transfer.middle()
        for other in (mode, "tc" if mode == "xdp" else "xdp", "off", mode):
            _share(office, other)
        assert transfer.end() == WHOLE


def test_transfers_go_on_when_the_fast_path_is_switched_off(office: Lab, mode: str) -> None:
    """They hung: connection tracking called all of them invalid, having not seen the segments before.

    The settings that have it overlook that went with the programs.
    """
    size = 200_000_000
    curl = ["curl", "-sS", "--max-time", "50", "--limit-rate", "20M", "-o", "/dev/null", "-w", "%{size_download}"]
    fast = fast_packets_of(office)
    download = office.popen("c0", [*curl, f"http://{WEB_ADDRESS}/bytes/{size}"], stdout=PIPE)
    try:
        with Transfer(office) as transfer:
            transfer.middle()
            _share(office, "off")
            assert download.poll() is None
            assert transfer.end() == WHOLE
        assert download.communicate(timeout=60)[0] == str(size).encode()
        assert fast_packets_of(office) > fast + 10_000
        assert [output(office, GATEWAY, "sysctl", "-n", name) for name in SETTINGS] == ["1\n", "1\n"]
    finally:
        end(download)
        _share(office, mode)


def test_a_transfer_goes_on_when_the_client_moves_to_another_port_of_the_bridge(office: Lab) -> None:
    with Transfer(office) as transfer:
        transfer.middle()
        output(office, "switch", "ip", "link", "set", "port0", "master", "br1")
        before = fast_packets_of(office)
        assert transfer.end() == WHOLE
        assert fast_packets_of(office) > before
    with Transfer(office) as transfer:
        transfer.middle()
        output(office, "switch", "ip", "link", "set", "port0", "master", "br0")
        assert transfer.end() == WHOLE


@pytest.mark.parametrize("what", [["-F"], ["-D", "-p", "tcp", "--orig-port-dst", str(PORT)]], ids=["flush", "delete"])
def test_a_transfer_goes_on_when_conntrack_has_forgotten_it(office: Lab, what: list[str]) -> None:
    with Transfer(office) as transfer:
        transfer.middle()
        output(office, GATEWAY, "conntrack", *what)
        assert transfer.end() == WHOLE


# -------------------------------------------------------------------------------------------------- ends as without it


def _without_and_with(lab: Lab, mode: str) -> Iterator[Transfer]:
    """Give a transfer in its middle that goes by the kernel, then one that goes by the fast path *mode*."""
    for other in ("off", mode):
        _share(lab, other)
        with Transfer(lab, fast=other != "off") as transfer:
            transfer.middle()
            yield transfer


def test_a_change_of_the_public_address_is_the_same_to_a_transfer_as_without_a_fast_path(
    office: Lab, mode: str
) -> None:
    """Its translation has gone with the address, so the server knows nothing of what comes afterwards."""
    fates = []
    for transfer in _without_and_with(office, mode):
        _change_address(office, str(UPLINK), OTHER_ADDRESS)
        fates.append(transfer.fate())
        _change_address(office, OTHER_ADDRESS, str(UPLINK))
    assert fates[0] == fates[1]
    assert fates[0] != "whole"


def _change_address(lab: Lab, old: str, new: str) -> None:
    batch = f"address delete {old} dev wan0\naddress add {new} dev wan0\nroute add default via {UPLINK_ROUTER}\n"
    output(lab, GATEWAY, "ip", "-batch", "-", input=batch)


def test_a_stop_is_the_same_to_a_transfer_as_without_a_fast_path(office: Lab, mode: str) -> None:
    fates = []
    for transfer in _without_and_with(office, mode):
        assert icshare_command(office, "stop").returncode == 0
        fates.append(transfer.fate())
    _share(office, mode)
    assert fates == ["hangs", "hangs"]


# ---------------------------------------------------------------------------------------------------- ends of its own


def _states(lab: Lab, port: int) -> list[str]:
    """Return the states of the connections to a port, by conntrack."""
    listed = output(lab, GATEWAY, "conntrack", "-L", "-p", "tcp", "--orig-port-dst", str(port))
    return sorted(line.split()[3] for line in listed.splitlines())


def _await_states(lab: Lab, port: int, wanted: list[str]) -> None:
    """Wait a second at the most: the last packet of a connection follows what programs know of its end."""
    deadline = time.monotonic() + 1
    while _states(lab, port) != wanted:
        assert time.monotonic() < deadline, _states(lab, port)


@contextmanager
def _on_one_cpu(lab: Lab, node: str) -> Iterator[None]:
    """Keep this thread and the programs of *node* on one CPU, where packets are forwarded as well.

    Each has a cache of its own, and one that has not seen a connection end goes on for up to a second. A card's queues
    hold a direction of a connection on one CPU; between veths it goes where the sender is moved to.
    """
    with on_one_cpu():
        tasks = [int(task.name) for pid in processes_of(lab, node) for task in Path(f"/proc/{pid}/task").iterdir()]
        allowed = {task: os.sched_getaffinity(task) for task in tasks}
        try:
            for task in tasks:
                os.sched_setaffinity(task, os.sched_getaffinity(0))
            yield
        finally:
            for task, cpus in allowed.items():
                os.sched_setaffinity(task, cpus)


def test_conntrack_sees_connections_close(office: Lab) -> None:
    output(office, GATEWAY, "conntrack", "-F")
    fast = fast_packets_of(office)
    with _on_one_cpu(office, "inet"):
        for _ in range(CONNECTIONS):
            fetch(office, "c0", 4_000_000, seconds=0.4)
    assert fast_packets_of(office) > fast + 100 * CONNECTIONS
    _await_states(office, 80, ["TIME_WAIT"] * CONNECTIONS)


@pytest.mark.parametrize("first", [0, 1], ids=["client", "server"])
def test_conntrack_sees_connections_reset(office: Lab, first: int) -> None:
    """It gives them the time of closed ones at once.

    Until then it may call them established: it has not seen the acknowledgement that a reset has to match.
    """
    output(office, GATEWAY, "conntrack", "-F")
    fast = fast_packets_of(office)
    with ExitStack() as stack:
        with standing_in(office, "inet"):
            listening = stack.enter_context(socket.create_server((str(ECHO_ADDRESS), PORT)))
        with standing_in(office, "c0"):
            client = stack.enter_context(socket.create_connection((str(ECHO_ADDRESS), PORT), timeout=30))
        server = stack.enter_context(listening.accept()[0])
        deadline = time.monotonic() + 10
        while fast_packets_of(office) < fast + 500:
            assert time.monotonic() < deadline
            for sender, receiver in ((client, server), (server, client)):
                sender.send(b"x")
                assert receiver.recv(64) == b"x"
        ends = [client, server]
        ends[first].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ends[first].close()
        with pytest.raises(ConnectionResetError):
            ends[1 - first].recv(64)
    listed = output(office, GATEWAY, "conntrack", "-L", "-p", "tcp", "--orig-port-dst", str(PORT)).splitlines()
    assert [line for line in listed if int(line.split()[2]) > CLOSE_SECONDS] == []


# ------------------------------------------------------------------------------------------------------------- traces


def test_no_trace_is_left_by_a_stop(lab_allowed: None, mode: str) -> None:  # noqa: ARG001 - asked for, not used
    with laboratory(f"traces-{mode}") as lab:
        compute_checksums(lab)
        output(lab, GATEWAY, "ping", "-c", "1", str(UPLINK_ROUTER))  # so that it is known already
        before, own = settled(lab), _attached(lab)
        for privates in (["lan0"], ["lan0", "lan1"]):
            document(lab, "share", "wan0", *privates, "--fast-path", mode)
            assert _attached(lab) != own
        udhcpc(lab, "c0")
        fast = fast_packets_of(lab)
        fetch(lab, "c0", 4_000_000)
        assert fast_packets_of(lab) > fast
        assert icshare_command(lab, "stop").returncode == 0
        assert _attached(lab) == own
        assert [output(lab, GATEWAY, "sysctl", "-n", name) for name in SETTINGS] == ["0\n", "0\n"]
        assert_unchanged(lab, before)


def _attached(lab: Lab) -> list[str]:
    links = [one["ifname"] for one in json_of(lab, GATEWAY, "ip", "-json", "link", "show")]
    return [
        *(output(lab, GATEWAY, "ip", "-details", "link", "show", "dev", link).partition("xdp")[1] for link in links),
        *(output(lab, GATEWAY, "tc", "filter", "show", "dev", link, "ingress") for link in links),
        output(lab, GATEWAY, "tc", "qdisc", "show"),
    ]
