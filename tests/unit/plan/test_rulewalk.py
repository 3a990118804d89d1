"""Where a packet may end, for each way that rules lead it."""

from typing import Any

import pytest

from icshare.model.names import InterfaceName
from icshare.plan.packets import forwarded_packets
from icshare.plan.rulematch import View
from icshare.plan.rulewalk import Walker

OUT = forwarded_packets(InterfaceName("lan0"), InterfaceName("wan0"))[0]

HERE = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lan0"}}
ELSEWHERE = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth9"}}
MARKED = {"match": {"op": "==", "left": {"meta": {"key": "mark"}}, "right": 1}}
TO_MAIL = {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 25}}
IP6 = {"payload": {"protocol": "ip6", "field": "saddr"}}
ACCEPT, DROP, REJECT, RETURN = {"accept": None}, {"drop": None}, {"reject": {"type": "tcp reset"}}, {"return": None}


def jump(chain: str) -> dict[str, Any]:
    return {"jump": {"target": chain}}


def goto(chain: str) -> dict[str, Any]:
    return {"goto": {"target": chain}}


def vmap(*elements: list[Any]) -> dict[str, Any]:
    return {"vmap": {"key": {"meta": {"key": "iifname"}}, "data": {"set": list(elements)}}}


def fate(*rules: list[Any], policy_drops: bool = False, text: str = "", **chains: Any) -> str:
    """Say what may become of the packet: ``pass``, ``drop`` or ``either``."""
    sets: dict[str, dict[str, Any]] = {"ways": {"elem": [["lan0", {"drop": None}]]}}
    walker = Walker(
        view=View(packet=OUT, family="inet", hook="forward", sets=sets),
        chains={
            "base": [{"expr": rule, "handle": 1} for rule in rules],
            **{name: [{"expr": rule, "handle": 1} for rule in body] for name, body in chains.items()},
        },
        texts={1: text} if text else {},
    )
    ends = {end.drops for end in walker.decide("base", policy_drops=policy_drops)}
    return {(False,): "pass", (True,): "drop", (False, True): "either"}[tuple(sorted(ends))]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], "pass"),
        ([[HERE, DROP]], "drop"),
        ([[HERE, REJECT]], "drop"),
        ([[ELSEWHERE, DROP]], "pass"),
        ([[{"counter": None}, {"log": None}, ACCEPT], [DROP]], "pass"),
        ([[MARKED, DROP]], "either"),
        ([[MARKED, ACCEPT], [DROP]], "either"),
        ([[TO_MAIL, DROP]], "pass"),
        ([[TO_MAIL, ACCEPT], [DROP]], "either"),
        ([[{"limit": {"rate": 1}}, DROP]], "pass"),
        ([[{"limit": {"rate": 1}}, ACCEPT], [DROP]], "either"),
        ([[{"set": {"op": "update", "stmt": [{"limit": {}}]}}, DROP]], "pass"),
        ([[{"set": {"op": "add", "set": "@x"}}, DROP]], "drop"),
        ([[{"queue": {"num": 1}}]], "either"),
        ([[{"fwd": {"dev": "x"}}]], "either"),
        ([[{"masquerade": None}], [DROP]], "pass"),
        ([[MARKED, {"masquerade": None}], [DROP]], "either"),
        ([[MARKED, {"fwd": {"dev": "x"}}], [DROP]], "either"),
        ([[{"continue": None}], [DROP]], "drop"),
        ([[RETURN], [DROP]], "pass"),
        ([[MARKED, RETURN], [DROP]], "either"),
        ([[HERE]], "pass"),
        ([["nonsense", DROP]], "either"),
        ([[{"match": "nonsense"}, DROP]], "drop"),
        ([None], "pass"),
    ],
)
def test_a_chain_is_read_from_the_top(rules: list[Any], expected: str) -> None:
    assert fate(*rules) == expected


def test_the_policy_decides_what_no_rule_did() -> None:
    assert fate([ELSEWHERE, ACCEPT], policy_drops=True) == "drop"
    assert fate([HERE, ACCEPT], policy_drops=True) == "pass"
    assert fate([RETURN], [ACCEPT], policy_drops=True) == "drop"


@pytest.mark.parametrize(
    ("rules", "other", "expected"),
    [
        ([[jump("other")]], [[DROP]], "drop"),
        ([[jump("other")], [DROP]], [[RETURN], [ACCEPT]], "drop"),
        ([[jump("other")], [DROP]], [[HERE, ACCEPT]], "pass"),
        ([[jump("other")], [DROP]], [[MARKED, ACCEPT]], "either"),
        ([[jump("other")], [DROP]], [[MARKED, RETURN], [ACCEPT]], "either"),
        ([[MARKED, jump("other")]], [[DROP]], "either"),
        ([[TO_MAIL, jump("other")]], [[DROP]], "pass"),
        ([[goto("other")], [DROP]], [[RETURN]], "pass"),
        ([[goto("other")], [DROP]], [[ELSEWHERE, DROP]], "pass"),
        ([[goto("other")], [ACCEPT]], [[DROP]], "drop"),
        ([[MARKED, goto("other")], [DROP]], [], "either"),
        ([[jump("missing")], [DROP]], [], "drop"),
        ([[jump("other")], [DROP]], [[jump("other")]], "drop"),
        ([[jump("other")], [jump("other")]], [[MARKED, DROP]], "either"),
    ],
)
def test_jumps_come_back_and_gotos_do_not(rules: list[Any], other: list[Any], expected: str) -> None:
    assert fate(*rules, other=other) == expected


def test_a_goto_from_a_jumped_to_chain_returns_behind_the_jump() -> None:
    assert fate([jump("a")], [DROP], a=[[goto("b")], [ACCEPT]], b=[]) == "drop"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ([vmap(["lan0", DROP], ["wan0", ACCEPT])], "drop"),
        ([vmap(["eth9", DROP])], "pass"),
        ([vmap(["*", DROP], ["lan0", ACCEPT])], "pass"),
        ([vmap(["*", DROP], ["eth9", ACCEPT])], "drop"),
        ([vmap(["lan0", jump("other")]), DROP], "drop"),
        ([vmap(["eth9", ACCEPT]), DROP], "drop"),
        ([{"vmap": {"key": {"meta": {"key": "iifname"}}, "data": "@ways"}}], "drop"),
        ([{"vmap": {"key": {"meta": {"key": "iifname"}}, "data": "@missing"}}], "pass"),
        ([{"vmap": {"key": {"meta": {"key": "mark"}}, "data": {"set": [[1, DROP]]}}}], "either"),
        ([vmap(["lan0", None], [1, 2, 3])], "pass"),
        ([{"vmap": {"key": IP6, "data": {"set": [["::1", DROP]]}}}], "pass"),
        ([{"vmap": {"key": None, "data": None}}], "pass"),
        ([{"vmap": None}], "pass"),
    ],
)
def test_a_verdict_map_is_tried_element_by_element(rule: list[Any], expected: str) -> None:
    assert fate(rule, other=[[DROP]]) == expected


def xt(kind: str, name: str) -> dict[str, Any]:
    return {"xt": {"type": kind, "name": name}}


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ([xt("target", "REJECT")], "", "drop"),
        ([xt("target", "LOG"), DROP], "", "drop"),
        ([xt("target", "NFQUEUE")], "", "either"),
        ([xt("target", "TARPIT")], "", "either"),
        ([xt("match", "comment"), DROP], "", "drop"),
        ([xt("match", "conntrack"), DROP], "", "either"),
        ([xt("match", "conntrack"), DROP], "ct state new drop", "drop"),
        ([xt("match", "conntrack"), DROP], "ct state established drop", "pass"),
        ([xt("match", "hashlimit"), DROP], "", "pass"),
        ([{"xt": None}, DROP], "", "either"),
        ([{"xt": None}, DROP], "ct state established drop", "pass"),
        ([{"xt": None}], "counter packets 0 bytes 0 reject", "either"),
    ],
)
def test_what_iptables_hides_is_read_from_the_text(rule: list[Any], text: str, expected: str) -> None:
    assert fate(rule, text=text) == expected


def test_many_jumps_to_one_chain_cost_one_reading() -> None:
    """Each level jumps to the next twice: read again at every jump, it would never end."""
    depth = 200
    levels: dict[str, Any] = {f"c{level}": [[jump(f"c{level + 1}")]] * 2 for level in range(depth)}
    levels[f"c{depth}"] = [[DROP]]
    assert fate([jump("c0")], **levels) == "drop"
