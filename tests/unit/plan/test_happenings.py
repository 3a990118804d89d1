"""Every event between two views, in order."""

from dataclasses import replace
from ipaddress import IPv4Address
from uuid import UUID

from icshare.model.client import Client, Lease, Traffic
from icshare.model.connection import YES, Characteristics, Connection, MediaType, Role, Status
from icshare.model.event import (
    ClientChanged,
    ClientJoined,
    ClientLeft,
    ConnectionChanged,
    Event,
    FirewallChanged,
    MappingChanged,
    SharingChanged,
)
from icshare.model.firewall import FirewallOptions
from icshare.model.link import IfIndex, Neighbour
from icshare.model.mapping import PortMapping, Protocol, address_target
from icshare.model.names import mac_address
from icshare.model.state import Designation
from icshare.plan.happenings import View, happenings, next_expiry, present

WAN, LAN, GONE = UUID(int=1), UUID(int=2), UUID(int=3)
ADDRESS = IPv4Address("192.168.137.40")
MAC, OTHER = mac_address("02:00:00:00:00:01"), mac_address("02:00:00:00:00:02")
CLIENT = Client(address=ADDRESS, mac=MAC, name="laptop", leased=True)
MAPPING = PortMapping(
    number=1,
    connection=WAN,
    name="web",
    protocol=Protocol.TCP,
    external=80,
    internal=80,
    target=address_target("192.168.137.40"),
)


def connection(guid: UUID, interface: str) -> Connection:
    return Connection(
        guid=guid,
        name=interface,
        device=interface,
        interface=interface,
        status=Status.CONNECTED,
        media=MediaType.LAN,
        characteristics=Characteristics.NONE,
        role=Role.NONE,
        kind="Ethernet",
        sharable=YES,
        as_public=YES,
        as_private=YES,
        bridgeable=True,
    )


def test_nothing_happens_between_equal_views() -> None:
    assert happenings(View(until=1.0), View(until=2.0)) == ()
    view = View(firewalls={WAN: FirewallOptions()}, mappings={1: MAPPING}, connections={WAN: connection(WAN, "wan0")})
    assert happenings(view, replace(view, until=2.0)) == ()


def test_everything_comes_in_order_and_goes_in_the_same() -> None:
    nothing = View(interfaces={WAN: "wan0", LAN: "lan0"})
    everything = View(
        designation=Designation(public=WAN, privates=(LAN, GONE)),
        in_force=True,
        firewalls={WAN: FirewallOptions()},
        mappings={1: MAPPING},
        clients={ADDRESS: CLIENT},
        connections={LAN: connection(LAN, "lan0"), WAN: connection(WAN, "wan0")},
        interfaces={GONE: "eth9"},
    )
    assert happenings(nothing, everything) == (
        ConnectionChanged(guid=WAN, interface="wan0", status=Status.CONNECTED, role=Role.NONE),
        ConnectionChanged(guid=LAN, interface="lan0", status=Status.CONNECTED, role=Role.NONE),
        SharingChanged(public="wan0", privates=("lan0", "eth9"), in_force=True),
        FirewallChanged(guid=WAN, interface="wan0", options=FirewallOptions()),
        MappingChanged(number=1, mapping=MAPPING, before=None),
        ClientJoined(client=CLIENT),
    )
    assert happenings(everything, nothing) == (
        ConnectionChanged(guid=WAN, interface="wan0", status=Status.HARDWARE_NOT_PRESENT, role=Role.NONE),
        ConnectionChanged(guid=LAN, interface="lan0", status=Status.HARDWARE_NOT_PRESENT, role=Role.NONE),
        SharingChanged(public=None, privates=(), in_force=False),
        FirewallChanged(guid=WAN, interface="wan0", options=None),
        MappingChanged(number=1, mapping=None, before=MAPPING),
        ClientLeft(client=CLIENT),
    )


def test_a_connection_changes() -> None:
    before = View(connections={WAN: connection(WAN, "wan0")})
    after = View(connections={WAN: replace(connection(WAN, "wan0"), role=Role.PUBLIC)})
    expected = ConnectionChanged(guid=WAN, interface="wan0", status=Status.CONNECTED, role=Role.PUBLIC)
    assert happenings(before, after) == (expected,)


def test_an_interface_that_was_never_seen_has_no_name() -> None:
    assert View().interface(WAN) == ""


def between(old: Client, new: Client) -> tuple[Event, ...]:
    return happenings(View(clients={ADDRESS: old}), View(clients={ADDRESS: new}))


def test_clients_that_stay() -> None:
    assert between(CLIENT, replace(CLIENT, online=True, since=1.0, traffic=Traffic(sent=1))) == ()
    unnamed = replace(CLIENT, name="", leased=False)
    assert between(unnamed, CLIENT) == (ClientChanged(client=CLIENT, before=unnamed),)
    other = replace(CLIENT, mac=OTHER)
    assert between(CLIENT, other) == (ClientLeft(client=CLIENT), ClientJoined(client=other))


def test_the_name_of_an_event_is_its_class() -> None:
    assert [one.name for one in between(CLIENT, replace(CLIENT, mac=OTHER))] == ["ClientLeft", "ClientJoined"]
    assert FirewallChanged(guid=WAN, interface="wan0", options=FirewallOptions()).on
    assert not FirewallChanged(guid=WAN, interface="wan0", options=None).on


def neighbour(state: int) -> Neighbour:
    return Neighbour(index=IfIndex(3), address=ADDRESS, mac=MAC, state=state, raw=b"")


def test_who_is_here() -> None:
    silent, unleased = {ADDRESS: CLIENT}, replace(CLIENT, leased=False)
    assert present([CLIENT], [neighbour(0x04)], []) == silent
    assert present([CLIENT], [], [ADDRESS]) == silent
    assert present([CLIENT], [], []) == {}
    assert present([CLIENT], [neighbour(0x20)], [ADDRESS]) == {}
    assert present([unleased], [], [ADDRESS]) == {}
    assert present([unleased], [neighbour(0x02)], []) == {ADDRESS: unleased}


def test_the_next_lease_to_end() -> None:
    leases = [Lease(expires=ends, mac=MAC, address=ADDRESS) for ends in (0, 100, 300, 200)]
    assert next_expiry(leases, 100.0) == 200.0
    assert next_expiry(leases, 300.0) is None
