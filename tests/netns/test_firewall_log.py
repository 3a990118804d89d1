"""The firewall's log from real packets: a gateway with logging rules, a stranger who knocks."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import icshare
from icshare.host import command
from icshare.host.command import Completed
from icshare.host.processes import read_state
from icshare.render.logsettings import LogSettings, log_configuration
from icshare.render.w3clog import HEADER

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("lab_allowed")]

_ENVIRONMENT = {"PYTHONPATH": str(Path(icshare.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
FIELDS = HEADER.splitlines()[3].removeprefix("#Fields: ").split()

RULES = """
table inet firewall {
    chain input {
        type filter hook input priority filter; policy drop
        iifname "lo" accept
        ct state established accept
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
        udp dport 7 ct state new log group 1370 prefix "icshare OPEN-INBOUND" accept
        tcp dport 22 ct state new log group 1370 prefix "icshare OPEN-INBOUND" accept
        udp dport 9 log group 1370 prefix "else" drop
        tcp dport { 1000-2000 } log group 1370 prefix "icshare DROP" drop
        udp dport { 1000-2000 } log group 1370 prefix "icshare DROP" drop
        icmp type echo-request log group 1370 prefix "icshare DROP" drop
        icmpv6 type echo-request log group 1370 prefix "icshare DROP" drop
    }
    chain output {
        type filter hook output priority filter; policy accept
        oifname "eth0" udp dport 53 log group 1370 prefix "icshare DROP" drop
    }
}
"""
# Runs a method of the service; prints what it gives as JSON.
SERVICE = """
import json, sys
from pathlib import Path
from icshare.errors import IcshareError
from icshare.host.logservice import LogService
service = LogService(Path(sys.argv[1]))
try:
    print(json.dumps(getattr(service, sys.argv[2])(*sys.argv[3:])))
except IcshareError as error:
    print(f"{error} | {error.hint}", file=sys.stderr)
    sys.exit(1)
"""
SEND = """
import socket, sys
one = socket.socket(type=socket.SOCK_DGRAM)
for number in range(int(sys.argv[3])):
    try:
        one.sendto(b"hello", (sys.argv[1], int(sys.argv[2])))
    except PermissionError:
        pass
"""
# Ends every connection.
FORGET = """
from icshare.host.netlink import NetlinkSocket
from icshare.wire.conntrack import NETLINK_NETFILTER, delete_entry, dump_entries, parse_entry
with NetlinkSocket(NETLINK_NETFILTER) as netlink:
    for message in netlink.dump(dump_entries()):
        netlink.request(delete_entry(parse_entry(message.payload)))
"""
# Begins, and is stopped before its number is written down; prints that number.
STOPPED = """
import os, sys
from pathlib import Path
from icshare.host import firewall_log, privileges
become, fork = privileges.become, os.fork
def stopped(*account):
    Path(sys.argv[1]).unlink()  # as who stops it does first
    become(*account)
def told():
    pid = fork()
    if pid:
        print(pid, flush=True)
    return pid
privileges.become, os.fork = stopped, told
sys.exit(firewall_log.main(sys.argv[1:]))
"""
CONNECT = """
import socket, sys
one = socket.socket()
one.settimeout(0.3)
try:
    one.connect((sys.argv[1], int(sys.argv[2])))
    print("connected")
except OSError:
    print("nothing")
"""


class Gateway:
    """A gateway and a stranger, with a log service on the gateway."""

    def __init__(self, name: str, directory: Path, stack: ExitStack) -> None:
        self._names = {"gateway": f"{name}-gateway", "stranger": f"{name}-stranger"}
        self.run_directory = directory / "run"
        self.run_directory.mkdir()
        self.log = directory / "log" / "pfirewall.log"
        for namespace in self._names.values():
            command.run(["ip", "netns", "add", namespace])
            stack.callback(command.run, ["ip", "netns", "del", namespace])
        stack.callback(self.service, "stop")
        first, second = self._names.values()
        command.run(f"ip link add eth0 netns {first} type veth peer name eth0 netns {second}".split())
        for node, number in (("gateway", 1), ("stranger", 2)):
            for words in (
                "link set lo up",
                f"address add 203.0.113.{number}/24 dev eth0",
                f"address add 2001:db8::{number}/64 dev eth0 nodad",
                "link set eth0 up",
            ):
                self.run(node, "ip", *words.split())
        self.run("gateway", "nft", "-f", "-", text=RULES)

    def run(self, node: str, *argv: str, text: str | None = None, check: bool = True) -> Completed:
        whole = ["ip", "netns", "exec", self._names[node], *argv]
        return command.run(whole, input=text, env=_ENVIRONMENT, timeout=60, check=check)

    def python(self, node: str, program: str, *arguments: str) -> str:
        return self.run(node, sys.executable, "-c", program, *arguments).stdout

    def service(self, *words: str) -> Any:
        return json.loads(self.python("gateway", SERVICE, str(self.run_directory), *words))

    def start(self, **settings: Any) -> None:
        self.service("start", self.configuration(**settings))

    def configuration(self, **settings: Any) -> str:
        return log_configuration(LogSettings(**{"path": str(self.log), **settings}))

    def pid(self) -> int:
        return int((self.run_directory / "firewall-log.pid").read_text())

    def lines(self, *, old: bool = False) -> list[dict[str, str]]:
        """Return the log's lines by field."""
        path = self.log.with_name("pfirewall.log.old") if old else self.log
        text = path.read_text() if path.exists() else ""  # just put aside, and not yet begun anew
        assert text.startswith(HEADER[: len(text)])
        body = text.removeprefix(HEADER).splitlines()
        return [dict(zip(FIELDS, line.split(" "), strict=True)) for line in body]

    def await_lines(self, wanted: Callable[[list[dict[str, str]]], bool]) -> list[dict[str, str]]:
        """Wait until the log is as wanted: the kernel hands packets over whenever it likes."""
        deadline = time.monotonic() + 10
        while not wanted(self.lines()):
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.01)
        return self.lines()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with ExitStack() as stack:
        yield Gateway(f"fl{os.getpid()}", tmp_path, stack)


def values(line: dict[str, str], *names: str) -> tuple[str, ...]:
    return tuple(line[name] for name in names)


def test_dropped_packets_are_written_down_in_full(gateway: Gateway) -> None:
    gateway.start()
    assert gateway.lines() == []
    assert gateway.python("stranger", CONNECT, "203.0.113.1", "1001") == "nothing\n"
    gateway.python("stranger", SEND, "203.0.113.1", "1002", "1")
    gateway.python("stranger", SEND, "203.0.113.1", "9", "1")  # logged by somebody else's rule
    gateway.run("stranger", "ping", "-c1", "-W1", "203.0.113.1", check=False)
    gateway.run("stranger", "ping", "-c1", "-W1", "2001:db8::1", check=False)
    gateway.python("gateway", SEND, "203.0.113.2", "53", "1")
    lines = gateway.await_lines(lambda lines: any(line["path"] == "SEND" for line in lines))
    tcp, udp, icmp, icmpv6, sent = lines
    assert {line["action"] for line in lines} == {"DROP"}
    assert values(tcp, "protocol", "src-ip", "dst-ip", "dst-port", "tcpflags", "tcpack", "path") == (
        *("TCP", "203.0.113.2", "203.0.113.1", "1001", "S", "0", "RECEIVE"),
    )
    assert tcp["src-port"].isdigit()
    assert tcp["tcpwin"].isdigit()
    assert values(udp, "protocol", "dst-port", "size", "tcpflags", "path") == ("UDP", "1002", "33", "-", "RECEIVE")
    assert values(icmp, "protocol", "icmptype", "icmpcode", "size") == ("ICMP", "8", "0", "84")
    assert values(icmpv6, "protocol", "src-ip", "icmptype") == ("58", "2001:db8::2", "128")
    assert values(sent, "src-ip", "dst-ip", "dst-port", "path") == ("203.0.113.1", "203.0.113.2", "53", "SEND")


def test_an_opened_connection_is_written_down_once_and_its_end(gateway: Gateway) -> None:
    gateway.start()
    gateway.python("stranger", SEND, "203.0.113.1", "7", "3")
    (opened,) = gateway.await_lines(lambda lines: len(lines) == 1)
    gateway.run("gateway", "sysctl", "-qw", "net.netfilter.nf_conntrack_udp_timeout=1")
    gateway.python("stranger", SEND, "203.0.113.1", "7", "1")
    lines = gateway.await_lines(lambda lines: len(lines) > 1 and lines[-1]["dst-port"] == "7")
    assert values(opened, "action", "protocol", "dst-ip", "dst-port", "size", "path") == (
        *("OPEN-INBOUND", "UDP", "203.0.113.1", "7", "-", "-"),
    )
    assert lines[0] == opened
    gateway.python("gateway", FORGET)
    lines = gateway.await_lines(lambda lines: [line["action"] for line in lines].count("CLOSE") == 2)
    for field in set(FIELDS[3:]) - {"src-port"}:
        assert lines[-1][field] == lines[-2][field]


def test_a_full_log_is_put_aside(gateway: Gateway) -> None:
    gateway.start(limit=32_768)
    gateway.python("stranger", SEND, "203.0.113.1", "1500", "600")
    gateway.await_lines(lambda _: gateway.log.with_name("pfirewall.log.old").exists())
    gateway.service("stop")
    assert gateway.log.stat().st_size <= 32_768
    old = gateway.lines(old=True)
    assert {line["dst-port"] for line in [*old, *gateway.lines()]} == {"1500"}
    assert gateway.log.with_name("pfirewall.log.old").stat().st_size <= 32_768


def test_what_was_lost_is_counted(gateway: Gateway) -> None:
    gateway.start(opened=False)
    os.kill(gateway.pid(), signal.SIGSTOP)
    try:
        gateway.python("stranger", SEND, "203.0.113.1", "1500", "20000")
    finally:
        os.kill(gateway.pid(), signal.SIGCONT)
    gateway.await_lines(lambda lines: len(lines) > 100)
    gateway.python("stranger", SEND, "203.0.113.1", "1501", "1")
    lines = gateway.await_lines(lambda lines: lines[-1]["dst-port"] == "1501")
    (lost,) = [line for line in lines if line["action"] == "INFO-EVENTS-LOST"]
    assert int(lost["info"]) + len(lines) - 2 == 20000
    gateway.service("stop")
    assert gateway.lines() == lines


def test_what_was_lost_at_the_very_end_is_told_without_a_number(gateway: Gateway) -> None:
    gateway.start(opened=False)
    os.kill(gateway.pid(), signal.SIGSTOP)
    try:
        gateway.python("stranger", SEND, "203.0.113.1", "1500", "20000")
    finally:
        os.kill(gateway.pid(), signal.SIGCONT)
    gateway.service("stop")
    assert values(gateway.lines()[-1], "action", "info") == ("INFO-EVENTS-LOST", "-")


def test_the_writer_keeps_no_privilege_and_outlives_who_started_it(gateway: Gateway) -> None:
    gateway.start()
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{gateway.pid()}/status").read_text().splitlines() if ":\t" in line
    )
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    if Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]:
        assert set(status["Uid"].split()) == {"65534"}
        assert status["Groups"].strip() == ""
        assert gateway.log.stat().st_uid == gateway.log.parent.stat().st_uid == 65534
        assert gateway.log.stat().st_mode & 0o777 == 0o640


def test_it_is_found_again_replaced_and_stopped_without_a_trace(gateway: Gateway) -> None:
    assert gateway.service("running") is None
    gateway.service("stop")
    gateway.start()
    first, digest = gateway.pid(), gateway.service("running")
    gateway.start()
    assert (gateway.pid(), gateway.service("running")) == (first, digest)
    gateway.start(limit=8192)
    assert gateway.pid() != first
    assert gateway.service("running") not in {digest, None}
    assert not lives(first)
    assert sorted(path.suffix for path in gateway.run_directory.iterdir()) == [".json", ".pid"]
    last = gateway.pid()
    gateway.service("stop")
    assert gateway.service("running") is None
    assert not lives(last)
    assert list(gateway.run_directory.iterdir()) == []
    assert gateway.log.exists()


def test_one_that_is_stopped_while_it_begins_does_not_stay(gateway: Gateway) -> None:
    path = gateway.run_directory / "firewall-log-0.json"
    path.write_text(gateway.configuration())
    done = gateway.run("gateway", sys.executable, "-c", STOPPED, str(path), check=False)
    assert (done.returncode, done.stderr) == (1, "it was stopped while it began\n")
    deadline = time.monotonic() + 10
    while lives(int(done.stdout)):
        assert time.monotonic() < deadline, "it stays"
        time.sleep(0.01)


def test_a_log_that_is_taken_away_is_begun_anew(gateway: Gateway) -> None:
    gateway.start()
    gateway.log.unlink()
    gateway.python("stranger", SEND, "203.0.113.1", "1500", "1")
    gateway.await_lines(lambda lines: len(lines) == 1)


def test_why_it_does_not_start_is_told(gateway: Gateway) -> None:
    foreign = gateway.run_directory.parent / "foreign"
    foreign.mkdir(mode=0o755)
    if Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]:
        assert "belongs to user 0, not to user 65534" in refusal(gateway, path=str(foreign / "log"))
    assert "cannot open the log directory" in refusal(gateway, path="/nowhere/at/all/log")
    assert list(gateway.run_directory.iterdir()) == []
    gateway.start()
    other = gateway.run_directory.with_name("other")
    other.mkdir()
    gateway.run_directory, whole = other, gateway.run_directory
    assert "group 1370 of the packet log belongs to another program" in refusal(gateway)
    gateway.run_directory = whole


def refusal(gateway: Gateway, **settings: Any) -> str:
    """Start a service that cannot start; return its words."""
    with pytest.raises(command.CommandError) as caught:
        gateway.start(**settings)
    return caught.value.output


def lives(pid: int) -> bool:
    state = read_state(pid)
    return state is not None and state.letter != "Z"
