"""What the golden scenarios do not show of a plan: its size, its notes, and what it takes from the present."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.hosts import abilities, connections_of, snapshot

from icshare.errors import ConflictError
from icshare.model.fastpath import Mode
from icshare.model.link import IfIndex, Neighbour
from icshare.model.names import InterfaceName, MacAddress
from icshare.model.sharing import Sharing, Wanted
from icshare.model.snapshot import Snapshot
from icshare.model.wifi import AccessPoint, Country, Ssid
from icshare.plan.planner import Environment, Plan, make_plan
from icshare.plan.segments import Present
from icshare.plan.steps import (
    AddAddress,
    AddRoute,
    AddRule,
    CreateBridge,
    LoadRuleset,
    RemoveAddress,
    RemoveNeighbour,
    RemoveRoute,
    SetConntrack,
    SetCountry,
    SetInterfaceType,
    SetMaster,
    SetSysctl,
    StartAccessPoint,
    StartFastPath,
    StartService,
)
from icshare.testing import FakeHost

ACCOUNT = 65_527
WAN, LAN0, LAN1, TUN, WLAN0 = (InterfaceName(name) for name in ("wan0", "lan0", "lan1", "tun0", "wlan0"))


def plan(description: dict[str, Any], sharing: Sharing, present: Present | None = None) -> Plan:
    return plan_on(snapshot(description), sharing, present)


def plan_on(host: Snapshot, sharing: Sharing, present: Present | None = None) -> Plan:
    return make_plan(Wanted(sharing=sharing), host, connections_of(host), FakeHost(host).environment, present)


def links(*names: str, **fields: Any) -> list[dict[str, Any]]:
    kinds = {"tun0": "tun"}
    return [{"name": name, "kind": kinds.get(name, ""), **fields} for name in names]


def bridge_of(made: Plan) -> CreateBridge:
    (bridge,) = [step for step in made.steps if isinstance(step, CreateBridge)]
    return bridge


@pytest.mark.parametrize("count", [2, 8, 64])
def test_a_plan_grows_by_one_step_for_each_private(count: int) -> None:
    names = tuple(InterfaceName(f"lan{number}") for number in range(count))
    made = plan({"links": links("wan0", *names)}, Sharing(public=WAN, privates=names))
    assert len(made.steps) == 8 + count
    assert [step.link.name for step in made.steps if isinstance(step, SetMaster)] == list(names)
    assert len(made.segments) == 1
    assert made.segments[0].members == names


@given(st.permutations(["wan0", "lan0", "lan1", "tun0"]))
def test_the_ruleset_comes_first_and_the_service_last_whatever_the_roles(order: list[str]) -> None:
    public, *privates = (InterfaceName(name) for name in order)
    steps = plan(
        {"links": links("wan0", "lan0", "lan1", "tun0")}, Sharing(public=public, privates=tuple(privates))
    ).steps
    assert isinstance(steps[0], LoadRuleset)
    assert isinstance(steps[-1], StartService)
    kinds = [type(step) for step in steps]
    assert kinds.index(AddAddress) > max(n for n, kind in enumerate(kinds) if kind is SetSysctl)
    assert len({step.key for step in steps}) == len(steps), "one thing is given two values"


@given(st.permutations(["wan0", "lan0", "lan1", "tun0"]))
def test_one_host_and_one_sharing_have_one_plan(order: list[str]) -> None:
    public, *privates = (InterfaceName(name) for name in order)
    sharing = Sharing(public=public, privates=tuple(privates))
    description = {"links": links("wan0", "lan0", "lan1", "tun0")}
    assert plan(description, sharing) == plan(description, sharing)


def test_the_ruleset_of_a_plan_is_the_one_it_loads() -> None:
    made = plan({"links": links("wan0", "lan0")}, Sharing(public=WAN, privates=(LAN0,)))
    (load,) = [step for step in made.steps if isinstance(step, LoadRuleset)]
    assert made.ruleset == load.text


@pytest.mark.parametrize(
    ("present", "mac"),
    [
        (None, "52:54:00:00:00:03"),
        (Present(members=(LAN1,)), "52:54:00:00:00:04"),
        (Present(members=(LAN0, LAN1)), "52:54:00:00:00:03"),
        (Present(members=(), bridge_mac="02:00:00:00:00:99"), "02:00:00:00:00:99"),
        (Present(members=(LAN1,), bridge_mac="02:00:00:00:00:99"), "02:00:00:00:00:99"),
    ],
)
def test_a_bridge_bears_the_address_that_clients_know(present: Present | None, mac: str) -> None:
    made = plan({"links": links("wan0", "lan0", "lan1")}, Sharing(public=WAN, privates=(LAN0, LAN1)), present)
    assert bridge_of(made).mac == mac


@pytest.mark.parametrize(
    ("present", "bridged"),
    [
        (None, False),
        (Present(members=(LAN0,)), False),
        (Present(members=(LAN0, LAN1), bridge_mac="02:00:00:00:00:99"), True),
        (Present(members=(LAN1,), bridge_mac="02:00:00:00:00:99"), False),
    ],
)
def test_a_bridge_stays_while_one_of_its_ports_does(present: Present | None, bridged: bool) -> None:
    made = plan({"links": links("wan0", "lan0", "lan1")}, Sharing(public=WAN, privates=(LAN0,)), present)
    assert made.segments[0].bridged == bridged


def test_a_single_private_becomes_a_bridge_for_ports_of_others_when_that_is_set() -> None:
    made = plan({"links": links("wan0", "lan0")}, Sharing(public=WAN, privates=(LAN0,), bridge=True))
    assert (made.segments[0].interface, made.segments[0].members) == ("ics-br0", (LAN0,))


def test_a_subnet_that_the_host_uses_is_refused_before_anything_is_touched() -> None:
    description = {"links": links("wan0", "lan0"), "addresses": ["wan0 10.20.0.5/16"]}
    with pytest.raises(
        ConflictError, match=r"subnet 10.20.0.0/24 overlaps 10.20.0.0/16 \(address 10.20.0.5/16 of wan0\)"
    ):
        plan(description, Sharing(public=WAN, privates=(LAN0,), subnet=IPv4Network("10.20.0.0/24")))


def test_a_subnet_must_not_overlap_the_network_that_a_tunnel_keeps() -> None:
    """The tunnel's own network was left out, as if it would be taken away like that of an Ethernet link."""
    description = {"links": links("wan0", "lan0", "tun0"), "addresses": ["tun0 10.8.0.1/24"]}
    wanted = Sharing(public=WAN, privates=(TUN, LAN0), subnet=IPv4Network("10.8.0.0/16"))
    with pytest.raises(ConflictError, match=r"overlaps 10.8.0.0/24 \(address 10.8.0.1/24 of tun0\)"):
        plan(description, wanted)


@pytest.mark.parametrize(
    ("addresses", "routes", "networks"),
    [
        (["10.8.0.1/31"], [], ["10.8.0.0/31"]),
        (["10.8.0.1 peer 10.8.0.2"], [], ["10.8.0.2/32"]),
        (["10.8.0.1 peer 10.8.7.2/24"], [], ["10.8.7.0/24"]),
        (["10.8.0.1 peer 10.8.0.2", "10.8.0.1 peer 10.8.0.3"], [], ["10.8.0.2/32", "10.8.0.3/32"]),
        (["10.8.0.1/32"], ["10.9.0.2/32", "10.9.0.3/32"], ["10.9.0.2/32", "10.9.0.3/32"]),
        (["10.8.0.1/24"], ["10.8.0.7/32", "10.50.0.0/16", "10.50.1.0/24"], ["10.8.0.0/24", "10.50.0.0/16"]),
        (["10.8.0.1/24"], ["128.0.0.0/1", "default"], ["10.8.0.0/24"]),
    ],
)
def test_a_tunnel_keeps_its_address_and_its_clients_are_whom_it_leads_to(
    addresses: list[str], routes: list[str], networks: list[str]
) -> None:
    """A line with a peer lost its address for another that the peer had never heard of."""
    description = {
        "links": links("wan0", "tun0"),
        "addresses": [f"tun0 {one}" for one in addresses],
        "routes": [f"{one} dev tun0" for one in routes],
    }
    made = plan(description, Sharing(public=WAN, privates=(TUN,)))
    (segment,) = made.segments
    assert [str(one) for one in segment.networks] == networks
    assert segment.gateway == IPv4Address("10.8.0.1")
    assert not any(isinstance(step, AddAddress | RemoveAddress | RemoveRoute) for step in made.steps)


@pytest.mark.parametrize(
    "routes",
    [[], ["default dev tun0"], ["10.9.0.0/24 dev tun0 table 100"], ["10.9.0.0/24 dev wan0"]],
)
def test_a_tunnel_whose_address_reaches_nobody_is_numbered(routes: list[str]) -> None:
    description = {"links": links("wan0", "tun0"), "addresses": ["tun0 192.168.137.1/32"], "routes": routes}
    made = plan(description, Sharing(public=WAN, privates=(TUN,)))
    assert made.segments[0].network == IPv4Network("192.168.137.0/24")
    assert [step.describe() for step in made.steps if isinstance(step, AddAddress | RemoveAddress)] == [
        "address 192.168.137.1/32: remove from tun0",
        "address 192.168.137.1/24: add to tun0",
    ]
    assert made.notes[-1] == (
        "nobody gives addresses on tun0: set one of 192.168.137.0/24 at the other end, and 192.168.137.1 as its "
        "gateway and name server"
    )


@pytest.mark.parametrize(
    ("more", "routes", "networks"),
    [
        ([], ["198.51.100.2/32"], ["10.8.0.2/32"]),
        ([], ["255.255.255.255/32", "239.0.0.0/8", "127.0.0.0/8"], ["10.8.0.2/32"]),
        (["tun0 10.8.0.1 peer 198.51.100.2"], [], ["10.8.0.2/32"]),
        (["tun0 10.9.0.1/24"], [], ["10.8.0.2/32", "10.9.0.0/24"]),
    ],
)
def test_an_address_of_the_host_is_no_clients(more: list[str], routes: list[str], networks: list[str]) -> None:
    """A peer that bears the host's public address cut the host off: what came for it was "un-translated"."""
    description = {
        "links": links("wan0", "tun0"),
        "addresses": ["wan0 198.51.100.2/24", "tun0 10.8.0.1 peer 10.8.0.2", *more],
        "routes": [f"{one} dev tun0" for one in routes],
    }
    (segment,) = plan(description, Sharing(public=WAN, privates=(TUN,))).segments
    assert [str(one) for one in segment.networks] == networks


def test_every_segment_is_led_out_by_a_pinned_public() -> None:
    description = {
        "links": [*links("wan0", "lan0", "tun0"), {"name": "lan1"}],
        "addresses": ["wan0 198.51.100.2/24", "lan1 203.0.113.2/24"],
        "routes": ["default via 198.51.100.1 dev wan0 metric 9", "default via 203.0.113.1 dev lan1"],
    }
    made = plan(description, Sharing(public=WAN, privates=(LAN0, TUN)))
    rules = [(step.priority, step.link or step.account, step.table) for step in made.steps if isinstance(step, AddRule)]
    assert rules == [
        (13_702, "lan0", None),
        (13_702, "tun0", None),
        (13_702, ACCOUNT, None),
        (13_700, "lan0", 254),
        (13_701, "lan0", 13_700),
        (13_700, "tun0", 254),
        (13_701, "tun0", 13_700),
        (13_700, ACCOUNT, 254),
        (13_701, ACCOUNT, 13_700),
    ]
    order = [type(step) for step in made.steps if isinstance(step, AddRule | AddRoute)]
    assert order == [*[AddRule] * 3, AddRoute, *[AddRule] * 6], "unreachable is not there first"


def resolv_of(made: Plan) -> str:
    (service,) = [step for step in made.steps if isinstance(step, StartService)]
    (line,) = [line for line in service.text.splitlines() if line.startswith("resolv-file=")]
    return line.removeprefix("resolv-file=")


@pytest.mark.parametrize(
    ("public", "direct", "file"),
    [
        (WAN, None, "/etc/resolv.conf"),
        (WAN, "/run/stub", "/etc/resolv.conf"),
        (TUN, None, "/etc/resolv.conf"),
        (TUN, "/run/stub", "/run/stub"),
    ],
)
def test_a_program_that_answers_for_the_host_is_passed_by_when_the_public_connection_is_a_tunnel(
    public: InterfaceName, direct: str | None, file: str
) -> None:
    host = snapshot({"links": links("wan0", "lan0", "tun0")})
    fake = FakeHost(host)
    fake.direct = direct
    sharing = Sharing(public=public, privates=(LAN0,))
    made = make_plan(Wanted(sharing=sharing), host, connections_of(host), fake.environment)
    assert resolv_of(made) == file
    assert ('oifname "lo" counter reject' in made.ruleset) is (public == TUN)


@pytest.mark.parametrize("public", [WAN, TUN])
def test_a_name_server_without_an_account_of_its_own_is_a_note_where_its_questions_matter(
    public: InterfaceName,
) -> None:
    host = snapshot({"links": links("wan0", "lan0", "tun0")})
    fake = FakeHost(host)
    fake.account = None
    sharing = Sharing(public=public, privates=(LAN0,))
    made = make_plan(Wanted(sharing=sharing), host, connections_of(host), fake.environment)
    assert "skuid" not in made.ruleset
    assert "delete chain inet icshare questions" in made.ruleset
    assert [note for note in made.notes if "are not kept on tun0" in note] == (
        list(made.notes[-1:]) if public == TUN else []
    )


def test_a_pinned_public_leads_the_segments_alone_where_the_name_server_has_no_account_of_its_own() -> None:
    description = {
        "links": links("wan0", "lan0", "lan1"),
        "addresses": ["wan0 198.51.100.2/24", "lan1 203.0.113.2/24"],
        "routes": ["default via 198.51.100.1 dev wan0 metric 9", "default via 203.0.113.1 dev lan1"],
    }
    host = snapshot(description)
    fake = FakeHost(host)
    fake.account = None
    sharing = Sharing(public=WAN, privates=(LAN0,))
    made = make_plan(Wanted(sharing=sharing), host, connections_of(host), fake.environment)
    assert {step.link for step in made.steps if isinstance(step, AddRule)} == {LAN0}


@pytest.mark.parametrize(
    ("everywhere", "there", "set_to"),
    [("0", "0", None), ("0", "2", None), ("0", "1", "2"), ("1", "0", "2"), ("1", "2", None)],
)
def test_reverse_path_filtering_is_loosened_only_where_it_is_strict(
    everywhere: str, there: str, set_to: str | None
) -> None:
    description = {
        "links": links("wan0", "lan0", "lan1"),
        "addresses": ["wan0 198.51.100.2/24", "lan1 203.0.113.2/24"],
        "routes": ["default via 198.51.100.1 dev wan0 metric 9", "default via 203.0.113.1 dev lan1"],
        "sysctls": {"all/ipv4/rp_filter": everywhere, "wan0/ipv4/rp_filter": there},
    }
    made = plan(description, Sharing(public=WAN, privates=(LAN0,)))
    changes = [step for step in made.steps if isinstance(step, SetSysctl) and step.setting == "ipv4/rp_filter"]
    assert [(step.link.name, step.previous, step.value) for step in changes] == (
        [("wan0", there, set_to)] if set_to else []
    )


def test_a_setting_that_was_not_read_is_taken_for_that_of_new_links() -> None:
    description = {"links": links("wan0", "lan0")}
    host = snapshot(description)
    host = replace(host, sysctls={"default/ipv4/forwarding": "1"})
    made = plan_on(host, Sharing(public=WAN, privates=(LAN0,)))
    assert not any(isinstance(step, SetSysctl) for step in made.steps)


def test_permanent_neighbours_of_a_private_go_with_its_addresses() -> None:
    host = snapshot({"links": links("wan0", "lan0"), "addresses": ["lan0 10.5.0.1/16"]})
    lan = host.link("lan0")
    assert lan is not None
    known = Neighbour(index=lan.index, address=IPv4Address("10.5.0.7"), mac=MacAddress("02:00:00:00:00:07"), state=0x80)
    elsewhere = replace(known, index=IfIndex(1))
    host = replace(host, neighbours=(known, elsewhere))
    made = plan_on(host, Sharing(public=WAN, privates=(LAN0,)))
    assert [step.describe() for step in made.steps if isinstance(step, RemoveNeighbour)] == [
        "neighbour 10.5.0.7: remove from lan0"
    ]


def wireless(country: str = "00", **wlan0: Any) -> dict[str, Any]:
    """Return a host with a radio that can have one interface."""
    return {
        "links": [*links("wan0", "lan0"), {"name": "wlan0", "radio": 0, **wlan0}],
        "radios": [{"interfaces": 1}],
        "country": country,
    }


def with_access_point(*privates: InterfaceName, country: str | None = None) -> Sharing:
    wanted = AccessPoint(
        interface=WLAN0, ssid=Ssid("net"), secret="0" * 16, country=Country(country) if country else None
    )
    return Sharing(public=WAN, privates=privates, access_point=wanted)


@pytest.mark.parametrize(("kind", "changes"), [("station", 1), ("ap", 0), ("adhoc", 1)])
def test_a_link_that_is_of_the_type_for_access_points_stays_so(kind: str, changes: int) -> None:
    made = plan(wireless(wifi=kind, up=False), with_access_point(WLAN0))
    assert len([step for step in made.steps if isinstance(step, SetInterfaceType)]) == changes


def test_a_bridge_stays_while_the_access_point_is_its_only_port() -> None:
    description = {**wireless(up=False), "radios": [{}]}
    present = Present(members=(InterfaceName("ics-ap0"), LAN0), bridge_mac="52:54:00:00:00:77")
    made = plan(description, with_access_point(WLAN0), present)
    assert bridge_of(made).mac == "52:54:00:00:00:77"
    assert made.segments[0].members == ("ics-ap0",)


@pytest.mark.parametrize(
    ("country", "asked", "change"),
    [
        ("00", "DE", "00 -> DE"),
        ("98", "DE", "00 -> DE"),
        ("US", "DE", "US -> DE"),
        ("DE", "DE", None),
        ("00", None, None),
    ],
)
def test_the_country_is_set_where_it_is_another(country: str, asked: str | None, change: str | None) -> None:
    made = plan(wireless(country, up=False), with_access_point(WLAN0, country=asked))
    changes = [step.describe() for step in made.steps if isinstance(step, SetCountry)]
    assert changes == ([f"regulatory domain: {change}"] if change else [])
    (serve,) = [step for step in made.steps if isinstance(step, StartAccessPoint)]
    assert ("country_code=DE" in serve.text) == (asked == "DE")
    assert ("country_code" in serve.text) == (asked == "DE")


def test_an_access_point_serves_last_and_its_clients_have_the_mtu_of_their_way_out() -> None:
    description = wireless(up=False)
    description["links"][0]["mtu"] = 1400
    made = plan(description, with_access_point(LAN0, WLAN0))
    assert isinstance(made.steps[-1], StartAccessPoint)
    (service,) = [step for step in made.steps if isinstance(step, StartService)]
    assert "option:mtu,1400" in service.text


def test_nobody_knows_what_links_can_do_unless_told() -> None:
    assert Environment(files=FakeHost(Snapshot()).environment.files, user="", profile=UUID(int=1)).abilities([]) is None


def test_connection_tracking_that_overlooks_already_is_left_alone() -> None:
    host = replace(snapshot({"links": links("wan0", "lan0")}), conntrack={"tcp_be_liberal": "1"})
    fake = FakeHost(host)
    fake.abilities = abilities({"fast": {"wan0": {}, "lan0": {}}})
    sharing = Wanted(sharing=Sharing(public=WAN, privates=(LAN0,)))
    made = make_plan(sharing, host, connections_of(host), fake.environment)
    changed = [step for step in made.steps if isinstance(step, SetConntrack)]
    assert [(one.setting, one.previous) for one in changed] == [("tcp_ignore_invalid_rst", "0")]
    assert isinstance(made.steps[-1], StartFastPath)


def test_connection_tracking_overlooks_for_as_long_as_there_may_be_connections_that_went_fast() -> None:
    """They hung when the fast path was switched off, as connection tracking called their later segments invalid."""
    description = {"links": links("wan0", "lan0")}
    for present, settings in ((Present(), 0), (Present(went_fast=True), 2)):
        made = plan(description, Sharing(public=WAN, privates=(LAN0,), fast_path=Mode.OFF), present=present)
        assert len([step for step in made.steps if isinstance(step, SetConntrack)]) == settings
        assert not [step for step in made.steps if isinstance(step, StartFastPath)]
