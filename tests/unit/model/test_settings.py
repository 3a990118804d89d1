"""The administrator's file: what it may hold, and that anything else is one clear error."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import InvalidRequestError
from icshare.model.connection import LinkOverride, MediaType
from icshare.model.names import HostName, MacAddress
from icshare.model.settings import Settings, parse_settings
from icshare.model.sharing import DhcpSettings, DnsSettings, Helper, Reservation

NAME = "/etc/icshare/icshare.toml"

FULL = """
version = 1

[sharing]
subnet = "10.20.0.0/24"
firewall = false
helpers = ["ftp", "sip", "ftp"]
bridge = true

[dhcp]
enabled = true
first = "10.20.0.100"
last = "10.20.0.200"
lease_seconds = 600
reservations = [
    { mac = "52-54-00-AB-CD-EF", address = "10.20.0.10", name = "printer" },
    { mac = "52:54:00:00:00:01" },
]

[dns]
domain = "lab.example"
servers = ["9.9.9.9"]

[link.eth7]
media = "phone"
public = true
private = false
bridgeable = false
incoming_only = false
name = "Modem"

[link.tap0]
"""


def test_everything_that_can_be_set() -> None:
    assert parse_settings(FULL, NAME) == Settings(
        subnet=IPv4Network("10.20.0.0/24"),
        firewall=False,
        helpers=(Helper.FTP, Helper.SIP),
        bridge=True,
        dhcp=DhcpSettings(
            pool_first=IPv4Address("10.20.0.100"),
            pool_last=IPv4Address("10.20.0.200"),
            lease_seconds=600,
            reservations=(
                Reservation(
                    mac=MacAddress("52:54:00:ab:cd:ef"), address=IPv4Address("10.20.0.10"), name=HostName("printer")
                ),
                Reservation(mac=MacAddress("52:54:00:00:00:01")),
            ),
        ),
        dns=DnsSettings(domain="lab.example", servers=(IPv4Address("9.9.9.9"),)),
        links={
            "eth7": LinkOverride(
                media=MediaType.PHONE, public=True, private=False, bridgeable=False, incoming_only=False, name="Modem"
            ),
            "tap0": LinkOverride(),
        },
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "[sharing]\n[dhcp]\n[dns]\n"])
def test_nothing_set_is_the_defaults(text: str) -> None:
    assert parse_settings(text, NAME) == Settings()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[sharing", "is not TOML"),
        ("x = 1\nx = 2", "is not TOML"),
        ("x = " + "[" * 100_000, "is not TOML"),
        ("version = 2\nfuture = true", "is of version 2, this icshare reads version 1"),
        ("version = 99999999999999999999999999", "is of version 99999999999999999999999999"),
        ('version = "2"', r"`\$.version`"),
        ("version = 0", r"`\$.version`"),
        ("sharing = 1", r"`\$.sharing`"),
        ("[sharing]\nsubnets = 1", "unknown field `subnets`"),
        ("[sharing]\nfirewall = 1", r"Expected `bool`, got `int` - at `\$.sharing.firewall`"),
        ('[sharing]\nsubnet = "10.0.0.1/24"', "has host bits set"),
        ('[sharing]\nsubnet = "224.0.0.0/24"', "is not a unicast subnet"),
        ('[sharing]\nfast_path = "fasst"', "'fasst' is no fast path .expected auto, xdp, tc, flowtable, off."),
        ('[sharing]\nhelpers = ["h323"]', "Invalid enum value 'h323'"),
        ("[dhcp]\nlease_seconds = 119", ">= 120"),
        ("[dhcp]\nlease_seconds = 4294967295", "<= 4294967294"),
        ("[dhcp]\nlease_seconds = 99999999999999999999999999", "lease_seconds"),
        ('[dhcp]\nfirst = "10.0.0"', "'10.0.0' is not an IPv4 address"),
        ('[dhcp]\nlast = "fe80::1"', "'fe80::1' is not an IPv4 address"),
        ('[dhcp]\nreservations = [{ address = "10.0.0.2" }]', "missing required field `mac`"),
        ('[dhcp]\nreservations = [{ mac = "ff:ff:ff:ff:ff:ff" }]', "is not the hardware address of one station"),
        ('[dhcp]\nreservations = [{ mac = "52:54:00:00:00:01", name = "a.b" }]', "is not a host name"),
        ('[dhcp]\nreservations = [{ mac = "52:54:00:00:00:01", name = "a,b\\ndhcp-script=/x" }]', "is not a host name"),
        ('[dns]\ndomain = "home.arpa\\n"', "matching regex"),
        ('[dns]\ndomain = ""', "matching regex"),
        ('[dns]\ndomain = "a..b"', "matching regex"),
        ('[dns]\nservers = ["9.9.9.9#53"]', "is not an IPv4 address"),
        (
            "[sharing]\nbridge = true\n[policy]\nallow_bridge = false",
            "asks for what allow_bridge under .policy. forbids",
        ),
        ('[link."a b"]', "'a b' is not a usable interface name"),
        ('[link."../../x"]', "is not a usable interface name"),
        ('[link.eth0]\nmedia = "radio"', "Invalid enum value 'radio'"),
    ],
    ids=lambda value: value[:50],
)
def test_what_has_no_meaning_is_one_error_that_says_where(text: str, why: str) -> None:
    with pytest.raises(InvalidRequestError, match=why) as caught:
        parse_settings(text, NAME)
    assert caught.value.message.startswith(NAME)
    assert "\n" not in caught.value.message


@given(st.text())
def test_any_text_is_settings_or_one_clear_error(text: str) -> None:
    try:
        parse_settings(text, NAME)
    except InvalidRequestError as error:
        assert error.message.startswith(NAME)  # noqa: PT017  # or it is no error at all


@given(st.data())
def test_a_file_cut_off_or_damaged_anywhere_is_settings_or_one_clear_error(data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(FULL)))
    text = FULL[:cut] + data.draw(st.text(max_size=3)) + FULL[data.draw(st.integers(cut, len(FULL))) :]
    try:
        parse_settings(text, NAME)
    except InvalidRequestError as error:
        assert error.message.startswith(NAME)  # noqa: PT017  # or it is no error at all
