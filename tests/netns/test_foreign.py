"""The verdicts on other programs' rulesets are true: real packets fare as foretold, and the remedies mend.

A client, a gateway with one of the recorded rulesets, and a server, each in a namespace of its own; no NAT.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from icshare.model.names import InterfaceName
from icshare.plan.foreign import ForeignDrop, find_foreign_drops
from icshare.plan.packets import Path as Way
from icshare.plan.packets import all_packets

pytestmark = pytest.mark.netns

RULESETS = Path(__file__).parents[1] / "data" / "rulesets"
SOURCES = sorted(path for path in RULESETS.iterdir() if path.suffix in {".nft", ".rules"})
CLIENT, GATEWAY, SERVER = "192.168.137.2", "192.168.137.1", "203.0.113.9"
PACKETS = all_packets([InterfaceName("lan0")], InterfaceName("wan0"), IPv4Network("192.168.137.0/24"))
# A port that no ruleset names, unlike 80 or 443.
PORT = 4567

_numbers = itertools.count()

LISTEN = """
import socket, sys
def serve(kind, port):
    one = socket.socket(socket.AF_INET, kind)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("0.0.0.0", port))
    return one
import selectors
selector = selectors.DefaultSelector()
for port in map(int, sys.argv[1:]):
    stream, datagrams = serve(socket.SOCK_STREAM, port), serve(socket.SOCK_DGRAM, port)
    stream.listen()
    selector.register(stream, selectors.EVENT_READ, lambda one: one.accept()[0].sendall(b"yes"))
    selector.register(datagrams, selectors.EVENT_READ, lambda one: one.sendto(b"yes", one.recvfrom(100)[1]))
print("ready", flush=True)
while True:
    for key, _ in selector.select():
        key.data(key.fileobj)
"""

REACH = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def reach(attempt):
    kind, address, port = attempt
    with socket.socket(socket.AF_INET, kinds[kind]) as one:
        one.settimeout(0.5)
        try:
            one.connect((address, int(port)))
            one.send(b"well?")
            return one.recv(10) == b"yes"
        except OSError:
            return False
kinds = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
attempts = [sys.argv[n : n + 3] for n in range(1, len(sys.argv), 3)]
with ThreadPoolExecutor(len(attempts)) as pool:
    print(json.dumps(list(pool.map(reach, attempts))))
"""


class Route:
    """client - lan0 gateway wan0 - server."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        self.client, self.gateway, self.server = (f"{name}-{part}" for part in ("c", "g", "s"))
        self._stack = stack
        for namespace in (self.client, self.gateway, self.server):
            made = subprocess.run(["ip", "netns", "add", namespace], capture_output=True, text=True, check=False)
            if made.returncode != 0:
                pytest.skip(f"this machine gives no namespaces: {made.stderr.strip()}")
            stack.callback(self.run, "ip", "netns", "delete", namespace)
        self.join(self.client, "eth0", f"{CLIENT}/24", "lan0", f"{GATEWAY}/24")
        self.join(self.server, "eth0", f"{SERVER}/24", "wan0", "203.0.113.1/24")
        self.run("ip", "-n", self.client, "route", "add", "default", "via", GATEWAY)
        self.run("ip", "-n", self.server, "route", "add", "default", "via", "203.0.113.1")
        self.run("ip", "netns", "exec", self.gateway, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")

    def join(self, namespace: str, inner: str, address: str, outer: str, gateway: str) -> None:
        peer = ("peer", "name", inner, "netns", namespace)
        self.run("ip", "-n", self.gateway, "link", "add", outer, "type", "veth", *peer)
        for where, link, own in ((namespace, inner, address), (self.gateway, outer, gateway)):
            self.run("ip", "-n", where, "addr", "add", own, "dev", link)
            self.run("ip", "-n", where, "link", "set", link, "up")

    def run(self, *argv: str) -> str:
        return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout

    def inside(self, namespace: str, *argv: str) -> str:
        return self.run("ip", "netns", "exec", namespace, *argv)

    def listen(self, namespace: str, *ports: int) -> None:
        argv = ("ip", "netns", "exec", namespace, sys.executable, "-c", LISTEN, *map(str, ports))
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        self._stack.callback(process.communicate)
        self._stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"

    def reached(self, *attempts: tuple[str, str, int]) -> list[bool]:
        words = [str(word) for attempt in attempts for word in attempt]
        answer: list[bool] = json.loads(self.inside(self.client, sys.executable, "-c", REACH, *words))
        return answer

    def load(self, source: Path) -> None:
        if source.suffix == ".nft":
            self.inside(self.gateway, "nft", "-f", str(source))
            return
        if shutil.which("iptables-nft-restore", path="/usr/sbin:/sbin") is None:
            pytest.skip("iptables-nft-restore is not installed (apt install iptables)")
        self.inside(self.gateway, "iptables-nft-restore", str(source))

    def drops(self) -> tuple[ForeignDrop, ...]:
        ruleset: list[dict[str, Any]] = json.loads(self.inside(self.gateway, "nft", "-j", "list", "ruleset"))[
            "nftables"
        ]
        return find_foreign_drops(ruleset, PACKETS, listing=self.inside(self.gateway, "nft", "-a", "list", "ruleset"))


@pytest.fixture
def route() -> Iterator[Route]:
    if os.geteuid() != 0:
        pytest.skip("namespaces with names need root, be it in a user namespace: run this with tools/isolate")
    with ExitStack() as stack:
        made = Route(f"icsf{os.getpid()}-{next(_numbers)}", stack)
        made.listen(made.server, PORT)
        made.listen(made.gateway, 53)
        yield made


@pytest.mark.parametrize("source", SOURCES, ids=[source.stem for source in SOURCES])
def test_real_packets_fare_as_foretold(route: Route, source: Path) -> None:
    route.load(source)
    drops = route.drops()
    attempts = [(protocol, SERVER, PORT) for protocol in ("tcp", "udp")]
    attempts += [(protocol, GATEWAY, 53) for protocol in ("tcp", "udp")]
    fared = dict(zip(attempts, route.reached(*attempts), strict=True))
    for (protocol, address, _), passed in fared.items():
        way = Way.INPUT if address == GATEWAY else Way.FORWARD
        concerned = [
            drop
            for drop in drops
            if any(
                packet.path is way and packet.protocol == protocol and packet.destination_port in {None, 53}
                for packet in drop.packets
            )
        ]
        if any(drop.certain for drop in concerned):
            assert not passed, (protocol, way, [str(drop) for drop in concerned])
        elif not concerned:
            assert passed, (protocol, way)


@pytest.mark.parametrize("name", ["docker", "docker-ctstate", "admin", "admin-iptables", "allowlist", "marked"])
def test_the_remedy_mends(route: Route, name: str) -> None:
    (source,) = [one for one in SOURCES if one.stem == name]
    route.load(source)
    commands = [command for drop in route.drops() for command in drop.remedy.splitlines()]
    assert commands
    for command in commands:
        route.inside(route.gateway, "sh", "-ec", command)
    assert route.drops() == ()
    assert all(route.reached(("tcp", SERVER, PORT), ("udp", SERVER, PORT), ("tcp", GATEWAY, 53), ("udp", GATEWAY, 53)))


@pytest.mark.parametrize("source", SOURCES, ids=[source.stem for source in SOURCES])
def test_the_recordings_are_what_nft_tells_today(route: Route, source: Path) -> None:
    route.load(source)
    live = {(drop.chain, drop.certain, drop.owner, drop.packets) for drop in route.drops()}
    recorded = json.loads(source.with_suffix(".json").read_text(encoding="utf-8"))["nftables"]
    listing = source.with_suffix(".txt").read_text(encoding="utf-8")
    told = find_foreign_drops(recorded, PACKETS, listing=listing)
    assert {(drop.chain, drop.certain, drop.owner, drop.packets) for drop in told} == live
