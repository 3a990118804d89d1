"""Steps as values: what they say, what they name, and that taking back twice is doing."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from hypothesis import given
from tests import strategies

from icshare.model.names import InterfaceName
from icshare.plan import steps as s
from icshare.plan.steps import AnyStep, LinkRef

LAN0 = InterfaceName("lan0")
LINK = LinkRef(LAN0, 3)


@given(strategies.steps)
def test_the_inverse_of_the_inverse_is_the_step_itself(step: AnyStep) -> None:
    assert step.inverse().inverse() == step


@given(strategies.steps)
def test_a_step_and_its_inverse_are_about_the_same_thing(step: AnyStep) -> None:
    assert step.inverse().key == step.key


@given(strategies.steps)
def test_a_step_says_what_it_does_in_one_line(step: AnyStep) -> None:
    assert step.describe().isprintable()
    assert 10 < len(step.describe()) < 120


@given(strategies.steps, strategies.steps)
def test_steps_of_different_kinds_are_about_different_things(one: AnyStep, other: AnyStep) -> None:
    if one.key == other.key:
        assert type(other) in {type(one), type(one.inverse())}


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (s.StartFastPath(text="x"), "fast path: start (2d711642b726b044)"),
        (s.StopFastPath(text="x"), "fast path: stop"),
        (
            s.SetConntrack(setting="tcp_be_liberal", value="1", previous="0"),
            "sysctl net.netfilter.nf_conntrack_tcp_be_liberal: 0 -> 1",
        ),
        (s.DropRuleset(text="x"), "nftables: delete table inet icshare"),
        (s.DeleteBridge(name=LAN0, mac="52:54:00:00:00:01", mtu=1500), "link lan0: delete bridge"),
        (s.SetMaster(link=LINK, master=None, previous=InterfaceName("br0")), "link lan0: master br0 -> none"),
        (s.SetUp(link=LINK, up=False, previous=True), "link lan0: up -> down"),
        (
            s.SetSysctl(link=LINK, setting="ipv6/accept_ra", value="0", previous="1"),
            "sysctl net.ipv6.conf.lan0.accept_ra: 1 -> 0",
        ),
        (
            s.AddRoute(link=LINK, destination=IPv4Network("0.0.0.0/0"), gateway=IPv4Address("10.0.0.1"), metric=7),
            "route: add default via 10.0.0.1 dev lan0 metric 7",
        ),
        (
            s.RemoveRoute(link=LINK, destination=IPv4Network("10.9.0.0/16"), table=77),
            "route: remove 10.9.0.0/16 dev lan0 table 77",
        ),
        (s.RemoveAddress(link=LINK, address=IPv4Interface("10.0.0.1/24")), "address 10.0.0.1/24: remove from lan0"),
        (s.RemoveRule(link=LAN0, priority=5), "rule: remove 5: from all iif lan0 unreachable"),
        (
            s.AddRule(link=LAN0, priority=5, table=254, suppress_prefixlength=7),
            "rule: add 5: from all iif lan0 lookup 254 suppress_prefixlength 7",
        ),
        (s.ForgetProbe(link=LAN0), "dhcp: nothing to take back"),
        (s.StopService(text="x"), "dnsmasq: stop"),
        (s.SetCountry(country="DE", previous="00"), "regulatory domain: 00 -> DE"),
        (s.DeleteAccessPointLink(name=LAN0, radio=4), "link lan0: delete"),
        (s.SetInterfaceType(link=LINK, type=3, previous=2, up=True), "link lan0: Wi-Fi type 2 -> 3"),
        (s.StopAccessPoint(link=LAN0, text="x", secret="0" * 16), "access point: stop"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_description(step: AnyStep, line: str) -> None:
    assert step.describe() == line


def test_two_devices_that_bore_one_name_are_two_things() -> None:
    first = s.SetUp(link=LinkRef(LAN0, 3), up=True, previous=False)
    second = s.SetUp(link=LinkRef(LAN0, 4), up=True, previous=False)
    assert first.key != second.key


def test_routes_of_the_host_are_told_apart_by_gateway_and_link() -> None:
    def route(gateway: str, index: int) -> s.RemoveRoute:
        link, network = LinkRef(LAN0, index), IPv4Network("10.9.0.0/16")
        return s.RemoveRoute(link=link, destination=network, gateway=IPv4Address(gateway), raw=b"raw")

    assert len({route("10.0.0.1", 3).key, route("10.0.0.2", 3).key, route("10.0.0.1", 4).key}) == 3


def test_the_base_of_all_steps_is_no_step() -> None:
    for act in (lambda: s.Step().key, s.Step().describe, s.Step().inverse):
        with pytest.raises(AssertionError):
            act()
