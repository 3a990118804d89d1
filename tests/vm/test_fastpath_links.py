"""The fast path on links of a whole kernel: a cable, a VLAN, a tunnel without Ethernet headers; and a flowtable."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.vm.conftest import Modprobe
from tests.vm.nodes import LINE, Node, address_line, connect, lease, page
from tests.vm.test_publics import VPN_ADDRESS, Tunnel, fetch_whole, is_given_back

from icshare.lab import ECHO_ADDRESS, ECHO_PORT

_ANSWER_SECONDS = 20.0
_PACKETS = 40
"""A page of 1.2 MB has some hundreds of segments, of which those that GRO has joined count as one."""


def share(gateway: Node, public: str, path: str) -> None:
    told = gateway.document("share", public, "lan0", "--fast-path", path)
    assert [one["path"] for one in told["fast_path"]] == [path], told["fast_path"]


def went_fast(gateway: Node) -> int:
    packets: int = gateway.document("status")["fast_packets"]
    return packets


def goes_fast(gateway: Node, client: Node) -> None:
    """Fetch a large page, and check that most of it did not go through the kernel's own way."""
    before = went_fast(gateway)
    fetch_whole(client)
    assert went_fast(gateway) - before > _PACKETS


@contextmanager
def conversation(client: Node) -> Iterator[socket.socket]:
    """Give a connection of the client to the Internet's echo server, that has said something both ways."""
    with client.network():
        connection = socket.create_connection((str(ECHO_ADDRESS), ECHO_PORT), timeout=_ANSWER_SECONDS)
    with connection:
        assert connection.recv(64).startswith(f"{LINE.ip} ".encode())
        for number in range(4):
            connection.sendall(f"{number}\n".encode())
            assert connection.recv(64) == f"{number}\n".encode()
        yield connection


def line_between(isp: Node, gateway: Node) -> None:
    connect(isp, "line0", gateway, "eth0")
    address_line(isp, "line0", gateway, "eth0")


def test_a_cable_goes_fast_by_tc(isp: Node, gateway: Node, client: Node) -> None:
    line_between(isp, gateway)
    share(gateway, "eth0", "tc")
    lease(client, "eth0")
    assert page(client) == str(LINE.ip)
    goes_fast(gateway, client)
    is_given_back(gateway)


def test_a_vlan_goes_fast_by_tc(isp: Node, gateway: Node, client: Node, modprobe: Modprobe) -> None:
    modprobe("8021q")
    connect(isp, "line0", gateway, "eth0")
    for node, link in ((isp, "line0"), (gateway, "eth0")):
        node.ip("link", "add", "link", link, "name", f"{link}.7", "up", "type", "vlan", "id", "7")
    address_line(isp, "line0.7", gateway, "eth0.7")
    share(gateway, "eth0.7", "tc")
    lease(client, "eth0")
    assert page(client) == str(LINE.ip)
    goes_fast(gateway, client)
    is_given_back(gateway)


def test_a_link_without_ethernet_headers_goes_fast_by_tc(
    isp: Node, gateway: Node, client: Node, modprobe: Modprobe
) -> None:
    """Headers are put before what comes out of the tunnel, and taken from what goes in."""
    modprobe("wireguard")
    line_between(isp, gateway)
    Tunnel(isp, gateway)
    share(gateway, "wg0", "tc")
    lease(client, "eth0")
    assert page(client) == VPN_ADDRESS
    goes_fast(gateway, client)
    is_given_back(gateway)


@pytest.mark.parametrize("ends", ["closed", "stopped"])
def test_a_flowtable_takes_what_the_ruleset_has_granted(isp: Node, gateway: Node, client: Node, ends: str) -> None:
    line_between(isp, gateway)
    share(gateway, "eth0", "flowtable")
    lease(client, "eth0")
    assert page(client) == str(LINE.ip)
    with conversation(client) as connection:
        assert "[OFFLOAD]" in tracked(gateway)
        connection.sendall(b"more\n")
        assert connection.recv(64) == b"more\n"
        if ends == "stopped":
            is_given_back(gateway)
            assert "[OFFLOAD]" not in tracked(gateway)
    if ends == "closed":
        fetch_whole(client)
        is_given_back(gateway)


def test_after_a_change_of_ours_the_flowtable_takes_nothing_that_a_new_rule_stops(
    isp: Node, gateway: Node, client: Node
) -> None:
    """Grants stayed with the connection, so the next packet out had answers skip a rule that none of them had met."""
    line_between(isp, gateway)
    share(gateway, "eth0", "flowtable")
    lease(client, "eth0")
    with conversation(client) as connection:
        assert "[OFFLOAD]" in tracked(gateway)
        # Only answers of this connection, or the share would be refused.
        stops = f"type filter hook forward priority -10; ip saddr {ECHO_ADDRESS} ct direction reply counter drop"
        gateway.run("nft", f"table ip other {{ chain gate {{ {stops}; }}; }}")
        gateway.document("share", "eth0", "lan0", "--fast-path", "off")
        share(gateway, "eth0", "flowtable")
        connection.settimeout(3)
        for _ in range(3):
            connection.sendall(b"nobody answers\n")
            with pytest.raises(TimeoutError):
                connection.recv(64)
        assert "[OFFLOAD]" not in tracked(gateway)
        gateway.run("nft", "delete table ip other")
        connection.settimeout(_ANSWER_SECONDS)
        assert b"nobody answers\n" in connection.recv(1024)
    is_given_back(gateway)


def tracked(node: Node) -> str:
    """Return what connection tracking has about the echo server."""
    table = node.run("cat", "/proc/net/nf_conntrack").stdout
    return "\n".join(line for line in table.splitlines() if f"dst={ECHO_ADDRESS} " in line)
