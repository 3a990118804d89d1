"""The profile of an access point by NetworkManager."""

from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import HostError, NotSupportedError
from icshare.model.names import interface_name
from icshare.model.wifi import Band, Ssid, passphrase
from icshare.render.nmprofile import USER_KEY, Profile, parse_profile, profile_settings, profile_text

PLAIN = Profile(uuid=UUID(int=7), interface=interface_name("wlan0"), ssid=Ssid("Gäste"))
FULL = Profile(
    uuid=UUID(int=7),
    interface=interface_name("wlan0"),
    ssid=Ssid("x"),
    band=Band.GHZ5,
    channel=36,
    hidden=True,
    isolated=True,
)
WORDS = passphrase("correct horse")


@pytest.mark.parametrize("profile", [PLAIN, FULL])
def test_the_text_tells_the_whole_profile_in_one_line(profile: Profile) -> None:
    text = profile_text(profile)
    assert parse_profile(text) == profile
    assert "\n" not in text


def test_the_settings_are_those_of_an_access_point_without_addresses_of_its_own() -> None:
    settings = profile_settings(PLAIN, WORDS, "0123")
    assert settings["802-11-wireless"] == {
        "ssid": ("ay", "Gäste".encode()),
        "mode": ("s", "ap"),
        "hidden": ("b", False),
        "ap-isolation": ("i", 0),
    }
    security = settings["802-11-wireless-security"]
    assert (security["key-mgmt"], security["psk"], security["wps-method"]) == (
        ("s", "wpa-psk"),
        ("s", "correct horse"),
        ("u", 1),
    )
    assert settings["connection"]["autoconnect"] == ("b", False)
    assert (settings["ipv4"], settings["ipv6"]) == ({"method": ("s", "disabled")}, {"method": ("s", "ignore")})
    assert settings["user"]["data"] == ("a{ss}", {USER_KEY: "0123"})


def test_what_was_chosen_is_in_the_settings() -> None:
    wireless = profile_settings(FULL, WORDS, "0123")["802-11-wireless"]
    assert (wireless["band"], wireless["channel"]) == (("s", "a"), ("u", 36))
    assert (wireless["hidden"], wireless["ap-isolation"]) == (("b", True), ("i", 1))


def test_a_band_alone_chooses_no_channel() -> None:
    profile = Profile(uuid=UUID(int=7), interface=interface_name("wlan0"), ssid=Ssid("x"), band=Band.GHZ2)
    wireless = profile_settings(profile, WORDS, "0123")["802-11-wireless"]
    assert wireless["band"] == ("s", "bg")
    assert "channel" not in wireless


def test_a_band_that_networkmanager_does_not_do_is_refused() -> None:
    profile = Profile(uuid=UUID(int=7), interface=interface_name("wlan0"), ssid=Ssid("x"), band=Band.GHZ6)
    with pytest.raises(NotSupportedError, match="no access point on 6 GHz"):
        profile_text(profile)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        profile_text(PLAIN).replace("wlan0", "a b"),
        profile_text(PLAIN).replace("Gäste", ""),
        profile_text(PLAIN).replace("wlan0", "\ud800"),
    ],
)
def test_what_is_no_profile_of_ours_is_refused(text: str) -> None:
    with pytest.raises(HostError, match="no profile"):
        parse_profile(text)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    with suppress(HostError):
        parse_profile(text)
