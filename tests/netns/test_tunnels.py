"""A VPN as the public connection: clients and their DNS take the tunnel or nothing, whatever the default route."""

import time
from collections.abc import Callable, Iterator

import pytest
from tests.netns.gateway import (
    NETWORK_GATEWAY,
    Capture,
    assert_unchanged,
    document,
    fails,
    icshare_command,
    output,
    page,
    settled,
    share,
    udhcpc,
)

from icshare.host.command import Process, end
from icshare.lab import UPLINK, UPLINK_ROUTER, WEB_ADDRESS, Lab

pytestmark = pytest.mark.netns

MakeLab = Callable[..., Lab]

PORT = 1194
NEAR, FAR = "10.66.0.2", "10.66.0.1"
ROUTES = {
    "past the default route": [],
    "by two halves": ["route add 0.0.0.0/1 dev tun0", "route add 128.0.0.0/1 dev tun0"],
    "by a table of its own, as wg-quick does": [
        "route add default dev tun0 table 51820",
        "rule add priority 32001 table 51820",
        "rule add priority 32000 table main suppress_prefixlength 0",
    ],
}
# Of a packet on the provider's line: anything that is not the tunnel's own, and no ARP or the like.
OWN = f":{PORT} "


@pytest.fixture
def ends() -> Iterator[list[Process]]:
    """Give a list for the ends of tunnels; all of them end with the test."""
    processes: list[Process] = []
    yield processes
    for process in processes:
        end(process)


def dial(lab: Lab, routes: list[str]) -> Process:
    """Bring tun0 up on the gateway: a tunnel through UDP to the provider's router, with the Internet behind it."""
    process = _socat(lab, "gw", f"TUN:{NEAR}/24,tun-name=tun0,iff-up,iff-no-pi", str(UPLINK_ROUTER), str(UPLINK.ip))
    _until(lab, lambda: not fails(lab, "gw", "ip", "link", "show", "tun0"))
    output(lab, "gw", "ip", "link", "set", "tun0", "mtu", "1420")
    for line in routes:
        output(lab, "gw", "ip", *line.split())
    _until(lab, lambda: not fails(lab, "gw", "ping", "-c", "1", "-W", "1", FAR))
    return process


def answer(lab: Lab) -> Process:
    """Be the other end; nobody notices who comes and goes."""
    return _socat(lab, "inet", f"TUN:{FAR}/24,tun-name=tunnels,iff-up,iff-no-pi", str(UPLINK.ip), str(UPLINK_ROUTER))


def _socat(lab: Lab, node: str, tunnel: str, to: str, own: str) -> Process:
    # Not connected, so that an end which is not there yet is no error.
    return lab.popen(node, ["socat", tunnel, f"UDP-DATAGRAM:{to}:{PORT},bind={own}:{PORT}"])


def _until(lab: Lab, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, output(lab, "gw", "ip", "address")
        time.sleep(0.05)


def leaks(lines: list[str]) -> list[str]:
    """Return what is neither the tunnel's own nor the marker at the end of a capture."""
    return [line for line in lines if OWN not in line and f"> {UPLINK_ROUTER} icmp" not in line]


def marked(lab: Lab, capture: Capture) -> list[str]:
    """Return what *capture* saw until a packet that is sent now: no time has to be long enough."""
    output(lab, "gw", "ping", "-c", "1", "-W", "10", str(UPLINK_ROUTER))
    return capture.until(f"> {UPLINK_ROUTER} icmp 8")


def dig(lab: Lab, *options: str) -> str:
    """Return what a query of the client to the gateway came to."""
    argv = ["dig", *options, "+tries=1", "+time=10", f"@{NETWORK_GATEWAY}", "ftp.example.net"]
    done = lab.run("c0", argv, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("routes", ROUTES)
def test_clients_and_their_dns_take_the_tunnel_or_nothing(make_lab: MakeLab, ends: list[Process], routes: str) -> None:
    lab = make_lab(privates=1)
    output(lab, "gw", "ping", "-c", "1", "-W", "10", str(UPLINK_ROUTER))  # its hardware address is known from here on
    before = settled(lab)
    ends.append(answer(lab))
    ends.append(dial(lab, ROUTES[routes]))
    share(lab, "tun0", "lan0")
    udhcpc(lab, "c0")
    outside = Capture(lab, "inet", "isp0")
    assert page(lab, "c0") == NEAR
    assert output(lab, "c0", "cat", "/sys/class/net/eth0/mtu").strip() == "1500", (
        "as for clients that heed no DHCP option"
    )
    assert output(lab, "c0", "dig", "+tcp", "+short", f"@{NETWORK_GATEWAY}", "echo.example.net").strip() != ""
    assert leaks(marked(lab, outside)) == []
    size = output(
        lab, "c0", "curl", "-sS", "-o", "/dev/null", "-w", "%{size_download}", f"http://{WEB_ADDRESS}/bytes/2000000"
    )
    assert size == "2000000"

    end(ends.pop())  # and the link is gone with the program that held it
    outside = Capture(lab, "inet", "isp0")
    assert "status: REFUSED" in dig(lab, "+notcp"), "an answer, not silence"
    assert "end of file" in dig(lab, "+tcp"), "hung up at once"
    assert fails(lab, "c0", "curl", "-sS", "--max-time", "20", f"http://{WEB_ADDRESS}/")
    assert "unreachable" in lab.run("c0", ["nc", "-v", "-w", "20", str(WEB_ADDRESS), "80"], check=False).stderr
    assert leaks(marked(lab, outside)) == []
    status = icshare_command(lab, "status")
    assert "tun0 is gone; clients are cut off until it is back" in status.stdout

    ends.append(dial(lab, ROUTES[routes][: 2 if "halves" in routes else 1]))
    document(lab, "share", "tun0", "lan0")
    assert page(lab, "c0") == NEAR
    assert icshare_command(lab, "status").returncode == 0
    icshare_command(lab, "stop")
    end(ends.pop())
    for line in ROUTES[routes]:
        if line.startswith("rule"):
            output(lab, "gw", "ip", *line.replace("add", "delete").split())
    assert_unchanged(lab, before)


def test_clients_go_past_a_vpn_that_has_a_routing_table_of_its_own(make_lab: MakeLab, ends: list[Process]) -> None:
    """Their packets followed wg-quick's rule into the tunnel, where the kill switch stopped them."""
    lab = make_lab(privates=1)
    ends.append(answer(lab))
    ends.append(dial(lab, ROUTES["by a table of its own, as wg-quick does"]))
    before = settled(lab)
    share(lab, "wan0", "lan0")
    udhcpc(lab, "c0")
    assert page(lab, "c0") == str(UPLINK.ip)
    assert page(lab, "gw") == NEAR
    icshare_command(lab, "stop")
    assert_unchanged(lab, before)


def test_a_name_server_of_an_earlier_version_is_replaced(make_lab: MakeLab) -> None:
    """It ran on when the next version shared again, as a user that the kill switch for names does not know."""
    lab = make_lab(privates=1)
    share(lab, "wan0", "lan0")
    ((pid, argv),) = _name_servers(lab)
    if "65527" not in output(lab, "gw", "ps", "-o", "uid=", "-p", pid):
        pytest.skip("this user namespace does not have the name server's own user")
    output(lab, "gw", "kill", pid)
    # A process loses its arguments before it closes its sockets.
    _until(lab, lambda: lab.run("gw", ["ps", "-o", "stat=", "-p", pid], check=False).stdout[:1] in {"", "Z"})
    output(lab, "gw", *argv)  # started by root, it becomes what its configuration says
    assert "as a user that others have too" in " ".join(icshare_command(lab, "status").stdout.split())
    share(lab, "wan0", "lan0")
    ((pid, _),) = _name_servers(lab)
    assert output(lab, "gw", "ps", "-o", "uid=", "-p", pid).strip() == "65527"
    assert icshare_command(lab, "status").returncode == 0


def _name_servers(lab: Lab) -> list[tuple[str, list[str]]]:
    """Return the processes of our dnsmasq on the gateway, with their argument vectors."""
    here = output(lab, "gw", "readlink", "/proc/self/ns/net")
    lines = (line.split() for line in output(lab, "gw", "ps", "-eo", "pid=,args=").splitlines())
    found = [(pid, argv) for pid, *argv in lines if any("/icshare/dnsmasq-" in word for word in argv)]
    return [one for one in found if lab.run("gw", ["readlink", f"/proc/{one[0]}/ns/net"], check=False).stdout == here]
