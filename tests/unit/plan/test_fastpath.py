"""Which fast path is chosen, and what stands in the way of a faster one."""

from dataclasses import replace
from typing import Any

import pytest
from tests.hosts import abilities, segment, snapshot

from icshare.errors import NotSupportedError, PrivilegeError, RefusedError
from icshare.model.fastpath import Abilities, ForeignFilter, Mode, Path
from icshare.model.names import InterfaceName
from icshare.model.sharing import BRIDGE_NAME, Sharing
from icshare.plan.fastpath import Choice, choose, links_of

WAN, LAN0, LAN1 = (InterfaceName(name) for name in ("wan0", "lan0", "lan1"))
_NO_XDP = {"native_xdp": False, "why_not_native": "the driver r8169 has no native XDP"}


def _choose(
    mode: Mode = Mode.AUTO,
    *,
    members: tuple[InterfaceName, ...] = (LAN0,),
    interface: InterfaceName | None = None,
    links: dict[str, dict[str, Any]] | None = None,
    fast: dict[str, Any] | None = None,
    **more: Any,
) -> Choice:
    """Choose on a host whose links are as *links* say, and can do what *fast* and *more* say by name, else all."""
    described = {"wan0": {}, "lan0": {}, "lan1": {}, **(links or {})}
    host = {"links": [{"name": name, **words} for name, words in described.items()]}
    able: dict[str, Any] = {name: {} for name in described} | (fast or {}) | more
    known = abilities({"fast": {name: words for name, words in able.items() if words is not None}})
    sharing = Sharing(public=WAN, privates=members, fast_path=mode)
    return choose(sharing, [segment(*members, interface=interface)], snapshot(host), known)


def _paths(choice: Choice) -> list[Path]:
    return [one.path for one in choice.pairs]


def _reason(choice: Choice) -> str:
    (reason,) = {one.reason for one in choice.pairs}
    return reason


def test_links_below_vlans_are_asked_about_too() -> None:
    host = snapshot({"links": [{"name": "eth0"}, {"name": "wan0", "kind": "vlan", "lower": "eth0"}, {"name": "lan0"}]})
    segments = [segment(LAN0, InterfaceName("ics-ap0"))]
    assert links_of(host.standing_link("wan0"), segments, host) == ("wan0", BRIDGE_NAME, "lan0", "ics-ap0", "eth0")


def test_two_cards_with_xdp_get_it() -> None:
    choice = _choose()
    assert _paths(choice) == [Path.XDP]
    assert choice.rules is not None
    assert choice.rules.links == (WAN, LAN0)
    assert '"hook": "xdp"' in choice.programs


@pytest.mark.parametrize(
    ("ability", "words"),
    [
        (_NO_XDP, "the driver r8169 has no native XDP"),
        ({"sendable": False, "why_not_sendable": "its driver takes no packets"}, "its driver takes no packets"),
        ({"foreign_xdp": "xdpgeneric"}, "has an XDP program of somebody else"),
        ({"shaping": "cake"}, "has the queueing discipline cake"),
        ({"foreign_tcx": True}, "has tcx programs of somebody else"),
        ({"driver": "veth"}, "is a veth"),
        ({"driver": "tun"}, "is a tap"),
        ({"ethernet": False}, "has no Ethernet header"),
        (None, "has gone"),
    ],
)
@pytest.mark.parametrize("name", ["wan0", "lan0"])
def test_what_stands_in_the_way_of_xdp_leads_to_tc(name: str, ability: dict[str, Any] | None, words: str) -> None:
    choice = _choose(fast={name: ability})
    assert _paths(choice) == [Path.TC]
    assert name in _reason(choice)
    assert words in _reason(choice)
    assert '"xdp"' not in choice.programs
    assert not list(choice.notes)


@pytest.mark.parametrize(
    ("links", "words"),
    [
        ({"lan0": {"kind": "bridge"}}, "a bridge that icshare did not make"),
        ({"lan0": {"kind": "vlan", "vlan": 3}}, "a VLAN of a link that is not here"),
        ({"lan0": {"kind": "vlan", "vlan": 3, "lower": "lan1"}}, ""),
    ],
)
def test_a_link_upon_another_gets_what_it_can(links: dict[str, dict[str, Any]], words: str) -> None:
    choice = _choose(links=links)
    assert _paths(choice) == [Path.TC if words else Path.XDP]
    assert words in _reason(choice)


def test_a_vlan_whose_tags_the_device_takes_off_goes_by_tc_with_the_command_that_mends_it() -> None:
    choice = _choose(links={"lan0": {"kind": "vlan", "vlan": 3, "lower": "lan1"}}, lan1={"takes_vlan_tags": True})
    (pair,) = choice.pairs
    assert (pair.path, pair.remedy) == (Path.TC, "ethtool -K lan1 rxvlan off")
    below: dict[str, dict[str, Any]] = {"vlan3": {"kind": "vlan", "vlan": 3, "lower": "lan0"}}
    assert _paths(_choose(links=below)) == [Path.XDP]
    assert _paths(_choose(links=below, lan0={"takes_vlan_tags": True})) == [
        Path.TC
    ]  # whose frames look like lan0's own


def test_a_vlan_is_no_port_for_xdp() -> None:
    links = {"lan0": {"kind": "vlan", "vlan": 3, "lower": "eth9"}, "eth9": {}}
    choice = _choose(members=(LAN0, LAN1), links=links)
    assert _paths(choice) == [Path.TC, Path.TC]
    assert "port of a bridge" in _reason(choice)


def test_a_link_that_is_yet_to_be_made_goes_by_tc() -> None:
    choice = _choose(members=(InterfaceName("ics-ap0"),))
    assert _paths(choice) == [Path.TC]
    assert "is made with the sharing" in _reason(choice)


def test_a_table_that_sees_what_bridges_forward_is_not_gone_past_by_xdp() -> None:
    rules = {"bridging": "table bridge filter"}
    choice = _choose(members=(LAN0, LAN1), rules=rules)
    assert _paths(choice) == [Path.TC] * 2
    assert "table bridge filter sees what bridges forward" in _reason(choice)
    assert _paths(_choose(rules=rules)) == [Path.XDP]


@pytest.mark.parametrize("name", ["wan0", "lan0", "lan*"])
def test_chains_of_others_at_links_are_not_gone_past(name: str) -> None:
    choice = _choose(rules={"hooked": {name: "table netdev other"}})
    assert _paths(choice) == [Path.KERNEL]
    assert "has chains of table netdev other" in _reason(choice)
    assert _paths(_choose(rules={"hooked": {"eth7": "table netdev other"}})) == [Path.XDP]


def test_chains_at_the_port_of_a_bridge_are_met_by_tc() -> None:
    assert _paths(_choose(members=(LAN0, LAN1), rules={"hooked": {"lan0": "table netdev other"}})) == [Path.TC] * 2


_EARLY = {"foreign_filters": (ForeignFilter(place="dev x ingress pref 5"), ForeignFilter(place="dev x egress pref 7"))}
_LATE = {"foreign_filters": (ForeignFilter(place="dev x ingress pref 13701", late=True),)}
_SHAPED = {"shaping": "tbf"}


@pytest.mark.parametrize("name", ["wan0", "lan0"])
def test_filters_that_tc_would_go_past_keep_a_link_from_it(name: str) -> None:
    choice = _choose(fast={name: {**_NO_XDP, **_LATE}})
    assert _paths(choice) == [Path.KERNEL]
    assert (choice.rules, choice.programs) == (None, "")
    assert list(choice.notes) == [f"no fast path for lan0: {_reason(choice)}"]
    assert choice.pairs[0].remedy == "tc filter del dev x ingress pref 13701"
    with pytest.raises(RefusedError, match=f"{name} has tc filters"):
        _choose(Mode.TC, fast={name: _LATE})


@pytest.mark.parametrize("name", ["wan0", "lan0"])
def test_filters_that_tc_meets_keep_a_link_from_xdp_alone(name: str) -> None:
    choice = _choose(fast={name: _EARLY})
    assert _paths(choice) == [Path.TC]
    assert choice.pairs[0].remedy == "tc filter del dev x ingress pref 5\ntc filter del dev x egress pref 7"


def test_what_others_have_above_and_below_the_links_of_xdp_counts_as_well() -> None:
    bridge = _choose(members=(LAN0, LAN1), fast={BRIDGE_NAME: {"foreign_xdp": "xdpgeneric"}})
    assert _paths(bridge) == [Path.TC] * 2
    assert _reason(bridge) == f"{BRIDGE_NAME} has an XDP program of somebody else, which XDP would go past"
    vlan = _choose(links={"wan0": {"kind": "vlan", "vlan": 3, "lower": "lan1"}}, wan0=_SHAPED)
    assert _paths(vlan) == [Path.TC]
    assert _reason(vlan) == "wan0 has the queueing discipline tbf, which XDP would go past"
    bond: dict[str, dict[str, Any]] = {
        "bond0": {"kind": "bond"},
        "eth0": {"master": "bond0"},
        "lan0": {"kind": "vlan", "vlan": 3, "lower": "bond0"},
    }
    assert _paths(_choose(links=bond)) == [Path.XDP]
    assert _reason(_choose(links=bond, eth0=_SHAPED)) == "eth0 has the queueing discipline tbf, which XDP would go past"


def test_xdp_asked_for_is_xdp_where_it_can_be_and_tc_where_not() -> None:
    choice = _choose(Mode.XDP, lan0={"driver": "veth"})
    assert _paths(choice) == [Path.XDP]
    assert "only what the other end of lan0 computes checksums of" in _reason(choice)
    deaf = _choose(Mode.XDP, lan0={"driver": "veth", "sendable": False, "why_not_sendable": "it needs GRO"})
    assert (_paths(deaf), _reason(deaf)) == ([Path.TC], "lan0: it needs GRO")
    assert "gro on" in deaf.pairs[0].remedy
    assert _paths(_choose(Mode.XDP, lan0=_NO_XDP)) == [Path.TC]


def test_tc_asked_for_is_tc() -> None:
    choice = _choose(Mode.TC)
    assert (_paths(choice), _reason(choice)) == ([Path.TC], "tc was asked for")
    assert choice.pairs[0].remedy == "share with --fast-path auto"


def test_who_asks_for_tc_where_nothing_else_can_be_had_is_not_told_to_ask_for_more() -> None:
    slow = _choose(Mode.TC, lan0=_NO_XDP)
    assert (_paths(slow), _reason(slow).partition(":")[0]) == ([Path.TC], "tc was asked for, and there is no XDP")
    assert slow.pairs[0].remedy == _choose(lan0=_NO_XDP).pairs[0].remedy


def test_one_port_without_xdp_is_enough_for_tc_on_the_bridge() -> None:
    choice = _choose(members=(LAN0, LAN1), lan1=_NO_XDP)
    assert _paths(choice) == [Path.TC, Path.TC]
    assert f'"name": "{BRIDGE_NAME}"' in choice.programs


_NO_BPF = {"bpf": False, "why_not_bpf": "this kernel has no BTF", "bpf_remedy": "boot another"}


def test_a_flowtable_comes_where_programs_cannot_run() -> None:
    choice = _choose(kernel=_NO_BPF, links={"lan0": {"kind": "vlan", "vlan": 3, "lower": "lan1"}})
    assert (_paths(choice), choice.programs) == ([Path.FLOWTABLE], "")
    assert _reason(choice) == "this kernel has no BTF; forwarded by software"
    assert choice.pairs[0].remedy == "boot another"
    assert choice.rules is not None
    assert (choice.rules.devices, choice.rules.offload) == ((WAN, LAN1), False)


def test_a_flowtable_is_the_hardwares_where_all_of_its_links_take_it() -> None:
    able = {"hardware_flowtable": True}
    choice = _choose(Mode.FLOWTABLE, wan0=able, lan0=able)
    assert choice.rules is not None
    assert choice.rules.offload
    assert _reason(choice) == "it was asked for; its hardware forwards"
    assert not choice.pairs[0].remedy


def test_without_programs_and_flowtables_the_kernel_forwards_alone() -> None:
    kernel = {**_NO_BPF, "flowtable": False, "why_not_flowtable": "no CONFIG_NF_FLOW_TABLE"}
    choice = _choose(kernel=kernel)
    assert _paths(choice) == [Path.KERNEL]
    assert "this kernel has no BTF; nor has the kernel flowtables" in _reason(choice)
    with pytest.raises(NotSupportedError, match="no CONFIG_NF_FLOW_TABLE"):
        _choose(Mode.FLOWTABLE, kernel=kernel)


@pytest.mark.parametrize("mode", [Mode.XDP, Mode.TC])
def test_programs_asked_for_where_they_cannot_run_are_refused(mode: Mode) -> None:
    with pytest.raises(NotSupportedError, match="this kernel has no BTF"):
        _choose(mode, kernel=_NO_BPF)


def test_a_limit_of_others_keeps_everything_in_the_kernel_and_refuses_what_is_asked_for() -> None:
    rules = {"metering": "table ip filter, chain FORWARD, limits the rate of what is forwarded"}
    choice = _choose(rules=rules)
    assert _paths(choice) == [Path.KERNEL]
    assert choice.pairs[0].remedy
    with pytest.raises(RefusedError, match="table ip filter, chain FORWARD"):
        _choose(Mode.XDP, rules=rules)


def test_off_is_off_without_a_note() -> None:
    choice = _choose(Mode.OFF)
    assert (_paths(choice), choice.rules, list(choice.notes)) == ([Path.KERNEL], None, [])


def test_where_nothing_is_known_nothing_goes_fast_and_nothing_can_be_asked_for() -> None:
    host = snapshot({"links": [{"name": "wan0"}, {"name": "lan0"}]})
    sharing = Sharing(public=WAN, privates=(LAN0,))
    assert choose(sharing, [segment(LAN0)], host, None) == Choice()
    with pytest.raises(PrivilegeError, match="whether tc can run here"):
        choose(replace(sharing, fast_path=Mode.TC), [segment(LAN0)], host, None)


def test_a_host_that_says_nothing_of_its_links_has_no_abilities() -> None:
    assert abilities({"links": []}) is None
    found = abilities({"fast": {}})
    assert isinstance(found, Abilities)
    assert found.link("wan0") is None
