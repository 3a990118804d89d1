"""PPPoE as the public connection: a real pppd and a real pppoe-server, with the Internet behind it."""

import contextlib
import re
import sys
import time
from pathlib import Path

import pytest
from tests.vm.conftest import Modprobe
from tests.vm.nodes import LINE, LINE_ROUTER, Daemon, Node, connect, lease, page

import icshare
from icshare.host import command
from icshare.host.nft import Nftables
from icshare.lab import DNS_ADDRESS, WEB_ADDRESS, Lab
from icshare.lab.plan import ZONE
from icshare.netcon import INetConnection, NetSharingManager

LARGE = 1_200_000
LARGE_PAGE = f"http://{WEB_ADDRESS}/bytes/{LARGE}"

OPTIONS = f"""\
require-chap
ms-dns {DNS_ADDRESS}
mtu 1492
mru 1492
noccp
novj
lcp-echo-interval 2
lcp-echo-failure 3
"""

PEER = """\
plugin rp-pppoe.so
nic-dsl0
user "{user}"
noauth
noipdefault
defaultroute
usepeerdns
mtu 1492
mru 1492
noccp
novj
holdoff 1
pppoe-padi-attempts 1
"""

# Takes everything that tells a sender to make its packets smaller: a path-MTU black hole.
BLACK_HOLE = """
table inet hole {
    chain output { type filter hook output priority 0; icmp type destination-unreachable drop; }
    chain forward { type filter hook forward priority 0; icmp type destination-unreachable drop; }
}
"""


def peer(node: Node, name: str, *, user: str = "alice", more: str = "") -> None:
    """Write a peer's file."""
    directory = node.file("/etc/ppp/peers")
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(PEER.format(user=user) + more)


def secrets(node: Node, *lines: str) -> None:
    """Write names and passwords."""
    path = node.file("/etc/ppp/chap-secrets")
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o600)


def pppds(node: Node) -> list[str]:
    """Return the command lines of all pppds on a node."""
    pids = command.run(["ip", "netns", "pids", node.name]).stdout.split()
    lines = []
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # some end while we look
            lines.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode())
    return [line for line in lines if line.startswith(("pppd", "/usr/sbin/pppd"))]


def left(node: Node) -> tuple[list[str], list[str], list[str]]:
    """Return what there is of PPP on a node: processes, links, pid files of ours."""
    links = [one["ifname"] for one in node.ip_json("link") if one["link_type"] == "ppp"]
    return pppds(node), links, sorted(path.name for path in Path("/run").glob("ppp*icshare*.pid"))


NOTHING: tuple[list[str], list[str], list[str]] = ([], [], [])


def listed(node: Node, name: str) -> dict[str, str]:
    """Return what the list says of a connection."""
    (found,) = [one for one in node.document("list")["connections"] if one["name"] == name]
    return dict(found)


def wait_until(node: Node, name: str, status: str, *, seconds: float = 30) -> None:
    """Wait until the list says that a connection has a status."""
    deadline = time.monotonic() + seconds
    while (found := listed(node, name)["status"]) != status:
        assert time.monotonic() < deadline, f"{name} is {found}"
        time.sleep(1)  # to ask takes half a second of the only processor, which what is waited for may want


@pytest.fixture
def line(isp: Node, gateway: Node, modprobe: Modprobe) -> None:
    """Join provider and gateway by a cable on which nothing but PPPoE is spoken."""
    modprobe("pppoe")
    connect(isp, "line0", gateway, "dsl0")
    isp.file("/etc/ppp/pppoe-server-options").write_text(OPTIONS)
    secrets(isp, '"alice" * "wonderland" *')
    secrets(gateway, '"alice" * "wonderland" *', '"mallory" * "guess" *')


@pytest.fixture
def server(isp: Node, line: None) -> Daemon:  # noqa: ARG001
    """Start the provider's PPPoE server: its first customer gets the address of `LINE`."""
    words = ("-F", "-I", "line0", "-L", str(LINE_ROUTER), "-R", str(LINE.ip), "-N", "3", "-C", "ac", "-S", "fibre")
    return isp.start("pppoe-server", *words, "-O", "/etc/ppp/pppoe-server-options")


def test_a_peer_is_dialled_shared_and_hung_up(
    isp: Node, gateway: Node, client: Node, internet: Lab, server: Daemon
) -> None:
    assert server.process.poll() is None
    peer(gateway, "fibre")
    gateway.file("/etc/ppp/peers/fibre.dpkg-old").write_text("plugin rp-pppoe.so\n")
    gateway.file("/etc/resolv.conf").write_text("nameserver 192.0.2.99\n")  # nobody: who resolves asks the provider's
    before = listed(gateway, "fibre")
    assert [before[key] for key in ("interface", "media", "status", "kind")] == [
        "ppp-fibre",
        "pppoe",
        "disconnected",
        "PPPoE",
    ]
    with isp.network(), Nftables() as nft:
        nft.load(BLACK_HOLE)

    shared = gateway.document("share", "fibre", "lan0")
    assert shared["public"] == "ppp-fibre"
    now = listed(gateway, "fibre")
    assert (now["guid"], now["status"], now["role"]) == (before["guid"], "connected", "public")
    assert {"outgoing_only", "shared", "default"} <= set(now["characteristics"])
    outside = gateway.capture("ppp-fibre")
    assert lease(client, "eth0").startswith("192.168.137.")
    script = client.file("/etc/show")
    script.write_text("#!/bin/sh\nenv\n")
    script.chmod(0o755)
    told = client.run("udhcpc", "-f", "-n", "-q", "-i", "eth0", "-O", "mtu", "-s", "/etc/show").stdout
    assert re.search(r"^mtu=1492$", told, re.MULTILINE)
    assert client.ip_json("link", "show", "eth0")[0]["mtu"] == 1500  # this client does not listen
    assert page(client) == str(LINE.ip)
    size = client.run("curl", "-sS", "--max-time", "40", "-o", "/dev/null", "-w", "%{size_download}", LARGE_PAGE)
    assert int(size.stdout) == LARGE
    lines = outside.lines()
    assert any(f"{LINE.ip}:" in line and f" > {WEB_ADDRESS}:80 tcp" in line for line in lines)
    assert not [line for line in lines if "192.168." in line]
    assert internet.seen("web")[-1].source == LINE.ip

    gateway.ip("link", "set", "ppp-fibre", "down")
    gateway.ip("link", "set", "ppp-fibre", "name", "ppp-wan")
    gateway.ip("link", "set", "ppp-wan", "up")
    assert listed(gateway, "fibre")["interface"] == "ppp-wan"
    assert listed(gateway, "fibre")["guid"] == before["guid"]

    gateway.document("stop")
    assert left(gateway) == NOTHING
    assert listed(gateway, "fibre")["status"] == "disconnected"


def test_two_who_connect_at_once_make_one_call(gateway: Node, client: Node, server: Daemon) -> None:
    """Each of them, when it had failed, hung up the other's pppd too. And whatever bore its arguments was ended."""
    assert client.name
    assert server.process.poll() is None
    peer(gateway, "fibre")
    argv = (sys.executable, "-m", "icshare.cli.main", "connect", "fibre")
    both = [gateway.start(*argv, env={"PYTHONPATH": str(Path(icshare.__file__).parents[1])}) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0], [one.output for one in both]
    assert len(pppds(gateway)) == 1
    gateway.document("disconnect", "fibre")
    assert left(gateway) == NOTHING
    assert list(gateway.file("/run/icshare").iterdir()) == []
    words = "call fibre linkname icshare-shared-fibre"
    other = gateway.start("bash", "-c", f"exec -a pppd bash -c 'echo so; read < <(sleep 600)' {words}", until="^so")
    gateway.document("share", "fibre", "lan0")
    gateway.document("stop")
    assert other.process.poll() is None, "it is not pppd, whatever it says"


def test_windows_objects_designate_it_dial_it_and_hang_it_up(gateway: Node, client: Node, server: Daemon) -> None:
    assert server.process.poll() is None
    peer(gateway, "fibre")
    assert told(gateway, "enable('fibre', 0)", "enable('lan0', 1)", "status()") == ["DISCONNECTED"]
    assert gateway.document("status")["shared"] is False  # what is designated waits
    assert told(gateway, "find('fibre').Connect()", "status()") == ["CONNECTED"]
    lease(client, "eth0")
    assert page(client).startswith("192.0.2.")
    assert told(gateway, "find('fibre').Disconnect()", "status()") == ["DISCONNECTED"]
    assert left(gateway) == NOTHING
    assert listed(gateway, "fibre")["role"] == "public"
    gateway.document("connect", "fibre")
    gateway.document("stop")
    assert listed(gateway, "fibre")["status"] == "connected"  # it was not sharing that had dialled
    gateway.document("disconnect", "fibre")
    assert left(gateway) == NOTHING


def told(node: Node, *calls: str) -> list[str]:
    """Run a program that uses Windows' objects, and return what it prints."""

    def program() -> None:
        manager = NetSharingManager()

        def find(name: str) -> INetConnection:
            every = manager.EnumEveryConnection
            return next(one for one in every if manager.NetConnectionProps(one).Name == name)

        def enable(name: str, kind: int) -> None:
            manager.INetSharingConfigurationForINetConnection(find(name)).EnableSharing(kind)

        def status() -> None:
            sys.stdout.write(manager.NetConnectionProps(find("fibre")).Status.name.removeprefix("NCS_") + "\n")

        for call in calls:
            eval(call, {"find": find, "enable": enable, "status": status})

    done = node.call(program)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_a_failure_has_one_reason_and_leaves_nothing(gateway: Node, client: Node, server: Daemon) -> None:
    assert client.name
    peer(gateway, "fibre")
    peer(gateway, "wrong", user="mallory", more="persist\nmaxfail 0\n")
    peer(gateway, "elsewhere")
    path = gateway.file("/etc/ppp/peers/elsewhere")
    path.write_text(path.read_text().replace("nic-dsl0", "nic-eth9"))

    def refused(*words: str) -> str:
        done = gateway.icshare(*words)
        assert (done.returncode, done.stdout) == (1, ""), done
        assert left(gateway) == NOTHING
        return done.stderr

    assert "cannot dial wrong: the other end refuses name or password" in refused("share", "wrong", "lan0")
    assert listed(gateway, "wrong")["status"] == "authentication_failed"
    assert "cannot dial elsewhere: the interface that its file names is not there" in refused("connect", "elsewhere")
    gateway.file("/etc/ppp/peers/elsewhere").unlink()
    assert gateway.icshare("connect", "elsewhere").returncode == 2
    server.end()
    peer(gateway, "fibre", more="pppoe-padi-timeout 1\n")  # there is nobody to wait for
    assert "cannot dial fibre: no PPPoE server answers" in refused("connect", "fibre")
    assert listed(gateway, "fibre")["status"] == "connect_failed"
    peer(gateway, "fibre")
    gateway.start("sh", "-c", "sleep 1.5; ip link set dsl0 down")  # the cable is pulled while it is dialling
    assert "cannot dial fibre: the interface below it is down or gone" in refused("connect", "fibre")


def test_traffic_dials_and_idleness_hangs_up(gateway: Node, client: Node, server: Daemon) -> None:
    assert server.process.poll() is None
    peer(gateway, "fibre", more="nodefaultroute\n")
    connect(gateway, "wan1", gateway, "wan2")  # the host's own way out is another: clients never take it
    gateway.ip("address", "add", "198.51.100.2/24", "dev", "wan1")
    gateway.ip("route", "add", "default", "via", "198.51.100.1")
    astray = gateway.capture("wan1")
    gateway.file("/etc/icshare").mkdir()
    gateway.file("/etc/icshare/icshare.toml").write_text("[sharing]\ndial_on_demand = true\nidle_seconds = 6\n")
    gateway.document("share", "fibre", "lan0")
    assert listed(gateway, "fibre")["status"] == "disconnected"
    lease(client, "eth0")
    for host in (f"www.{ZONE}", str(WEB_ADDRESS)):  # what dials is the question for the name, and then the page itself
        assert page(client, host) in {"192.0.2.2", "192.0.2.3", "192.0.2.4"}  # another one each time
        assert listed(gateway, "fibre")["status"] == "connected"
        status = gateway.icshare("status", "--json")
        assert status.returncode == 0, status.stdout
        wait_until(gateway, "fibre", "disconnected")
    assert not [line for line in astray.lines() if "192.168." in line]
    gateway.document("connect", "fibre")
    assert listed(gateway, "fibre")["status"] == "connected"
    gateway.document("disconnect", "fibre")
    assert listed(gateway, "fibre")["status"] == "disconnected"
    assert len(pppds(gateway)) == 1
    gateway.document("stop")
    assert left(gateway) == NOTHING
