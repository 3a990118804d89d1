"""Servers that nobody here wrote answer our DHCP probe and our DNS queries, each in a namespace of its own."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.netns

_numbers = itertools.count()

PRELUDE = """
import json, socket, subprocess, time
from icshare.host.dhcp_probe import ProbedLink, find_servers, send_probe
details = json.loads(subprocess.check_output(["ip", "-j", "link", "show", "dev", "lan0"]))[0]
link = ProbedLink(name="lan0", index=details["ifindex"], mac=details["address"])

def show(value):
    print(json.dumps(value, default=str))

"""


class Wire:
    """Two namespaces joined by a link: the prober's ``lan0`` and the server's ``srv0`` with 198.51.100.1/24."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        self.prober, self.server = f"{name}-a", f"{name}-b"
        self._stack = stack
        for namespace in (self.prober, self.server):
            made = subprocess.run(["ip", "netns", "add", namespace], capture_output=True, text=True, check=False)
            if made.returncode != 0:
                pytest.skip(f"this machine gives no namespaces: {made.stderr.strip()}")
            stack.callback(self.ip, "netns", "delete", namespace)
        self.ip("-n", self.prober, "link", "add", "lan0", "type", "veth", "peer", "name", "srv0", "netns", self.server)
        self.ip("-n", self.server, "addr", "add", "198.51.100.1/24", "dev", "srv0")
        for namespace, link in ((self.prober, "lan0"), (self.server, "srv0"), (self.server, "lo")):
            self.ip("-n", namespace, "link", "set", link, "up")

    def ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)

    def serve(self, *argv: str, ready: str) -> None:
        """Start a server, and wait until it has said *ready*."""
        argv = ("ip", "netns", "exec", self.server, *argv)
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._stack.callback(self._end, process)
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if ready in line:
                return
        pytest.fail("".join(said))

    def _end(self, process: subprocess.Popen[str]) -> None:
        process.kill()  # dnsmasq hears nothing else while it waits for a ping
        process.communicate(timeout=10)

    def probe(self, code: str) -> Any:
        """Run *code* beside ``lan0`` and return what it showed."""
        argv = ["ip", "netns", "exec", self.prober, sys.executable, "-c", PRELUDE + textwrap.dedent(code)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False, env=dict(os.environ))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def wire() -> Iterator[Wire]:
    if os.geteuid() != 0:
        pytest.skip("namespaces with names need root, be it in a user namespace: run this with tools/isolate")
    with ExitStack() as stack:
        yield Wire(f"icsp{os.getpid()}-{next(_numbers)}", stack)


def program(name: str, package: str) -> str:
    found = shutil.which(name, path=f"/usr/sbin:/usr/bin:/sbin:/bin:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed (apt install {package})")
    return found


def serve_dnsmasq(wire: Wire, directory: Path, *options: str) -> None:
    argv = [program("dnsmasq", "dnsmasq-base"), "--no-daemon", "--conf-file=/dev/null", "--port=0", "--user=root"]
    argv += ["--interface=srv0", "--bind-interfaces", "--dhcp-range=198.51.100.10,198.51.100.50", "--pid-file="]
    wire.serve(*argv, f"--dhcp-leasefile={directory}/leases", *options, ready="sockets bound exclusively")


def serve_isc(wire: Wire, directory: Path, statement: str) -> None:
    subnet = "subnet 198.51.100.0 netmask 255.255.255.0 { range 198.51.100.10 198.51.100.50; }"
    configuration, leases = directory / "dhcpd.conf", directory / "leases"
    configuration.write_text(f"{statement}\n{subnet}\n")
    leases.touch()
    # It becomes another user where it can, and reads its files first as that user.
    for path in (directory, configuration, leases):
        path.chmod(0o777)
    argv = [program("dhcpd", "isc-dhcp-server"), "-4", "-d", "-cf", str(configuration), "-lf", str(leases)]
    wire.serve(*argv, "-pf", str(directory / "pid"), "srv0", ready="Server starting service")


def serve_udhcpd(wire: Wire, directory: Path) -> None:
    configuration, leases = directory / "udhcpd.conf", directory / "udhcpd.leases"
    configuration.write_text(
        "start 198.51.100.10\nend 198.51.100.50\ninterface srv0\noption subnet 255.255.255.0\n"
        f"lease_file {leases}\npidfile {directory}/udhcpd.pid\n"
    )
    leases.touch()
    wire.serve(program("busybox", "busybox"), "udhcpd", "-f", str(configuration), ready="started")


QUICK: list[tuple[str, Callable[[Wire, Path], None]]] = [
    ("dnsmasq that pings before it offers", serve_dnsmasq),
    ("dnsmasq that does not ping", lambda wire, directory: serve_dnsmasq(wire, directory, "--no-ping")),
    ("dnsmasq, authoritative", lambda wire, directory: serve_dnsmasq(wire, directory, "--dhcp-authoritative")),
    ("isc dhcpd, authoritative", lambda wire, directory: serve_isc(wire, directory, "authoritative;")),
    ("udhcpd, which looks for the address first", serve_udhcpd),
]


@pytest.mark.parametrize("serve", [serve for _, serve in QUICK], ids=[name for name, _ in QUICK])
def test_a_server_is_noticed_long_before_it_offers(
    wire: Wire, tmp_path: Path, serve: Callable[[Wire, Path], None]
) -> None:
    serve(wire, tmp_path)
    servers, milliseconds = wire.probe("""
        started = time.monotonic()
        found = find_servers([link], seconds=10, first_only=True)
        show([[(server.link, server.address) for server in found], (time.monotonic() - started) * 1000])
    """)
    assert servers == [["lan0", "198.51.100.1"]]
    # A few milliseconds; the ping that is avoided takes one to three seconds.
    assert milliseconds < 500


def test_a_server_that_is_not_sure_of_its_link_is_found_by_its_offer(wire: Wire, tmp_path: Path) -> None:
    serve_isc(wire, tmp_path, "not authoritative;")
    servers = wire.probe("""
        found = find_servers([link], seconds=10, first_only=True)
        show([(server.address, server.offered is not None) for server in found])
    """)
    assert servers == [["198.51.100.1", True]]


def test_a_server_that_answers_every_question_is_one_server(wire: Wire, tmp_path: Path) -> None:
    serve_dnsmasq(wire, tmp_path, "--no-ping", "--dhcp-authoritative")
    servers = wire.probe("""
        found = find_servers([link], seconds=0.5)
        show([(server.address, server.mac, str(server.offered).rpartition(".")[0]) for server in found])
    """)
    (mac,) = {one[1] for one in servers}
    assert servers == [["198.51.100.1", mac, "198.51.100"]]


def test_the_probe_leaves_no_lease_behind(wire: Wire, tmp_path: Path) -> None:
    serve_dnsmasq(wire, tmp_path, "--no-ping", "--dhcp-authoritative")
    assert wire.probe("show(len(find_servers([link], seconds=0.3)))") == 1
    assert (tmp_path / "leases").read_text() == ""


def test_a_link_without_a_server_is_silent_to_the_deadline(wire: Wire) -> None:
    found, seconds = wire.probe("""
        started = time.monotonic()
        found = find_servers([link], seconds=0.3)
        show([found, time.monotonic() - started])
    """)
    assert found == []
    assert 0.3 <= seconds < 5


def test_sending_does_not_wait(wire: Wire) -> None:
    transaction, milliseconds = wire.probe("""
        send_probe(link.name, link.index, link.mac)
        started = time.monotonic()
        transaction = send_probe(link.name, link.index, link.mac)
        show([transaction, (time.monotonic() - started) * 1000])
    """)
    assert isinstance(transaction, int)
    assert milliseconds < 500


def test_a_link_that_cannot_carry_the_question_has_nobody_to_ask(wire: Wire) -> None:
    wire.ip("-n", wire.prober, "link", "set", "lan0", "down")
    assert wire.probe("""
        show([
            send_probe(link.name, link.index, link.mac),
            send_probe(link.name, link.index + 100, link.mac),
            send_probe("gone0", 77, link.mac),
            find_servers([link], seconds=5),
        ])
    """) == [None, None, None, []]


def test_a_link_without_a_carrier_takes_the_question(wire: Wire) -> None:
    wire.ip("-n", wire.server, "link", "set", "srv0", "down")
    assert isinstance(wire.probe("show(send_probe(link.name, link.index, link.mac))"), int)


def test_raw_frames_need_a_privilege_that_is_named(wire: Wire) -> None:
    code = """
        from icshare.errors import PrivilegeError
        import ctypes
        CAP_NET_RAW, PR_CAPBSET_DROP = 13, 24
        libc = ctypes.CDLL(None)
        libc.prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0)
        program = "import sys; from icshare.host.dhcp_probe import send_probe\\n"
        program += "try: send_probe('lan0', 1, '02:00:00:00:00:01')\\nexcept Exception as e: print(type(e).__name__, e)"
        import sys
        show(subprocess.check_output([sys.executable, "-c", program], text=True))
    """
    said = wire.probe(code)
    assert said.startswith("PrivilegeError a raw frame needs CAP_NET_RAW")


def serve_names(wire: Wire) -> None:
    wire.ip("-n", wire.prober, "addr", "add", "198.51.100.2/24", "dev", "lan0")
    argv = [program("dnsmasq", "dnsmasq-base"), "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]
    argv += ["--interface=srv0", "--bind-interfaces", "--user=root", "--pid-file=", "--local=/home.arpa/"]
    argv += ["--host-record=printer.home.arpa,198.51.100.7", "--cname=print.home.arpa,printer.home.arpa"]
    wire.serve(*argv, "--log-facility=-", ready="cleared cache")


ASK = """
from ipaddress import IPv4Address
from icshare.host.dns_check import answers, ask
from icshare.wire.dns import Question, RecordType, reverse_question
server = IPv4Address("198.51.100.1")

def read(question):
    response = ask(server, question, timeout_seconds=5)
    return [response.code, [(one.name, str(one.value)) for one in response.answers]]

"""


def test_a_real_server_answers_names_both_ways(wire: Wire) -> None:
    serve_names(wire)
    assert wire.probe(
        ASK
        + textwrap.dedent("""
        show([
            read(Question(name="Printer.home.arpa.", kind=RecordType.A)),
            read(Question(name="print.home.arpa", kind=RecordType.A)),
            read(reverse_question(IPv4Address("198.51.100.7"))),
            read(Question(name="nobody.home.arpa", kind=RecordType.A)),
        ])
    """)
    ) == [
        [0, [["Printer.home.arpa", "198.51.100.7"]]],
        [0, [["print.home.arpa", "printer.home.arpa"], ["printer.home.arpa", "198.51.100.7"]]],
        [0, [["7.100.51.198.in-addr.arpa", "printer.home.arpa"]]],
        [3, []],
    ]


def test_a_server_answers_as_long_as_it_is_there(wire: Wire) -> None:
    serve_names(wire)
    there, elsewhere, closed, seconds = wire.probe(
        ASK
        + textwrap.dedent("""
        there = answers(server, "nobody.home.arpa", timeout_seconds=5)
        elsewhere = answers(IPv4Address("203.0.113.1"), "printer.home.arpa", timeout_seconds=5)
        started = time.monotonic()
        closed = ask(server, Question(name="printer.home.arpa", kind=RecordType.A), timeout_seconds=5, port=54)
        show([there, elsewhere, closed, time.monotonic() - started])
    """)
    )
    assert (there, elsewhere, closed) == (True, False, None)
    assert seconds < 4  # a closed port says so


def test_a_silent_server_is_waited_for_to_the_deadline(wire: Wire) -> None:
    wire.ip("-n", wire.prober, "addr", "add", "198.51.100.2/24", "dev", "lan0")
    wire.ip("-n", wire.prober, "neigh", "add", "198.51.100.3", "lladdr", "02:00:00:00:00:03", "dev", "lan0")
    answered, seconds = wire.probe(
        ASK
        + textwrap.dedent("""
        started = time.monotonic()
        answered = answers(IPv4Address("198.51.100.3"), "printer.home.arpa", timeout_seconds=0.4)
        show([answered, time.monotonic() - started])
    """)
    )
    assert answered is False
    assert 0.4 <= seconds < 4
