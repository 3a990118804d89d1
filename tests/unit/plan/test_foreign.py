"""What is found in the rulesets of other programs, recorded from a real nft in ``tests/data/rulesets``."""

import json
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.model.names import InterfaceName
from icshare.plan.foreign import ForeignDrop, Owner, find_foreign_drops
from icshare.plan.packets import Packet, all_packets, bridged_packets, forwarded_packets, service_packets

RECORDED = Path(__file__).parents[2] / "data" / "rulesets"
LAN, WAN = InterfaceName("lan0"), InterfaceName("wan0")
NETWORK = IPv4Network("192.168.137.0/24")
PACKETS = all_packets([LAN], WAN, NETWORK)

# Every recorded ruleset: chain -> (certain, owner, traffic).
BOTH_WAYS = (
    "connections from lan0 to wan0, established traffic from lan0 to wan0, established traffic from wan0 to lan0"
)
SERVICES = "DHCP queries from lan0, DNS queries from lan0"
EXPECTED: dict[str, dict[str, tuple[bool, Owner, str]]] = {
    "admin": {
        "input": (True, Owner.ADMIN, SERVICES),
        "forward": (
            True,
            Owner.ADMIN,
            BOTH_WAYS,
        ),
    },
    "admin-iptables": {
        "INPUT": (True, Owner.ADMIN, SERVICES),
        "FORWARD": (True, Owner.ADMIN, "connections from lan0 to wan0"),
    },
    "allowlist": {"forward": (False, Owner.ADMIN, "connections from lan0 to wan0")},
    "docker": {
        "FORWARD": (
            True,
            Owner.DOCKER,
            BOTH_WAYS,
        ),
    },
    "docker-ctstate": {"FORWARD": (True, Owner.DOCKER, "connections from lan0 to wan0")},
    "docker-mended": {},
    "firewalld": {
        "filter_INPUT": (True, Owner.FIREWALLD, SERVICES),
        "filter_FORWARD": (True, Owner.FIREWALLD, "connections from lan0 to wan0"),
    },
    "firewalld-mended": {},
    "ingress": {
        "closed": (
            True,
            Owner.ADMIN,
            f"connections from lan0 to wan0, established traffic from lan0 to wan0, {SERVICES}",
        ),
    },
    "libvirt": {},
    "marked": {
        "forward": (
            False,
            Owner.ADMIN,
            BOTH_WAYS,
        ),
    },
    "router": {},
    "ufw": {
        "INPUT": (True, Owner.UFW, SERVICES),
        "FORWARD": (True, Owner.UFW, "connections from lan0 to wan0"),
    },
    "ufw-mended": {},
}


def recorded(name: str) -> tuple[list[dict[str, Any]], str]:
    ruleset = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))["nftables"]
    return ruleset, (RECORDED / f"{name}.txt").read_text(encoding="utf-8")


def drops_in(name: str, packets: tuple[Packet, ...] = PACKETS) -> dict[str, ForeignDrop]:
    ruleset, listing = recorded(name)
    return {drop.chain: drop for drop in find_foreign_drops(ruleset, packets, listing=listing)}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_drops_of_a_recorded_ruleset_are_found(name: str) -> None:
    found = {chain: (drop.certain, drop.owner, drop.traffic) for chain, drop in drops_in(name).items()}
    assert found == EXPECTED[name]


def test_every_recorded_ruleset_is_expected_something_of() -> None:
    assert {path.stem for path in RECORDED.glob("*.json")} == set(EXPECTED)


@pytest.mark.parametrize(
    ("name", "chain", "remedy"),
    [
        (
            "docker",
            "FORWARD",
            (
                "iptables -I DOCKER-USER -i lan0 -o wan0 -j ACCEPT\n"
                "iptables -I DOCKER-USER -i wan0 -o lan0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
            ),
        ),
        ("ufw", "FORWARD", "ufw route allow in on lan0 out on wan0"),
        ("ufw", "INPUT", "ufw allow in on lan0 to any port 67 proto udp\nufw allow in on lan0 to any port 53"),
        ("firewalld", "filter_FORWARD", "firewall-cmd --zone=trusted --change-interface=lan0"),
        (
            "admin",
            "forward",
            (
                'nft \'insert rule inet filter forward iifname "lan0" oifname "wan0" accept\'\n'
                'nft \'insert rule inet filter forward iifname "wan0" oifname "lan0" '
                "ct state established,related accept'"
            ),
        ),
        (
            "admin-iptables",
            "INPUT",
            (
                "iptables -I INPUT -i lan0 -p udp --dport 67 -j ACCEPT\n"
                "iptables -I INPUT -i lan0 -p tcp --dport 53 -j ACCEPT\n"
                "iptables -I INPUT -i lan0 -p udp --dport 53 -j ACCEPT"
            ),
        ),
        ("ingress", "closed", "nft list chain netdev early closed"),
    ],
)
def test_the_remedy_speaks_the_owners_language(name: str, chain: str, remedy: str) -> None:
    assert drops_in(name)[chain].remedy == remedy


def test_a_drop_says_in_one_sentence_where_it_is() -> None:
    assert str(drops_in("ufw")["FORWARD"]) == (
        "table ip filter, chain FORWARD (hook forward, priority 0), set up by ufw, drops connections from lan0 to wan0"
    )
    assert str(drops_in("marked")["forward"]).startswith(
        "table inet marks, chain forward (hook forward, priority -150) may drop connections from lan0 to wan0"
    )


def test_without_the_text_listing_what_iptables_hides_stays_a_maybe() -> None:
    ruleset, _ = recorded("ufw")
    (forward,) = [drop for drop in find_foreign_drops(ruleset, PACKETS) if drop.chain == "FORWARD"]
    assert not forward.certain


def test_certain_drops_come_first() -> None:
    both = [*recorded("marked")[0], *recorded("admin")[0]]
    assert [drop.certain for drop in find_foreign_drops(both, PACKETS)] == [True, True, False]


def test_our_own_table_is_not_foreign() -> None:
    ruleset, listing = recorded("admin")
    ours = json.loads(json.dumps(ruleset).replace('"table": "filter"', '"table": "icshare"'))
    assert find_foreign_drops(ours, PACKETS, listing=listing) == ()


def test_each_segment_is_judged_for_itself() -> None:
    ruleset, listing = recorded("ufw-mended")
    other = InterfaceName("guest0")
    found = find_foreign_drops(ruleset, all_packets([LAN, other], WAN, NETWORK), listing=listing)
    assert {(drop.segment, drop.chain) for drop in found} == {(other, "INPUT"), (other, "FORWARD")}


def test_a_bridge_table_matters_between_the_ports_of_a_segment() -> None:
    drops = drops_in("ingress", bridged_packets(LAN, NETWORK, ip_rules=False))
    assert {chain: drop.traffic for chain, drop in drops.items()} == {"forward": "traffic between the clients of lan0"}
    assert drops["forward"].remedy == "nft 'insert rule bridge ports forward meta ibrname \"lan0\" accept'"


def test_docker_drops_between_the_ports_of_a_bridge_only_while_bridged_packets_are_shown_to_ip_rules() -> None:
    assert drops_in("docker", bridged_packets(LAN, NETWORK, ip_rules=False)) == {}
    drop = drops_in("docker", bridged_packets(LAN, NETWORK, ip_rules=True))["FORWARD"]
    assert drop.certain
    assert drop.remedy == "iptables -I DOCKER-USER -i lan0 -o lan0 -j ACCEPT"
    ufw = drops_in("ufw", bridged_packets(LAN, NETWORK, ip_rules=True))["FORWARD"]
    assert ufw.remedy == "ufw route allow in on lan0 out on lan0"


def base(hook: str = "forward", **more: object) -> dict[str, Any]:
    chain = {"family": "inet", "table": "t", "name": "c", "type": "filter", "hook": hook, "prio": 0, "policy": "accept"}
    return {"chain": {**chain, **more}}


def rule(*statements: object, chain: str = "c", **more: object) -> dict[str, Any]:
    return {"rule": {"family": "inet", "table": "t", "chain": chain, "handle": 9, "expr": list(statements), **more}}


def test_a_chain_before_routing_gets_a_remedy_without_a_way_out() -> None:
    (drop,) = find_foreign_drops([base("prerouting", policy="drop")], forwarded_packets(LAN, WAN))
    assert drop.remedy == (
        "nft 'insert rule inet t c iifname \"lan0\" accept'\n"
        "nft 'insert rule inet t c iifname \"wan0\" ct state established,related accept'"
    )


def test_a_table_of_iptables_other_than_filter_is_named_in_the_remedy() -> None:
    ruleset = [base("prerouting", family="ip", table="raw", name="PREROUTING", policy="drop", prio=-300)]
    (drop,) = find_foreign_drops(ruleset, service_packets(LAN))
    assert drop.remedy.splitlines()[0] == "iptables -t raw -I PREROUTING -i lan0 -p udp --dport 67 -j ACCEPT"


def test_a_line_without_dhcp_does_not_care_who_drops_that() -> None:
    """A serial cable was reported as cut off by firewalls that let DNS pass and DHCP not."""
    network, gateway = IPv4Network("10.77.0.2/32"), IPv4Network("10.77.0.1/32")
    packets = service_packets(LAN, network, gateway=gateway, dhcp=False)
    assert {(packet.destination, packet.destination_port) for packet in packets} == {(gateway, 53)}
    assert len(service_packets(LAN, network, gateway=gateway)) == len(packets) + 1


def test_a_chain_bound_to_unknown_devices_is_a_maybe() -> None:
    (drop,) = find_foreign_drops([base("ingress", policy="drop")], PACKETS)
    assert not drop.certain
    assert find_foreign_drops([base("ingress", policy="drop", dev="other0")], PACKETS) == ()
    assert find_foreign_drops([base("ingress", policy="drop", dev=["other0", "lan0"])], PACKETS)[0].certain


@pytest.mark.parametrize("kind", ["nat", "route"])
def test_only_filter_chains_are_asked(kind: str) -> None:
    assert find_foreign_drops([base(type=kind, policy="drop")], PACKETS) == ()


def test_a_hook_that_the_traffic_does_not_pass_is_not_asked() -> None:
    assert find_foreign_drops([base("output", policy="drop")], PACKETS) == ()
    assert find_foreign_drops([base("forward", family="ip6", policy="drop")], PACKETS) == ()


@pytest.mark.parametrize(
    ("table", "chain", "owner"),
    [
        ("libvirt_network", "forward", Owner.LIBVIRT),
        ("netavark", "forward", Owner.PODMAN),
        ("docker-bridges", "forward", Owner.DOCKER),
        ("nm-shared-wlan0", "forward", Owner.NETWORK_MANAGER),
        ("filter", "LIBVIRT_FWI", Owner.LIBVIRT),
        ("filter", "NETAVARK_FORWARD", Owner.PODMAN),
        ("filter", "DOCKER-ISOLATION-STAGE-2", Owner.DOCKER),
        ("filter", "other", Owner.ADMIN),
    ],
)
def test_the_owner_is_known_by_the_names_it_uses(table: str, chain: str, owner: Owner) -> None:
    ruleset = [
        base(table=table),
        rule({"jump": {"target": chain}}, table=table),
        rule({"drop": None}, table=table, chain=chain),
    ]
    (drop,) = find_foreign_drops(ruleset, forwarded_packets(LAN, WAN))
    assert drop.owner is owner


def test_a_foreign_name_cannot_reach_the_terminal_or_a_shell() -> None:
    (drop,) = find_foreign_drops([base(table="x';reboot\x1b[2J", policy="drop")], forwarded_packets(LAN, WAN))
    assert "\x1b" not in drop.remedy
    assert ";" not in drop.remedy


KEYS = """
match op left right meta key payload protocol field ct fib result flags set elem concat range prefix addr len | & jump
goto target accept drop reject queue return vmap data xt type name limit
"""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 70000) | st.sampled_from(["lan0", "@s", "*", "new", "10.0.0.1", "tcp"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4), st.sampled_from(["accept", "drop"]))
def test_no_form_of_rule_breaks_the_search(statements: list[Any], policy: str) -> None:
    ruleset = [base(policy=policy), rule(*statements), {"set": {"family": "inet", "table": "t", "name": "s"}}]
    assert all(drop.chain == "c" for drop in find_foreign_drops(ruleset, PACKETS))


@given(st.lists(JSON, max_size=4))
def test_an_accept_in_front_leaves_nothing_to_drop(statements: list[Any]) -> None:
    ruleset = [base(policy="drop"), rule({"counter": None}, {"accept": None}), rule(*statements), rule({"drop": None})]
    assert find_foreign_drops(ruleset, PACKETS) == ()


@given(st.lists(JSON, max_size=4))
def test_a_drop_in_front_is_certain_whatever_follows(statements: list[Any]) -> None:
    ruleset = [base(), rule({"drop": None}), rule(*statements)]
    assert all(drop.certain for drop in find_foreign_drops(ruleset, PACKETS))
    assert find_foreign_drops(ruleset, PACKETS)
