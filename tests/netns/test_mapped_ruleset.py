"""Port mappings and the connection firewall as rulesets: loaded by hand, and met by real packets."""

import sys
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

import pytest
from tests.netns.test_outside import SERVE, TALK, running, settle_client, talk

from icshare.lab import ECHO_ADDRESS, GATEWAY, INTERNET, UPLINK, UPLINK_ROUTER, WEB_ADDRESS, Lab
from icshare.model.firewall import Firewall, FirewallOptions, IcmpOption
from icshare.model.mapping import PortMapping, Protocol, address_target
from icshare.model.names import InterfaceName
from icshare.model.sharing import Segment, Sharing
from icshare.render.firewall import firewall_ruleset
from icshare.render.mappings import Element, Placement, add_text, delete_text, elements
from icshare.render.nft import ruleset

pytestmark = pytest.mark.netns

PUBLIC = str(UPLINK.ip)
WAN, LAN = InterfaceName("wan0"), InterfaceName("lan0")
CLIENT = IPv4Address("192.168.137.10")
SEGMENT = Segment(
    interface=LAN, members=(LAN,), network=IPv4Network("192.168.137.0/24"), gateway=IPv4Address("192.168.137.1")
)
# Says a word by TCP or UDP from a port of its own (0 for any); prints what comes back, or "nothing".
SAY = """
import socket, sys
kind = socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM
one = socket.socket(type=kind)
one.settimeout(1)
try:
    one.bind(("", int(sys.argv[4])))
    one.connect((sys.argv[2], int(sys.argv[3])))
    one.send(b"word\\n")
    print(one.recv(100).decode().strip())
except OSError:
    print("nothing")
"""
# Prints the port that a datagram from the mapped socket came from.
HEAR = """
import socket, sys
one = socket.socket(type=socket.SOCK_DGRAM)
one.bind((sys.argv[1], 9000))
one.settimeout(10)
print("ready", flush=True)
print(one.recvfrom(100)[1][1], flush=True)
"""


def nft(lab: Lab, text: str) -> None:
    lab.run(GATEWAY, ["nft", "-f", "-"], input=text)


def load(lab: Lab, *, shared: bool = True, icmp: tuple[IcmpOption, ...] = ()) -> None:
    """Bring the gateway into the state that sharing (or only the firewall) gives it, without icshare's help."""
    nft(lab, firewall_ruleset([Firewall(interface=WAN, options=FirewallOptions(icmp=icmp))]))
    if shared:
        nft(lab, ruleset(Sharing(public=WAN, privates=(LAN,)), [SEGMENT]))
        nft(lab, f"add element inet icshare public_addresses {{ {PUBLIC} }}\n")
        lab.run(GATEWAY, ["ip", "address", "add", "192.168.137.1/24", "dev", "lan0"])
        lab.run(GATEWAY, ["busybox", "sysctl", "-qw", "net.ipv4.ip_forward=1"])
        settle_client(lab)


def opened(
    protocol: Protocol, external: int, internal: int, *, target: IPv4Address | None = CLIENT, shared: bool = True
) -> tuple[Element, ...]:
    mapping = PortMapping(
        number=1,
        connection=UUID(int=1),
        name="one",
        protocol=protocol,
        external=external,
        internal=internal,
        target=address_target(str(target or PUBLIC)),
        enabled=True,
    )
    return elements(Placement(mapping=mapping, interface=WAN, target=target, shared=shared, firewalled=True))


def add(lab: Lab, *found: Iterable[Element]) -> None:
    nft(lab, "".join(add_text(one) for one in found))


def say(lab: Lab, node: str, protocol: str, port: int, *, to: object = PUBLIC, source: int = 0) -> str:
    argv = [sys.executable, "-c", SAY, protocol, str(to), str(port), str(source)]
    return lab.run(node, argv, timeout=30).stdout.strip()


@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_mapped_port_is_reached_from_every_side_and_no_other_is(lab: Lab, protocol: Protocol) -> None:
    load(lab)
    word = protocol.name.lower()
    add(lab, opened(protocol, 555, 444), opened(protocol, 50_000, 40_000))
    with running(lab, "c0", SERVE, 444, 40_000, 446):
        for node in (INTERNET, GATEWAY, "c0"):
            assert [say(lab, node, word, port) for port in (555, 50_000)] == ["word", "word"], node
        assert [say(lab, INTERNET, word, port) for port in (444, 446)] == ["nothing", "nothing"]


def test_the_gateways_own_address_on_the_segment_is_its_own_on_a_mapped_port_too(lab: Lab) -> None:
    load(lab)
    add(lab, opened(Protocol.TCP, 555, 444))
    with running(lab, GATEWAY, SERVE, 555):
        assert say(lab, "c0", "tcp", 555, to="192.168.137.1") == "word"
        assert say(lab, INTERNET, "tcp", 555) == "nothing"


def test_a_mapped_socket_keeps_its_external_port_towards_everybody(lab: Lab) -> None:
    load(lab)
    add(lab, opened(Protocol.UDP, 5555, 4444))
    # Somebody else is first to use that port towards the same peer.
    lab.run("c0", ["ip", "address", "add", "192.168.137.11/24", "dev", "eth0"])
    other = "import socket; s = socket.socket(type=2); s.bind(('192.168.137.11', 5555)); s.sendto(b'x', ('{}', 9000))"
    lab.run("c0", [sys.executable, "-c", other.format(ECHO_ADDRESS)])
    for peer in (ECHO_ADDRESS, WEB_ADDRESS):
        with running(lab, INTERNET, HEAR, peer) as heard:
            say(lab, "c0", "udp", 9000, to=peer, source=4444)
            assert heard.stdout is not None
            assert heard.stdout.readline() == b"5555\n"


def test_a_connection_whose_mapping_is_taken_away_gets_no_further(lab: Lab) -> None:
    load(lab)
    found = opened(Protocol.TCP, 555, 444)
    add(lab, found)
    with running(lab, "c0", SERVE, 444), running(lab, INTERNET, TALK, PUBLIC, 555) as one:
        assert talk(one, b"before\n") == b"before\n"
        nft(lab, delete_text(found))
        assert talk(one, b"after\n") != b"after\n"
        assert say(lab, INTERNET, "tcp", 555) == "nothing"


def test_dnat_of_somebody_else_does_not_open_the_segment(lab: Lab) -> None:
    load(lab)
    nft(
        lab,
        "add table ip docker\n"
        "add chain ip docker a { type nat hook prerouting priority -110; }\n"
        "add rule ip docker a iifname wan0 tcp dport 777 dnat to 192.168.137.10:444\n",
    )
    add(lab, opened(Protocol.TCP, 555, 444))
    with running(lab, "c0", SERVE, 444):
        assert (say(lab, INTERNET, "tcp", 777), say(lab, INTERNET, "tcp", 555)) == ("nothing", "word")


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "firewall only"])
def test_a_hole_with_another_port_inside_opens_the_external_one_alone(lab: Lab, *, shared: bool) -> None:
    load(lab, shared=shared)
    add(lab, opened(Protocol.TCP, 8080, 80, target=None, shared=shared))
    with running(lab, GATEWAY, SERVE, 80, 8081):
        assert [say(lab, INTERNET, "tcp", port) for port in (8080, 80, 8081)] == ["word", "nothing", "nothing"]


def test_the_gateway_answers_ping_from_outside_only_when_told_to(lab: Lab) -> None:
    ping = ["ping", "-c", "1", "-W", "1", PUBLIC]
    load(lab, shared=False)
    assert lab.run(INTERNET, ping, check=False).returncode == 1
    assert lab.run(GATEWAY, ["ping", "-c", "1", "-W", "5", str(UPLINK_ROUTER)]).returncode == 0
    load(lab, shared=False, icmp=(IcmpOption.INBOUND_ECHO_REQUEST,))
    assert lab.run(INTERNET, ping, check=False).returncode == 0
