"""Words of Wi-Fi: what is one, what is none, and that no passphrase shows itself."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import InvalidRequestError
from icshare.model.names import InterfaceName, is_interface_name
from icshare.model.wifi import (
    AccessPoint,
    Band,
    Channel,
    Country,
    Ssid,
    ap_link,
    channel_on,
    check_access_point,
    country,
    is_ap_link,
    passphrase,
    ssid,
)

WANTED = AccessPoint(interface=InterfaceName("wlan0"), ssid=Ssid("café"), secret="0123456789abcdef")


@pytest.mark.parametrize("name", ["x", "Café upstairs", '"; #', "é" * 16, " "])
def test_a_name_that_can_be_shown_is_one(name: str) -> None:
    assert ssid(name) == name


@pytest.mark.parametrize("name", ["", "é" * 17, "a\nb", "a\x00", "\u2028", "\ud800"])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequestError, match="no name for a wireless network"):
        ssid(name)


def test_a_passphrase_shows_itself_only_when_asked() -> None:
    found = passphrase("my secret words")
    assert found.reveal() == "my secret words"
    assert "secret" not in f"{found!r} {found}"
    assert (found == passphrase("my secret words"), found == "my secret words") == (True, False)
    assert hash(found) == hash(passphrase("my secret words"))


@pytest.mark.parametrize("text", ["", "1234567", "x" * 64, "pässwörter", "tab\tstops", "line\nbreak"])
def test_what_is_no_passphrase_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"this one has {len(text)}$") as caught:
        passphrase(text)
    assert not text or text not in str(caught.value)


def test_a_country_is_two_letters_in_capitals() -> None:
    assert country("de") == "DE"
    for odd in ("", "D", "DEU", "D3", "00", "é1"):
        with pytest.raises(InvalidRequestError, match="not a country code"):
            country(odd)


@given(st.integers(0, 10**9 - 1))
def test_each_radio_has_a_link_name_of_its_own(radio: int) -> None:
    assert is_interface_name(ap_link(radio))
    assert is_ap_link(ap_link(radio))
    assert not is_ap_link(f"x{ap_link(radio)}")


@pytest.mark.parametrize(
    ("frequency", "band", "number"),
    [
        (2412, Band.GHZ2, 1),
        (2472, Band.GHZ2, 13),
        (2484, Band.GHZ2, 14),
        (5180, Band.GHZ5, 36),
        (5885, Band.GHZ5, 177),
        (5955, Band.GHZ6, 1),
        (7115, Band.GHZ6, 233),
    ],
)
def test_a_frequency_is_that_of_a_channel(frequency: int, band: Band, number: int) -> None:
    assert channel_on(frequency) == Channel(band=band, number=number, frequency=frequency)
    assert str(channel_on(frequency)) == f"channel {number} ({frequency} MHz)"


@pytest.mark.parametrize("frequency", [0, 900, 2407, 2413, 2477, 4900, 5000, 5910, 7120, 58320])
def test_other_frequencies_are_of_no_channel(frequency: int) -> None:
    assert channel_on(frequency) is None


def test_a_channel_is_usable_if_nothing_is_against_it() -> None:
    channel = Channel(band=Band.GHZ5, number=36, frequency=5180)
    assert channel.usable
    for bad in (replace(channel, disabled=True), replace(channel, no_ir=True), replace(channel, radar=True)):
        assert not bad.usable


def test_an_access_point_from_a_file_is_checked() -> None:
    check_access_point(WANTED)
    check_access_point(replace(WANTED, channel=233, country=Country("DE")))
    for odd in (
        replace(WANTED, interface=InterfaceName("a b")),
        replace(WANTED, ssid=Ssid("a\nb")),
        replace(WANTED, secret="0123456789ABCDEF"),
        replace(WANTED, secret=""),
        replace(WANTED, channel=0),
        replace(WANTED, channel=234),
        replace(WANTED, country=Country("de")),
        replace(WANTED, country=Country("d\n")),
    ):
        with pytest.raises(InvalidRequestError):
            check_access_point(odd)
