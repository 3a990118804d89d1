"""Cutting the connections of a mapping, in the real kernel: a stranger outside, a gateway, a server inside."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import icshare
from icshare.host import command
from icshare.host.command import PIPE, Process

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("lab_allowed")]

_ENVIRONMENT = {"PYTHONPATH": str(Path(icshare.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}

RULES = """
table ip nat {
    chain prerouting {
        type nat hook prerouting priority dstnat
        iifname "wan0" tcp dport 8080 dnat to 192.168.137.10:80
        iifname "wan0" udp dport 5000 dnat to 192.168.137.10:6000
        iifname "wan0" tcp dport 2222 redirect to :22
    }
    chain postrouting {
        type nat hook postrouting priority srcnat
        oifname "wan0" ip saddr 192.168.137.10 udp sport 6000 snat to 198.51.100.1:5000
        oifname "wan0" masquerade
    }
}
"""
# Answers each line or datagram with itself, on every port given as tcp:80 or udp:53.
SERVE = """
import socket, socketserver, sys, threading
class Line(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)
class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(self.request[0], self.client_address)
for word in sys.argv[1:]:
    kind, port = word.split(":")
    types = {"tcp": (socketserver.ThreadingTCPServer, Line), "udp": (socketserver.UDPServer, Datagram)}
    server, handler = types[kind]
    threading.Thread(target=server(("", int(port)), handler).serve_forever).start()
print("ready", flush=True)
"""
# Connects from a port of its own (0 for any) and says each line of its input; prints what comes back, or "nothing".
TALK = """
import socket, sys
kind = socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM
one = socket.socket(type=kind)
one.bind(("", int(sys.argv[4])))
one.settimeout(5)
one.connect((sys.argv[2], int(sys.argv[3])))
print("ready", flush=True)
for line in sys.stdin:
    one.settimeout(float(line.split()[1]))
    try:
        one.send(line.encode())
        print(one.recv(100).decode(), end="", flush=True)
    except OSError:
        print("nothing", flush=True)
"""
CUT = """
import json, sys
from ipaddress import IPv4Address
from icshare.host.conntrack import cut
from icshare.model.mapping import Protocol
from icshare.plan.placing import Socket
sockets = [
    Socket(protocol=Protocol(p), external=e, target=None if t is None else IPv4Address(t), internal=i)
    for p, e, t, i in json.loads(sys.argv[1])
]
print(cut(sockets))
"""


class Network:
    """Three namespaces in a row: outside, gateway, inside."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        self._stack = stack
        self._name = name
        for node in ("outside", "gateway", "inside"):
            command.run(["ip", "netns", "add", self._namespace(node)])
            stack.callback(command.run, ["ip", "netns", "del", self._namespace(node)])
            self.run(node, "ip", "link", "set", "lo", "up")
        self._link("outside", "eth0", "203.0.113.5/24", "gateway", "wan0", "203.0.113.1/24")
        self._link("inside", "eth0", "192.168.137.10/24", "gateway", "lan0", "192.168.137.1/24")
        self.run("gateway", "ip", "address", "add", "198.51.100.1/32", "dev", "wan0")
        for node, router in (("outside", "203.0.113.1"), ("inside", "192.168.137.1")):
            self.run(node, "ip", "route", "add", "default", "via", router)
        self.run("gateway", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.run("gateway", "nft", "-f", "-", text=RULES)

    def run(self, node: str, *argv: str, text: str | None = None) -> str:
        return command.run(self._argv(node, argv), input=text, env=_ENVIRONMENT, timeout=30).stdout

    def start(self, node: str, program: str, *arguments: str) -> Process:
        """Start a program that says when it is ready."""
        argv = self._argv(node, (sys.executable, "-c", program, *arguments))
        process = command.start(argv, stdin=PIPE, stdout=PIPE, env=_ENVIRONMENT)
        self._stack.callback(command.end, process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    def cut(self, *sockets: tuple[int, int, str | None, int]) -> int:
        return int(self.run("gateway", sys.executable, "-c", CUT, json.dumps(sockets)))

    def _namespace(self, node: str) -> str:
        return f"{self._name}-{node}"

    def _argv(self, node: str, argv: tuple[str, ...]) -> list[str]:
        return ["ip", "netns", "exec", self._namespace(node), *argv]

    def _link(self, one: str, name: str, address: str, other: str, peer: str, peer_address: str) -> None:
        first, second = self._namespace(one), self._namespace(other)
        pair = f"ip link add {name} netns {first} type veth peer name {peer} netns {second}"
        command.run(pair.split())
        for node, link, own in ((one, name, address), (other, peer, peer_address)):
            self.run(node, "ip", "address", "add", own, "dev", link)
            self.run(node, "ip", "link", "set", link, "up")


@pytest.fixture
def network() -> Iterator[Network]:
    with ExitStack() as stack:
        yield Network(f"ct{os.getpid()}", stack)


def says(process: Process, word: str, *, within: float = 5.0) -> Any:
    """Have a talker say a word; return what comes back."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{word} {within}\n".encode())
    process.stdin.flush()
    return process.stdout.readline().decode().split()[0]


def test_a_cut_connection_is_dead_and_its_neighbours_live(network: Network) -> None:
    network.start("inside", SERVE, "tcp:80", "udp:6000")
    network.start("gateway", SERVE, "tcp:22")
    web = network.start("outside", TALK, "tcp", "198.51.100.1", "8080", "0")
    game = network.start("outside", TALK, "udp", "198.51.100.1", "5000", "0")
    login = network.start("outside", TALK, "tcp", "198.51.100.1", "2222", "0")
    assert [says(one, "first") for one in (web, game, login)] == ["first"] * 3
    # What is taken away does not come back by itself: the rules stay out of it.
    network.run("gateway", "nft", "flush", "chain", "ip", "nat", "prerouting")

    assert network.cut((6, 8080, "192.168.137.11", 80), (17, 8080, "192.168.137.10", 80), (6, 8081, None, 22)) == 0
    assert network.cut((6, 8080, "192.168.137.10", 80)) == 1
    assert says(web, "second", within=1) == "nothing"
    assert [says(one, "second") for one in (game, login)] == ["second"] * 2

    assert network.cut((17, 5000, "192.168.137.10", 6000), (6, 2222, None, 22)) == 2
    assert [says(one, "third", within=1) for one in (game, login)] == ["nothing"] * 2
    assert network.cut((17, 5000, "192.168.137.10", 6000), (6, 2222, None, 22)) <= 1  # what it sent afterwards


def test_what_a_mapped_socket_opened_to_the_outside_is_cut_too(network: Network) -> None:
    network.start("outside", SERVE, "udp:7")
    mapped = network.start("inside", TALK, "udp", "203.0.113.5", "7", "6000")
    other = network.start("inside", TALK, "udp", "203.0.113.5", "7", "6001")
    assert [says(one, "first") for one in (mapped, other)] == ["first"] * 2
    assert network.cut((17, 5000, "192.168.137.10", 6000)) == 1
    assert network.cut((17, 5000, "192.168.137.10", 6000)) == 0


def test_this_hosts_talk_with_itself_stays(network: Network) -> None:
    network.start("gateway", SERVE, "tcp:22")
    local = network.start("gateway", TALK, "tcp", "127.0.0.1", "22", "0")
    remote = network.start("outside", TALK, "tcp", "203.0.113.1", "22", "0")
    assert [says(one, "first") for one in (local, remote)] == ["first"] * 2
    assert network.cut((6, 22, None, 22)) == 1
    assert network.cut() == 0


def test_without_privilege_it_says_so(network: Network) -> None:
    code = f"""
import os, sys
os.setgroups([])
os.setresuid(65534, 65534, 65534)
from icshare.errors import PrivilegeError
sys.argv = ["", '[[6, 22, null, 22]]']
try:
    exec({CUT!r})
except PrivilegeError as error:
    print(error)
"""
    assert "CAP_NET_ADMIN is missing" in network.run("gateway", sys.executable, "-c", code)
