"""Whether the host's own way to the Internet is the public connection, or clients have to be led there."""

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network

import pytest
from tests.hosts import snapshot

from icshare.model.link import Rule
from icshare.plan.wayout import is_wide, way_out

LINKS = [{"name": "wan0"}, {"name": "wan1"}, {"name": "tun0", "kind": "tun"}, {"name": "off0", "up": False}]
HALVES = ["0.0.0.0/1 dev tun0", "128.0.0.0/1 via 10.8.0.1 dev tun0"]


@pytest.mark.parametrize(
    ("public", "routes", "pinned"),
    [
        ("wan0", [], None),
        ("wan0", ["default via 198.51.100.1 dev wan0"], None),
        ("wan0", ["default via 198.51.100.1 dev wan0", "default via 203.0.113.1 dev wan1 metric 9"], None),
        ("wan1", ["default via 198.51.100.1 dev wan0", "default via 203.0.113.1 dev wan1 metric 9"], "203.0.113.1"),
        (
            "wan1",
            [
                "default dev wan0",
                "default via 203.0.113.9 dev wan1 metric 9",
                "default via 203.0.113.5 dev wan1 metric 5",
            ],
            "203.0.113.5",
        ),
        ("wan1", ["default via 198.51.100.1 dev wan0"], None),
        ("tun0", ["default via 198.51.100.1 dev wan0"], "no gateway"),
        ("off0", ["default via 198.51.100.1 dev wan0"], None),
        ("tun0", ["default via 198.51.100.1 dev wan0", *HALVES], None),
        ("wan0", ["default via 198.51.100.1 dev wan0", *HALVES], "198.51.100.1"),
        ("tun0", ["default via 198.51.100.1 dev wan0", *HALVES, "64.0.0.0/2 dev wan1"], "no gateway"),
        ("wan0", ["default via 198.51.100.1 dev wan0", "10.0.0.0/8 dev tun0"], None),
        ("wan0", ["default via 198.51.100.1 dev wan0", "default dev wan1 metric 1 table 77"], None),
    ],
)
def test_way_out(public: str, routes: list[str], pinned: str | None) -> None:
    host = snapshot({"links": LINKS, "routes": routes})
    link = host.link(public)
    assert link is not None
    route = way_out(host, link)
    assert (route and str(route.gateway or "no gateway")) == pinned
    if route:
        assert route.index == link.index


@pytest.mark.parametrize(
    ("network", "wide"), [("0.0.0.0/0", True), ("128.0.0.0/1", True), ("8.0.0.0/7", True), ("10.0.0.0/8", False)]
)
def test_a_network_that_somebody_can_have_is_not_the_internet_at_large(network: str, wide: bool) -> None:
    assert is_wide(IPv4Network(network)) == wide


def test_routes_of_ipv6_do_not_count() -> None:
    assert not is_wide(IPv6Network("::/0"))


@pytest.mark.parametrize(
    ("public", "rule", "pinned"),
    [
        ("wan0", Rule(family=4, priority=32001, table=51820), "198.51.100.1"),
        ("tun0", Rule(family=4, priority=32001, table=51820), "no gateway"),
        ("wan0", Rule(family=6, priority=32001, table=51820), None),
        ("wan0", Rule(family=4, priority=32001, table=51820, iif="lan0"), None),
        ("wan0", Rule(family=4, priority=32001, table=51820, selective=True), None),
        ("wan0", Rule(family=4, priority=32766, table=254), None),
    ],
)
def test_a_rule_may_lead_to_another_way_out(public: str, rule: Rule, pinned: str | None) -> None:
    """The tables of wg-quick and its like: the default route is untouched, and not taken."""
    routes = ["default via 198.51.100.1 dev wan0", "default dev tun0 table 51820", "10.0.0.0/8 dev tun0 table 51820"]
    host = replace(snapshot({"links": LINKS, "routes": routes}), rules=(rule,))
    link = host.link(public)
    assert link is not None
    route = way_out(host, link)
    assert (route and str(route.gateway or "no gateway")) == pinned
