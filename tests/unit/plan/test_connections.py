"""The connections of a host: the sharing rule, status, characteristics, identity, names and roles."""

from dataclasses import replace
from ipaddress import ip_interface, ip_network
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.model.connection import YES, Characteristics, Connection, LinkOverride, MediaType, Reason, Role, Status
from icshare.model.link import (
    IFF_LOOPBACK,
    IFF_RUNNING,
    IFF_UP,
    Address,
    IfIndex,
    Link,
    LinkFacts,
    PppFacts,
    Route,
)
from icshare.plan.connections import NAMESPACE, Profile, best_default, connections, firewallable, guid, sharable

F = Characteristics
DOWN, LOWER_DOWN, DORMANT, OPER_UP = 2, 3, 5, 6
CARD = LinkFacts(hardware=True, driver="e1000e")
PROFILE = Profile(uuid=UUID(int=77), name="Office")


def link(name: str = "eth0", index: int = 2, **fields: Any) -> Link:
    usual: dict[str, Any] = {
        "flags": IFF_UP | IFF_RUNNING,
        "operstate": OPER_UP,
        "address": f"52:54:00:00:00:{index:02x}",
        "facts": LinkFacts() if fields.get("kind") else CARD,
    }
    return Link(index=IfIndex(index), name=name, **{**usual, **fields})


def ppp(transport: str = "pppoe", *, server: bool = False) -> Link:
    facts = LinkFacts(ppp=PppFacts(transport=transport, server=server))
    return link("ppp0", kind="ppp", type=512, address="", facts=facts)


def address(text: str, index: int = 2) -> Address:
    return Address(index=IfIndex(index), interface=ip_interface(text))


def default(index: int | None, *, metric: int = 0, network: str = "0.0.0.0/0", **fields: Any) -> Route:
    place = None if index is None else IfIndex(index)
    return Route(destination=ip_network(network), index=place, metric=metric, **fields)


def only(one: Link, *addresses: Address, **state: Any) -> Connection:
    (found,) = connections([one], addresses, (), **state)
    return found


# ------------------------------------------------------------------------------------------------------- the rule


@given(st.sampled_from(MediaType), st.integers(0, 0x7FFFF).map(Characteristics))
def test_the_rule_looks_at_the_media_type_and_at_incoming_only_and_at_nothing_else(
    media: MediaType, flags: Characteristics
) -> None:
    assert sharable(media, flags).ok == (media in {1, 2, 3, 4, 5, 6} and not flags & 0x20)


@pytest.mark.parametrize("media", MediaType)
@pytest.mark.parametrize("flags", [F.NONE, F.INCOMING_ONLY, F.INCOMING_ONLY | F.SHARED])
def test_every_no_has_a_reason_and_a_sentence(media: MediaType, flags: Characteristics) -> None:
    verdict = sharable(media, flags)
    if verdict.ok:
        assert verdict == YES
    else:
        allowed = 1 <= media <= 6
        assert verdict.reason is (Reason.INCOMING_ONLY if allowed else Reason.MEDIA_TYPE)
        assert allowed or media.name in verdict.text
        assert verdict.text


# --------------------------------------------------------------------------------------------------------- status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, Status.CONNECTED),
        ({"operstate": 0}, Status.CONNECTED),
        ({"operstate": 4}, Status.CONNECTED),
        ({"operstate": 0, "flags": IFF_UP}, Status.MEDIA_DISCONNECTED),
        ({"operstate": DOWN, "flags": IFF_UP}, Status.MEDIA_DISCONNECTED),
        ({"operstate": LOWER_DOWN}, Status.MEDIA_DISCONNECTED),
        ({"operstate": DORMANT}, Status.CONNECTING),
        ({"operstate": 1}, Status.HARDWARE_NOT_PRESENT),
        ({"flags": 0, "operstate": DOWN}, Status.HARDWARE_DISABLED),
        ({"flags": 0, "operstate": DOWN, "facts": LinkFacts(wireless=True)}, Status.HARDWARE_DISABLED),
        ({"flags": 0, "operstate": DOWN, "kind": "veth"}, Status.DISCONNECTED),
    ],
)
def test_status_of_a_link_that_no_manager_keeps(fields: dict[str, Any], status: Status) -> None:
    assert only(link(**fields)).status is status


def test_an_address_that_the_link_gave_itself_is_no_connection() -> None:
    own = address("169.254.7.1/16")
    assert only(link(), own).status is Status.INVALID_ADDRESS
    assert only(link(), own, address("192.0.2.1/24")).status is Status.CONNECTED
    assert only(link(), address("fe80::1/64")).status is Status.CONNECTED
    assert only(link(), address("169.254.7.1/16", index=9)).status is Status.CONNECTED
    assert only(link(operstate=DOWN), own).status is Status.MEDIA_DISCONNECTED


# ------------------------------------------------------------------------------------------------ characteristics


@pytest.mark.parametrize(
    ("one", "flags"),
    [
        (link(), F.ALL_USERS | F.ALLOW_RENAME | F.HOMENET_CAPABLE),
        (link(kind="veth"), F.ALL_USERS | F.ALLOW_RENAME | F.ALLOW_REMOVAL | F.HOMENET_CAPABLE),
        (link(kind="bridge"), F.ALL_USERS | F.ALLOW_RENAME | F.ALLOW_REMOVAL | F.HOMENET_CAPABLE),
        (link("lo", type=772, flags=IFF_UP | IFF_LOOPBACK, facts=LinkFacts()), F.ALL_USERS),
        (ppp(), F.ALL_USERS | F.ALLOW_RENAME | F.ALLOW_REMOVAL | F.OUTGOING_ONLY),
        (ppp(server=True), F.ALL_USERS | F.ALLOW_RENAME | F.ALLOW_REMOVAL | F.INCOMING_ONLY),
    ],
)
def test_characteristics_of_a_link_that_shares_nothing(one: Link, flags: Characteristics) -> None:
    assert only(one).characteristics == flags


def test_a_profile_of_a_dialled_connection_can_be_copied_and_deleted() -> None:
    profiles = {"ppp0": PROFILE, "eth0": PROFILE}
    assert F.ALLOW_DUPLICATION | F.ALLOW_REMOVAL in only(ppp(), profiles=profiles).characteristics
    assert not (F.ALLOW_DUPLICATION | F.ALLOW_REMOVAL) & only(link(), profiles=profiles).characteristics


def test_the_default_connection_carries_the_best_default_route() -> None:
    hosts = [link("eth0", 2), link("eth1", 3)]
    found = connections(hosts, (), [default(2, metric=200), default(3, metric=100)])
    assert [bool(one.characteristics & F.DEFAULT) for one in found] == [False, True]


def test_firewalled_is_who_is_under_our_firewall() -> None:
    found = connections([link("eth0", 2), link("eth1", 3)], (), (), firewalled={"eth0"})
    assert [bool(one.characteristics & F.FIREWALLED) for one in found] == [True, False]


def test_public_and_privates_are_marked_each_with_one_flag() -> None:
    bridge = link("ics-br0", 5, kind="bridge")
    links = [link("wan0", 2), link("lan0", 3, master=IfIndex(5), slave_kind="bridge"), link("eth9", 4), bridge]
    found = connections(links, (), (), public="wan0", privates={"lan0"})
    both = F.SHARED | F.SHARED_PRIVATE
    assert [one.characteristics & both for one in found] == [F.SHARED, F.SHARED_PRIVATE, F.NONE, F.SHARED_PRIVATE]
    assert [one.role for one in found] == [Role.PUBLIC, Role.PRIVATE, Role.NONE, Role.NONE]
    assert F.BRIDGED in found[1].characteristics
    assert found[1].as_private.ok


def test_while_nothing_is_shared_no_bridge_is_ours() -> None:
    assert not only(link("ics-br0", kind="bridge")).characteristics & F.SHARED_PRIVATE


# ---------------------------------------------------------------------------------------------- the default route


@pytest.mark.parametrize(
    ("routes", "best"),
    [
        ([], None),
        ([default(2, metric=100), default(3, metric=50)], 3),
        ([default(2, metric=100), default(3, metric=100)], 2),
        ([default(3, network="::/0", metric=1), default(2, metric=100)], 2),
        ([default(3, network="::/0", metric=1)], 3),
        ([default(9), default(2, metric=5)], 2),
        ([default(3, table=100), default(2, metric=5)], 2),
        ([default(3, type=7), default(2, metric=5)], 2),
        ([default(3, network="10.0.0.0/8"), default(2, metric=5)], 2),
        ([default(None, nexthops=(IfIndex(3), IfIndex(2)))], 3),
        ([default(None, type=7)], None),
        ([default(None)], None),
    ],
)
def test_the_best_default_route_is_of_ipv4_and_the_smallest_metric(routes: list[Route], best: int | None) -> None:
    assert best_default(routes, [link("eth0", 2), link("eth1", 3)]) == best


@pytest.mark.parametrize(("upper", "bridgeable"), [("macvlan", False), ("macsec", False), ("vlan", True)])
def test_no_bridge_takes_a_link_whose_packets_go_to_another_already(upper: str, *, bridgeable: bool) -> None:
    """It was planned as a port, and the kernel refused it in the middle of sharing."""
    card, above = connections([link("eth0", 2), link("up0", 3, kind=upper, lower=IfIndex(2))], (), ())
    assert (card.bridgeable, above.bridgeable) == (bridgeable, True)


# ------------------------------------------------------------------------------------------------ identity, names


def test_identity_is_of_the_hardware_and_stays_over_a_rename() -> None:
    card = link(permanent_address="52:54:00:AB:cd:01", parent_bus="pci", parent_device="0000:03:00.0")
    assert guid(card) == guid(replace(card, name="wan", index=IfIndex(9), parent_device="0000:04:00.0"))
    assert guid(card) == guid(replace(card, permanent_address="52:54:00:ab:cd:01"))
    assert guid(card) != guid(replace(card, permanent_address="52:54:00:ab:cd:02"))


@pytest.mark.parametrize("nothing", ["", "00:00:00:00:00:00"])
def test_without_a_hardware_address_identity_is_of_the_place_on_the_bus(nothing: str) -> None:
    modem = link(permanent_address=nothing, parent_bus="usb", parent_device="1-1:1.4")
    assert guid(modem) == guid(replace(modem, name="wan", address="02:00:00:00:00:01"))
    assert guid(modem) != guid(replace(modem, parent_device="1-2:1.4"))


def test_otherwise_identity_is_of_the_name() -> None:
    assert guid(link(kind="veth")) == guid(link(index=9, kind="veth", address=""))
    assert guid(link(kind="veth")) != guid(link("eth1", kind="veth"))


@pytest.mark.parametrize(
    ("kind", "address"),
    [("ip6tnl", "ca:94:89:ad:7e:69" + ":00" * 10), ("gre", "c0:00:02:01"), ("ipvlan", "52:54:00:00:00:01")],
)
def test_the_permanent_address_of_what_software_makes_is_no_identity(kind: str, address: str) -> None:
    """A tunnel was another connection after every reboot: the kernel gives each IPv6 tunnel a new permanent address."""
    tunnel = link("tnl7", kind=kind, permanent_address=address)
    assert guid(tunnel) == guid(replace(tunnel, permanent_address="3a:7d:49:45:4b:7c"))
    card = link("ib0", kind="ipoib", permanent_address="80:00:00:48", parent_bus="pci", parent_device="0000:03:00.0")
    assert guid(card) == guid(replace(card, name="ib1", parent_device="0000:04:00.0"))


def test_identities_are_written_down_for_ever() -> None:
    assert str(NAMESPACE) == "6b1f0f0e-9b3c-5c55-8a55-3d1c3e0a7a10"
    assert str(guid(link(permanent_address="52:54:00:00:00:01"))) == "fcd78b9c-a5d4-5545-bd0e-b7387ea9537e"
    assert str(guid(link(parent_bus="usb", parent_device="1-1:1.4"))) == "251ca743-0e50-54df-a294-f7ab7317c4bd"
    assert str(guid(link("br0", kind="bridge"))) == "7ea20574-3534-5344-ac87-067a387f0f77"


def test_of_links_with_one_hardware_address_the_oldest_is_known_by_it() -> None:
    first = link("wlan0", 2, permanent_address="52:54:00:00:00:01")
    second = link("wlan0b", 3, permanent_address="52:54:00:00:00:01")
    for links in ([first, second], [second, first]):
        found = {one.interface: one.guid for one in connections(links, (), ())}
        assert found["wlan0"] == guid(first)
        assert found["wlan0b"] == guid(replace(second, permanent_address=""))


def test_a_dialled_connection_is_its_profile_and_a_card_is_itself() -> None:
    assert only(ppp(), profiles={"ppp0": PROFILE}).guid == PROFILE.uuid
    assert only(link(), profiles={"eth0": PROFILE}).guid == guid(link())


def test_the_name_for_people_is_what_people_chose_last() -> None:
    plain = link(alias="")
    aliased = link(alias="Uplink")
    assert only(plain).name == "eth0"
    assert only(aliased).name == "Uplink"
    assert only(aliased, profiles={"eth0": PROFILE}).name == "Office"
    override = LinkOverride(name="Fibre")
    assert only(aliased, profiles={"eth0": PROFILE}, overrides={"eth0": override}).name == "Fibre"
    assert only(aliased, overrides={"eth0": LinkOverride(public=True), "eth1": override}).name == "Uplink"


def test_the_device_is_named_by_its_driver_else_by_its_kind() -> None:
    assert only(link()).device == "e1000e (eth0)"
    assert only(link(kind="veth")).device == "veth (eth0)"
    assert only(link("sl0", type=256, facts=LinkFacts())).device == "serial line (SLIP) (sl0)"


# ---------------------------------------------------------------------------------------------------------- roles


def verdicts(one: Connection) -> tuple[bool, Reason | None, bool, Reason | None]:
    return one.as_public.ok, one.as_public.reason, one.as_private.ok, one.as_private.reason


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (link(), (True, None, True, None)),
        (link(kind="bridge"), (False, Reason.MEDIA_TYPE, True, None)),
        (link(kind="dummy"), (False, Reason.NOT_AS_PUBLIC, True, None)),
        (ppp(), (True, None, False, Reason.NOT_AS_PRIVATE)),
        (ppp(server=True), (False, Reason.INCOMING_ONLY, False, Reason.INCOMING_ONLY)),
        (link(kind="ifb"), (False, Reason.MEDIA_TYPE, False, Reason.MEDIA_TYPE)),
        (link('a"b'), (False, Reason.UNUSABLE_NAME, False, Reason.UNUSABLE_NAME)),
        (link("wlan*"), (False, Reason.UNUSABLE_NAME, False, Reason.UNUSABLE_NAME)),
    ],
)
def test_parts_that_a_link_may_play(one: Link, expected: tuple[bool, Reason | None, bool, Reason | None]) -> None:
    found = only(one)
    assert verdicts(found) == expected
    for verdict in (found.as_public, found.as_private):
        assert verdict.ok == (not verdict.text)


def test_a_bridge_may_be_private_though_the_rule_does_not_share_it() -> None:
    bridge = only(link("br0", kind="bridge"))
    assert not bridge.sharable.ok
    assert bridge.as_private.ok


@pytest.mark.parametrize("kind", ["bridge", "openvswitch"])
def test_a_member_of_a_bridge_passes_the_rule_but_plays_no_part(kind: str) -> None:
    member = link("eth0", 2, master=IfIndex(3), slave_kind=kind)
    found, _ = connections([member, link("br0", 3, kind=kind)], (), ())
    assert found.sharable.ok
    assert verdicts(found) == (False, Reason.BRIDGE_MEMBER, False, Reason.BRIDGE_MEMBER)
    assert "br0" in found.as_public.text
    assert F.BRIDGED in found.characteristics


def test_a_port_of_a_bond_plays_no_part_and_is_not_bridged() -> None:
    port = link("eth0", 2, master=IfIndex(3), slave_kind="bond")
    found, _ = connections([port, link("bond0", 3, kind="bond")], (), ())
    assert verdicts(found) == (False, Reason.PORT_OF_MASTER, False, Reason.PORT_OF_MASTER)
    assert not found.characteristics & F.BRIDGED


def test_a_link_of_a_routing_domain_or_of_an_unknown_master_stands_for_itself() -> None:
    domain = link("eth0", 2, master=IfIndex(3), slave_kind="vrf")
    found, _ = connections([domain, link("vrf0", 3, kind="vrf")], (), ())
    assert found.as_private.ok
    assert only(domain).as_private.ok


# ------------------------------------------------------------------------------------------------------ overrides


def test_the_administrator_may_insist_on_a_bridge_as_public() -> None:
    found = only(link("br0", kind="bridge"), overrides={"br0": LinkOverride(public=True)})
    assert found.as_public.ok
    assert not found.sharable.ok
    assert found.media is MediaType.BRIDGE


def test_the_administrator_may_say_that_a_link_only_answers() -> None:
    found = only(link(), overrides={"eth0": LinkOverride(incoming_only=True, public=True)})
    assert F.INCOMING_ONLY in found.characteristics
    assert verdicts(found) == (False, Reason.INCOMING_ONLY, False, Reason.INCOMING_ONLY)


def test_the_administrator_may_say_that_what_looks_like_an_answerer_calls() -> None:
    found = only(ppp("vpn", server=True), overrides={"ppp0": LinkOverride(incoming_only=False)})
    assert found.sharable.ok
    assert found.as_public.ok


def test_the_administrator_may_forbid_a_part() -> None:
    found = only(link(), overrides={"eth0": LinkOverride(public=False)})
    assert verdicts(found) == (False, Reason.NOT_AS_PUBLIC, True, None)
    assert not only(link(), overrides={"eth0": LinkOverride(private=False)}).characteristics & F.HOMENET_CAPABLE


def test_the_administrator_may_name_the_media() -> None:
    found = only(link(), overrides={"eth0": LinkOverride(media=MediaType.PHONE)})
    assert found.media is MediaType.PHONE
    assert verdicts(found) == (True, None, False, Reason.NOT_AS_PRIVATE)


def test_connections_come_in_the_order_of_the_links_and_say_whether_they_are_hidden() -> None:
    links = [link("lo", 1, type=772, flags=IFF_LOOPBACK), link("eth0", 2)]
    assert [(one.interface, one.hidden) for one in connections(links, (), ())] == [("lo", True), ("eth0", False)]


@pytest.mark.parametrize(
    ("media", "flags", "private", "why"),
    [
        (MediaType.LAN, F.NONE, True, "private connection"),
        (MediaType.LAN, F.SHARED_PRIVATE, False, "private connection"),
        (MediaType.BRIDGE, F.NONE, False, "is a bridge"),
        (MediaType.LAN, F.BRIDGED, False, "member of a bridge"),
        (MediaType.DIRECT, F.NONE, False, "direct cable"),
        (MediaType.NONE, F.NONE, False, "media type is NONE"),
    ],
)
def test_where_no_firewall_may_be_the_reason_is_told(
    media: MediaType, flags: Characteristics, why: str, *, private: bool
) -> None:
    one = replace(only(link()), media=media, characteristics=flags)
    verdict = firewallable(one, private=private)
    assert (verdict.ok, verdict.reason) == (False, Reason.NO_FIREWALL)
    assert why in verdict.text
    assert firewallable(only(link()), private=False) is YES
