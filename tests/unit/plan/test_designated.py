"""From roles that are written down to what can be in force."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.hosts import connections_of, snapshot

from icshare.model.connection import Characteristics, LinkOverride, Role, Status
from icshare.model.firewall import Firewall, FirewallOptions
from icshare.model.mapping import PortMapping, Protocol, address_target
from icshare.model.names import InterfaceName
from icshare.model.settings import Settings
from icshare.model.sharing import Segment, Sharing, Wanted
from icshare.model.state import Designation, State
from icshare.model.wifi import AccessPoint, Band, Channel, Placement, Ssid, ap_link
from icshare.plan.designated import (
    Parts,
    absent,
    absent_one,
    judge,
    made_for,
    parts,
    wanted,
    with_private,
    with_public,
    without,
    without_access_point,
)

LINKS: list[dict[str, Any]] = [
    {"name": "wan0"},
    {"name": "lan0"},
    {"name": "lan1"},
    {"name": "ppp0", "kind": "ppp"},
    {"name": "br0", "kind": "bridge"},
    {"name": "port0", "master": "br0"},
    {"name": "odd name"},
]
HERE = connections_of(snapshot({"links": LINKS}))
GUIDS = {one.interface: one.guid for one in HERE}
ABSENT = uuid4()
ACCESS_POINT = AccessPoint(interface=InterfaceName("then"), ssid=Ssid("net"), secret="0123456789abcdef")
OPTIONS = FirewallOptions(log_dropped=True)


def guid(name: str) -> UUID:
    return GUIDS.get(name, ABSENT)


def designation(public: str | None, *privates: str, subnet: IPv4Network | None = None) -> Designation:
    return Designation(
        public=guid(public) if public else None, privates=tuple(guid(name) for name in privates), subnet=subnet
    )


def brought(designation: Designation, *firewalled: str, settings: Settings | None = None) -> Wanted:
    state = State(designation=designation, firewalls={guid(name): OPTIONS for name in firewalled})
    return wanted(state, HERE, settings or Settings(), lambda name: 22 if name == "wan0" else None)


@pytest.mark.parametrize(
    "asked",
    [
        designation(None),
        designation("wan0"),
        designation(None, "lan0"),
        designation("wan0", "unplugged"),
        designation("unplugged", "lan0"),
        designation("br0", "lan0"),
        designation("wan0", "port0"),
        designation("wan0", "ppp0"),
    ],
)
def test_without_both_sides_there_is_no_sharing(asked: Designation) -> None:
    assert brought(asked) == Wanted()


def test_what_is_there_of_both_sides_is_shared() -> None:
    assert brought(designation("wan0", "lan1", "unplugged", "lan0", "port0")).sharing == Sharing(
        public=InterfaceName("wan0"), privates=(InterfaceName("lan1"), InterfaceName("lan0"))
    )


def test_the_subnet_asked_for_comes_before_that_of_the_settings() -> None:
    set_one, asked = IPv4Network("10.1.0.0/24"), IPv4Network("10.2.0.0/24")
    settings = Settings(subnet=set_one)
    for subnet, used in ((None, set_one), (asked, asked)):
        sharing = brought(designation("wan0", "lan0", subnet=subnet), settings=settings).sharing
        assert sharing is not None
        assert sharing.subnet == used


def test_a_firewall_needs_a_connection_that_is_there_and_may_have_one() -> None:
    found = brought(designation(None, "lan0"), "lan0", "unplugged", "br0", "port0", "odd name", "wan0", "ppp0")
    assert found.firewalls == (
        Firewall(interface=InterfaceName("wan0"), options=OPTIONS, login_port=22),
        Firewall(interface=InterfaceName("ppp0"), options=OPTIONS),
    )


def test_a_role_is_taken_from_one_and_given_to_another() -> None:
    first = with_public(with_private(Designation(), guid("lan0")), guid("wan0"))
    assert first == designation("wan0", "lan0")
    assert with_public(first, guid("lan1")) == designation("lan1", "lan0")
    assert with_public(first, guid("lan0")) == designation("lan0")
    assert with_private(first, guid("wan0")) == designation(None, "lan0", "wan0")
    assert with_private(first, guid("lan0")) == first
    assert without(first, guid("wan0")) == designation(None, "lan0")
    assert without(first, guid("lan0")) == designation("wan0")
    assert without(first, guid("lan1")) == first


def with_access_point(asked: Designation, name: str) -> Designation:
    return replace(asked, access_point=ACCESS_POINT, wireless=guid(name))


def test_an_access_point_is_asked_of_the_connection_wherever_it_is_now() -> None:
    found = brought(with_access_point(designation("wan0", "lan0", "lan1"), "lan1")).sharing
    assert found is not None
    assert found.access_point == replace(ACCESS_POINT, interface=InterfaceName("lan1"))
    assert found.privates == ("lan0", "lan1")
    beside = brought(with_access_point(designation("wan0"), "wan0")).sharing
    assert beside is not None
    assert (beside.privates, beside.access_point) == ((), replace(ACCESS_POINT, interface=InterfaceName("wan0")))


def test_an_access_point_that_is_absent_hinders_nobody() -> None:
    found = brought(with_access_point(designation("wan0", "lan0", "unplugged"), "unplugged")).sharing
    assert found is not None
    assert (found.privates, found.access_point) == (("lan0",), None)
    assert brought(with_access_point(designation("wan0", "unplugged"), "unplugged")).sharing is None


def test_the_radio_of_an_access_point_need_not_be_private_by_itself() -> None:
    found = brought(with_access_point(designation("wan0", "ppp0"), "ppp0")).sharing
    assert found is not None
    assert found.privates == ("ppp0",)


def test_an_access_point_goes_with_its_connection() -> None:
    first = with_access_point(designation("wan0", "lan0", "lan1"), "lan0")
    assert without(first, guid("lan0")) == designation("wan0", "lan1")
    assert without(first, guid("lan1")) == with_access_point(designation("wan0", "lan0"), "lan0")
    assert without(first, guid("wan0")) == with_access_point(designation(None, "lan0", "lan1"), "lan0")
    assert with_public(first, guid("lan0")) == designation("lan0", "lan1")
    assert with_public(first, guid("lan1")) == with_access_point(designation("lan1", "lan0"), "lan0")
    assert without_access_point(first) == designation("wan0", "lan1")


def test_an_access_point_beside_the_public_connection_stays_when_another_is_public() -> None:
    beside = with_access_point(designation("wan0", "lan1"), "wan0")
    assert with_public(beside, guid("lan0")) == with_access_point(designation("lan0", "lan1", "wan0"), "wan0")
    assert with_public(beside, guid("wan0")) == beside
    assert with_private(beside, guid("wan0")) == with_access_point(designation(None, "lan1", "wan0"), "wan0")
    assert without(beside, guid("wan0")) == designation(None, "lan1")
    assert without_access_point(beside) == designation("wan0", "lan1")


@pytest.mark.parametrize("made", [True, False])
def test_a_link_that_was_made_is_private_in_place_of_the_one_that_was_named(made: bool) -> None:
    interfaces = {one: name for name, one in GUIDS.items()}
    wanted = replace(ACCESS_POINT, interface=InterfaceName("lan0"))
    channel = Channel(band=Band.GHZ2, number=1, frequency=2412)
    interface = ap_link(0) if made else InterfaceName("lan0")
    placement = Placement(interface=interface, radio=0, radio_name="phy0", made=made, channel=channel)
    segment = Segment(
        interface=interface,
        members=(interface,),
        network=IPv4Network("10.0.0.0/24"),
        gateway=IPv4Address("10.0.0.1"),
        access_point=placement,
    )
    shared = Wanted(
        sharing=Sharing(public=InterfaceName("wan0"), privates=(InterfaceName("lan0"),), access_point=wanted)
    )
    found = parts(shared, designation("wan0", "lan0"), interfaces, (segment,))
    assert found == Parts(public="wan0", privates=frozenset({interface}))
    assert made_for([segment]) == (interface if made else None)


def test_parts_are_those_in_force_and_those_designated() -> None:
    interfaces = {one: name for name, one in GUIDS.items()}
    shared = Wanted(
        sharing=Sharing(public=InterfaceName("wan0"), privates=(InterfaceName("lan0"),)),
        firewalls=(Firewall(interface=InterfaceName("wan0")),),
    )
    assert parts(Wanted(), Designation(), interfaces) == Parts()
    assert parts(Wanted(), designation("unplugged", "lan1", "unplugged"), interfaces) == Parts(
        privates=frozenset({"lan1"})
    )
    assert parts(Wanted(), designation("wan0"), interfaces) == Parts(public="wan0")
    found = parts(shared, designation("lan1", "wan0", "port0"), interfaces)
    assert found == Parts(public="wan0", privates=frozenset({"lan0", "port0"}), firewalled=frozenset({"wan0"}))
    assert [found.role(one) for one in ("wan0", "port0", "lan1")] == [Role.PUBLIC, Role.PRIVATE, Role.NONE]


def test_absent_connections_with_a_part_are_known_by_the_name_they_had() -> None:
    public, private, mapped, protected, nameless = (uuid4() for _ in range(5))
    mapping = PortMapping(
        number=1,
        connection=mapped,
        name="web",
        protocol=Protocol.TCP,
        external=80,
        internal=80,
        target=address_target("192.168.137.2"),
    )
    state = State(
        designation=Designation(public=public, privates=(private, guid("lan0"))),
        firewalls={protected: OPTIONS, nameless: OPTIONS},
        mappings={1: mapping},
        interfaces={public: "wwan0", private: "usb0", mapped: "usb1", protected: "usb2", guid("lan0"): "lan0"},
    )
    found = absent(state, set(GUIDS.values()))
    assert [(one.interface, one.role, one.characteristics) for one in found] == [
        ("wwan0", Role.PUBLIC, Characteristics.SHARED),
        ("usb0", Role.PRIVATE, Characteristics.SHARED_PRIVATE),
        ("usb1", Role.NONE, Characteristics.NONE),
        ("usb2", Role.NONE, Characteristics.NONE),
    ]
    assert all(one.status is Status.HARDWARE_NOT_PRESENT and one.hidden and not one.sharable.ok for one in found)
    assert [one.interface for one in absent(replace(state, designation=Designation()), set())] == ["usb1", "usb2"]
    assert absent_one(state, private) == found[1]
    assert absent_one(state, nameless) is None
    assert absent_one(state, uuid4()) is None
    assert absent_one(replace(state, mappings={}), mapped) is None


def test_connections_are_judged_by_the_administrators_word() -> None:
    host = snapshot({"links": LINKS})
    settings = Settings(links={"wan0": LinkOverride(name="Uplink", public=False)})
    found = {one.interface: one for one in judge(host, settings, Parts(public="wan0"))}
    assert (found["wan0"].name, found["wan0"].role) == ("Uplink", Role.PUBLIC)
    assert {one.role for one in judge(host, Settings())} == {Role.NONE}
