"""The connection firewall as people use it, without sharing and with it, from the command line and by objects."""

import itertools
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.netns import inhabited, victim
from tests.netns.gateway import (
    assert_unchanged,
    document,
    icshare_command,
    laboratory,
    output,
    page,
    settled,
)
from tests.netns.test_outside import TALK, knock, running, settle_client, talk

from icshare.host.processes import read_state
from icshare.lab import (
    GATEWAY,
    INTERNET,
    SECOND_UPLINK,
    UPLINK,
    UPLINK_ROUTER,
    WEB_ADDRESS,
    Lab,
    traces,
)
from icshare.render.w3clog import HEADER

pytestmark = pytest.mark.netns

PUBLIC, SECOND = str(UPLINK.ip), str(SECOND_UPLINK.ip)
PUBLIC6, ROUTER6 = "2001:db8:1::2", "2001:db8:1::1"
PORTS = (22, 80, 7000)
LOG = "/var/log/icshare/pfirewall.log"
FIELDS = HEADER.splitlines()[3].removeprefix("#Fields: ").split()

# Answers each line and each datagram with itself, on every port given, by IPv4 and IPv6.
SERVE = """
import socket, socketserver, sys, threading
class Line(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)
class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(self.request[0], self.client_address)
class Tcp(socketserver.ThreadingTCPServer):
    address_family, allow_reuse_address = socket.AF_INET6, True
class Udp(socketserver.UDPServer):
    address_family = socket.AF_INET6
for port in map(int, sys.argv[1:]):
    for server in (Tcp(("::", port), Line), Udp(("::", port), Datagram)):
        threading.Thread(target=server.serve_forever).start()
print("ready", flush=True)
"""
# Says a word to every port, by TCP and by UDP; prints those that answered.
TRY = """
import socket, sys, threading
found = []
def attempt(kind, port):
    family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
    with socket.socket(family, kind) as one:
        one.settimeout(1)
        try:
            one.connect((sys.argv[1], port))
            one.send(b"word\\n")
            found.append(f"{'tcp' if kind == socket.SOCK_STREAM else 'udp'}/{port} {one.recv(9).decode().strip()}")
        except OSError:
            pass
tries = [
    threading.Thread(target=attempt, args=(kind, int(port)))
    for port in sys.argv[2:] for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
]
for one in tries: one.start()
for one in tries: one.join()
print("\\n".join(sorted(found)))
"""
SWITCH = """
import sys
from icshare.netcon import NetSharingManager
manager = NetSharingManager()
(one,) = [one for one in manager.EnumEveryConnection if manager.NetConnectionProps(one).Name == sys.argv[1]]
configuration = manager.INetSharingConfigurationForINetConnection(one)
getattr(configuration, sys.argv[2])()
print(configuration.InternetFirewallEnabled)
"""
# The NUMBER-th change of switching wan0's firewall on or off is the last that this process makes.
KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
import victim
from icshare.api import SharingManager
from icshare.engine import Engine
from icshare.host.settings import run_directory
from icshare.model.firewall import FirewallOptions
host, journal = victim.VictimHost(run_directory()), victim.VictimJournal(run_directory())
manager = SharingManager()
manager._engine = manager._roles._engine = Engine(host, journal, manager._machine.judge)
host.after = journal.after = victim.Fate(int(sys.argv[2]), victim._kill)
(guid,) = [one.guid for one in manager.connections() if one.interface == "wan0"]
logged = FirewallOptions(log_dropped=True, log_opened=True)
manager.set_firewall(guid, logged if sys.argv[3] == "on" else None)
"""


@pytest.fixture(scope="module")
def built(lab_allowed: None) -> Iterator[tuple[Lab, traces.Traces]]:  # noqa: ARG001 - asked for, not used
    with laboratory("firewall", privates=1, second_uplink=True) as lab:
        for node, address, link in ((GATEWAY, PUBLIC6, "wan0"), (INTERNET, ROUTER6, "isp0")):
            output(lab, node, "ip", "address", "add", f"{address}/64", "dev", link, "nodad")
        settle_client(lab)
        # Whom the kernel knows at the moment changes while many tests use one lab; the firewall has no neighbours.
        yield lab, {what: found for what, found in settled(lab).items() if what != "neighbours"}


@pytest.fixture
def lab(built: tuple[Lab, traces.Traces]) -> Iterator[Lab]:
    """Give the module's lab; afterwards nothing is left in it but the log, and the numbers that mappings have had."""
    lab, before = built
    yield lab
    inhabited.run(lab, "stop")
    forget(lab, LOG, "/var/lib/icshare/state", "/var/lib/icshare/lock")
    assert_unchanged(lab, before)


def forget(lab: Lab, *paths: str) -> None:
    """Delete files that stay on purpose, and their directories."""
    for path in (lab.path(GATEWAY, name) for name in paths):
        path.unlink(missing_ok=True)
        if path.parent.exists() and not any(path.parent.iterdir()):
            path.parent.rmdir()


def switch(lab: Lab, interface: str, what: str) -> bool:
    """Call a method of a connection's configuration; return whether its firewall is on then."""
    code = [sys.executable, "-c", SWITCH, interface, what]
    done = lab.run(GATEWAY, code, env=inhabited.ENVIRONMENT, timeout=60)
    return done.stdout.strip() == "True"


def answers(lab: Lab, node: str, address: str, *ports: int) -> set[str]:
    """Return the protocols and ports at *address* that answer *node*."""
    found = output(lab, node, sys.executable, "-c", TRY, address, *map(str, ports or PORTS))
    lines = found.splitlines()
    assert all(line.endswith(" word") for line in lines if line)
    return {line.split()[0] for line in lines if line}


EVERYTHING = {f"{protocol}/{port}" for protocol in ("tcp", "udp") for port in PORTS}


@contextmanager
def mapped(lab: Lab, name: str, *words: str) -> Iterator[None]:
    inhabited.run(lab, "map", "add", name, *words)
    try:
        yield
    finally:
        inhabited.run(lab, "map", "remove", name)


def on(lab: Lab, *options: str, interface: str = "wan0") -> None:
    inhabited.run(lab, "firewall", "on", interface)
    if options:
        inhabited.run(lab, "firewall", "set", interface, *options)


# ---------------------------------------------------------------------------------------------------- what is let in


@pytest.mark.parametrize("shared", [False, True], ids=["not shared", "shared"])
@pytest.mark.parametrize("by", ["command", "object"])
def test_nothing_comes_in_unasked_and_everything_goes_out(lab: Lab, by: str, *, shared: bool) -> None:
    with running(lab, GATEWAY, SERVE, *PORTS):
        if shared:
            inhabited.run(lab, "share", "--no-firewall", "wan0", "lan0")
        assert answers(lab, INTERNET, PUBLIC) == answers(lab, INTERNET, PUBLIC6) == EVERYTHING
        if by == "command":
            on(lab)
        else:
            assert switch(lab, "wan0", "EnableInternetFirewall")
        assert answers(lab, INTERNET, PUBLIC) == answers(lab, INTERNET, PUBLIC6) == set()
        assert answers(lab, INTERNET, SECOND) == EVERYTHING
        asked = output(lab, INTERNET, "nmap", "-n", "-Pn", "-sS", "-6", "-p", "22,53,80", PUBLIC6)
        assert asked.count("filtered") == 3
        for node in (GATEWAY, *(["c0"] if shared else [])):
            assert page(lab, node, str(WEB_ADDRESS)) == PUBLIC
        for router in (UPLINK_ROUTER, ROUTER6):
            assert lab.run(GATEWAY, ["ping", "-c", "1", "-W", "5", str(router)], check=False).returncode == 0
        if by == "command":
            inhabited.run(lab, "firewall", "off", "wan0")
        else:
            assert not switch(lab, "wan0", "DisableInternetFirewall")
        assert answers(lab, INTERNET, PUBLIC) == answers(lab, INTERNET, PUBLIC6) == EVERYTHING


@pytest.mark.parametrize("address", [PUBLIC, PUBLIC6])
def test_a_connection_older_than_the_firewall_goes_on(lab: Lab, address: str) -> None:
    with running(lab, GATEWAY, SERVE, 7000), running(lab, INTERNET, TALK, address, 7000) as old:
        assert talk(old, b"before\n") == b"before\n"
        on(lab)
        assert talk(old, b"protected\n") == b"protected\n"
        assert answers(lab, INTERNET, address) == set()
        inhabited.run(lab, "firewall", "off", "wan0")
        assert talk(old, b"after\n") == b"after\n"


def test_a_mapping_to_this_host_opens_its_port_and_no_other(lab: Lab) -> None:
    words = {"plain": ("tcp", "7000", PUBLIC), "udp": ("udp", "22", PUBLIC), "other": ("tcp", "8080", f"{PUBLIC}:80")}
    on(lab)
    with running(lab, GATEWAY, SERVE, *PORTS):
        for protocol, external, target in words.values():
            with mapped(lab, "own", protocol, external, target, "--connection", "wan0"):
                assert answers(lab, INTERNET, PUBLIC, *PORTS, 8080) == {f"{protocol}/{external}"}
                assert answers(lab, INTERNET, PUBLIC6, *PORTS, 8080) == set()
            assert answers(lab, INTERNET, PUBLIC, *PORTS, 8080) == set()


def test_a_hole_stays_when_the_firewall_is_set_anew_and_sharing_comes_and_goes(lab: Lab) -> None:
    on(lab)
    with running(lab, GATEWAY, SERVE, 80), mapped(lab, "own", "tcp", "8080", f"{PUBLIC}:80", "--connection", "wan0"):
        for words in (
            ("firewall", "set", "wan0", "--log-dropped"),
            ("share", "wan0", "lan0"),
            ("firewall", "off", "wan0"),
            ("firewall", "on", "wan0"),
        ):
            inhabited.run(lab, *words)
            closed = set() if words[1] != "off" else {"tcp/80", "udp/80"}
            assert answers(lab, INTERNET, PUBLIC, 80, 8080) == {"tcp/8080"} | closed, words
        assert switch(lab, "wan0", "DisableSharing")
        assert answers(lab, INTERNET, PUBLIC, 80, 8080) == set()  # with its role a connection loses its mappings
        inhabited.run(lab, "map", "enable", "own")
        assert answers(lab, INTERNET, PUBLIC, 80, 8080) == {"tcp/8080"}


# ------------------------------------------------------------------------------------------- beside sharing, and repair


def test_the_firewall_of_another_connection_is_its_own(lab: Lab) -> None:
    with running(lab, GATEWAY, SERVE, 22):
        inhabited.run(lab, "share", "wan0", "lan0")
        on(lab, interface="wan1")
        assert answers(lab, INTERNET, SECOND, 22) == answers(lab, INTERNET, PUBLIC, 22) == set()
        inhabited.run(lab, "firewall", "off", "wan0")
        assert (answers(lab, INTERNET, SECOND, 22), len(answers(lab, INTERNET, PUBLIC, 22))) == (set(), 2)
        assert page(lab, "c0", str(WEB_ADDRESS)) == PUBLIC
        inhabited.run(lab, "firewall", "on", "wan0")
        assert switch(lab, "wan0", "DisableSharing")  # and its firewall stays on
        assert answers(lab, INTERNET, SECOND, 22) == answers(lab, INTERNET, PUBLIC, 22) == set()
        assert not switch(lab, "wan0", "DisableInternetFirewall")
        assert len(answers(lab, INTERNET, PUBLIC, 22)) == 2


@pytest.mark.parametrize(
    "harm",
    [
        "delete table inet icshare_firewall",
        "flush table inet icshare_firewall",
        "flush chain inet icshare_firewall inbound",
        "insert rule inet icshare_firewall inbound accept",
    ],
)
def test_switching_it_on_again_mends_what_others_took_away(lab: Lab, harm: str) -> None:
    with running(lab, GATEWAY, SERVE, 22), running(lab, INTERNET, TALK, PUBLIC, 22) as old:
        on(lab, "--icmp", "inbound-echo-request", "--log-dropped")
        with mapped(lab, "own", "udp", "22", PUBLIC, "--connection", "wan0"):
            pid = log_process(lab)
            output(lab, GATEWAY, "nft", harm)
            output(lab, GATEWAY, "kill", "-9", str(pid))
            assert "tcp/22" in answers(lab, INTERNET, PUBLIC, 22)
            inhabited.run(lab, "firewall", "on", "wan0")
            assert answers(lab, INTERNET, PUBLIC, 22) == {"udp/22"}
            assert talk(old, b"still\n") == b"still\n"
            assert log_process(lab) != pid
            assert output(lab, INTERNET, "ping", "-c", "1", "-W", "5", PUBLIC)


@pytest.mark.parametrize(
    ("interface", "why"),
    [("lan0", "it is a private connection"), ("br9", "it is a bridge"), ("port9", "it is a member of a bridge")],
)
def test_where_no_firewall_may_be_it_is_refused_with_the_reason(lab: Lab, interface: str, why: str) -> None:
    for line in (
        "link add br9 type bridge",
        "link add port9 type veth peer name far9",
        "link set port9 master br9 up",
        "link set br9 up",
    ):
        output(lab, GATEWAY, "ip", *line.split())
    try:
        inhabited.run(lab, "share", "wan0", "lan0")
        refused = icshare_command(lab, "firewall", "on", interface)
        assert refused.returncode != 0
        assert why in refused.stderr
        assert interface not in output(lab, GATEWAY, "nft", "list", "table", "inet", "icshare_firewall")
    finally:
        for link in ("br9", "port9"):
            output(lab, GATEWAY, "ip", "link", "del", link)


def test_status_tells_what_is_on_and_what_is_missing(lab: Lab) -> None:
    on(lab, "--icmp", "redirect", "--log-opened")
    told = {one["interface"]: one for one in document(lab, "firewall", "status")["firewalls"]}
    assert told["wan0"]["on"] is told["wan0"]["in_force"] is True
    assert (told["wan0"]["icmp"], told["wan0"]["log_dropped"], told["wan0"]["log_opened"]) == (
        ["redirect"],
        False,
        True,
    )
    assert told["wan1"]["on"] is False


# ---------------------------------------------------------------------------------------------------------------- kills


@pytest.mark.parametrize("what", ["on", "off"])
@pytest.mark.parametrize("shared", [False, True], ids=["not shared", "shared"])
def test_killed_after_any_change_stop_leaves_nothing(
    lab: Lab, built: tuple[Lab, traces.Traces], what: str, *, shared: bool
) -> None:
    _, before = built
    for number in itertools.count(1):
        if shared:
            inhabited.run(lab, "share", "--no-firewall", "wan0", "lan0")
        if what == "off":
            on(lab, "--log-dropped", "--log-opened")
        argv = [sys.executable, "-c", KILLED, str(Path(victim.__file__).parent), str(number), what]
        done = lab.run(GATEWAY, argv, env=inhabited.ENVIRONMENT, check=False, timeout=60)
        inhabited.run(lab, "stop")
        forget(lab, LOG)
        assert_unchanged(lab, before)
        if done.returncode != -signal.SIGKILL:
            assert done.returncode == 0, done.stderr
            assert number > 2
            return


# ------------------------------------------------------------------------------------------------------------- the log


def log_process(lab: Lab) -> int:
    return int(lab.path(GATEWAY, "/run/icshare/firewall-log.pid").read_text())


def lines(lab: Lab) -> list[dict[str, str]]:
    """Return the log's lines by field."""
    path = lab.path(GATEWAY, LOG)
    text = path.read_text() if path.exists() else HEADER
    assert text.startswith(HEADER)
    return [dict(zip(FIELDS, line.split(" "), strict=True)) for line in text.removeprefix(HEADER).splitlines()]


def logged(lab: Lab, **fields: Any) -> dict[str, str]:
    """Wait for a line with such *fields* (``_`` for ``-``); return it.

    The kernel looks for connections whose time is over once a minute, or when somebody lists them.
    """
    wanted = {name.replace("_", "-"): str(value) for name, value in fields.items()}
    found: list[dict[str, str]] = []

    def there() -> bool:
        if fields["action"] == "CLOSE":
            output(lab, GATEWAY, "conntrack", "-L")
        found[:] = [line for line in lines(lab) if wanted.items() <= line.items()]
        return bool(found)

    inhabited.wait_for(there, f"{wanted} is not in the log: {json.dumps(lines(lab)[-20:], indent=1)}")
    return found[-1]


def test_the_log_tells_what_was_dropped_opened_and_closed(lab: Lab) -> None:
    inhabited.run(lab, "share", "wan0", "lan0")
    on(lab, "--log-dropped", "--log-opened")
    with (
        running(lab, GATEWAY, SERVE, 80),
        running(lab, "c0", SERVE, 7000),
        mapped(lab, "own", "tcp", "8080", f"{PUBLIC}:80"),
        mapped(lab, "client", "tcp", "7001", "192.168.137.10:7000"),
    ):
        assert knock(lab, PUBLIC, 23) == "closed"
        dropped = logged(lab, action="DROP", protocol="TCP", dst_port=23)
        assert dropped["src-ip"] == str(UPLINK_ROUTER)
        assert (dropped["dst-ip"], dropped["tcpflags"], dropped["path"]) == (PUBLIC, "S", "RECEIVE")
        lab.run(INTERNET, ["ping", "-c", "1", "-W", "1", PUBLIC6], check=False)
        assert logged(lab, action="DROP", protocol="58", icmptype=128)["src-ip"] == ROUTER6
        for node, source in ((GATEWAY, PUBLIC), ("c0", "192.168.137.10")):
            page(lab, node, str(WEB_ADDRESS))
            opened = logged(lab, action="OPEN", protocol="TCP", src_ip=source, dst_ip=WEB_ADDRESS, dst_port=80)
            assert opened["src-port"].isdigit()
        assert answers(lab, INTERNET, PUBLIC, 8080) == {"tcp/8080"}
        inbound = logged(lab, action="OPEN-INBOUND", protocol="TCP", dst_ip=PUBLIC, dst_port=80)
        assert set(inbound.values()) >= {"-"}
        for timeout in ("time_wait", "close", "fin_wait", "last_ack", "close_wait"):
            output(lab, GATEWAY, "busybox", "sysctl", "-qw", f"net.netfilter.nf_conntrack_tcp_timeout_{timeout}=1")
        try:
            assert answers(lab, INTERNET, PUBLIC, 8080) == {"tcp/8080"}
            closed = logged(lab, action="CLOSE", protocol="TCP", dst_ip=PUBLIC, dst_port=80)
            assert closed["src-ip"] == str(UPLINK_ROUTER)
        finally:
            defaults = {"time_wait": 120, "close": 10, "fin_wait": 120, "last_ack": 30, "close_wait": 60}
            for timeout, value in defaults.items():
                setting = f"net.netfilter.nf_conntrack_tcp_timeout_{timeout}={value}"
                output(lab, GATEWAY, "busybox", "sysctl", "-qw", setting)
    pid = log_process(lab)
    inhabited.run(lab, "firewall", "set", "wan0", "--no-log-dropped", "--no-log-opened")
    assert lab.path(GATEWAY, LOG).read_text().startswith(HEADER)
    assert not is_running(pid)


def test_only_what_is_asked_for_is_logged(lab: Lab) -> None:
    on(lab, "--log-opened")
    knock(lab, PUBLIC, 23)
    page(lab, GATEWAY, str(WEB_ADDRESS))
    logged(lab, action="OPEN", dst_ip=WEB_ADDRESS)
    assert {line["action"] for line in lines(lab)} <= {"OPEN", "CLOSE"}
    inhabited.run(lab, "firewall", "set", "wan0", "--no-log-opened", "--log-dropped")
    count = len(lines(lab))
    page(lab, GATEWAY, str(WEB_ADDRESS))
    knock(lab, PUBLIC, 24)
    logged(lab, action="DROP", dst_port=24)
    assert {line["action"] for line in lines(lab)[count:]} == {"DROP"}


def is_running(pid: int) -> bool:
    state = read_state(pid)
    return state is not None and state.letter != "Z"
