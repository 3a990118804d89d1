"""The books with a fast path: what clients and mappings are told to have exchanged is what receivers got, to the byte.

Receivers count for themselves, behind a router or a switch that takes apart what the end of the gateway's wire has
merged.
"""

import itertools
import json
import random
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address
from typing import NamedTuple

import pytest
from tests.netns import inhabited, victim
from tests.netns.fastlab import MODES, fast_laboratory, fast_packets, fast_packets_of, standing_in
from tests.netns.gateway import address, document, icshare_command, json_of, output

from icshare.lab import FAR_ADDRESS, GATEWAY, UPLINK, Lab

pytestmark = [pytest.mark.netns, pytest.mark.programs]

PORT = 40000
STREAM_SECONDS = 5

# What comes to a node over the Internet, before anything could drop it.
COUNT = """
table ip books {
    counter received { }
    chain arrived {
        type filter hook prerouting priority raw;
        ip saddr != 192.168.137.0/24 meta l4proto { tcp, udp } iifname eth0 counter name received
    }
}
"""


# Nothing gets through to the Internet, so sharing does not work.
DROP = """
table ip other {
    chain drops {
        type filter hook forward priority 10; policy drop;
    }
}
"""


class Bytes(NamedTuple):
    """What a client or the target of a mapping has sent and received, in bytes of IP packets."""

    sent: int
    received: int

    def less(self, other: "Bytes") -> "Bytes":
        return Bytes(self.sent - other.sent, self.received - other.received)


@pytest.fixture(scope="module", params=MODES)
def office(lab_allowed: None, request: pytest.FixtureRequest) -> Iterator[Lab]:  # noqa: ARG001 - asked for, not used
    with fast_laboratory("books", request.param, "lan0", clients_per_private=2, far_mtu=1500) as lab:
        for node, links in ((GATEWAY, ("wan0", "lan0")), ("far", ()), ("c0", ())):
            for link in links:
                # XDP has it merge what goes through the kernel, where merged packets count with one header.
                output(lab, node, "ethtool", "-K", link, "gro", "off")
            if not links:
                output(lab, node, "nft", "-f", "-", input=COUNT)
                # As much on its way as the shortest queue holds: what is lost behind the gateway has been counted.
                output(lab, node, "sysctl", "-qw", "net.ipv4.tcp_rmem=4096 65536 65536")
        yield lab


def _arrived(lab: Lab) -> Bytes:
    """Return what the client's traffic was, by the receivers: the server in the Internet, the client."""
    counts = []
    for node in ("far", "c0"):
        listed = json_of(lab, node, "nft", "-json", "list", "counter", "ip", "books", "received")["nftables"]
        counts += [one["counter"]["bytes"] for one in listed if "counter" in one]
    return Bytes(*counts)


def _client(lab: Lab) -> Bytes:
    (one,) = [one for one in document(lab, "clients")["clients"] if one["address"] == address(lab, "c0")]
    return Bytes(one["sent_bytes"] or 0, one["received_bytes"] or 0)  # None before its first packet


def _mapping(lab: Lab, name: str) -> Bytes:
    (one,) = [one for one in document(lab, "map", "list")["mappings"] if one["name"] == name]
    return Bytes(one["sent_bytes"], one["received_bytes"])


def _settled(lab: Lab) -> Bytes:
    """Return what has arrived as soon as nothing more does: the last packets of a connection follow its end."""
    before, found = None, _arrived(lab)
    while before != found:
        time.sleep(0.1)
        before, found = found, _arrived(lab)
    return found


def _udp(lab: Lab, node: str, port: int = 0) -> socket.socket:
    with standing_in(lab, node):
        found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.bind(("", port))
    found.settimeout(30)
    return found


def _exchange(one: socket.socket, other: socket.socket, sizes: list[int]) -> None:
    for size in sizes:
        for sender, receiver in ((one, other), (other, one)):
            sender.send(bytes(size))
            assert len(receiver.recv(2048)) == size


def _exchange_for(seconds: float, one: socket.socket, other: socket.socket) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        _exchange(one, other, [1])
        time.sleep(0.1)


def _exchange_until_fast(lab: Lab, one: socket.socket, other: socket.socket) -> None:
    """Exchange until both ways go fast: conntrack has to call the flow assured, and the rules have to grant it.

    After a change they may have to do so once more, a second later at the most.
    """
    deadline = time.monotonic() + 10
    with standing_in(lab, GATEWAY):
        before = now = fast_packets()
        while now - before < 2:
            assert time.monotonic() < deadline
            _exchange(one, other, [1])
            before, now = now, fast_packets()


def _begin(lab: Lab, one: socket.socket, other: socket.socket, to: tuple[IPv4Address, int]) -> None:
    """Have *one* send to *other*, whom the address *to* leads to, and both talk until what they say goes fast."""
    one.connect((str(to[0]), to[1]))
    one.send(b"first")
    other.connect(other.recvfrom(64)[1])
    _exchange_until_fast(lab, one, other)


def _sizes(count: int) -> list[int]:
    chance = random.Random(7)
    return [chance.randint(0, 1472) for _ in range(count)]


def test_datagrams_are_counted_to_the_byte(office: Lab) -> None:
    with ExitStack() as stack:
        server, client = stack.enter_context(_udp(office, "far", PORT)), stack.enter_context(_udp(office, "c0"))
        had, fast, told = _settled(office), fast_packets_of(office), _client(office)
        _begin(office, client, server, (FAR_ADDRESS, PORT))
        _exchange(client, server, _sizes(2000))
    assert fast_packets_of(office) > fast + 3000
    assert _client(office).less(told) == _arrived(office).less(had)


def test_streams_are_counted_to_the_byte_and_never_less_than_before(office: Lab) -> None:
    fast = fast_packets_of(office)
    had, told = _settled(office), _client(office)
    seen = [told]
    fetch = ["curl", "-sS", "--max-time", "60", "--limit-rate", "2M", "-o", "/dev/null"]
    client = office.popen("c0", [*fetch, f"http://{FAR_ADDRESS}/bytes/6000000"])
    while client.poll() is None:
        seen.append(_client(office))
    assert client.returncode == 0
    upload = "head -c 3000000 /dev/zero | nc -N -w 60 $0 7 | tail -c +$(($1 + 1)) | wc -c"
    greeting = len(f"{UPLINK.ip} 12345\n")
    assert output(office, "c0", "sh", "-c", upload, str(FAR_ADDRESS), str(greeting)).strip() == "3000000"
    seen.append(_client(office))
    assert seen == sorted(seen)
    assert [one.received for one in seen] == sorted(one.received for one in seen)
    assert fast_packets_of(office) > fast + 4000
    arrived = _settled(office).less(had)
    assert arrived.received > 6_000_000
    assert _client(office).less(told) == arrived


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_mapping_counts_to_the_byte(office: Lab, protocol: str) -> None:
    inside = address(office, "c0")
    with ExitStack() as stack:
        document(office, "map", "add", f"by-{protocol}", protocol, "8080", f"{inside}:80")
        stack.callback(document, office, "map", "remove", f"by-{protocol}")
        had, fast, told = _settled(office), fast_packets_of(office), _client(office)
        if protocol == "udp":
            server, stranger = stack.enter_context(_udp(office, "c0", 80)), stack.enter_context(_udp(office, "far"))
            _begin(office, stranger, server, (UPLINK.ip, 8080))
        else:
            with standing_in(office, "c0"):
                listening = stack.enter_context(socket.create_server(("", 80)))
            with standing_in(office, "far"):
                stranger = stack.enter_context(socket.create_connection((str(UPLINK.ip), 8080), timeout=30))
            server = stack.enter_context(listening.accept()[0])
            _exchange_until_fast(office, stranger, server)
        _exchange(stranger, server, [1 + size for size in _sizes(1000)])
        assert fast_packets_of(office) > fast + 1500
        arrived = _settled(office).less(had)
        assert _mapping(office, f"by-{protocol}") == arrived
        assert _client(office).less(told) == arrived
        # Another mapping of the same ports is another one: it showed what had gone fast by the first.
        document(office, "map", "remove", f"by-{protocol}")
        document(office, "map", "add", f"by-{protocol}", protocol, "8080", f"{inside}:80")
        assert _mapping(office, f"by-{protocol}") == Bytes(0, 0)
        assert _client(office).less(told) == _settled(office).less(had)


def test_sharing_again_goes_on_counting(office: Lab) -> None:
    """Also by another path and back, which exchanges the programs."""
    mode = document(office, "status")["fast_path"][0]["path"]
    had, told = _settled(office), _client(office)
    with ExitStack() as stack:
        server, client = stack.enter_context(_udp(office, "far", PORT)), stack.enter_context(_udp(office, "c0"))
        _begin(office, client, server, (FAR_ADDRESS, PORT))
        for other in (mode, "tc" if mode == "xdp" else "xdp", mode):
            _exchange(client, server, _sizes(200))
            document(office, "share", "wan0", "lan0", "--fast-path", other)
            assert _client(office).less(told) == _arrived(office).less(had), other
        _exchange(client, server, _sizes(200))
        assert _client(office).less(told) == _arrived(office).less(had)


def test_the_fast_path_off_and_on_again_forgets_nothing(office: Lab) -> None:
    """The bytes of clients and mappings went backwards, as they went with the programs."""
    mode, inside = document(office, "status")["fast_path"][0]["path"], address(office, "c0")
    with ExitStack() as stack:
        document(office, "map", "add", "kept", "udp", "8080", f"{inside}:80")
        stack.callback(document, office, "map", "remove", "kept")
        stack.callback(document, office, "share", "wan0", "lan0", "--fast-path", mode)
        had, told, fast = _settled(office), _client(office), fast_packets_of(office)
        server, stranger = stack.enter_context(_udp(office, "c0", 80)), stack.enter_context(_udp(office, "far"))
        _begin(office, stranger, server, (UPLINK.ip, 8080))
        for path in (mode, "off", "xdp", "tc", "off", "off", mode):
            before = fast_packets_of(office)
            _exchange(stranger, server, _sizes(300))
            document(office, "share", "wan0", "lan0", "--fast-path", path)
            if path != "off":
                _exchange_until_fast(office, stranger, server)
            _exchange(server, stranger, _sizes(300))
            arrived = _arrived(office).less(had)
            assert _mapping(office, "kept") == arrived, path
            assert _client(office).less(told) == arrived, path
            assert fast_packets_of(office) >= before, path
        assert fast_packets_of(office) > fast + 1500


def test_the_fast_path_goes_under_traffic_without_a_byte_lost_from_the_books(office: Lab) -> None:
    mode = document(office, "status")["fast_path"][0]["path"]
    with ExitStack() as stack:
        stack.callback(document, office, "share", "wan0", "lan0", "--fast-path", mode)
        document(office, "share", "wan0", "lan0", "--fast-path", "off")
        for link in ("wan0", "lan0"):
            # While clsact comes or goes the kernel drops what is to be sent, which has been let through and counted.
            output(office, GATEWAY, "tc", "qdisc", "add", "dev", link, "clsact")
            stack.callback(output, office, GATEWAY, "tc", "qdisc", "delete", "dev", link, "clsact")
        stack.callback(document, office, "share", "wan0", "lan0", "--fast-path", "off")
        document(office, "share", "wan0", "lan0", "--fast-path", mode)
        had, told, fast = _settled(office), _client(office), fast_packets_of(office)
        fetch = ["curl", "-sS", "--max-time", "90", "--limit-rate", "1M", "-o", "/dev/null"]
        client = office.popen("c0", [*fetch, f"http://{FAR_ADDRESS}/bytes/16000000"])
        seen, paths = [told], itertools.cycle(("off", mode))
        while client.poll() is None:
            document(office, "share", "wan0", "lan0", "--fast-path", next(paths))
            seen.append(_client(office))
        assert client.returncode == 0
        assert len(seen) > 4
        assert [one.sent for one in seen] == sorted(one.sent for one in seen)
        assert [one.received for one in seen] == sorted(one.received for one in seen)
        assert fast_packets_of(office) > fast + 100
        arrived = _settled(office).less(had)
        assert arrived.received > 16_000_000
        assert _client(office).less(told) == arrived


def test_a_change_that_fails_forgets_nothing(office: Lab) -> None:
    """Each step to no fast path is refused once; then all are made, and taken back as nothing gets through."""
    mode = document(office, "status")["fast_path"][0]["path"]
    present, wanted = (
        json.dumps({"public": "wan0", "privates": ["lan0"], "subnet": None, "fast_path": one}) for one in (mode, "off")
    )
    with ExitStack() as stack:
        stack.callback(document, office, "share", "wan0", "lan0", "--fast-path", mode)
        server, client = stack.enter_context(_udp(office, "far", PORT)), stack.enter_context(_udp(office, "c0"))
        had, told, fast = _settled(office), _client(office), fast_packets_of(office)
        _begin(office, client, server, (FAR_ADDRESS, PORT))
        for number in itertools.count(1):
            _exchange_until_fast(office, client, server)
            _exchange(client, server, _sizes(300))
            strike = [sys.executable, victim.__file__, "fail", str(number), present, wanted]
            said = office.run(GATEWAY, strike, env=inhabited.ENVIRONMENT, timeout=60).stdout
            assert _client(office).less(told) == _arrived(office).less(had), said
            if said == "done":
                break
        document(office, "share", "wan0", "lan0", "--fast-path", mode)
        _exchange_until_fast(office, client, server)
        _exchange(client, server, _sizes(300))
        output(office, GATEWAY, "nft", "-f", "-", input=DROP)
        refused = icshare_command(office, "share", "--verbose", "wan0", "lan0", "--fast-path", "off")
        output(office, GATEWAY, "nft", "delete", "table", "ip", "other")
        assert refused.returncode == 1, refused.stderr
        assert "icshare: fast path: stop\n" in refused.stderr
        for _ in range(2):
            assert _client(office).less(told) == _arrived(office).less(had)
            _exchange_until_fast(office, client, server)
            _exchange(client, server, _sizes(300))
        assert document(office, "status")["fast_path"][0]["path"] == mode
        assert fast_packets_of(office) > fast + 600


def test_conntrack_does_not_forget_a_flow_of_which_it_sees_nothing(office: Lab) -> None:
    output(office, GATEWAY, "sysctl", "-qw", f"net.netfilter.nf_conntrack_udp_timeout_stream={STREAM_SECONDS}")
    document(office, "share", "wan0", "lan0", "--fast-path", document(office, "status")["fast_path"][0]["path"])
    with ExitStack() as stack:
        server, client = stack.enter_context(_udp(office, "far", PORT)), stack.enter_context(_udp(office, "c0"))
        _begin(office, client, server, (FAR_ADDRESS, PORT))
        begun, kernel = _entry(office), fast_packets_of(office)
        assert "[ASSURED]" in begun
        for _ in range(2 * STREAM_SECONDS):
            _exchange_for(1, client, server)
            assert "[ASSURED]" in _entry(office), "it is another one, which takes two seconds until it is"
        assert _entry(office).rpartition("id=")[2] == begun.rpartition("id=")[2]
        assert fast_packets_of(office) > kernel + 10 * STREAM_SECONDS


def _entry(lab: Lab) -> str:
    found = output(lab, GATEWAY, "conntrack", "-L", "-p", "udp", "--orig-port-dst", str(PORT), "-o", "id")
    assert found, "conntrack has forgotten it"
    return found.strip()
