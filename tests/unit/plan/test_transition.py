"""What a step does to a host, and that its inverse takes exactly that back."""

from dataclasses import replace
from functools import reduce
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests import strategies
from tests.hosts import settled, snapshot

from icshare.model.link import IfIndex, Link, Route
from icshare.model.names import InterfaceName
from icshare.model.snapshot import Snapshot
from icshare.plan import steps as s
from icshare.plan.steps import AnyStep, LinkRef
from icshare.plan.transition import after, find, in_force, rewind

LAN0, LAN1 = InterfaceName("lan0"), InterfaceName("lan1")
HOST = snapshot({"links": [{"name": "lan0"}, {"name": "lan1"}]})
TWO = st.sampled_from([LinkRef(LAN0, 2), LinkRef(LAN1, 3)])
ROUTES = st.builds(s.AddRoute, **{**strategies.route, "link": TWO, "raw": st.just(b"raw")})
BRIDGE = s.CreateBridge(name=InterfaceName("ics-br0"), mac="52:54:00:00:00:03", mtu=1400)


@pytest.fixture
def host() -> Snapshot:
    """lan0 is link 2, lan1 is link 3."""
    return snapshot({"links": [{"name": "lan0"}, {"name": "lan1"}], "addresses": ["lan1 10.1.0.1/24"]})


@given(strategies.snapshots, strategies.steps)
def test_a_step_and_its_inverse_leave_the_host_as_it_was(before: Snapshot, step: AnyStep) -> None:
    """Of every step that a plan can hold, where what it is to change is as the step says."""
    assume(not isinstance(step, s.DropRuleset | s.StopService | s.DeleteBridge | s.RemoveRule | s.RemoveNeighbour))
    assume(not isinstance(step, s.RemoveAddress | s.RemoveRoute))  # drawn from the host below
    assume(in_force(before, step.inverse()))
    assume(not (isinstance(step, s.StartAccessPoint | s.StopAccessPoint) and step.networkmanager))  # which clears links
    assume(not (isinstance(step, s.AddRoute) and _displaced(before, step)))
    assume(not (isinstance(step, s.SetInterfaceType) and _is_up(before, step.link) is not step.up))
    assert settled(after(after(before, step), step.inverse())) == settled(before)


def _is_up(host: Snapshot, ref: LinkRef) -> bool:
    link = find(host, ref)
    return link is not None and link.up


WIFI = snapshot(
    {
        "links": [{"name": "lan0"}, {"name": "wlan0", "radio": 0, "frequency": 2412, "ssid": "cafe"}],
        "addresses": ["lan0 10.1.0.1/24", "wlan0 10.2.0.1/24", "wlan0 2001:db8::1/64"],
        "radios": [{}],
    }
)
WLAN = LinkRef(InterfaceName("wlan0"), 3)


@pytest.mark.parametrize("up", [True, False])
def test_a_link_of_another_type_has_left_its_network(up: bool) -> None:
    change = s.SetInterfaceType(link=WLAN, type=3, previous=2, up=up)
    link = after(WIFI, change).link("wlan0")
    assert link is not None
    assert (link.facts.wireless_type, link.facts.frequency, link.facts.ssid, link.up) == (3, None, "", up)
    again = replace(WIFI, links=tuple(replace(one, flags=0) for one in WIFI.links))
    assert in_force(after(again, change), change)
    raised = after(after(again, change), s.SetUp(link=WLAN, up=True, previous=False))
    assert in_force(raised, change)


def test_networkmanager_takes_away_what_is_on_a_link_that_it_serves_on() -> None:
    ports = tuple(replace(one, master=IfIndex(9)) if one.name == "wlan0" else one for one in WIFI.links)
    serve = s.StartAccessPoint(link=WLAN.name, text="profile", secret="0" * 16, networkmanager=True)
    served = after(replace(WIFI, links=ports), serve)
    link = served.link("wlan0")
    assert link is not None
    assert (link.master, link.facts.wireless_type, link.facts.frequency) == (None, 3, None)
    assert [str(one.interface) for one in served.addresses] == ["10.1.0.1/24", "2001:db8::1/64"]
    assert [str(one.destination) for one in served.routes] == ["10.1.0.0/24"]
    assert in_force(served, serve)
    ended = after(served, serve.inverse()).link("wlan0")
    assert ended is not None
    assert ended.facts.wireless_type == 2


def test_on_a_link_that_was_made_for_it_networkmanager_leaves_the_type() -> None:
    made = after(WIFI, s.CreateAccessPointLink(name=InterfaceName("ics-ap0"), radio=0))
    serve = s.StartAccessPoint(link=InterfaceName("ics-ap0"), text="profile", secret="0" * 16, networkmanager=True)
    assert after(after(made, serve), serve.inverse()) == made
    gone = after(WIFI, serve)
    assert (gone.access_point, gone.links) == (serve.version, WIFI.links)


@given(
    st.lists(
        st.builds(s.AddAddress, link=TWO, address=strategies.interfaces, peer=strategies.peers, raw=strategies.raws),
        min_size=1,
    )
)
def test_what_a_link_has_is_given_back_as_it_was(given_to_it: list[AnyStep]) -> None:
    """A plan takes addresses last to first, and the reverse gives them back first to last."""
    before = reduce(after, given_to_it, HOST)
    removals = []
    for address in reversed(before.addresses):
        link = before.link_by_index(address.index)
        assert link is not None
        assert isinstance(address.interface, IPv4Interface)
        assert not isinstance(address.peer, IPv6Address)
        removals.append(s.RemoveAddress(link=_ref(link), address=address.interface, peer=address.peer, raw=address.raw))
    bare = reduce(after, removals, before)
    assert bare.addresses == ()
    assert bare.routes == ()
    given_back = rewind(bare, removals)
    assert settled(given_back) == settled(before)
    assert [one.raw for one in given_back.addresses] == [one.raw for one in before.addresses]


@given(
    st.lists(st.builds(s.AddRoute, **{**strategies.route, "link": TWO, "raw": st.just(b"raw")}), min_size=1), st.data()
)
def test_a_route_is_given_back_as_it_was(given_to_it: list[AnyStep], data: st.DataObject) -> None:
    before = reduce(after, given_to_it, HOST)
    route = data.draw(st.sampled_from(before.routes))
    link = before.link_by_index(route.index)
    assert link is not None
    assert isinstance(route.destination, IPv4Network)
    assert not isinstance(route.gateway, IPv6Address)
    step = s.RemoveRoute(
        link=_ref(link),
        destination=route.destination,
        gateway=route.gateway,
        table=route.table,
        metric=route.metric,
        protocol=route.protocol,
        raw=route.raw,
    )
    assert len(after(before, step).routes) == len(before.routes) - 1
    assert settled(after(after(before, step), step.inverse())) == settled(before)


@given(strategies.snapshots, strategies.steps)
def test_a_step_may_be_repeated(before: Snapshot, step: AnyStep) -> None:
    once = after(before, step)
    assert after(once, step) is once
    if _target(once, step):
        assert in_force(once, step)


@given(strategies.snapshots, strategies.steps)
def test_a_step_in_force_changes_nothing_at_all(before: Snapshot, step: AnyStep) -> None:
    if in_force(before, step):
        assert after(before, step) is before


@given(strategies.snapshots, st.lists(strategies.steps, max_size=6))
def test_rewinding_takes_back_the_newest_first(before: Snapshot, done: list[AnyStep]) -> None:
    rewound = before
    for step in reversed(done):
        rewound = after(rewound, step.inverse())
    assert rewind(before, iter(done)) == rewound


@pytest.mark.parametrize(
    "step",
    [
        s.SetUp(link=LinkRef(LAN0, 99), up=True, previous=False),
        s.SetMaster(link=LinkRef(LAN0, 99), master=None, previous=None),
        s.SetMaster(link=LinkRef(LAN0), master=InterfaceName("ics-br0"), previous=None),
        s.SetSysctl(link=LinkRef(LAN0, 99), setting="ipv4/forwarding", value="1", previous="0"),
        s.AddAddress(link=LinkRef(InterfaceName("ics-br0")), address=IPv4Interface("10.0.0.1/24")),
        s.AddRoute(link=LinkRef(LAN0, 99), destination=IPv4Network("0.0.0.0/0")),
    ],
    ids=lambda step: type(step).__name__,
)
def test_a_step_on_what_is_not_there_changes_nothing_and_is_not_in_force(host: Snapshot, step: AnyStep) -> None:
    assert after(host, step) is host
    assert not in_force(host, step)


@pytest.mark.parametrize(
    "step",
    [
        s.RemoveAddress(link=LinkRef(LAN0, 99), address=IPv4Interface("10.0.0.1/24")),
        s.RemoveRoute(link=LinkRef(LAN0, 99), destination=IPv4Network("0.0.0.0/0")),
        s.RemoveRule(link=LAN0, priority=13_700),
        BRIDGE.inverse(),
    ],
    ids=lambda step: type(step).__name__,
)
def test_what_is_not_there_need_not_be_removed(host: Snapshot, step: AnyStep) -> None:
    assert after(host, step) is host
    assert in_force(host, step)


def test_a_bridge_goes_with_all_that_is_on_it_and_lets_its_ports_go(host: Snapshot) -> None:
    bridge = LinkRef(BRIDGE.name)
    built = host
    for step in (
        BRIDGE,
        s.SetMaster(link=LinkRef(LAN0, 2), master=BRIDGE.name, previous=None),
        s.AddAddress(link=bridge, address=IPv4Interface("192.168.137.1/24")),
        s.AddRoute(link=bridge, destination=IPv4Network("10.9.0.0/16")),
        s.SetSysctl(link=bridge, setting="ipv4/forwarding", value="1", previous="0"),
    ):
        built = after(built, step)
    made = built.link(BRIDGE.name)
    assert made is not None
    assert (made.kind, made.address, made.mtu, made.index) == ("bridge", "52:54:00:00:00:03", 1400, 4)
    lan0 = built.link("lan0")
    assert lan0 is not None
    assert lan0.master == made.index
    assert after(built, BRIDGE.inverse()) == host


def test_creating_a_bridge_that_is_there_sets_its_mtu(host: Snapshot) -> None:
    made = after(host, BRIDGE)
    changed = after(made, s.CreateBridge(name=BRIDGE.name, mac=BRIDGE.mac, mtu=1280))
    bridge = changed.link(BRIDGE.name)
    assert bridge is not None
    assert bridge.mtu == 1280
    assert len(changed.links) == len(made.links)


def test_an_address_brings_its_connected_route_and_takes_it_away(host: Snapshot) -> None:
    step = s.AddAddress(link=LinkRef(LAN0, 2), address=IPv4Interface("192.168.137.1/24"))
    added = after(host, step)
    connected = Route(destination=IPv4Network("192.168.137.0/24"), index=IfIndex(2), protocol=2)
    assert set(added.routes) - set(host.routes) == {connected}
    assert [one.index for one in added.addresses] == [2, 3], "the kernel lists addresses by link"
    assert after(added, step.inverse()) == host


def test_a_second_address_of_a_network_is_secondary_and_keeps_the_route(host: Snapshot) -> None:
    second = s.AddAddress(link=LinkRef(LAN1, 3), address=IPv4Interface("10.1.0.2/24"))
    added = after(host, second)
    assert [one.secondary for one in added.addresses] == [False, True]
    assert added.routes == host.routes
    assert after(added, second.inverse()) == host


def test_a_route_of_ours_takes_the_place_of_another(host: Snapshot) -> None:
    """Two pinned publics after each other: the second met the route of the first, and was left out."""
    first = s.AddRoute(link=LinkRef(LAN0, 2), destination=IPv4Network("0.0.0.0/0"), table=13_700)
    second = s.AddRoute(link=LinkRef(LAN1, 3), destination=IPv4Network("0.0.0.0/0"), table=13_700)
    assert first.key == second.key
    both = after(after(host, first), second)
    assert [route.index for route in both.routes if route.table == 13_700] == [3]
    assert after(both, first.inverse()) is both, "the old one is gone already"
    assert after(both, second.inverse()) == host


def test_a_setting_of_a_renamed_link_is_found_by_its_index(host: Snapshot) -> None:
    links = tuple(replace(link, name="renamed") if link.index == 2 else link for link in host.links)
    sysctls = {key.replace("lan0/", "renamed/"): value for key, value in host.sysctls.items()}
    renamed = replace(host, links=links, sysctls=sysctls)
    step = s.SetSysctl(link=LinkRef(LAN0, 2), setting="ipv4/forwarding", value="1", previous="0")
    changed = after(renamed, step)
    assert changed.sysctls["renamed/ipv4/forwarding"] == "1"
    assert "lan0/ipv4/forwarding" not in changed.sysctls


def test_the_route_of_an_address_with_a_peer_leads_to_the_peer(host: Snapshot) -> None:
    """It led to our own address, and of two addresses with one peer each the first seemed to be the second."""
    one, two = (
        s.AddAddress(link=LinkRef(LAN0, 2), address=IPv4Interface("10.77.0.1/32"), peer=IPv4Address(f"10.77.0.{peer}"))
        for peer in (2, 3)
    )
    assert one.key != two.key
    both = after(after(host, one), two)
    routes = [str(route.destination) for route in both.routes if route.index == 2]
    assert routes == ["10.77.0.2/32", "10.77.0.3/32"]
    assert settled(after(both, one.inverse())) == settled(after(host, two))


def _displaced(host: Snapshot, step: s.AddRoute) -> bool:
    return any(
        (route.destination, route.table, route.metric) == (step.destination, step.table, step.metric)
        for route in host.routes
    )


def _ref(link: Link) -> LinkRef:
    return LinkRef(InterfaceName(link.name), link.index)


def _target(host: Snapshot, step: AnyStep) -> bool:
    """Tell whether the links are there that *step* needs."""
    link = getattr(step, "link", None)
    if isinstance(link, LinkRef) and find(host, link) is None:
        return False
    master = getattr(step, "master", None)
    return master is None or host.link(master) is not None
