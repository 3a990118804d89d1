"""Seen from the public side: nothing is open, nobody behind the gateway is reachable, nothing leaves un-translated."""

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.netns import inhabited, watch

from icshare.host import command
from icshare.host.command import PIPE, Process
from icshare.lab import ECHO_ADDRESS, GATEWAY, INTERNET, UPLINK, UPLINK_ROUTER, Lab

pytestmark = [pytest.mark.netns, pytest.mark.packets]

MakeLab = Callable[..., Lab]

PUBLIC = str(UPLINK.ip)
CLIENT = IPv4Address("192.168.137.10")
PORTS = "22,53,67,80,7000"
# Answers each line with itself, on every port given; UDP too.
SERVE = """
import socket, socketserver, sys, threading
class Line(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)
class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(self.request[0], self.client_address)
socketserver.ThreadingTCPServer.allow_reuse_address = True
for port in map(int, sys.argv[1:]):
    for server in (socketserver.ThreadingTCPServer(("", port), Line), socketserver.UDPServer(("", port), Datagram)):
        threading.Thread(target=server.serve_forever).start()
print("ready", flush=True)
"""
# Connects, and says each line of its input over that connection; prints what came back.
TALK = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as one, one.makefile("rw") as stream:
    print("ready", flush=True)
    for line in sys.stdin:
        print(line, end="", file=stream, flush=True)
        print(stream.readline(), end="", flush=True)
"""
KNOCK = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1).close()
    print("open")
except OSError:
    print("closed")
"""
# As a client, to the echo service, as fast as it may without drowning two cores; who is cut off goes on.
FLOOD = """
import socket, sys, time
one = socket.socket(type=socket.SOCK_DGRAM)
one.bind((sys.argv[1], 0))
print("ready", flush=True)
while True:
    try:
        one.sendto(b"flood", (sys.argv[2], 7))
    except OSError:
        pass
    time.sleep(0.001)
"""
# The same with a new connection for each datagram: what is established goes on being translated, what is new is not.
FRESH = """
import socket, sys, time
print("ready", flush=True)
while True:
    try:
        with socket.socket(type=socket.SOCK_DGRAM) as one:
            one.bind((sys.argv[1], 0))
            one.sendto(b"fresh", (sys.argv[2], 7))
    except OSError:
        pass
    time.sleep(0.0005)
"""


@contextlib.contextmanager
def running(lab: Lab, node: str, code: str, *arguments: object) -> Iterator[Process]:
    """Run Python *code* on a node from when it says that it is ready to the end of the block; its errors are ours."""
    argv = [sys.executable, "-c", code, *map(str, arguments)]
    process = lab.popen(node, argv, stdin=PIPE, stdout=PIPE, stderr=None)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        command.end(process)


def talk(process: Process, line: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line)
    process.stdin.flush()
    return process.stdout.readline()


def knock(lab: Lab, address: object, port: int) -> str:
    return lab.run(INTERNET, [sys.executable, "-c", KNOCK, str(address), str(port)], timeout=30).stdout.strip()


def scan(lab: Lab, *options: str) -> dict[int, str]:
    """Return nmap's verdict on each port of the gateway."""
    argv = ["nmap", "-n", "-Pn", "--max-retries", "1", "-oX", "-", *options, PUBLIC]
    document = ET.fromstring(lab.run(INTERNET, argv, timeout=60).stdout)
    found = {}
    for port in document.iter("port"):
        state = port.find("state")
        assert state is not None
        found[int(port.attrib["portid"])] = state.attrib["state"]
    return found


def settle_client(lab: Lab, node: str = "c0", address: IPv4Address = CLIENT) -> None:
    lab.run(node, ["ip", "address", "add", f"{address}/24", "dev", "eth0"])
    lab.run(node, ["ip", "route", "add", "default", "via", "192.168.137.1"])


def drops(lab: Lab, comment: str) -> int:
    """Return how many packets the rule of that *comment* has seen."""
    listing = lab.run(GATEWAY, ["nft", "list", "table", "inet", "icshare"]).stdout
    (count,) = re.findall(rf'counter packets (\d+) .*comment "icshare: {re.escape(comment)}"', listing)
    return int(count)


def test_no_port_of_the_gateway_is_open_while_it_shares_and_all_are_again_afterwards(lab: Lab) -> None:
    with running(lab, GATEWAY, SERVE, 22, 80):
        assert scan(lab, "-sT", "-p", PORTS) == {22: "open", 53: "closed", 67: "closed", 80: "open", 7000: "closed"}
        inhabited.run(lab, "share", "wan0", "lan0", "lan1")
        for kind in ("-sT", "-sS"):
            assert scan(lab, kind, "-p", PORTS) == dict.fromkeys([22, 53, 67, 80, 7000], "filtered"), kind
        # Nothing came back, be it an answer or an error: a silent port may be open for all that nmap can tell.
        assert scan(lab, "-sU", "-p", "53,67") == dict.fromkeys([53, 67], "open|filtered")
        asked = ["dig", "+time=1", "+tries=1", f"@{PUBLIC}", "www.example.net"]
        assert "no servers could be reached" in lab.run(INTERNET, asked, check=False).stdout
        assert "no servers could be reached" in lab.run(INTERNET, [*asked, "+tcp"], check=False).stdout
        inhabited.run(lab, "stop")
        assert scan(lab, "-sT", "-p", "22,80") == {22: "open", 80: "open"}


def test_no_client_is_reachable_even_for_one_who_knows_the_way(lab: Lab) -> None:
    inhabited.run(lab, "share", "wan0", "lan0", "lan1")
    settle_client(lab)
    lab.run(INTERNET, ["ip", "route", "add", "192.168.137.0/24", "via", PUBLIC])
    with running(lab, "c0", SERVE, 80):
        assert knock(lab, CLIENT, 80) == "closed"
        assert lab.run(INTERNET, ["ping", "-c", "2", "-W", "1", str(CLIENT)], check=False).returncode == 1
    assert drops(lab, "nothing goes by a client's own address") >= 3


def test_packets_from_outside_with_an_address_of_the_segment_are_dropped(lab: Lab) -> None:
    inhabited.run(lab, "share", "wan0", "lan0")
    settle_client(lab)
    lab.run(INTERNET, ["ip", "address", "add", "192.168.137.66/32", "dev", "lo"])
    ping = ["ping", "-c", "2", "-W", "1", "-I", "192.168.137.66"]
    assert lab.run(INTERNET, [*ping, PUBLIC], check=False).returncode == 1
    assert drops(lab, "segment's address from elsewhere") == 2


def test_packets_of_clients_with_an_address_that_is_not_the_segments_are_dropped(lab: Lab) -> None:
    inhabited.run(lab, "share", "wan0", "lan0")
    settle_client(lab)
    lab.run("c0", ["ip", "address", "add", "203.0.113.200/32", "dev", "eth0"])
    with capture(lab) as lines:
        ping = ["ping", "-c", "2", "-W", "1", "-I", "203.0.113.200", str(ECHO_ADDRESS)]
        assert lab.run("c0", ping, check=False).returncode == 1
    assert drops(lab, "spoofed source from a client") == 2
    assert [line for line in lines if line.startswith("203.0.113.200")] == []


@contextlib.contextmanager
def capture(lab: Lab) -> Iterator[list[str]]:
    """Watch the far side of the public link during the block; the list is filled at its end."""
    lines: list[str] = []
    argv = [sys.executable, "-IS", str(Path(watch.__file__)), "isp0"]
    output = lab.path(INTERNET, "/run/captured")
    with output.open("wb") as file:
        process = lab.popen(INTERNET, argv, stdout=file)
    try:
        inhabited.wait_for(lambda: b"watching" in output.read_bytes(), "nothing watches the public link")
        yield lines
        # What was sent before this ping is captured when the ping is.
        lab.run(GATEWAY, ["ping", "-c", "1", "-W", "5", "-p", "7f", str(UPLINK_ROUTER)])
        inhabited.wait_for(
            lambda: f"{PUBLIC} > {UPLINK_ROUTER}" in output.read_text(), "the last packet was not captured"
        )
    finally:
        command.end(process)
        lines += output.read_text().splitlines()[1:]


@pytest.mark.parametrize("forwards", ["0", "1"], ids=["ordinary host", "host that forwards already"])
def test_nothing_un_translated_leaves_while_sharing_starts_changes_and_stops(lab: Lab, forwards: str) -> None:
    """Without icshare a host that forwards passes on what clients send to it, so there the capture ends before stop."""
    lab.run(GATEWAY, ["busybox", "sysctl", "-qw", f"net.ipv4.ip_forward={forwards}"])
    settle_client(lab)
    settle_client(lab, "c1", IPv4Address("192.168.137.11"))
    floods = [("c0", CLIENT), ("c1", "192.168.137.11")]
    with contextlib.ExitStack() as stack:
        lines = stack.enter_context(capture(lab))
        for node, address in floods:
            stack.enter_context(running(lab, node, FLOOD, address, ECHO_ADDRESS))
        inhabited.run(lab, "share", "wan0", "lan0")
        inhabited.wait_for(lambda: bool(lab.seen("echo-udp")), "the clients do not get through")
        inhabited.run(lab, "share", "wan0", "lan0", "lan1")
        inhabited.run(lab, "share", "wan0", "lan1")
        inhabited.run(lab, "share", "wan0", "lan0", "lan1")
        if forwards == "0":
            inhabited.run(lab, "stop")
    assert any(line.startswith(f"{PUBLIC}:") and f"> {ECHO_ADDRESS}:7 udp" in line for line in lines)
    assert [line for line in lines if "192.168.137." in line] == []


@pytest.mark.parametrize("forwards", ["0", "1"], ids=["ordinary host", "host that forwards already"])
def test_nothing_un_translated_leaves_while_a_link_becomes_a_port_of_another_subnet(lab: Lab, forwards: str) -> None:
    """The new ruleset knows the new subnet only; what came in by the link itself, with an old address, got out."""
    lab.run(GATEWAY, ["busybox", "sysctl", "-qw", f"net.ipv4.ip_forward={forwards}"])
    settle_client(lab)
    with capture(lab) as lines, running(lab, "c0", FRESH, CLIENT, ECHO_ADDRESS):
        inhabited.run(lab, "share", "wan0", "lan0")
        inhabited.wait_for(lambda: bool(lab.seen("echo-udp")), "the client does not get through")
        inhabited.run(lab, "share", "--subnet", "10.99.0.0/24", "wan0", "lan1", "lan0")
    assert any(line.startswith(f"{PUBLIC}:") and f"> {ECHO_ADDRESS}:7 udp" in line for line in lines)
    assert [line for line in lines if "192.168.137." in line] == []


def test_a_connection_older_than_the_firewall_goes_on_while_new_ones_are_refused(lab: Lab) -> None:
    with running(lab, GATEWAY, SERVE, 7000), running(lab, INTERNET, TALK, PUBLIC, 7000) as old:
        assert talk(old, b"before\n") == b"before\n"
        inhabited.run(lab, "share", "wan0", "lan0")
        assert talk(old, b"while sharing\n") == b"while sharing\n"
        assert knock(lab, PUBLIC, 7000) == "closed"
        inhabited.run(lab, "share", "wan0", "lan0", "lan1")
        assert talk(old, b"while sharing otherwise\n") == b"while sharing otherwise\n"
        inhabited.run(lab, "stop")
        assert talk(old, b"afterwards\n") == b"afterwards\n"
        assert knock(lab, PUBLIC, 7000) == "open"


def test_without_the_firewall_the_gateways_services_stay_open_and_the_clients_closed(lab: Lab) -> None:
    with running(lab, GATEWAY, SERVE, 7000), running(lab, "c0", SERVE, 7000):
        inhabited.run(lab, "share", "--no-firewall", "wan0", "lan0")
        settle_client(lab)
        lab.run(INTERNET, ["ip", "route", "add", "192.168.137.0/24", "via", PUBLIC])
        assert knock(lab, PUBLIC, 7000) == "open"
        assert knock(lab, CLIENT, 7000) == "closed"
        inhabited.run(lab, "share", "wan0", "lan0")
        assert knock(lab, PUBLIC, 7000) == "closed"


def test_the_port_of_the_administrators_login_stays_open_and_is_told(lab: Lab) -> None:
    login = {"SSH_CONNECTION": f"{UPLINK_ROUTER} 50000 {PUBLIC} 2222"}
    with running(lab, GATEWAY, SERVE, 22, 2222):
        told = inhabited.run(lab, "share", "wan0", "lan0", env=login)
        assert "2222" in told.stdout + told.stderr
        assert (knock(lab, PUBLIC, 2222), knock(lab, PUBLIC, 22)) == ("open", "closed")
