"""Where an access point comes to be: on which link, on which channel, or why it cannot."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.hosts import radio, snapshot

from icshare.model.names import InterfaceName
from icshare.model.sharing import Sharing
from icshare.model.wifi import (
    AccessPoint,
    Band,
    Channel,
    Combination,
    Country,
    InterfaceType,
    Placement,
    Radio,
    Ssid,
    channel_on,
)
from icshare.plan.accesspoint import Obstacle, Verdict, fits, place

AP, STATION, MONITOR = InterfaceType.AP, InterfaceType.STATION, InterfaceType.MONITOR
WLAN = {"name": "wlan0", "radio": 0, "up": False}
CONNECTED = {"name": "wlan0", "radio": 0, "frequency": 2437}


def placed(
    *links: dict[str, Any],
    public: str = "wan0",
    usual: dict[str, Any] | None = None,
    country: str = "00",
    managed: frozenset[str] = frozenset(),
    **wanted: Any,
) -> Verdict:
    """Return where an access point on ``wlan0`` comes to be, on a host of *links* with a radio as *usual* tells."""
    found = [{"name": "wan0"}, *(links or (WLAN,))]
    host = snapshot({"links": found, "radios": [usual or {}, {"index": 1}], "country": country})
    asked = AccessPoint(interface=InterfaceName("wlan0"), ssid=Ssid("net"), secret="0" * 16, **wanted)
    sharing = Sharing(public=InterfaceName(public), privates=(), access_point=asked)
    return place(sharing, replace(host, managed=managed))


def where(verdict: Verdict) -> Placement:
    assert verdict.problems == ()
    assert verdict.placement is not None
    return verdict.placement


def why(verdict: Verdict) -> str:
    """Return the one reason and its text."""
    assert verdict.placement is None
    ((reason, text),) = verdict.problems
    return f"{reason}: {text}"


def test_an_idle_radio_gets_a_link_of_its_own_for_it() -> None:
    found = where(placed())
    assert (found.interface, found.radio, found.radio_name, found.made) == ("ics-ap0", 0, "phy0", True)
    assert (found.channel, found.note, found.networkmanager) == (channel_on(2412), "", False)


def test_a_connected_station_stays_and_is_followed() -> None:
    found = where(placed(CONNECTED))
    assert (found.interface, found.made, found.channel) == ("ics-ap0", True, channel_on(2437))
    assert found.note == (
        "the access point is on channel 6 (2437 MHz), as wlan0 is: their radio, phy0, can be on one channel at a time"
    )
    assert where(placed(CONNECTED, channel=6, band=Band.GHZ2)).channel.number == 6


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"channel": 11}, "channel 11 cannot be had"),
        ({"band": Band.GHZ5}, "the 5 GHz band cannot be had"),
        ({"band": Band.GHZ5, "channel": 6}, "channel 6 and the 5 GHz band cannot be had"),
    ],
)
def test_another_channel_than_the_stations_is_refused(asked: dict[str, Any], words: str) -> None:
    station = {**CONNECTED, "ssid": "upstream"}
    text = "wlan0 (upstream) is on channel 6 (2437 MHz), and its radio, phy0, can be on one channel at a time"
    assert why(placed(station, **asked)) == f"follows-station: {words}: {text}"


def test_a_radio_for_two_channels_leaves_the_choice() -> None:
    found = where(placed(CONNECTED, usual={"channels": 2}))
    assert (found.channel.number, found.note) == (1, "")
    assert where(placed(CONNECTED, usual={"channels": 2}, channel=11)).channel.number == 11


def test_a_channel_that_may_not_be_followed_is_refused_with_all_that_is_wrong() -> None:
    station = {**CONNECTED, "frequency": 5260}
    verdict = placed(station, usual={"world": False}, channel=1)
    assert [reason for reason, _ in verdict.problems] == [Obstacle.FOLLOWS_STATION, Obstacle.CHANNEL]
    assert "radar" in verdict.problems[1][1]
    assert why(placed({**CONNECTED, "frequency": 58320})) == (
        "channel-unusable: wlan0 is at 58320 MHz, where there can be no access point"
    )


def test_a_radio_for_one_link_turns_that_link_into_it() -> None:
    idle = {"name": "wlan0", "radio": 0}
    for usual in ({"interfaces": 1}, {"creates": False}):
        found = where(placed(idle, usual=usual))
        assert (found.interface, found.made) == ("wlan0", False)
        assert found.note == ("wlan0 itself becomes the access point: its radio, phy0, can have no other link for it")
    assert not where(placed(usual={"interfaces": 1})).made


def test_what_is_used_is_not_taken() -> None:
    alone = {"interfaces": 1}
    text = "radio-in-use: the radio phy0 cannot be an access point beside wlan0, which is a station"
    assert why(placed(CONNECTED, usual=alone)) == f"{text} on channel 6 (2437 MHz)"
    idle = {"name": "wlan0", "radio": 0}
    assert why(placed(idle, usual=alone, public="wlan0")) == text
    assert why(placed({"name": "br0", "kind": "bridge"}, {**idle, "master": "br0"}, usual=alone)) == text
    odd = {**CONNECTED, "frequency": 58320}
    assert why(placed(odd, usual=alone)) == text


def test_others_on_the_radio_are_named() -> None:
    other = {"name": "mesh0", "radio": 0, "wifi": "mesh_point", "frequency": 2412, "ssid": "village"}
    assert why(placed(WLAN, other)) == (
        "radio-in-use: the radio phy0 cannot be an access point beside mesh0 (village), which is a mesh point "
        "on channel 1 (2412 MHz)"
    )
    monitor = {"name": "mon0", "radio": 0, "wifi": "monitor"}
    elsewhere = {"name": "wlan1", "radio": 1, "frequency": 2412}
    found = where(placed(WLAN, monitor, elsewhere))
    assert (found.made, found.channel.number) == (True, 6)


def test_another_access_point_is_followed_where_there_can_be_two() -> None:
    other = {"name": "ap0", "radio": 0, "wifi": "ap", "frequency": 2462}
    assert where(placed(WLAN, other)).channel.number == 11
    assert where(placed(WLAN, other, usual={"creates": False})).interface == "wlan0"
    assert where(placed(WLAN, other, usual={"creates": False})).channel.number == 11
    assert why(placed({**WLAN, "up": True}, {**other, "frequency": 2412}, usual={"interfaces": 1})).startswith(
        "radio-in-use: the radio phy0 cannot be an access point beside ap0"
    )


def test_a_link_of_a_newer_type_counts_as_a_station() -> None:
    host = snapshot({"links": [{**CONNECTED, "frequency": None}], "radios": [{}]})
    (lo, wlan) = host.links
    odd = replace(wlan, facts=replace(wlan.facts, wireless_type=99))
    asked = AccessPoint(interface=InterfaceName("wlan0"), ssid=Ssid("net"), secret="0" * 16)
    sharing = Sharing(public=InterfaceName("wan0"), privates=(InterfaceName("wlan0"),), access_point=asked)
    assert where(place(sharing, replace(host, links=(lo, odd)))).made


def test_a_link_of_our_name_that_is_not_ours_is_in_the_way() -> None:
    other = {"name": "ics-ap0"}
    assert why(placed(WLAN, other)).startswith("access-point-name-taken: a link called ics-ap0 exists")
    assert why(placed(CONNECTED, other)).startswith("access-point-name-taken")


def test_what_is_no_radio_or_can_be_no_access_point_is_told_with_what_it_can() -> None:
    assert why(placed({"name": "wlan0"})) == "not-wireless: wlan0 has no radio for an access point"
    assert why(placed(usual={"types": ["monitor", "station"]})) == (
        "no-access-point-mode: the radio of wlan0, phy0, cannot be an access point; it can be: station, monitor"
    )
    assert why(placed(usual={"types": []})).endswith("nothing that is known")


def test_where_no_country_is_set_most_channels_are_refused_with_that_hint() -> None:
    said = why(placed(channel=13))
    assert said.startswith("channel-unusable: channel 13 cannot be used: nothing may begin to send there; channels")
    assert "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 (2.4 GHz)" in said
    assert said.endswith("say where it is by --country")
    assert why(placed(band=Band.GHZ5)).endswith("say where it is by --country")
    assert "--country" not in why(placed(channel=13, country="DE"))
    assert why(placed(band=Band.GHZ5, country="DE")) == (
        "channel-unusable: the radio phy0 has no channel for an access point in the 5 GHz band"
    )


def test_a_channel_that_a_radio_has_not_is_told_so() -> None:
    assert "channel 99 cannot be used: the radio phy0 has none such" in why(placed(channel=99))
    assert "channel 36 at 2.4 GHz cannot be used: the radio phy0 has none" in why(placed(channel=36, band=Band.GHZ2))
    assert "it is forbidden here" in why(placed(channel=173))
    assert "channels that can: none" in why(placed(channel=36, band=Band.GHZ5))


def test_a_band_that_a_radio_has_not_is_told_with_those_that_it_has() -> None:
    assert why(placed(band=Band.GHZ5, usual={"bands": ["2.4"]})) == (
        "band-unsupported: 5 GHz is none of its bands: the radio phy0 can have an access point in 2.4 GHz"
    )
    assert why(placed(band=Band.GHZ6)) == (
        "band-unsupported: 6 GHz needs more than is done here: the radio phy0 can have an access point in "
        "2.4 GHz and 5 GHz"
    )
    assert why(placed(band=Band.GHZ2, usual={"bands": []})).endswith("in no band")
    assert why(placed(usual={"bands": []})).startswith("channel-unusable: the radio phy0 has no channel")


def test_in_another_country_its_channels_count() -> None:
    assert where(_abroad(Band.GHZ5)).channel.number == 44
    assert where(_abroad(None)).channel.number == 1


def _abroad(band: Band | None) -> Verdict:
    def channels_in(country: Country, channels: Sequence[Channel]) -> tuple[Channel, ...]:
        assert country == "DE"
        return tuple(replace(one, no_ir=one.number == 40, disabled=one.number == 36, radar=False) for one in channels)

    host = snapshot({"links": [WLAN], "radios": [{}], "country": "00"})
    asked = AccessPoint(
        interface=InterfaceName("wlan0"), ssid=Ssid("net"), secret="0" * 16, band=band, country=Country("DE")
    )
    sharing = Sharing(public=InterfaceName("wan0"), privates=(InterfaceName("wlan0"),), access_point=asked)
    return place(sharing, host, channels_in)


def test_without_the_common_channels_another_is_taken() -> None:
    host = snapshot({"links": [WLAN], "radios": [{}]})
    (usual,) = host.radios
    odd = replace(usual, channels=tuple(one for one in usual.channels if one.number not in {1, 6, 11}))
    asked = AccessPoint(interface=InterfaceName("wlan0"), ssid=Ssid("net"), secret="0" * 16)
    sharing = Sharing(public=InterfaceName("wan0"), privates=(InterfaceName("wlan0"),), access_point=asked)
    assert where(place(sharing, replace(host, radios=(odd,)))).channel.number == 2
    fast = replace(usual, channels=tuple(replace(one, no_ir=False) for one in usual.channels if one.number >= 36))
    assert where(place(sharing, replace(host, radios=(fast,)))).channel.number == 36


def test_networkmanager_makes_it_where_the_link_is_its() -> None:
    found = where(placed(managed=frozenset({"wlan0"})))
    assert (found.interface, found.made, found.networkmanager) == ("ics-ap0", True, True)
    assert found.note == "NetworkManager, which manages wlan0, makes the access point"
    assert not where(placed(managed=frozenset({"wlan1"}))).networkmanager


def test_one_interface_always_fits_and_software_ones_do_not_count() -> None:
    alone = radio(interfaces=1)
    assert fits(alone, [AP], 1)
    assert fits(alone, [AP, MONITOR, MONITOR], 1)
    assert not fits(alone, [AP, STATION], 1)


def test_a_combination_limits_types_sum_and_channels() -> None:
    combination = Combination(
        limits={frozenset({STATION}): 1, frozenset({AP, InterfaceType.P2P_GO}): 2}, total=2, channels=1
    )
    one = replace(radio(), combinations=(combination,))
    assert fits(one, [STATION, AP], 1)
    assert fits(one, [AP, AP], 1)
    assert not fits(one, [STATION, STATION], 1)
    assert not fits(one, [STATION, AP], 2)
    assert not fits(one, [STATION, AP, AP], 1)
    assert not fits(one, [InterfaceType.ADHOC, AP], 1)


kinds = st.sampled_from([STATION, AP, InterfaceType.P2P_GO, InterfaceType.ADHOC, MONITOR])
combinations = st.builds(
    Combination,
    limits=st.dictionaries(st.frozensets(kinds, min_size=1), st.integers(0, 3), max_size=3),
    total=st.integers(0, 4),
    channels=st.integers(1, 3),
)


@given(st.lists(combinations, max_size=3), st.lists(kinds, min_size=1, max_size=5), st.integers(1, 3))
def test_what_fits_fits_with_one_less(several: list[Combination], present: list[InterfaceType], channels: int) -> None:
    one = Radio(index=0, name="phy0", combinations=tuple(several), software=frozenset({MONITOR}))
    if fits(one, present, channels):
        assert fits(one, present[1:], channels)
        assert fits(one, present, max(1, channels - 1))
