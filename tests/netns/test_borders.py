"""What the gateway itself sends and gets, and errors about what clients do: where translated packets end."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address

import pytest
from tests.netns import frames
from tests.netns.fastlab import ASSURED, standing_in
from tests.netns.gateway import (
    NETWORK_GATEWAY,
    Capture,
    address,
    document,
    icshare_command,
    laboratory,
    output,
    share,
    udhcpc,
)

from icshare.lab import (
    ECHO_ADDRESS,
    GATEWAY,
    INTERNET,
    ROUTER_ADDRESS,
    SECOND_UPLINK,
    UPLINK,
    UPLINK_ROUTER,
    WEB_ADDRESS,
    Lab,
)

pytestmark = [pytest.mark.netns, pytest.mark.packets]

PORT = 5000


@pytest.fixture(scope="module")
def lab(lab_allowed: None) -> Iterator[Lab]:  # noqa: ARG001 - asked for, not used
    with laboratory("borders", privates=1, second_uplink=True) as lab:
        share(lab, "wan0", "lan0")
        udhcpc(lab, "c0")
        yield lab
        assert icshare_command(lab, "stop").returncode == 0


def send(lab: Lab, node: str, packet: bytes, to: IPv4Address) -> None:
    """Send an IPv4 packet as it is from *node*."""
    with standing_in(lab, node), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as one:
        one.sendto(packet, (str(to), 0))


def datagrams(lab: Lab, node: str, own: object, port: int) -> socket.socket:
    with standing_in(lab, node):
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.bind((str(own), port))
    found.settimeout(30)
    return found


@contextmanager
def conversation(lab: Lab, port: int) -> Iterator[tuple[socket.socket, socket.socket, tuple[str, int]]]:
    """Have a client ask a server from *port*; give the sockets of both, and where the server sees the client."""
    with ExitStack() as stack:
        client = stack.enter_context(datagrams(lab, "c0", address(lab, "c0"), port))
        server = stack.enter_context(datagrams(lab, INTERNET, ECHO_ADDRESS, PORT))
        client.connect((str(ECHO_ADDRESS), PORT))
        client.send(b"there")
        yield client, server, server.recvfrom(64)[1]


def test_the_gateway_reaches_the_internet_from_its_own_address_in_the_segment(lab: Lab) -> None:
    """Translated as a client is, but its answers, which are for that address in the end, were dropped as strangers'."""
    told = output(
        lab, GATEWAY, "curl", "-sS", "--max-time", "20", "--interface", NETWORK_GATEWAY, f"http://{WEB_ADDRESS}/"
    )
    assert f"You came from {UPLINK.ip}" in told


def test_an_error_for_a_client_leaves_by_no_other_way_when_the_segments_route_has_gone(lab: Lab) -> None:
    """It belongs to a translated connection, which the chain that looks at what leaves took for translated itself."""
    inside = IPv4Address(address(lab, "c0"))
    client, server = (inside, PORT), (ECHO_ADDRESS, PORT)
    with conversation(lab, PORT) as (one, other, seen):
        assured = time.monotonic() + ASSURED
        while time.monotonic() < assured:
            other.sendto(b"back", seen)
            one.recv(64)
            one.send(b"there")
            other.recv(64)
            time.sleep(0.1)  # that it lasts is what conntrack waits for
    capture = Capture(lab, INTERNET, "isp0")
    output(lab, GATEWAY, "ip", "route", "delete", "192.168.137.0/24", "dev", "lan0")
    try:
        datagram = frames.udp(client, server)
        for ttl in (1, 64):
            send(lab, "c0", frames.ip4(inside, ECHO_ADDRESS, frames.UDP, datagram, ttl=ttl), ECHO_ADDRESS)
        lines = capture.until(f"> {ECHO_ADDRESS}:{PORT} udp")
    finally:
        as_before = ["proto", "kernel", "scope", "link", "src", NETWORK_GATEWAY]
        output(lab, GATEWAY, "ip", "route", "add", "192.168.137.0/24", "dev", "lan0", *as_before)
    assert [line for line in lines if str(inside) in line] == []


def test_nobody_on_another_link_speaks_for_a_server_of_the_internet(lab: Lab) -> None:
    """Answers were let in wherever they came from, as soon as a host forwards on all links, as container hosts do."""
    with conversation(lab, PORT + 1) as (one, other, seen):
        route = ("ip", "route", "add", f"{seen[0]}/32", "via", str(SECOND_UPLINK.ip), "dev", "isp1")
        output(lab, GATEWAY, "sysctl", "-q", "-w", "net.ipv4.conf.wan1.forwarding=1")
        output(lab, INTERNET, *route)
        came = Capture(lab, GATEWAY, "wan1")
        other.sendto(b"by the other uplink", seen)
        came.until(f"> {seen[0]}:{seen[1]} udp")
        output(lab, INTERNET, "ip", "route", "delete", *route[3:])
        output(lab, GATEWAY, "sysctl", "-q", "-w", "net.ipv4.conf.wan1.forwarding=0")
        other.sendto(b"by the public connection", seen)
        assert one.recv(64) == b"by the public connection"


def test_a_mapped_server_is_told_that_its_packets_are_too_large(lab: Lab) -> None:
    """What routers say about its answers was dropped, as if its mapping had been taken away: large answers got lost."""
    inside = IPv4Address(address(lab, "c0"))
    document(lab, "map", "add", "game", "udp", "7000", f"{inside}:7001")
    with ExitStack() as stack:
        server = stack.enter_context(datagrams(lab, "c0", inside, 7001))
        player = stack.enter_context(datagrams(lab, INTERNET, ECHO_ADDRESS, 7002))
        player.sendto(b"here", (str(UPLINK.ip), 7000))
        server.sendto(b"an answer", server.recvfrom(64)[1])
        assert player.recv(64) == b"an answer"
        ends = (UPLINK.ip, 7000), (ECHO_ADDRESS, 7002)
        quoted = frames.ip4(UPLINK.ip, ECHO_ADDRESS, frames.UDP, frames.udp(*ends, b"an answer"))[:28]
        bare = struct.pack("!BBHHH", 3, 4, 0, 0, 1200) + quoted
        error = bare[:2] + frames.checksum(bare).to_bytes(2, "big") + bare[4:]
        capture = Capture(lab, "c0", "eth0")
        send(lab, INTERNET, frames.ip4(ROUTER_ADDRESS, UPLINK.ip, frames.ICMP, error), UPLINK.ip)
        player.sendto(b"the end", (str(UPLINK.ip), 7000))
        lines = capture.until(f"> {inside}:7001 udp")
        assert f"{ROUTER_ADDRESS} > {inside} icmp 3" in lines
    document(lab, "map", "remove", "game")


def test_answers_to_a_client_of_the_subnet_before_do_not_go_back_to_the_internet(lab: Lab) -> None:
    """Nothing knew that address any more but the connection: they followed the default route, un-translated."""
    inside = address(lab, "c0")
    with conversation(lab, PORT + 2) as (one, other, seen):
        other.sendto(b"back", seen)
        one.recv(64)
        document(lab, "share", "wan0", "lan0", "--subnet", "10.77.0.0/24")
        capture = Capture(lab, INTERNET, "isp0")
        other.sendto(b"late", seen)
        output(lab, GATEWAY, "ping", "-c", "1", "-W", "10", str(UPLINK_ROUTER))
        lines = capture.until(f"> {UPLINK_ROUTER} icmp 8")
        document(lab, "share", "wan0", "lan0", "--subnet", "192.168.137.0/24")
        assert [line for line in lines if inside in line] == []
