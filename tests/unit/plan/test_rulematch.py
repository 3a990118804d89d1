"""Each form of condition that nft prints, and what it says of a packet."""

from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest

from icshare.model.names import InterfaceName
from icshare.plan.packets import Packet, bridged_packets, forwarded_packets, service_packets
from icshare.plan.rulematch import Match, View, match_condition, match_extension

LAN, WAN = InterfaceName("lan0"), InterfaceName("wan0")
NETWORK = IPv4Network("192.168.137.0/24")

OUT, OUT_UDP, ON, _, BACK, _ = forwarded_packets(LAN, WAN, NETWORK)
DHCP, DNS, DNS_UDP = service_packets(LAN, NETWORK)
(BRIDGED, _) = bridged_packets(LAN, NETWORK, ip_rules=False)

NO, SOME, MAYBE, YES = Match.NO, Match.SOME, Match.MAYBE, Match.YES


def meta(key: str) -> dict[str, Any]:
    return {"meta": {"key": key}}


def payload(protocol: str, name: str) -> dict[str, Any]:
    return {"payload": {"protocol": protocol, "field": name}}


def ct(key: str) -> dict[str, Any]:
    return {"ct": {"key": key}}


def fib(result: str, *flags: str) -> dict[str, Any]:
    return {"fib": {"result": result, "flags": list(flags)}}


def prefix(address: str, length: int) -> dict[str, Any]:
    return {"prefix": {"addr": address, "len": length}}


def view(packet: Packet, *, hook: str = "forward", family: str = "inet", priority: int = 0) -> View:
    sets: dict[str, dict[str, Any]] = {
        "lans": {"elem": ["lan0", {"elem": {"val": "lan1", "timeout": 60}}]},
        "empty": {},
        "changing": {"elem": ["lan9"], "flags": ["timeout"]},
        "filled": {"elem": ["lan9"], "size": 65535},
    }
    return View(packet=packet, family=family, hook=hook, priority=priority, sets=sets)


def holds(left: Any, operator: str, right: Any, packet: Packet = OUT, **more: Any) -> Match:
    return match_condition({"op": operator, "left": left, "right": right}, view(packet, **more))


@pytest.mark.parametrize(
    ("left", "operator", "right", "expected"),
    [
        (meta("iifname"), "==", "lan0", YES),
        (meta("iifname"), "==", "wan0", NO),
        (meta("iifname"), "!=", "lan0", NO),
        (meta("iifname"), "==", "lan*", YES),
        (meta("iifname"), "==", "docker*", NO),
        (meta("iif"), "==", "77", NO),
        (meta("oifname"), "==", {"set": ["wan0", "wan1"]}, YES),
        (meta("oifname"), "!=", {"set": ["wan1", "docker*"]}, YES),
        (meta("oifname"), "==", {"set": "wan0"}, YES),
        (meta("iifname"), "==", "@lans", YES),
        (meta("oifname"), "==", "@lans", NO),
        (meta("iifname"), "==", "@empty", NO),
        (meta("iifname"), "==", "@missing", MAYBE),
        (meta("iifname"), "==", "@changing", SOME),
        (meta("iifname"), "==", "@filled", SOME),
        (meta("iifname"), "==", {"range": ["a", "z"]}, MAYBE),
        (meta("ibrname"), "==", "lan0", NO),
        (meta("l4proto"), "==", "tcp", YES),
        (meta("l4proto"), "==", 6, YES),
        (meta("l4proto"), "==", 17, NO),
        (meta("l4proto"), "==", {"set": ["icmp", "udp"]}, NO),
        (meta("nfproto"), "==", "ipv6", NO),
        (meta("protocol"), "==", "ip", YES),
        (meta("pkttype"), "==", "host", YES),
        (meta("length"), ">", 1400, SOME),
        (meta("mark"), "==", 1, MAYBE),
        (meta("mark"), "!=", 1, MAYBE),
        (meta("mark"), "<", 1, MAYBE),
        ({"&": [meta("mark"), 255]}, "==", 1, MAYBE),
        (payload("ip", "saddr"), "==", prefix("192.168.0.0", 16), YES),
        (payload("ip", "saddr"), "==", prefix("172.17.0.0", 16), NO),
        (payload("ip", "saddr"), "==", "192.168.137.20", SOME),
        (payload("ip", "saddr"), "==", {"range": ["192.168.137.0", "192.168.137.255"]}, YES),
        (payload("ip", "saddr"), "!=", prefix("192.168.0.0", 16), NO),
        (payload("ip", "saddr"), "==", "no address", MAYBE),
        (payload("ip", "saddr"), "==", 7, MAYBE),
        (payload("ip", "daddr"), "==", prefix("10.0.0.0", 8), SOME),
        (payload("ip", "daddr"), "!=", prefix("10.0.0.0", 8), MAYBE),
        (payload("ip", "daddr"), "==", prefix("0.0.0.0", 0), YES),
        (payload("ip", "protocol"), "==", "tcp", YES),
        (payload("ip", "ttl"), "<", 2, SOME),
        (payload("tcp", "dport"), "==", 25, SOME),
        (payload("tcp", "dport"), "!=", 25, MAYBE),
        (payload("th", "dport"), "==", {"set": [25, {"range": [6881, 6889]}]}, SOME),
        (payload("udp", "dport"), "==", 53, NO),
        (payload("udp", "dport"), "!=", 53, NO),
        (payload("ip6", "daddr"), "!=", "::1", NO),
        (payload("icmp", "type"), "==", "echo-request", NO),
        (payload("ether", "type"), "==", "ip", YES),
        (payload("ether", "saddr"), "==", "02:00:00:00:00:01", MAYBE),
        ({"&": [payload("tcp", "flags"), ["fin", "syn"]]}, "==", ["fin", "syn"], SOME),
        ({"&": [payload("tcp", "flags"), ["fin", "syn"]]}, "!=", ["fin", "syn"], MAYBE),
        ({"&": [payload("udp", "length"), 1]}, "==", 1, NO),
        ({"&": "nonsense"}, "==", 1, MAYBE),
        ({"tcp option": {"name": "maxseg"}}, "==", {"range": [1, 500]}, SOME),
        ({"exthdr": {"name": "frag"}}, "==", 1, NO),
        ({"numgen": {"mode": "inc", "mod": 2}}, "==", 0, SOME),
        ({"osf": {"key": "name"}}, "==", "Linux", MAYBE),
        ("nonsense", "==", 1, MAYBE),
        (ct("state"), "in", ["established", "related"], NO),
        (ct("state"), "in", "new", YES),
        (ct("state"), "==", {"set": ["new", "untracked"]}, YES),
        (ct("state"), "!=", {"|": ["established", "related"]}, YES),
        (ct("state"), "==", {"|": ["established", "related"]}, NO),
        (ct("state"), "!", ["established", "new"], NO),
        (ct("direction"), "==", "original", YES),
        (ct("status"), "in", "dnat", NO),
        (ct("status"), "!=", "dnat", YES),
        (ct("status"), "in", "assured", MAYBE),
        ({"&": [ct("status"), "dnat"]}, "==", "dnat", NO),
        ({"&": [ct("status"), "dnat"]}, "==", 0, YES),
        ({"&": [ct("status"), "dnat"]}, "!=", 0, NO),
        (meta("mark"), "!=", {"|": [1, 2]}, MAYBE),
        (meta("mark"), "==", {"|": [1, 2]}, MAYBE),
        (fib("oif", "saddr", "iif"), "==", False, NO),
        (fib("oif", "saddr", "iif"), "!=", False, YES),
        (fib("oif", "saddr"), "==", "lan0", MAYBE),
        (fib("type", "daddr"), "==", "local", NO),
        (fib("type", "saddr"), "==", "local", NO),
        (fib("oifname", "daddr"), "==", "wan0", MAYBE),
        ({"concat": [meta("iifname"), meta("oifname")]}, "==", {"set": [{"concat": ["lan0", "wan0"]}]}, YES),
        ({"concat": [meta("iifname"), meta("oifname")]}, "==", {"set": [{"concat": ["lan0", "other"]}]}, NO),
        ({"concat": [meta("iifname"), meta("mark")]}, "==", {"set": [{"concat": ["lan0", 1]}]}, MAYBE),
        ({"concat": [meta("iifname"), meta("oifname")]}, "==", {"concat": ["lan0"]}, MAYBE),
        ({"concat": [meta("iifname"), meta("oifname")]}, "==", "nonsense", MAYBE),
        (meta("iifname"), "~", "lan0", MAYBE),
    ],
)
def test_a_condition_on_a_new_connection_from_a_client(left: Any, operator: str, right: Any, expected: Match) -> None:
    assert holds(left, operator, right) is expected


@pytest.mark.parametrize(
    ("packet", "left", "operator", "right", "expected"),
    [
        (BACK, ct("state"), "in", ["established", "related"], YES),
        (BACK, ct("direction"), "==", "reply", YES),
        (ON, ct("direction"), "==", "reply", NO),
        (BACK, payload("ip", "daddr"), "==", prefix("192.168.137.0", 24), YES),
        (OUT_UDP, {"tcp option": {"name": "maxseg"}}, "==", 1, NO),
        (DHCP, payload("udp", "dport"), "==", 67, YES),
        (DHCP, payload("udp", "dport"), "==", {"range": [67, 68]}, YES),
        (DHCP, payload("udp", "dport"), "<", 1024, YES),
        (DHCP, payload("udp", "dport"), ">=", 1024, NO),
        (DHCP, payload("udp", "dport"), "<", "nonsense", MAYBE),
        (DHCP, payload("udp", "dport"), "==", "bootps", MAYBE),
        (DHCP, payload("udp", "sport"), "==", 68, YES),
        (DHCP, payload("ip", "saddr"), "==", "0.0.0.0", YES),
        (DHCP, meta("pkttype"), "==", "broadcast", YES),
        (DHCP, fib("type", "daddr"), "==", {"set": ["local", "broadcast"]}, YES),
        (DHCP, fib("type", "saddr"), "==", "unicast", MAYBE),
        (DHCP, meta("oifname"), "!=", "wan0", NO),
        (DNS_UDP, fib("type", "daddr"), "==", "local", YES),
        (DNS, payload("tcp", "dport"), "==", {"set": [22, 53]}, YES),
        (replace(DNS, source=None), payload("ip", "saddr"), "==", "10.0.0.1", SOME),
    ],
)
def test_a_condition_on_other_traffic(packet: Packet, left: Any, operator: str, right: Any, expected: Match) -> None:
    assert holds(left, operator, right, packet) is expected


def test_the_way_out_is_unknown_before_routing() -> None:
    assert holds(meta("oifname"), "!=", "docker0", hook="prerouting") is NO


def test_connection_tracking_has_not_seen_what_comes_early() -> None:
    assert holds(ct("state"), "in", "new", hook="prerouting", priority=-300) is MAYBE
    assert holds(ct("state"), "in", "new", hook="ingress") is MAYBE
    assert holds(ct("state"), "in", "new", hook="prerouting", priority=-150) is YES


def test_a_bridges_chains_see_its_ports() -> None:
    assert holds(meta("iifname"), "==", "lan0", BRIDGED, family="bridge") is MAYBE
    assert holds(meta("oifname"), "==", "lan0", BRIDGED, family="bridge") is MAYBE
    assert holds(meta("ibrname"), "==", "lan0", BRIDGED, family="bridge") is YES


def test_catch_all_elements_hold_for_everything() -> None:
    assert holds(meta("mark"), "==", {"set": ["*"]}) is YES


@pytest.mark.parametrize(
    ("name", "text", "packet", "expected"),
    [
        ("comment", "counter accept", OUT, YES),
        ("icmp", "icmp type echo-request accept", OUT, NO),
        ("conntrack", "ct state related,established counter accept", OUT, NO),
        ("conntrack", "ct state related,established counter accept", BACK, YES),
        ("conntrack", "ct state ! invalid counter accept", OUT, YES),
        ("conntrack", "ct state != new counter drop", OUT, NO),
        ("state", "ct state new counter accept", OUT, YES),
        ("conntrack", "ct state new ct original ip saddr 10.0.0.1 accept", OUT, MAYBE),
        ("conntrack", "ct state established ct status assured accept", OUT, NO),
        ("conntrack", "ct status dnat accept", OUT, MAYBE),
        ("conntrack", "", OUT, MAYBE),
        ("conntrack", 'comment "ct state established" ct state new accept', OUT, YES),
        ("addrtype", "fib daddr type local jump x", OUT, NO),
        ("addrtype", "fib daddr type local jump x", DNS, YES),
        ("addrtype", "fib daddr type != local drop", OUT, YES),
        ("addrtype", "fib saddr type broadcast drop", OUT, NO),
        ("addrtype", "xt match addrtype", OUT, MAYBE),
        ("multiport", "udp dport { 53,67 } accept", DHCP, YES),
        ("multiport", "udp dport { 1-66, 68 } accept", DHCP, NO),
        ("multiport", "udp dport != { 53,67 } drop", DHCP, NO),
        ("multiport", "tcp dport 53 accept", DNS, YES),
        ("multiport", "tcp dport { 25,465 } drop", OUT, SOME),
        ("multiport", "xt match multiport", OUT, MAYBE),
        ("limit", "limit rate 3/minute accept", OUT, SOME),
        ("set", "xt match set", OUT, MAYBE),
    ],
)
def test_a_match_of_iptables_is_known_by_its_translation(name: str, text: str, packet: Packet, expected: Match) -> None:
    assert match_extension(name, view(packet), text) is expected


def test_a_translated_state_means_nothing_before_connection_tracking() -> None:
    early = view(OUT, hook="prerouting", priority=-300)
    assert match_extension("conntrack", early, "ct state established accept") is MAYBE
