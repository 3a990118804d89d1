"""Whom the name server may ask."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from tests.hosts import snapshot

from icshare.model.names import InterfaceName
from icshare.model.sharing import Segment
from icshare.plan.questions import detours, may_ask_here

SEGMENT = Segment(
    interface=InterfaceName("lan0"),
    members=(InterfaceName("lan0"),),
    network=IPv4Network("192.168.137.0/24"),
    gateway=IPv4Address("192.168.137.1"),
)
HOST: dict[str, Any] = {
    "links": [
        {"name": "wan0"},
        {"name": "wan1"},
        {"name": "lan0"},
        {"name": "tun0", "kind": "wireguard", "type": 65534},
    ],
    "addresses": ["wan0 198.51.100.2/24", "wan1 10.20.0.2/16", "lan0 192.168.137.1/24"],
    "routes": [
        "default via 198.51.100.1 dev wan0",
        "198.51.100.0/24 dev wan0",
        "10.20.0.0/16 dev wan1",
        "10.20.30.0/24 via 198.51.100.9 dev wan0",
        "192.168.137.0/24 dev lan0",
        "0.0.0.0/1 dev wan1",
    ],
}


@pytest.mark.parametrize(
    ("public", "pinned", "may"),
    [("wan0", False, True), ("wan0", True, False), ("tun0", False, False), ("tun0", True, False)],
)
def test_a_program_on_this_host_is_asked_only_while_it_asks_by_the_public_connection(
    public: str, *, pinned: bool, may: bool
) -> None:
    link = snapshot(HOST).link(public)
    assert link is not None
    assert may_ask_here(link, pinned=pinned) is may


@pytest.mark.parametrize(
    ("server", "here", "why"),
    [
        ("203.0.113.53", False, None),
        ("198.51.100.1", False, None),
        ("192.168.137.5", False, None),
        ("10.20.30.1", False, None),
        ("10.20.0.53", True, "10.20.0.53 is behind wan1, not behind wan0"),
        ("127.0.0.53", True, None),
        ("127.0.0.53", False, "127.0.0.53 is a program on this host, which may ask by another connection"),
    ],
)
def test_a_server_elsewhere_is_not_asked(server: str, *, here: bool, why: str | None) -> None:
    host = snapshot(HOST)
    public = host.link("wan0")
    assert public is not None
    found = detours(host, public, [SEGMENT], [IPv4Address(server)], here=here)
    assert found == ({IPv4Address(server): why} if why else {})
