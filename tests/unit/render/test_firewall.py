"""The connection firewall's table as text."""

import pytest

from icshare.model.firewall import Firewall, FirewallOptions, IcmpOption
from icshare.model.names import InterfaceName
from icshare.render.firewall import firewall_ruleset

MESSAGES = {
    IcmpOption.INBOUND_ECHO_REQUEST: "echo-request",
    IcmpOption.INBOUND_TIMESTAMP_REQUEST: "timestamp-request",
    IcmpOption.INBOUND_MASK_REQUEST: "address-mask-request",
    IcmpOption.INBOUND_ROUTER_REQUEST: "router-solicitation",
    IcmpOption.REDIRECT: "icmp type redirect",
}
CLOSED = {
    **{option: f"{message} goto refused" for option, message in MESSAGES.items()},
    IcmpOption.OUTBOUND_DESTINATION_UNREACHABLE: "icmp code != frag-needed counter drop",
    IcmpOption.OUTBOUND_SOURCE_QUENCH: "source-quench counter drop",
    IcmpOption.OUTBOUND_PARAMETER_PROBLEM: "parameter-problem counter drop",
    IcmpOption.OUTBOUND_TIME_EXCEEDED: "time-exceeded counter drop",
    IcmpOption.OUTBOUND_PACKET_TOO_BIG: "icmp code frag-needed counter drop",
}


def text(interface: str = "wan0", *icmp: IcmpOption, login_port: int | None = None, log: bool = False) -> str:
    options = FirewallOptions(icmp=icmp, log_dropped=log, log_opened=log)
    return firewall_ruleset([Firewall(interface=InterfaceName(interface), options=options, login_port=login_port)])


@pytest.mark.parametrize("option", list(MESSAGES))
def test_what_comes_in_passes_only_with_its_option(option: IcmpOption) -> None:
    opened = f"{MESSAGES[option]} ct state new,untracked,invalid goto opened"
    assert opened not in text()
    assert opened in text("wan0", option)


@pytest.mark.parametrize("option", list(CLOSED))
def test_what_is_off_is_dropped_and_what_is_on_is_not(option: IcmpOption) -> None:
    assert CLOSED[option] in text()
    assert CLOSED[option] not in text("wan0", option)


def test_errors_about_a_connection_pass_before_any_option_is_asked() -> None:
    errors = text().partition("chain errors")[2]
    assert errors.index("seen-reply return") < errors.index("counter drop")


def test_the_administrators_login_stays_open_on_its_own_connection_only() -> None:
    assert "tcp dport 2222 accept" not in text()
    assert 'iifname "wan0" tcp dport 2222 accept' in text(login_port=2222)


def test_the_log_is_written_only_when_asked_for() -> None:
    assert "log group" not in text()
    assert "chain forward {" not in text()
    logged = text(log=True)
    for action in ("DROP", "OPEN-INBOUND", "OPEN"):
        assert f'log group 1370 snaplen 128 prefix "icshare {action}"' in logged
    assert "limit rate" not in logged


def test_several_firewalls_share_the_table_and_keep_their_own_options() -> None:
    echo = FirewallOptions(icmp=(IcmpOption.INBOUND_ECHO_REQUEST,))
    both = firewall_ruleset(
        [
            Firewall(interface=InterfaceName("wan0"), options=echo),
            Firewall(interface=InterfaceName("wan1")),
        ]
    )
    assert 'iifname { "wan0", "wan1" } jump inbound' in both
    assert 'iifname "wan0" icmp type echo-request ct state new,untracked,invalid goto opened' in both
    assert 'iifname "wan1" icmp type echo-request goto refused' in both


def test_icmp_options_come_before_what_connection_tracking_says() -> None:
    """A ping that was allowed is established; a router request is invalid."""
    inbound = text().partition("chain inbound")[2]
    assert inbound.index("jump requests") < inbound.index("established,related accept")
