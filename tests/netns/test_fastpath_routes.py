"""What goes fast keeps to the ways that the ruleset knows, also when the routes change under it."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from tests.netns.fastlab import compute_checksums, standing_in
from tests.netns.gateway import Capture, address, document, fails, icshare_command, laboratory, output, udhcpc

from icshare.host import fastpath
from icshare.host.command import end
from icshare.lab import GATEWAY, INTERNET, UPLINK, UPLINK_ROUTER, WEB_ADDRESS, Lab
from icshare.wire.fastpath import Reason

pytestmark = [pytest.mark.netns, pytest.mark.programs]

NEAR, FAR = "10.66.0.2", "10.66.0.1"
PORT, TUNNEL_PORT = 5000, 1194
PATIENCE = 30
EXCHANGES = 10


@pytest.fixture
def lab(lab_allowed: None) -> Iterator[Lab]:  # noqa: ARG001 - asked for, not used
    """Give a lab that shares with two segments by tc: a cable, and a tunnel to a client somewhere in the Internet."""
    with laboratory("routes", privates=1) as lab:
        compute_checksums(lab)
        with _tunnel(lab):
            document(lab, "share", "wan0", "lan0", "tun0", "--fast-path", "tc")
            udhcpc(lab, "c0")
            with standing_in(lab, GATEWAY):
                yield lab
            assert icshare_command(lab, "stop").returncode == 0


@contextmanager
def _talk(lab: Lab, there: str) -> Iterator[socket.socket]:
    """Have the client behind the cable talk with *there* in the Internet until both ways go fast; give its socket."""
    with ExitStack() as stack:
        with standing_in(lab, INTERNET):
            other = stack.enter_context(_datagrams(there))
        with standing_in(lab, "c0"):
            client = stack.enter_context(_datagrams(address(lab, "c0")))
        client.connect((there, PORT))
        client.send(b"first")
        other.connect(other.recvfrom(64)[1])
        _exchange_until_fast(client, other)
        yield client


def test_what_clients_tell_each_other_does_not_leave_when_the_route_to_one_has_gone(lab: Lab) -> None:
    """It was granted for the way between two segments, and the program took the default route, un-translated."""
    inside = address(lab, "c0")
    output(lab, INTERNET, "ip", "route", "add", f"{inside}/32", "dev", "tunnels")
    with _talk(lab, FAR) as client:
        capture = Capture(lab, INTERNET, "isp0")
        output(lab, GATEWAY, "ip", "link", "set", "tun0", "down")
        # Longer than the program remembers a route. Some changes have the flow granted anew: then the ruleset stops it.
        _send_for(1.5, client, b"nobody is there")
        output(lab, GATEWAY, "ping", "-c", "1", "-W", "10", str(UPLINK_ROUTER))
        assert [line for line in capture.until(f"> {UPLINK_ROUTER} icmp 8") if inside in line or FAR in line] == []


def test_a_route_by_another_link_has_the_rules_asked_again(lab: Lab) -> None:
    """For up to 28 s packets left by a link to which a rule of somebody else's forbids them the way."""
    forbids = "type filter hook forward priority -150; iifname lan0 oifname tun0 counter drop"
    output(lab, GATEWAY, "nft", f"table ip other {{ chain gate {{ {forbids}; }}; }}")
    with _talk(lab, str(WEB_ADDRESS)) as client:
        output(lab, GATEWAY, "ip", "route", "add", f"{WEB_ADDRESS}/32", "via", FAR, "dev", "tun0")
        _send_for(1.5, client, b"somewhere")  # as long as the program may remember a route
        capture = Capture(lab, INTERNET, "tunnels")
        _send_for(1.5, client, b"elsewhere")
        output(lab, GATEWAY, "ping", "-c", "1", "-W", "10", FAR)
        assert [line for line in capture.until(f"> {FAR} icmp 8") if str(WEB_ADDRESS) in line] == []


def _exchange_until_fast(client: socket.socket, other: socket.socket) -> None:
    """Have both talk until both ways go fast, each of which is granted by itself."""
    begun, deadline = went_fast(), time.monotonic() + PATIENCE
    while went_fast() < begun + 2 * EXCHANGES:
        assert time.monotonic() < deadline, fastpath.reasons()
        begun = went_fast()
        for _ in range(EXCHANGES):
            client.send(b"there")
            other.recv(64)
            other.send(b"back")
            client.recv(64)
            time.sleep(0.01)


def _send_for(seconds: float, client: socket.socket, what: bytes) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        client.send(what)
        time.sleep(0.01)


def went_fast() -> int:
    """Return how many packets have gone fast on the node where this thread is; those of no client count as well."""
    return fastpath.reasons()[Reason.FAST]


def _datagrams(own: str) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.bind((own, PORT))
    found.settimeout(PATIENCE)
    return found


@contextmanager
def _tunnel(lab: Lab) -> Iterator[None]:
    """Give the gateway ``tun0``, a tunnel through its own uplink to a client somewhere in the Internet."""
    ends = (
        (INTERNET, f"{FAR}/24", "tunnels", UPLINK_ROUTER, UPLINK.ip),
        (GATEWAY, f"{NEAR}/24", "tun0", UPLINK.ip, UPLINK_ROUTER),
    )
    processes = []
    try:
        for node, own, link, here, there in ends:
            tunnel = f"TUN:{own},tun-name={link},iff-up,iff-no-pi"
            udp = f"UDP-DATAGRAM:{there}:{TUNNEL_PORT},bind={here}:{TUNNEL_PORT}"
            processes.append(lab.popen(node, ["socat", tunnel, udp]))
        deadline = time.monotonic() + PATIENCE
        while fails(lab, GATEWAY, "ping", "-c", "1", "-W", "1", FAR):
            assert time.monotonic() < deadline, "the tunnel does not come up"
        yield
    finally:
        for process in processes:
            end(process)
