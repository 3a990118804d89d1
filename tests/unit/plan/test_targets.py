"""Where the target of a mapping is."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest

from icshare.model.client import Lease
from icshare.model.link import IfIndex, Neighbour
from icshare.model.mapping import parse_target
from icshare.model.names import InterfaceName, MacAddress
from icshare.model.sharing import Segment
from icshare.plan.targets import Known, Resolution, known, resolve

LAN = Segment(
    interface=InterfaceName("lan0"),
    members=(InterfaceName("lan0"),),
    network=IPv4Network("192.168.137.0/24"),
    gateway=IPv4Address("192.168.137.1"),
)
MAC_A, MAC_B, MAC_C, MAC_D = (MacAddress(f"52:54:00:00:00:0{letter}") for letter in "abcd")


def _lease(mac: MacAddress, last: int, name: str = "", expires: int = 1000) -> Lease:
    return Lease(expires=expires, mac=mac, address=IPv4Address(f"192.168.137.{last}"), name=name)


def _known(*segments: Segment) -> Known:
    return known(
        leases=[
            _lease(MAC_A, 9, "XBox", expires=0),
            _lease(MAC_B, 10, "xbox"),
            _lease(MAC_A, 11, expires=500),
            _lease(MAC_B, 12, "printer"),
        ],
        neighbours=[
            Neighbour(index=IfIndex(3), address=IPv4Address("192.168.137.99"), mac=MAC_A, state=0x2),
            Neighbour(index=IfIndex(3), address=IPv4Address("192.168.137.20"), mac=MAC_C, state=0x4),
            Neighbour(index=IfIndex(3), address=IPv4Address("192.168.137.21"), mac=MAC_D, state=0x20),
            Neighbour(index=IfIndex(3), address=IPv4Address("192.168.137.22"), mac=None, state=0x2),
            Neighbour(index=IfIndex(3), address=IPv6Address("fe80::1"), mac=MAC_D, state=0x2),
        ],
        hosts={
            "nas": [IPv4Address("192.0.2.7"), IPv4Address("192.168.137.30")],
            "xbox": [IPv4Address("192.168.137.31")],
            "far": [IPv4Address("192.0.2.7")],
            "tv.home.arpa": [IPv4Address("192.168.137.32")],
            "me": [IPv4Address("127.0.1.1")],
        },
        domain="Home.arpa",
        own_names=["Gateway", "gateway.example.net"],
        own_addresses=[LAN.gateway, IPv4Address("198.51.100.2")],
        segments=segments,
    )


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.8.8.8",
        "192.168.137.1",
        "198.51.100.2",
        "localhost",
        "LOCALHOST",
        "gateway",
        "GateWay.home.arpa",
        "gateway.example.net",
        "me",
    ],
)
@pytest.mark.parametrize("segments", [(), (LAN,)])
def test_this_host_itself(text: str, segments: tuple[Segment, ...]) -> None:
    assert resolve(parse_target(text), _known(*segments)) == Resolution(own=True)


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("192.168.137.5", 5),
        ("xbox", 9),
        ("XBOX.home.ARPA", 9),
        ("printer", 12),
        ("nas", 30),
        ("NAS.home.arpa", 30),
        ("tv.home.arpa", 32),
        (MAC_A, 9),
        (MAC_B.upper(), 10),
        (MAC_C, 20),
    ],
)
def test_a_host_of_a_segment(text: str, last: int) -> None:
    assert resolve(parse_target(text), _known(LAN)) == Resolution(address=IPv4Address(f"192.168.137.{last}"))


@pytest.mark.parametrize(
    ("network", "beyond", "address"),
    [
        ("10.77.0.2/32", "10.78.0.0/24", "10.77.0.2"),
        ("10.77.0.2/31", "10.78.0.0/24", "10.77.0.3"),
        ("10.77.0.2/32", "10.78.0.0/24", "10.78.0.9"),
    ],
)
def test_the_peer_of_a_line_and_who_is_behind_it(network: str, beyond: str, address: str) -> None:
    """A peer was said to be no host, as its address is the first and the last of its network."""
    line = replace(LAN, network=IPv4Network(network), beyond=(IPv4Network(beyond),), ethernet=False)
    assert resolve(parse_target(address), _known(line)) == Resolution(address=IPv4Address(address))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("192.0.2.7", "192.0.2.7 is outside of the private network 192.168.137.0/24"),
        ("192.168.137.0", "192.168.137.0 is not the address of a host in 192.168.137.0/24"),
        ("192.168.137.255", "192.168.137.255 is not the address of a host in 192.168.137.0/24"),
        ("far", "far (192.0.2.7) is outside of the private network 192.168.137.0/24"),
        ("tv", "no client with the name tv is known"),
        ("xbox.example.net", "no client with the name xbox.example.net is known"),
        (MAC_D, "no client with the hardware address 52:54:00:00:00:0d is known"),
    ],
)
def test_nowhere_with_the_reason(text: str, reason: str) -> None:
    assert resolve(parse_target(text), _known(LAN)) == Resolution(text=reason)


@pytest.mark.parametrize("text", ["192.168.137.5", "xbox", MAC_A])
def test_nowhere_while_nothing_is_shared(text: str) -> None:
    found = resolve(parse_target(text), _known())
    assert found.address is None
    assert found.text.startswith("nothing is shared, so packets cannot be passed on to ")
