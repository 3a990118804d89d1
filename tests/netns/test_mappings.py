"""Port mappings as people use them: by the command line, with clients and servers that nobody here wrote."""

import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tests.netns.gateway import address, document, icshare_command, laboratory, output, share, start_icshare, udhcpc
from tests.netns.inhabited import ENVIRONMENT

from icshare.host import command
from icshare.host.command import PIPE, Completed, Process
from icshare.lab import GATEWAY, INTERNET, SECOND_UPLINK, UPLINK, UPLINK_ROUTER, Lab

pytestmark = [pytest.mark.netns, pytest.mark.packets]

PUBLIC = str(UPLINK.ip)
_SECONDS = 20.0
_BRIDGE_RULES = "/proc/sys/net/bridge/bridge-nf-call-iptables"
_UDHCPC = ("udhcpc", "-f", "-n", "-q", "-t", "20", "-T", "1", "-i", "eth0")
_TUNNEL = "10.77.0"
# A datagram has to be read: socat drops the answer of a program that did not.
_ANSWERS = {
    "tcp": ("TCP4-LISTEN:{},fork,reuseaddr", "SYSTEM:echo {} {} $SOCAT_PEERADDR"),
    "udp": ("UDP4-RECVFROM:{},fork,reuseaddr", "SYSTEM:read line; echo {} {} $SOCAT_PEERADDR"),
}


# ------------------------------------------------------------------------------------------------- clients and servers


def until(what: Callable[[], bool], failure: str) -> None:
    """Wait until *what* is so."""
    deadline = time.monotonic() + _SECONDS
    while not what():
        assert time.monotonic() < deadline, failure
        time.sleep(0.02)


@contextmanager
def serving(lab: Lab, node: str, *ports: int, protocol: str = "tcp") -> Iterator[None]:
    """Let *node* answer on *ports* with its name, the port and the address that it was asked from."""
    listen, answer = _ANSWERS[protocol]
    with ExitStack() as stack:
        for port in ports:
            argv = ["socat", listen.format(port), answer.format(node, port)]
            stack.callback(command.end, lab.popen(node, argv))
        for port in ports:
            await_listener(lab, node, protocol, port)
        yield


def await_listener(lab: Lab, node: str, protocol: str, port: int) -> None:
    """Wait until somebody on *node* receives on *port*."""
    argv = ["ss", "-Hln", f"--{protocol}", f"sport = :{port}"]
    until(lambda: bool(output(lab, node, *argv)), f"nobody listens on {node}'s port {port}")


def await_link(lab: Lab, node: str, link: str) -> None:
    """Wait until *node* has a link with an IPv4 address."""
    until(lambda: link in output(lab, node, "ip", "-4", "address"), f"{node} has no {link}")


def ask(lab: Lab, node: str, port: int, *, to: object = PUBLIC, protocol: str = "tcp", wait: int = 10) -> list[str]:
    """Return the words of the answer that *node* gets, none when it gets none within *wait* seconds."""
    if protocol == "tcp":
        argv = ["nc", "-n", "-w", str(wait), str(to), str(port)]
    else:
        argv = ["bash", "-c", f"exec 3<>/dev/udp/{to}/{port}; echo x >&3; timeout {wait} head -n 1 <&3"]
    return lab.run(node, argv, check=False, timeout=_SECONDS).stdout.split()


def closed(lab: Lab, port: int, *, to: object = PUBLIC, protocol: str = "tcp") -> bool:
    """Tell whether the Internet gets no answer within a second."""
    return ask(lab, INTERNET, port, to=to, protocol=protocol, wait=1) == []


class Netcat:
    """netcat, held open."""

    def __init__(self, lab: Lab, node: str, *arguments: object) -> None:
        self._process = lab.popen(node, ["nc", "-n", *map(str, arguments)], stdin=PIPE, stdout=PIPE, stderr=PIPE)

    def say(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n".encode())
        self._process.stdin.flush()

    def hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode().strip()

    @property
    def process(self) -> Process:
        return self._process


class Session:
    """One TCP connection to a mapped port, from netcat on one node to netcat on the other."""

    def __init__(self, lab: Lab, *, external: int, internal: int, outside: str = INTERNET, inside: str = "c0") -> None:
        self._lab, self._inside, self._internal = lab, inside, internal
        self.server = Netcat(lab, inside, "-l", "-p", internal)
        await_listener(lab, inside, "tcp", internal)
        self.client = Netcat(lab, outside, PUBLIC, external)
        self.exchange("hello")

    def exchange(self, text: str) -> None:
        """Send a line each way."""
        for source, target in ((self.client, self.server), (self.server, self.client)):
            source.say(text)
            assert target.hear() == text

    @property
    def reset(self) -> bool:
        """The end behind the gateway has been told that the connection is no more."""
        return self.server.process.poll() is not None and not self._sockets()

    def _sockets(self) -> str:
        return output(self._lab, self._inside, "ss", "-Hnt", "state", "established", f"sport = :{self._internal}")

    def end(self) -> None:
        command.end(self.client.process)
        command.end(self.server.process)


@contextmanager
def session(lab: Lab, **ports: Any) -> Iterator[Session]:
    found = Session(lab, **ports)
    try:
        yield found
    finally:
        found.end()


# --------------------------------------------------------------------------------------------------------- the gateway


def mapping(lab: Lab, *arguments: str) -> dict[str, Any]:
    """Run ``icshare map`` and return what it tells about the mapping."""
    return document(lab, "map", *arguments)


def mappings(lab: Lab) -> dict[str, dict[str, Any]]:
    """Return what ``icshare map list`` tells, by name."""
    return {one["name"]: one for one in document(lab, "map", "list")["mappings"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What the kernel has: external ports that lead to clients, and those open on this host itself."""

    mapped: frozenset[tuple[str, int]]
    holes: frozenset[tuple[str, int]]


def kernel(lab: Lab) -> Kernel:
    """Return what the kernel lets in; what belongs together must agree."""
    text = lab.run(GATEWAY, ["nft", "list", "ruleset"]).stdout
    sets = dict(re.findall(r"^\t(?:set|map) (\w+) \{(.*?)^\t\}", text, re.DOTALL | re.MULTILINE))
    pairs = r"(tcp|udp) \. (\d+)"
    mapped = _elements(sets.get("port_mappings", ""), pairs)
    assert mapped == _elements(sets.get("mapped_ports", ""), pairs) == _elements(sets.get("mapped_received", ""), pairs)
    holes = {
        (protocol, port)
        for protocol in ("tcp", "udp")
        for _, port in _elements(sets.get(f"holes_{protocol}", ""), r'("\w+") \. (\d+)')
    }
    return Kernel(mapped=mapped, holes=frozenset(holes))


def _elements(body: str, pattern: str) -> frozenset[tuple[str, int]]:
    found = body.partition("elements = {")[2]
    return frozenset((word, int(port)) for word, port in re.findall(rf"(?:^|,)\s*{pattern}", found))


def assert_agreement(lab: Lab) -> None:
    """Assert that what is open is what is defined and active, and nothing else."""
    active = [one for one in mappings(lab).values() if one["state"] == "active"]
    wanted = {
        (one["protocol"], port) for one in active for port in range(one["external"], one["external"] + one["count"])
    }
    found = kernel(lab)
    assert found.mapped | found.holes == wanted


@pytest.fixture(scope="module")
def shared_lab(lab_allowed: None) -> Iterator[Lab]:  # noqa: ARG001 - asked for, not used
    with laboratory("mappings", privates=2, clients_per_private=2, second_uplink=True) as found:
        # As on a host without Docker: with it, the kernel never sends a bridged packet back by the port it came in by.
        output(found, GATEWAY, "sh", "-c", "! test -e $0 || echo 0 > $0", _BRIDGE_RULES)
        share(found, "wan0", "lan0")
        for node in ("c0", "c1"):
            udhcpc(found, node)
        yield found


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    """Give the lab of this file, sharing ``wan0`` with ``lan0``; mappings are removed after each test."""
    yield shared_lab
    for number in [one["number"] for one in document(shared_lab, "map", "list")["mappings"]]:
        mapping(shared_lab, "remove", f"#{number}")
    share(shared_lab, "wan0", "lan0")


# ---------------------------------------------------------------------------------------------------- who gets through


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_mapped_port_is_reached_from_outside_and_from_inside_by_the_public_address(lab: Lab, protocol: str) -> None:
    mapping(lab, "add", "one", protocol, "8080", f"{address(lab, 'c0')}:80")
    mapping(lab, "add", "high", protocol, "50000", f"{address(lab, 'c0')}:40000")
    with serving(lab, "c0", 80, 40_000, protocol=protocol):
        for node in (INTERNET, GATEWAY, "c0", "c1"):
            for external, internal in ((8080, 80), (50_000, 40_000)):
                found = ask(lab, node, external, protocol=protocol)
                assert found[:2] == ["c0", str(internal)], (node, external)
        assert ask(lab, INTERNET, 8080, protocol=protocol)[2] == str(UPLINK_ROUTER), "the host sees who it is"
        assert closed(lab, 80, protocol=protocol)
        assert closed(lab, 40_000, protocol=protocol)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_range_keeps_the_distance_to_its_first_port(lab: Lab, protocol: str) -> None:
    told = mapping(lab, "add", "range", protocol, "8000-8010", "c0:9000")
    assert (told["external"], told["internal"], told["count"]) == (8000, 9000, 11)
    with serving(lab, "c0", 9000, 9004, 9010, 9011, protocol=protocol):
        for external in (8000, 8004, 8010):
            assert ask(lab, INTERNET, external, protocol=protocol)[1] == str(external + 1000)
        assert closed(lab, 8011, protocol=protocol)
    assert mappings(lab)["range"]["hits"] == 3


def test_a_target_is_named_by_address_by_its_dhcp_name_or_by_its_hardware_address(lab: Lab) -> None:
    mac = output(lab, "c0", "cat", "/sys/class/net/eth0/address").strip()
    names = {"8001": address(lab, "c0"), "8002": "c0", "8003": "C0.home.arpa", "8004": f"[{mac}]"}
    for port, target in names.items():
        assert mapping(lab, "add", target, "tcp", port, f"{target}:80")["address"] == address(lab, "c0")
    with serving(lab, "c0", 80):
        assert [ask(lab, INTERNET, int(port))[:2] for port in names] == [["c0", "80"]] * 4


def test_a_target_that_is_not_there_is_inactive_and_visible_until_it_comes(lab: Lab) -> None:
    output(lab, "c1", "ip", "address", "flush", "dev", "eth0")
    told = mapping(lab, "add", "late", "tcp", "8080", "guest:80")
    assert (told["state"], told["address"]) == ("inactive", None)
    assert "no client with the name guest is known" in told["text"]
    assert kernel(lab).mapped == frozenset()
    output(lab, "c1", *_UDHCPC, "-x", "hostname:guest")
    until(lambda: mappings(lab)["late"]["state"] == "active", "the client is not followed")
    with serving(lab, "c1", 80):
        assert ask(lab, INTERNET, 8080)[:2] == ["c1", "80"]
    udhcpc(lab, "c1")


def another_second() -> None:
    """Wait for the next second: leases tell that of their end, and of one second nobody knows which is the newer."""
    began = int(time.time())
    until(lambda: int(time.time()) > began, "the clock stands still")


@pytest.mark.parametrize("by", ["name", "mac"])
def test_a_client_that_comes_back_with_another_address_is_followed(lab: Lab, by: str) -> None:
    mac = output(lab, "c1", "cat", "/sys/class/net/eth0/address").strip()
    first = address(lab, "c1")
    mapping(lab, "add", "moving", "tcp", "8080", f"{'c1' if by == 'name' else f'[{mac}]'}:80")
    with session(lab, external=8080, internal=80, inside="c1"):
        pass
    another_second()
    # Another system on the same machine: to the DHCP server, whoever names another identity is another client.
    identity = "0x3d:0077" if by == "name" else "0x3d:0078"
    output(lab, "c1", "ip", "address", "flush", "dev", "eth0")
    output(lab, "c1", *_UDHCPC, "-x", "hostname:c1", "-x", identity)
    second = address(lab, "c1")
    assert second != first
    until(lambda: mappings(lab)["moving"]["address"] == second, "the client is not followed")
    with serving(lab, "c1", 80):
        assert ask(lab, INTERNET, 8080)[:2] == ["c1", "80"]
    assert_agreement(lab)
    output(lab, "c1", "ip", "address", "flush", "dev", "eth0")
    another_second()
    udhcpc(lab, "c1")


@pytest.mark.parametrize("privates", [["lan0", "lan1"], ["lan1", "lan0"]], ids="-".join)
def test_hairpin_works_on_a_bridge_across_its_ports_and_on_one(lab: Lab, privates: list[str]) -> None:
    share(lab, "wan0", *privates)
    udhcpc(lab, "c2")
    mapping(lab, "add", "one", "tcp", "8080", "c0:80")
    with serving(lab, "c0", 80):
        for node in (INTERNET, GATEWAY, "c0", "c1", "c2"):
            assert ask(lab, node, 8080)[:2] == ["c0", "80"], node


def test_hairpin_works_from_a_second_segment(make_lab: Callable[..., Lab]) -> None:
    """A VPN's tunnel, held by socat over the wire to ``c1``, is a segment of its own."""
    lab = make_lab(privates=2)
    output(lab, GATEWAY, "ip", "address", "add", "10.78.0.1/24", "dev", "lan1")
    output(lab, "c1", "ip", "address", "add", "10.78.0.2/24", "dev", "eth0")
    tunnel = "TUN:{}.{}/24,tun-name=tun0,iff-no-pi,iff-up"
    with ExitStack() as stack:
        for node, number in ((GATEWAY, 1), ("c1", 2)):
            wire = f"UDP4-DATAGRAM:10.78.0.{3 - number}:7777,bind=10.78.0.{number}:7777"
            stack.callback(command.end, lab.popen(node, ["socat", wire, tunnel.format(_TUNNEL, number)]))
            await_link(lab, node, "tun0")
        output(lab, "c1", "ip", "route", "add", "default", "via", f"{_TUNNEL}.1")
        share(lab, "wan0", "lan0", "tun0")
        udhcpc(lab, "c0")
        mapping(lab, "add", "one", "tcp", "8080", "c0:80")
        mapping(lab, "add", "two", "tcp", "8081", f"{_TUNNEL}.2:80")
        with serving(lab, "c0", 80), serving(lab, "c1", 80):
            for node in (INTERNET, GATEWAY, "c0", "c1"):
                assert [ask(lab, node, port)[:1] for port in (8080, 8081)] == [["c0"], ["c1"]], node
        assert icshare_command(lab, "stop").returncode == 0


def test_what_the_mapped_socket_sends_bears_the_external_port(lab: Lab) -> None:
    """Endpoint independence, with peers that see the port they are called from."""
    mapping(lab, "add", "game", "udp", "5555", "c0:4444")
    seen = "SYSTEM:read line; echo $SOCAT_PEERADDR $SOCAT_PEERPORT"
    with ExitStack() as stack:
        for port in (9001, 9002):
            stack.callback(command.end, lab.popen(INTERNET, ["socat", f"UDP4-RECVFROM:{port},fork", seen]))
            await_listener(lab, INTERNET, "udp", port)
        for port in (9001, 9002):
            argv = ["socat", "-T", "0.5", "-", f"UDP4:{UPLINK_ROUTER}:{port},sourceport=4444,reuseaddr"]
            assert output(lab, "c0", *argv, input="x\n").split() == [PUBLIC, "5555"]


# -------------------------------------------------------------------------------------------- on, off, changed, removed


def test_hits_count_connections_for_each_mapping(lab: Lab) -> None:
    for name, port in (("one", "8001"), ("two", "8002")):
        mapping(lab, "add", name, "tcp", port, "c0:80" if name == "one" else "c1:80")
    with serving(lab, "c0", 80), serving(lab, "c1", 80):
        for _ in range(3):
            ask(lab, INTERNET, 8001)
        ask(lab, "c1", 8001)
        ask(lab, GATEWAY, 8002)
    assert {name: one["hits"] for name, one in mappings(lab).items()} == {"one": 4, "two": 1}


@pytest.mark.parametrize("first", ["inside", "outside"])
@pytest.mark.parametrize("how", ["disable", "remove"])
@pytest.mark.parametrize("outside", [INTERNET, "c1", GATEWAY])
def test_an_open_connection_is_cut_at_once_and_others_go_on(lab: Lab, how: str, first: str, outside: str) -> None:
    mapping(lab, "add", "cut", "tcp", "8001", "c0:81")
    mapping(lab, "add", "kept", "tcp", "8002", "c0:82")
    with (
        session(lab, external=8001, internal=81, outside=outside) as cut,
        session(lab, external=8002, internal=82, outside=outside) as kept,
    ):
        mapping(lab, how, "cut")
        if first == "outside":
            cut.client.say("is anybody there")
        cut.server.say("yes")
        until(lambda: cut.reset, "the connection goes on")
        assert cut.server.hear() == ""
        kept.exchange("still here")
    assert mappings(lab)["kept"]["hits"] == 1
    assert_agreement(lab)


def test_what_was_disabled_can_be_enabled_again(lab: Lab) -> None:
    mapping(lab, "add", "one", "tcp", "8080", "c0:80", "--disabled")
    with serving(lab, "c0", 80):
        assert closed(lab, 8080)
        assert mapping(lab, "enable", "one")["state"] == "active"
        assert ask(lab, INTERNET, 8080)[:1] == ["c0"]
        assert mapping(lab, "disable", "one")["state"] == "disabled"
        assert closed(lab, 8080)
        mapping(lab, "enable", "one")
        assert mappings(lab)["one"]["hits"] == 0
        assert ask(lab, INTERNET, 8080)[:1] == ["c0"]
    with session(lab, external=8080, internal=80) as one:
        one.exchange("and goes on")


def test_a_change_keeps_what_it_does_not_touch(lab: Lab) -> None:
    mapping(lab, "add", "one", "tcp", "8000-8001", "c0:80")
    with serving(lab, "c1", 80), session(lab, external=8001, internal=81) as kept:
        mapping(lab, "set", "one", "--name", "other")
        kept.exchange("a name is nothing to the kernel")
        assert mappings(lab)["other"]["hits"] == 1
        mapping(lab, "set", "other", "--external", "8000-8002")
        kept.exchange("a port more, neither")
        assert mappings(lab)["other"]["hits"] == 1
        mapping(lab, "set", "other", "--target", "c1:80")
        kept.server.say("somebody else now")
        until(lambda: kept.reset, "the connection goes on to where the mapping has led")
        assert ask(lab, INTERNET, 8000)[:1] == ["c1"]
    assert_agreement(lab)


def test_an_external_port_is_given_once(lab: Lab) -> None:
    mapping(lab, "add", "one", "tcp", "8000-8010", "c0:80")
    done = icshare_command(lab, "map", "add", "two", "tcp", "8010", "c1:80")
    assert done.returncode != 0
    assert "tcp port 8010 is mapped already, by 'one'" in done.stderr
    mapping(lab, "add", "two", "udp", "8010", "c1:80")
    done = icshare_command(lab, "map", "set", "two", "--protocol", "tcp")
    assert "is mapped already" in done.stderr
    assert_agreement(lab)


# -------------------------------------------------------------------------------------------------- this host itself


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("internal", [8080, 80])
def test_a_mapping_to_this_host_opens_one_port_of_its_firewall(lab: Lab, internal: int, protocol: str) -> None:
    with serving(lab, GATEWAY, 8080, 80, 81, protocol=protocol):
        assert all(closed(lab, port, protocol=protocol) for port in (8080, 80))
        told = mapping(lab, "add", "own", protocol, "8080", f"127.0.0.1:{internal}")
        assert (told["own"], told["state"]) == (True, "active")
        assert ask(lab, INTERNET, 8080, protocol=protocol)[:2] == ["gw", str(internal)]
        assert all(closed(lab, port, protocol=protocol) for port in (80, 81))
        assert mappings(lab)["own"]["hits"] == 1
        mapping(lab, "disable", "own")
        assert closed(lab, 8080, protocol=protocol)
        mapping(lab, "enable", "own")
        assert ask(lab, INTERNET, 8080, protocol=protocol)[:1] == ["gw"]
        mapping(lab, "remove", "own")
        assert closed(lab, 8080, protocol=protocol)
    assert kernel(lab).holes == frozenset()


# -------------------------------------------------------------------------------------------- as sharing comes and goes


def test_mappings_rest_while_nothing_is_shared_and_are_back_with_the_sharing(lab: Lab) -> None:
    mapping(lab, "add", "one", "tcp", "8080", "c0:80")
    mapping(lab, "add", "own", "tcp", "8081", "127.0.0.1:80")
    with serving(lab, "c0", 80), serving(lab, GATEWAY, 80):
        assert [ask(lab, INTERNET, port)[:1] for port in (8080, 8081)] == [["c0"], ["gw"]]
        assert icshare_command(lab, "stop").returncode == 0
        assert {name: (one["enabled"], one["state"]) for name, one in mappings(lab).items()} == {
            "one": (True, "inactive"),
            "own": (True, "inactive"),
        }
        assert closed(lab, 8080)
        assert "icshare" not in output(lab, GATEWAY, "nft", "list", "tables")
        share(lab, "wan0", "lan0")
        udhcpc(lab, "c0")
        until(lambda: mappings(lab)["one"]["state"] == "active", "the mapping does not come back")
        assert [ask(lab, INTERNET, port)[:1] for port in (8080, 8081)] == [["c0"], ["gw"]]
    assert_agreement(lab)


def test_mappings_rest_while_another_connection_is_public_and_come_back_with_theirs(lab: Lab) -> None:
    mapping(lab, "add", "one", "tcp", "8080", "c0:80")
    other = str(SECOND_UPLINK.ip)
    with serving(lab, "c0", 80):
        share(lab, "wan1", "lan0")
        told = mappings(lab)["one"]
        assert (told["enabled"], told["state"], told["interface"]) == (True, "inactive", "wan0")
        assert kernel(lab).mapped == frozenset()
        assert closed(lab, 8080)
        assert closed(lab, 8080, to=other)
        mapping(lab, "add", "two", "tcp", "8080", "c0:80")
        assert ask(lab, INTERNET, 8080, to=other)[:1] == ["c0"]
        share(lab, "wan0", "lan0")
        assert {name: one["state"] for name, one in mappings(lab).items()} == {"one": "active", "two": "inactive"}
        assert ask(lab, INTERNET, 8080)[:1] == ["c0"]
        assert closed(lab, 8080, to=other)


# ------------------------------------------------------------------------------------------- killed, many at once, many

# Runs the command line, and kills the process in the middle of it: at line NUMBER of what changes mappings.
_VICTIM = """
import os, signal, sys
from pathlib import Path
import icshare
from icshare.cli.program import main
from icshare.cli.session import Session
import icshare.api
number, *arguments = sys.argv[1:]
here = Path(icshare.__file__).parent
files = {str(here / one) for one in (
    "control/mappings.py", "control/opening.py", "host/store.py", "host/mapping_table.py", "host/conntrack.py",
    "host/ruleset.py", "host/followerservice.py",
)}
left = int(number)
def line(frame, event, _):
    global left
    if event == "line":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return line
sys.settrace(lambda frame, event, _: line if frame.f_code.co_filename in files else None)
status = main(arguments, Session(terminal=False, interactive=False))
sys.settrace(None)
print(int(number) - left, file=sys.stderr)
sys.exit(status)
"""
_KILLS = 6


def _strike(lab: Lab, number: int, *arguments: str) -> Completed:
    return lab.run(GATEWAY, [sys.executable, "-c", _VICTIM, str(number), *arguments], env=ENVIRONMENT, check=False)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("how", "target"),
    [
        *((how, "c0:80") for how in ("add", "remove", "disable", "enable", "set")),
        *((how, "127.0.0.1:80") for how in ("add", "remove")),
    ],
)
def test_after_a_kill_at_any_line_the_next_command_makes_state_and_kernel_agree(
    lab: Lab, how: str, target: str
) -> None:
    arguments = {
        "add": ("one", "tcp", "8080-8081", target),
        "remove": ("one",),
        "disable": ("one",),
        "enable": ("one",),
        "set": ("one", "--external", "8081-8082"),
    }[how]
    mapping(lab, "add", "other", "tcp", "7000", "c1:80")

    def begin() -> None:
        if "one" in mappings(lab):
            mapping(lab, "remove", "one")
        if how != "add":
            mapping(lab, "add", "one", "tcp", "8080-8081", target, *(["--disabled"] if how == "enable" else []))

    begin()
    undisturbed = _strike(lab, 10**9, "map", how, *arguments)
    assert undisturbed.returncode == 0, undisturbed.stderr
    lines = int(undisturbed.stderr.split()[-1])
    assert lines > _KILLS
    for number in range(1, lines, lines // _KILLS):
        begin()
        # What it looks at is not always the same, so the last may come too late.
        status = _strike(lab, number, "map", how, *arguments).returncode
        assert status == -signal.SIGKILL or (status, number > lines * 3 // 4) == (0, True)
        mapping(lab, "disable" if number % 2 else "enable", "other")
        assert_agreement(lab)


def test_twenty_writers_at_once_lose_nothing(lab: Lab) -> None:
    running = [
        start_icshare(lab, "map", "add", f"m{number}", "tcp", str(8000 + number), "c0:80") for number in range(20)
    ]
    said = [process.communicate(timeout=100) for process in running]
    assert [process.returncode for process in running] == [0] * 20, said
    found = mappings(lab)
    assert set(found) == {f"m{number}" for number in range(20)}
    assert {one["state"] for one in found.values()} == {"active"}
    assert_agreement(lab)
    running = [start_icshare(lab, "map", "remove", f"m{number}") for number in range(20)]
    said = [process.communicate(timeout=100) for process in running]
    assert [process.returncode for process in running] == [0] * 20, said
    assert mappings(lab) == {}
    assert kernel(lab).mapped == frozenset()


# Adds, asks for and removes COUNT mappings by the API; prints the seconds that each took.
_MANY = """
import sys, time
from icshare.api import SharingManager
from icshare.model.mapping import MappingState, Protocol, address_target
count = int(sys.argv[1])
manager = SharingManager()
guid = next(one.guid for one in manager.connections() if one.interface == "wan0")
began = time.monotonic()
def lap(what):
    global began
    now = time.monotonic()
    print(what, round(now - began, 2), flush=True)
    began = now
made = [
    manager.mappings.add(
        guid, name=f"m{number}", protocol=Protocol.TCP, external=10000 + number, internal=80,
        target=address_target(f"192.168.137.{2 + number % 200}"), enabled=True,
    )
    for number in range(count)
]
lap("added")
found = manager.mappings.statuses()
lap("asked")
assert len(found) == count and {one.state for one in found} == {MappingState.ACTIVE}
for one in made[:100]:
    manager.mappings.remove(one.number)
lap("removed one by one")
manager.mappings.disable_all(guid)
lap("disabled")
for one in made[100:]:
    manager.mappings.remove(one.number)
lap("removed")
assert manager.mappings.all() == ()
"""


@pytest.mark.timeout(900)
def test_ten_thousand_mappings_come_and_go(lab: Lab) -> None:
    argv = [sys.executable, "-c", _MANY, "10000"]
    done = lab.run(GATEWAY, argv, env=ENVIRONMENT, check=False, timeout=800)
    assert done.returncode == 0, done.stderr + done.stdout
    assert kernel(lab).mapped == frozenset()
