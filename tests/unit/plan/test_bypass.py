"""What programs of ours go past on links, and on which links that counts."""

from typing import Any

import pytest
from tests.hosts import segment, snapshot

from icshare.model.fastpath import ForeignFilter, LinkAbility, PairPath, Path
from icshare.model.names import InterfaceName
from icshare.model.sharing import BRIDGE_NAME
from icshare.plan.bypass import goes_past, programs_on
from icshare.render.fastpath import Hook

WAN, LAN0, LAN1 = (InterfaceName(name) for name in ("wan0", "lan0", "lan1"))
_EARLY = {"foreign_filters": (ForeignFilter(place="dev wan0 ingress pref 5"),)}
_LATE = {"foreign_filters": (ForeignFilter(place="dev wan0 ingress pref 13701", late=True),)}
_SHAPED = {"shaping": "tbf"}

_STACK: list[dict[str, Any]] = [
    {"name": "eth0"},
    {"name": "wan0", "kind": "vlan", "vlan": 3, "lower": "eth0"},
    *({"name": name} for name in ("lan0", "lan1", BRIDGE_NAME)),
]


@pytest.mark.parametrize(
    ("path", "hooks"),
    [
        (Path.XDP, dict.fromkeys((WAN, BRIDGE_NAME, LAN0, LAN1, "eth0"), Hook.XDP)),
        (Path.TC, dict.fromkeys((WAN, BRIDGE_NAME), Hook.TC)),
        (Path.FLOWTABLE, {}),
        (Path.KERNEL, {}),
    ],
)
def test_where_programs_are_is_known_from_what_was_chosen(path: Path, hooks: dict[str, Hook]) -> None:
    pairs = [PairPath(public=WAN, private=one, path=path, reason="") for one in (LAN0, LAN1)]
    assert programs_on(pairs, [segment(LAN0, LAN1)], snapshot({"links": _STACK})) == hooks


def test_a_link_with_both_programs_is_one_of_xdp() -> None:
    pairs = [PairPath(public=WAN, private=LAN0, path=Path.XDP, reason="")]
    pairs += [PairPath(public=WAN, private=LAN1, path=Path.TC, reason="")]
    found = programs_on(pairs, [segment(LAN0), segment(LAN1)], snapshot({"links": _STACK[2:]}))
    assert found == {WAN: Hook.XDP, LAN0: Hook.XDP, LAN1: Hook.TC}


@pytest.mark.parametrize(
    ("words", "xdp", "tc"),
    [
        ({}, [], []),
        (_EARLY, ["has tc filters of somebody else"], []),
        (_LATE, ["has tc filters of somebody else"], ["has tc filters of somebody else"]),
        ({"foreign_xdp": "xdpgeneric"}, ["has an XDP program of somebody else"], []),
        ({"foreign_tcx": True} | _SHAPED, ["has tcx programs of somebody else", "has the queueing discipline tbf"], []),
    ],
)
def test_a_program_goes_past_what_comes_after_it(words: dict[str, Any], xdp: list[str], tc: list[str]) -> None:
    ability = LinkAbility(name=WAN, **words)
    for hook, expected in ((Hook.XDP, xdp), (Hook.TC, tc)):
        found = list(goes_past(ability, hook, {}))
        assert [one.text.partition(" (")[0] for one in found] == [f"wan0 {text}" for text in expected]


def test_what_takes_away_what_others_have_is_told() -> None:
    ability = LinkAbility(name=WAN, foreign_xdp="xdpgeneric", shaping="tbf")
    remedies = [one.remedy for one in goes_past(ability, Hook.XDP, {})]
    assert remedies == ["ip link set dev wan0 xdpgeneric off", "tc qdisc del dev wan0 root"]
