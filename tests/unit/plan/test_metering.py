"""Rules of others that every packet has to come past are found; those that an old connection never meets are not."""

import pytest

from icshare.plan.metering import find_bridging, find_hooked, find_metering


def _listing(
    *rules: str, base: str = "type filter hook forward priority filter; policy accept;", more: str = ""
) -> str:
    lines = "".join(f"\t\t{rule} # handle {number}\n" for number, rule in enumerate(rules, start=10))
    return f"table ip other {{ # handle 1\n\tchain c {{ # handle 2\n\t\t{base}\n{lines}\t}}\n{more}}}\n"


@pytest.mark.parametrize(
    ("rule", "verb"),
    [
        ("limit rate over 10/second burst 5 packets drop", "limits the rate of"),
        ("ip saddr 192.0.2.1 limit rate 1 mbytes/second accept", "limits the rate of"),
        ("update @s { ip saddr limit rate over 10/second } drop", "limits the rate of"),
        ("# limit: up to 5/sec burst 3 mode srcip counter packets 0 bytes 0 drop", "limits the rate of"),
        ("quota over 1 gbytes drop", "has a quota for"),
        ("queue to 0", "queues"),
        ("ct original bytes > 100000 drop", "decides by the bytes of"),
        ("ct reply packets 0-10 accept", "decides by the bytes of"),
        ("meter m { ip saddr limit rate 5/second } accept", "limits the rate of"),
        ("ct count over 20 reject", "meters"),
        ("# recent: UPDATE seconds: 60 side: source drop", "meters"),
        ("numgen random mod 2 0 drop", "draws lots about"),
        ("dup to 192.0.2.9 device eth0", "copies"),
        ('limit name "slow" drop', "limits the rate of"),
        ("tcp flags ack / syn,ack limit rate over 10/second drop", "limits the rate of"),
        ("meta random < 10 drop", "draws lots about"),
        ("ip ttl set 65", "rewrites"),
        ("ip6 hoplimit set 65", "rewrites"),
        ("ip dscp set ef", "rewrites"),
        ("udp checksum set 0", "rewrites"),
        ("@th,64,32 set 0x1", "rewrites"),
        ("counter packets 0 bytes 0 # TTL set to 65", "rewrites"),
        ("meta priority set 1:10", "sets the priority of"),
        ("meta length > 500 drop", "looks into"),
        ("udp dport 53 @th,64,32 0x65766900 drop", "looks into"),
        ("ip dscp cs1 drop", "looks into"),
        ("ip ttl 1-5 drop", "looks into"),
        ("tcp window 0 drop", "looks into"),
        ('# counter STRING match "evil" ALGO name bm drop', "looks into"),
        ('limit rate 5/second log prefix "x" drop', "limits the rate of"),
    ],
)
def test_a_rule_that_needs_every_packet_is_found(rule: str, verb: str) -> None:
    assert find_metering(_listing(rule)) == f"table ip other, chain c, {verb} what is forwarded"


@pytest.mark.parametrize(
    "rule",
    [
        "accept",
        "counter packets 5 bytes 500 accept",
        'limit rate 3/minute burst 10 packets log prefix "[UFW BLOCK] "',
        "ct state new limit rate 10/second accept",
        "ct state invalid,new limit rate 10/second accept",
        "ct state { new, untracked } ct count over 20 reject",
        "tcp flags & (fin|syn|rst|ack) == syn limit rate 10/second accept",
        "tcp flags syn / fin,syn,rst,ack limit rate 10/second accept",
        "tcp flags syn / syn,rst tcp option maxseg size set rt mtu",
        "tcp option maxseg size set 1300",
        "ip saddr 192.0.2.1 udp sport 53 th dport 5353 drop",
        "ip protocol udp drop",
        "meta mark set 0x1",
        "ct mark set ct mark | 0x1",
        "add @seen { ip saddr }",
        'comment "limit rate 5/second"',
        'ip saddr 192.0.2.1 log prefix "quota " accept',
    ],
)
def test_a_rule_that_no_established_connection_needs_is_passed_over(rule: str) -> None:
    assert find_metering(_listing(rule)) == ""


@pytest.mark.parametrize(
    ("base", "found"),
    [
        ("type filter hook prerouting priority raw; policy accept;", True),
        ("type route hook output priority 0; policy accept;", False),
        ("type filter hook input priority filter; policy accept;", False),
        ("type nat hook prerouting priority dstnat; policy accept;", False),
    ],
)
def test_only_where_forwarded_packets_come_by_it_counts(base: str, found: bool) -> None:
    assert bool(find_metering(_listing("limit rate over 10/second drop", base=base))) is found


def test_a_set_that_limits_who_updates_it_counts_where_it_is_updated() -> None:
    limited = "\tset q { # handle 5\n\t\ttype ipv4_addr\n\t\tflags dynamic\n\t\tlimit rate over 9/second\n\t}\n"
    assert "limits the rate of" in find_metering(_listing("update @q { ip saddr } drop", more=limited))
    assert find_metering(_listing("ip saddr @q drop", more=limited)) == ""
    assert find_metering(_listing("update @other { ip saddr } drop", more=limited)) == ""


def test_the_acceptance_of_what_is_related_leaves_the_rest_its_way() -> None:
    assert "limits the rate of" in find_metering(_listing("ct state related accept", "limit rate over 10/second drop"))


def test_what_comes_after_the_acceptance_of_all_that_is_established_is_passed_over() -> None:
    accepts = "ct state established,related counter packets 3 bytes 300 accept"
    assert find_metering(_listing(accepts, "limit rate over 10/second drop")) == ""
    assert find_metering(_listing("limit rate over 10/second drop", accepts))


_LIMITING = "\tchain inner { # handle 3\n\t\tlimit rate over 10/second drop # handle 20\n\t}\n"
_ACCEPTING = "\tchain inner { # handle 3\n\t\tct state established accept # handle 20\n\t}\n"


def test_jumps_are_followed_once_each() -> None:
    assert "chain inner" in find_metering(_listing("ip saddr 192.0.2.1 jump inner", "jump inner", more=_LIMITING))
    assert "chain inner" in find_metering(_listing("iifname vmap { eth0 : goto inner, eth1 : drop }", more=_LIMITING))
    assert "chain inner" in find_metering(_listing("iifname vmap @ways", more=_LIMITING))
    assert find_metering(_listing("jump nowhere")) == ""
    assert find_metering(_listing("ct state new jump inner", more=_LIMITING)) == ""


def test_a_bare_jump_to_what_accepts_established_connections_ends_their_way() -> None:
    limit = "limit rate over 10/second drop"
    assert find_metering(_listing("counter packets 1 bytes 60 jump inner", limit, more=_ACCEPTING)) == ""
    assert find_metering(_listing("ip saddr 192.0.2.1 jump inner", limit, more=_ACCEPTING))


def test_a_rule_over_several_lines_is_one() -> None:
    listing = _listing("ip saddr { 192.0.2.1,\n\t\t\t     192.0.2.2 } limit rate over 10/second drop")
    assert find_metering(listing)


def test_our_own_tables_and_other_families_do_not_count() -> None:
    listing = _listing("limit rate over 10/second drop")
    assert find_metering(listing.replace("table ip other", "table inet icshare")) == ""
    assert find_metering(listing.replace("table ip other", "table arp other")) == ""


def test_tables_that_see_what_bridges_forward_are_named() -> None:
    assert find_bridging(_listing().replace("table ip", "table bridge")) == "table bridge other"
    assert find_bridging(_listing()) == ""
    assert find_bridging(_listing(base="").replace("table ip", "table bridge")) == ""


@pytest.mark.parametrize("family", ["netdev", "inet"])
@pytest.mark.parametrize(
    ("devices", "names"),
    [
        ("device eth0", ["eth0"]),
        ('device "eth0.5"', ["eth0.5"]),
        ('devices = { "eth0", "wlan*" }', ["eth0", "wlan*"]),
        ("devices = { eth0, eth1 }", ["eth0", "eth1"]),
    ],
)
def test_tables_with_chains_at_links_are_named(family: str, devices: str, names: list[str]) -> None:
    listing = _listing(base=f"type filter hook egress {devices} priority filter; policy accept;")
    assert find_hooked(listing.replace("table ip", f"table {family}")) == dict.fromkeys(names, f"table {family} other")


def test_chains_elsewhere_are_not_at_links() -> None:
    assert find_hooked(_listing()) == {}
