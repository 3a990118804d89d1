"""What may not be shared is refused with every reason at once, and nothing is touched."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from tests.hosts import connections_of, snapshot
from tests.scenarios import Machine

from icshare.errors import RefusedError
from icshare.model.link import PppFacts
from icshare.model.names import HostName, InterfaceName, MacAddress
from icshare.model.peer import Peer, peer_name
from icshare.model.settings import Settings
from icshare.model.sharing import BRIDGE_NAME, DhcpSettings, Reservation, Sharing, Wanted
from icshare.model.wifi import AccessPoint, Ssid
from icshare.plan.designated import judge
from icshare.plan.validate import validate
from icshare.testing import FakeHost, FakeJournal

LINKS = [
    {"name": "wan0"},
    {"name": "lan0"},
    {"name": "lan1"},
    {"name": "br0", "kind": "bridge"},
    {"name": "port0", "master": "br0"},
    {"name": "tun0", "kind": "tun"},
]
HOST = snapshot({"links": LINKS})
WAN, LAN0, LAN1, PORT, TUN = (InterfaceName(name) for name in ("wan0", "lan0", "lan1", "port0", "tun0"))
MAC = MacAddress("52:54:00:00:00:01")
SUBNET = IPv4Network("10.0.0.0/24")


def problems(sharing: Sharing, host: Any = HOST) -> list[tuple[str, str]]:
    """Return why *sharing* is refused, [] if it is not; whatever the answer, nothing is touched."""
    machine = Machine(host=FakeHost(host), journal=FakeJournal())
    with pytest.raises(RefusedError) as caught:
        machine.engine.apply(Wanted(sharing=sharing))
    assert machine.host.ran == []
    assert machine.host.snapshot is host
    assert machine.journal.record is None
    assert caught.value.message == "; ".join(text for _, text in caught.value.problems)
    assert caught.value.hint
    return list(caught.value.problems)


def reserved(*addresses: str | None, **fields: Any) -> DhcpSettings:
    reservations = tuple(
        Reservation(mac=MacAddress(f"52:54:00:00:00:{number:02x}"), address=IPv4Address(address) if address else None)
        for number, address in enumerate(addresses, start=1)
    )
    return DhcpSettings(reservations=reservations, **fields)


def test_the_pool_of_an_access_point_is_checked() -> None:
    host = snapshot({"links": [{"name": "wan0"}, {"name": "wlan0", "radio": 0}], "radios": [{}]})
    wanted = AccessPoint(interface=InterfaceName("wlan0"), ssid=Ssid("net"), secret="0" * 16)
    dhcp = DhcpSettings(pool_first=IPv4Address("10.9.0.2"))
    sharing = Sharing(public=WAN, privates=(wanted.interface,), subnet=SUBNET, dhcp=dhcp, access_point=wanted)
    assert [reason for reason, _ in problems(sharing, host)] == ["dhcp-pool"]


def test_what_is_wrong_with_an_access_point_is_told_with_all_else() -> None:
    host = snapshot(
        {
            "links": [{"name": "wan0"}, {"name": "wlan0", "radio": 0}],
            "radios": [{"types": ["station"]}],
            "country": "DE",
        }
    )
    wanted = AccessPoint(interface=InterfaceName("wlan0"), ssid=Ssid("net"), secret="0" * 16)
    sharing = Sharing(public=WAN, privates=(wanted.interface, LAN0), access_point=wanted)
    assert [reason for reason, _ in problems(sharing, host)] == ["unknown-connection", "no-access-point-mode"]


def test_a_sharing_without_fault_passes() -> None:
    dhcp = DhcpSettings(
        pool_first=IPv4Address("10.0.0.2"),
        pool_last=IPv4Address("10.0.0.254"),
        reservations=(
            Reservation(mac=MAC, address=IPv4Address("10.0.0.2")),
            Reservation(mac=MacAddress("52:54:00:00:00:02"), name=HostName("printer")),
        ),
    )
    validate(Sharing(public=WAN, privates=(LAN0, LAN1, TUN), subnet=SUBNET, dhcp=dhcp), connections_of(HOST), HOST)


def test_no_private() -> None:
    ((reason, text),) = problems(Sharing(public=WAN, privates=()))
    assert reason == "no-private"
    assert text == "no private connection was named: sharing needs one public and at least one private connection"


def test_a_public_that_is_private_too() -> None:
    assert problems(Sharing(public=WAN, privates=(LAN0, WAN))) == [
        ("given-twice", "wan0 was named both public and private")
    ]


def test_a_private_given_twice() -> None:
    assert problems(Sharing(public=WAN, privates=(LAN0, LAN0, LAN0))) == [
        ("given-twice", "lan0 was named private twice")
    ]


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    ((reason, text),) = problems(Sharing(public=WAN, privates=(InterfaceName("eth9"),)))
    assert reason == "unknown-connection"
    assert text.startswith("there is no connection 'eth9' (there are: ")
    assert "wan0" in text


def test_a_host_without_connections_has_none_to_name() -> None:
    with pytest.raises(RefusedError) as caught:
        validate(Sharing(public=WAN, privates=(LAN0,)), (), HOST)
    assert caught.value.problems[0][1] == "there is no connection 'wan0' (there are: none)"


def test_a_port_of_a_bridge_is_neither_public_nor_private() -> None:
    found = problems(Sharing(public=PORT, privates=(PORT,)))
    assert [text.split(":")[0] for _, text in found] == [
        "port0 cannot be the public connection",
        "port0 was named both public and private",
        "port0 cannot be the private connection",
    ]


def test_an_unsharable_link_is_told_with_its_reason() -> None:
    ((reason, text),) = problems(Sharing(public=WAN, privates=(InterfaceName("lo"),)))
    connection = next(one for one in connections_of(HOST) if one.interface == "lo")
    assert reason == connection.as_private.reason
    assert text == f"lo cannot be the private connection: {connection.as_private.text}"


def test_a_bridge_cannot_be_public() -> None:
    ((reason, text),) = problems(Sharing(public=InterfaceName("br0"), privates=(LAN0,)))
    assert reason
    assert text.startswith("br0 cannot be the public connection: ")


@pytest.mark.parametrize("private", [LAN0, InterfaceName(BRIDGE_NAME)])
def test_a_link_with_the_name_of_our_bridge_is_in_the_way(private: InterfaceName) -> None:
    """Even as a private one: with a second private the bridge would be made over it."""
    host = snapshot({"links": [*LINKS, {"name": BRIDGE_NAME, "kind": "bridge"}]})
    assert (
        "bridge-name-taken",
        "a link called ics-br0 exists that icshare did not make; rename or delete it",
    ) in problems(Sharing(public=WAN, privates=(private,)), host)


@pytest.mark.parametrize(
    ("dhcp", "reason", "text"),
    [
        (
            DhcpSettings(pool_first=IPv4Address("10.0.0.1")),
            "dhcp-pool",
            "pool address 10.0.0.1 is outside 10.0.0.2 to 10.0.0.254, what 10.0.0.0/24 can lease",
        ),
        (
            DhcpSettings(pool_last=IPv4Address("10.0.0.255")),
            "dhcp-pool",
            "pool address 10.0.0.255 is outside 10.0.0.2 to 10.0.0.254, what 10.0.0.0/24 can lease",
        ),
        (
            DhcpSettings(pool_first=IPv4Address("10.0.0.9"), pool_last=IPv4Address("10.0.0.8")),
            "dhcp-pool",
            "the pool ends (10.0.0.8) before it begins (10.0.0.9)",
        ),
        (
            reserved("10.0.0.1"),
            "reservation",
            "reservation 10.0.0.1 for 52:54:00:00:00:01 is not an address of 10.0.0.0/24 for clients",
        ),
        (reserved("10.0.0.7", "10.0.0.7"), "reservation", "address 10.0.0.7 is reserved twice"),
        (
            DhcpSettings(reservations=(Reservation(mac=MAC), Reservation(mac=MAC))),
            "reservation",
            "52:54:00:00:00:01 has more than one reservation",
        ),
    ],
)
@pytest.mark.parametrize("asked", [True, False], ids=["subnet asked for", "subnet chosen"])
def test_bad_settings_of_dhcp(dhcp: DhcpSettings, reason: str, text: str, asked: bool) -> None:
    """The same is said of a subnet that was chosen: here the first of the third pool."""
    host = (
        HOST
        if asked
        else snapshot(
            {"links": LINKS, "routes": [f"{network} dev wan0" for network in ("192.168.0.0/16", "172.16.0.0/12")]}
        )
    )
    assert problems(Sharing(public=WAN, privates=(LAN0,), subnet=SUBNET if asked else None, dhcp=dhcp), host) == [
        (reason, text)
    ]


def test_settings_of_dhcp_that_nobody_will_use_are_no_problem() -> None:
    """With DHCP off, and on a tunnel whose peers never ask, a pool of another subnet in the settings file stands by."""
    dhcp = reserved("172.16.0.5", pool_first=IPv4Address("172.16.0.9"))
    connections = connections_of(HOST)
    validate(Sharing(public=WAN, privates=(TUN,), subnet=SUBNET, dhcp=dhcp), connections, HOST)
    validate(Sharing(public=WAN, privates=(LAN0,), subnet=SUBNET, dhcp=replace(dhcp, enabled=False)), connections, HOST)
    for wanted in (
        Sharing(public=WAN, privates=(TUN,), dhcp=dhcp),
        Sharing(public=WAN, privates=(LAN0,), dhcp=replace(dhcp, enabled=False)),
    ):
        Machine(host=FakeHost(HOST), journal=FakeJournal()).engine.apply(Wanted(sharing=wanted))


def test_pool_and_reservations_are_about_the_first_segment_alone() -> None:
    """The bridge: what is set need not suit a tunnel beside it, and what suits the tunnel does not suit the bridge."""
    dhcp = reserved("192.168.137.7", pool_first=IPv4Address("192.168.137.5"))
    Machine(host=FakeHost(HOST), journal=FakeJournal()).engine.apply(
        Wanted(sharing=Sharing(public=WAN, privates=(TUN, LAN0), dhcp=dhcp))
    )
    wrong = Sharing(public=WAN, privates=(TUN, LAN0), dhcp=reserved("192.168.138.7"))
    assert [reason for reason, _ in problems(wrong)] == ["reservation"]


def test_every_problem_is_named_at_once() -> None:
    dhcp = reserved("10.0.0.1", "10.0.0.7", "10.0.0.7", pool_first=IPv4Address("10.21.0.5"))
    host = snapshot({"links": [*LINKS, {"name": BRIDGE_NAME, "kind": "bridge"}]})
    wanted = Sharing(
        public=InterfaceName("eth9"),
        privates=(LAN0, LAN0, InterfaceName("lo"), PORT, InterfaceName("eth9")),
        subnet=SUBNET,
        dhcp=dhcp,
    )
    reasons = [reason for reason, _ in problems(wanted, host)]
    loopback, port = (
        str(next(one for one in connections_of(host) if one.interface == name).as_private.reason)
        for name in ("lo", "port0")
    )
    assert reasons == [
        "unknown-connection",
        "given-twice",
        "given-twice",
        loopback,
        port,
        "unknown-connection",
        "bridge-name-taken",
        "dhcp-pool",
        "reservation",
        "reservation",
    ]


def test_what_has_to_be_dialled_is_dialled_first() -> None:
    """Only if nothing else speaks against it: nobody is to dial for nothing."""
    fibre = Peer(name=peer_name("fibre"), facts=PppFacts(transport="pppoe", peer="fibre"))
    host = replace(HOST, peers=(fibre,))
    known = judge(host, Settings())
    ppp = InterfaceName("ppp-fibre")
    with pytest.raises(RefusedError, match=r"^fibre has to be dialled first: icshare connect fibre$"):
        validate(Sharing(public=ppp, privates=(LAN0,)), known, host)
    with pytest.raises(RefusedError) as caught:
        validate(Sharing(public=ppp, privates=(PORT,)), known, host)
    assert [reason for reason, _ in caught.value.problems] == ["bridge-member"]
