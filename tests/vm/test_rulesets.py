"""Rulesets in a kernel that has all of nftables: what the development kernel cannot load is loaded here, and used."""

import contextlib
import fcntl
import os
import re
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.vm import hardware
from tests.vm.conftest import MakeNode, Modprobe
from tests.vm.nodes import LINE, LINE_ROUTER, Node, address_line, connect, lease, page

from icshare.host import command
from icshare.host.nft import Nftables
from icshare.lab import ECHO_ADDRESS, ECHO_PORT

GOLDEN = Path(__file__).parents[1] / "golden"
_HANDLE = re.compile(r" # handle [0-9]+$", re.MULTILINE)
_NAME = re.compile(r'[io]ifname "([^"*]+)"|"([^"*]+)"(?=[,} .])')
_PPPIOCNEWUNIT = 0xC004743E
_ANSWER_SECONDS = 20.0


# ------------------------------------------------------------------------------------------------- golden rulesets


@pytest.fixture(scope="module")
def inhabited() -> Iterator[Node]:
    """Give a node with the links that golden rulesets name, each of the kind that its name stands for."""
    command.run(["modprobe", "--all", "ppp_generic", "tun", "wireguard", "8021q", "dummy"])
    node = Node("golden")
    with contextlib.ExitStack() as held:
        held.callback(node.close)
        unit = os.open("/dev/ppp", os.O_RDWR | os.O_CLOEXEC)
        held.callback(os.close, unit)
        with node.network():
            assert struct.unpack("i", fcntl.ioctl(unit, _PPPIOCNEWUNIT, struct.pack("i", 0))) == (0,)
        for words in (
            "tun0 type wireguard",
            "wan0 type dummy",
            "lan0 type bridge",
            "lan1 type dummy",
            "lan2 type dummy",
            "ics-br0 type bridge",
            "virbr0 type bridge",
            "wwan0 link wan0 type vlan id 7",
            "wwan1 link wan0 type vlan id 8",
            "wg0 type wireguard",
            "wlan0 type dummy",
            "ics-ap0 type dummy",
            "ics-ap1 type dummy",
            "ppp-fibre type dummy",
            "sl0 type dummy",
        ):
            node.ip("link", "add", *words.split())
        yield node


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir()))
def test_a_golden_ruleset_loads_beside_links_of_its_names(inhabited: Node, name: str) -> None:
    ruleset = (GOLDEN / name / "ruleset.nft").read_text()
    named = {one for found in _NAME.findall(ruleset) for one in found if one and not one.startswith("unanswered_")}
    assert named - {one["ifname"] for one in inhabited.ip_json("link")} <= {"ftp", "tftp", "sip", "pptp"}
    with inhabited.network(), Nftables() as nft:
        nft.load(f"flush ruleset\n{ruleset}")
        first = nft.list_text()
        nft.load(ruleset)
        assert _HANDLE.sub("", nft.list_text()) == _HANDLE.sub("", first)


_WIDE = """
table inet wide {
    chain input {
        type filter hook input priority 0;
        iifname "ppp*" icmp type echo-reply counter
    }
}
"""


def test_a_name_that_stands_for_many_matches_packets_of_ppp(make_node: MakeNode, modprobe: Modprobe) -> None:
    """Rules of others match ``ppp*``, as ours match ``ppp0``."""
    modprobe("ppp_async")
    near, far = make_node("near"), make_node("far")
    near.start("socat", "PTY,link=/run/rules-near,raw,echo=0", "PTY,link=/run/rules-far,raw,echo=0")
    hardware.wait_for(Path("/run/rules-far").exists, "there is a line")
    with near.network(), Nftables() as nft:
        nft.load(_WIDE)
    line = ("115200", "local", "nocrtscts", "noauth", "nodetach", "noccp", "novj", "nodefaultroute")
    far.start("pppd", "/run/rules-far", *line, "198.51.100.1:198.51.100.2", "silent", "unit", "8")
    near.start("pppd", "/run/rules-near", *line, "noipdefault", until="remote IP address")
    near.run("ping", "-c", "3", "-i", "0.2", "198.51.100.1")
    with near.network(), Nftables() as nft:
        assert "counter packets 3 " in nft.list_text()


# ------------------------------------------------------------------------------------------------------ flowtables

_FLOWTABLE = """
table inet fast {
    flowtable shortcut { hook ingress priority filter; devices = { lan0, eth0 }; counter; }
    chain forward {
        type filter hook forward priority filter + 10; policy accept;
        ct state established flow add @shortcut
    }
}
"""


@pytest.fixture
def shared(isp: Node, gateway: Node, client: Node) -> Node:
    """Give the gateway with its connection shared, and a client that has an address."""
    connect(isp, "line0", gateway, "eth0")
    address_line(isp, "line0", gateway, "eth0")
    gateway.document("share", "eth0", "lan0")
    lease(client, "eth0")
    return gateway


@pytest.fixture
def shortcut(shared: Node, modprobe: Modprobe) -> Node:
    """Give the same gateway with somebody's flowtable beside our table."""
    modprobe("nf_flow_table_inet", "nft_flow_offload")
    with shared.network(), Nftables() as nft:
        nft.load(_FLOWTABLE)
    return shared


@contextlib.contextmanager
def conversation(client: Node) -> Iterator[socket.socket]:
    """Give a connection of the client to the Internet's echo server."""
    with client.network():
        connection = socket.create_connection((str(ECHO_ADDRESS), ECHO_PORT), timeout=_ANSWER_SECONDS)
    with connection:
        assert connection.recv(64).startswith(f"{LINE.ip} ".encode())  # it says first who we are
        yield connection


def echo(connection: socket.socket, times: int = 4) -> None:
    """Say something a few times, and hear it."""
    for number in range(times):
        said = f"{number}\n".encode()
        connection.sendall(said)
        assert connection.recv(64) == said


def tracked(node: Node) -> list[str]:
    """Return the lines of connection tracking about the echo server."""
    table = node.run("cat", "/proc/net/nf_conntrack").stdout
    return [line for line in table.splitlines() if f"dst={ECHO_ADDRESS} " in line and f"dport={ECHO_PORT} " in line]


def test_a_forwarded_connection_takes_the_short_cut(shortcut: Node, client: Node) -> None:
    outside = shortcut.capture("eth0")
    with conversation(client) as connection:
        echo(connection)
        (line,) = tracked(shortcut)
        assert "[OFFLOAD]" in line
        before = _packets(shortcut)
        outside.lines()
        echo(connection)
        # Our chains see no more of it, and it leaves under our address as before.
        assert _packets(shortcut) == before
        seen = outside.lines()
        assert any(one.startswith(f"{LINE.ip}:") or f" {LINE.ip}:" in one for one in seen)
        assert not [one for one in seen if "192.168." in one]
    assert page(client) == str(LINE.ip)


def _packets(node: Node) -> list[str]:
    """Return the counters of our own table."""
    with node.network(), Nftables() as nft:
        nft_text = nft.list_text()
    return re.findall(r"counter packets \d+ bytes \d+", nft_text.partition("table inet fast")[0])


@pytest.mark.usefixtures("shortcut")
def test_what_may_not_come_in_does_not_beside_a_flowtable(client: Node, isp: Node) -> None:
    (found,) = client.ip_json("-4", "address", "show", "dev", "eth0")
    address = found["addr_info"][0]["local"]
    with client.network():
        service = socket.create_server(("", 8080))
    with service, conversation(client) as connection:
        echo(connection)
        isp.ip("route", "add", f"{address}/32", "via", str(LINE.ip))
        for target in (address, str(LINE.ip)):
            with isp.network(), socket.socket() as stranger:
                stranger.settimeout(2)
                with pytest.raises(OSError, match=r"timed out|refused|unreachable"):
                    stranger.connect((target, 8080))
        echo(connection)


def test_nothing_leaves_by_another_link_beside_a_flowtable(shortcut: Node, client: Node, make_node: MakeNode) -> None:
    """The kernel takes a connection off the short cut when its link goes; then our chains hold it."""
    other = make_node("other")
    connect(other, "line1", shortcut, "eth1")
    shortcut.ip("address", "add", "198.51.100.2/24", "dev", "eth1")
    shortcut.ip("route", "add", "default", "via", "198.51.100.1", "metric", "900")
    shortcut.ip("neighbour", "add", "198.51.100.1", "lladdr", "02:00:00:00:00:01", "dev", "eth1")
    elsewhere = shortcut.capture("eth1")
    with conversation(client) as connection:
        echo(connection)
        shortcut.ip("link", "set", "eth0", "down")
        connection.settimeout(3)
        with pytest.raises(OSError):  # noqa: PT011 - timed out, or told that there is no route: both will do
            echo(connection)
        assert client.run("ping", "-c", "1", "-W", "2", str(ECHO_ADDRESS), check=False).returncode != 0
    assert [line for line in elsewhere.lines() if "192.168." in line or str(ECHO_ADDRESS) in line] == []


def test_stop_ends_what_is_on_the_short_cut(shortcut: Node, client: Node) -> None:
    """A flowtable forwards past our chains, and past the switch of forwarding too: connections have to be ended."""
    with conversation(client) as connection:
        echo(connection)
        shortcut.document("stop")
        connection.settimeout(3)
        with pytest.raises(OSError):  # noqa: PT011 - timed out, or told that there is no route: both will do
            echo(connection)
    with shortcut.network(), Nftables() as nft:
        assert "icshare" not in nft.list_text()
        assert "flowtable shortcut" in nft.list_text()


# ----------------------------------------------------------------------------------------------------- cake, helpers


def test_sharing_leaves_cake_where_it_is(shared: Node, client: Node, modprobe: Modprobe) -> None:
    modprobe("sch_cake")
    cake = ("tc", "qdisc", "replace", "dev", "eth0", "root", "cake", "bandwidth", "50mbit", "nat", "dual-srchost")
    shared.run(*cake)
    before = shared.run("tc", "qdisc", "show", "dev", "eth0").stdout
    assert before.startswith("qdisc cake ")
    assert page(client) == str(LINE.ip)
    sent = re.search(r"Sent (\d+) bytes", shared.run("tc", "-s", "qdisc", "show", "dev", "eth0").stdout)
    assert sent is not None
    assert int(sent[1]) > 0
    shared.document("stop")
    assert shared.run("tc", "qdisc", "show", "dev", "eth0").stdout == before


def test_an_alg_rewrites_what_a_client_says_of_itself(isp: Node, gateway: Node, client: Node) -> None:
    """Active FTP: the address in a PORT command is the client's own, and has to be ours outside.

    Connection tracking loads its half of a helper on demand; the half that rewrites is another module, which nothing
    but a rule of iptables asks for. Where both are built in, as in the kernel that the other tests run on, nobody sees.
    """
    settings = gateway.file("/etc/icshare/icshare.toml")
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text('[sharing]\nhelpers = ["ftp", "tftp", "sip", "pptp"]\n')
    connect(isp, "line0", gateway, "eth0")
    address_line(isp, "line0", gateway, "eth0")
    gateway.document("share", "eth0", "lan0")
    own = IPv4Address(lease(client, "eth0"))
    with isp.network():
        server = socket.create_server(("", 21))
    server.settimeout(_ANSWER_SECONDS)
    with server:
        with client.network():
            caller = socket.create_connection((str(LINE_ROUTER), 21), timeout=_ANSWER_SECONDS)
        called, _ = server.accept()
    with caller, called:
        called.settimeout(_ANSWER_SECONDS)
        called.sendall(b"220 ready\r\n")
        caller.recv(64)
        caller.sendall(b"USER anonymous\r\n")  # connection tracking looks at what begins after the end of a line
        called.recv(64)
        caller.sendall(f"PORT {str(own).replace('.', ',')},200,1\r\n".encode())
        assert called.recv(64).startswith(f"PORT {str(LINE.ip).replace('.', ',')},".encode())


# ----------------------------------------------------------------------------------------------------------- doctor


def test_doctor_tells_what_this_kernel_has(gateway: Node) -> None:
    told = {one["name"]: one for one in gateway.document("doctor")["checks"]}
    assert told["nftables"]["grade"] == "ok"
    assert told["fast path"]["text"] == "this kernel runs the fast path's programs"
    assert "helpers" not in told
