"""Text from outside becomes a name or one clear error, and a name is harmless wherever it is rendered."""

import re
from collections.abc import Callable
from ipaddress import IPv4Network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from icshare.errors import InvalidRequestError
from icshare.model.names import host_name, interface_name, is_interface_name, mac_address, subnet

HARMLESS = re.compile(r"[A-Za-z0-9_.:@-]+", re.ASCII)
parsers = st.sampled_from([interface_name, mac_address, host_name])


@given(parsers, st.text() | st.from_regex(r"[a-z0-9_.@-]{1,16}\n?") | st.from_regex(r"([0-9a-f]{2}:){5}[0-9a-f]{2}\n?"))
@example(interface_name, "lan0\n")
@example(mac_address, "52:54:00:00:00:01\n")
@example(host_name, "printer\n")
@example(host_name, "١٢")
def test_text_is_a_harmless_name_or_refused(parse: Callable[[str], str], text: str) -> None:
    try:
        name = parse(text)
    except InvalidRequestError as error:
        assert repr(text) in error.message  # noqa: PT017  # either outcome is right, each for its texts
    else:
        assert HARMLESS.fullmatch(name)
        assert parse(name) == name


@pytest.mark.parametrize("text", ["eth0", "enx001122334455", "wlan0.10", "br-lan", "_x", "veth1@if2", "a" * 15])
def test_usual_interface_names_are_taken(text: str) -> None:
    assert interface_name(text) == text
    assert is_interface_name(text)


@pytest.mark.parametrize(
    "text", ["", "a" * 16, "a b", "a/b", "..", ".x", "-x", 'a"', "a*", "a;b", "a\n", "é", "all", "default"]
)
def test_hostile_interface_names_are_refused(text: str) -> None:
    assert not is_interface_name(text)
    with pytest.raises(InvalidRequestError, match="is not a usable interface name") as caught:
        interface_name(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "mac"), [("52-54-00-AB-CD-EF", "52:54:00:ab:cd:ef"), ("02:00:00:00:00:01", "02:00:00:00:00:01")]
)
def test_hardware_addresses_are_brought_into_one_form(text: str, mac: str) -> None:
    assert mac_address(text) == mac


@pytest.mark.parametrize("text", ["", "52:54:00:00:00", "52:54:00:00:00:0g", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff"])
def test_what_is_not_the_address_of_one_station_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="is not the hardware address of one station"):
        mac_address(text)


@pytest.mark.parametrize("text", ["", "-a", "a-", "a.b", "a_b", "a" * 64, "a,b"])
def test_what_is_no_host_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="is not a host name"):
        host_name(text)


@pytest.mark.parametrize("text", ["10.0.0.0/8", "192.168.50.0/24", "172.16.0.0/29", "203.0.113.0/24"])
def test_subnets_are_taken(text: str) -> None:
    assert subnet(text) == IPv4Network(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not an IPv4 subnet"),
        ("lan0", "is not an IPv4 subnet"),
        ("10.0.0.1/24", "has host bits set"),
        ("10.0.0.0/33", "is not an IPv4 subnet"),
        ("10.0.0.0/24\n", "is not an IPv4 subnet"),
        ("fd00::/64", "is not an IPv4 subnet"),
        ("10.0.0.0", "cannot hold a segment"),
        ("10.0.0.0/30", "cannot hold a segment"),
        ("0.0.0.0/0", "cannot hold a segment"),
        ("224.0.0.0/24", "is not a unicast subnet"),
        ("127.0.0.0/24", "is not a unicast subnet"),
        ("169.254.1.0/24", "is not a unicast subnet"),
        ("240.0.0.0/24", "is not a unicast subnet"),
        ("0.1.0.0/24", "lies in 0.0.0.0/8"),
    ],
)
def test_what_can_be_no_segment_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidRequestError, match=why):
        subnet(text)


@given(st.text())
def test_any_text_is_a_subnet_or_refused(text: str) -> None:
    try:
        network = subnet(text)
    except InvalidRequestError:
        return
    assert 8 <= network.prefixlen <= 29
