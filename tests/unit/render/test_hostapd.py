"""hostapd's configuration: what is asked for, what is always so, and that no name can be mistaken for a setting."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import InvalidRequestError
from icshare.model.names import InterfaceName
from icshare.model.sharing import BRIDGE_NAME, Segment
from icshare.model.wifi import AccessPoint, Channel, Country, Placement, Radio, Ssid, ap_link, channel_on, ssid
from icshare.render.hostapd import access_point_configuration

WANTED = AccessPoint(interface=InterfaceName("wlan0"), ssid=Ssid("net"), secret="0123456789abcdef")
RADIO = Radio(index=0, name="phy0", ht=True, vht=True, he=True)


def channel(frequency: int) -> Channel:
    found = channel_on(frequency)
    assert found is not None
    return found


PLACEMENT = Placement(interface=ap_link(0), radio=0, radio_name="phy0", made=True, channel=channel(2412))
SEGMENT = Segment(
    interface=ap_link(0),
    members=(ap_link(0),),
    network=IPv4Network("192.168.137.0/24"),
    gateway=IPv4Address("192.168.137.1"),
    access_point=PLACEMENT,
)


def lines(
    wanted: AccessPoint = WANTED, segment: Segment = SEGMENT, radio: Radio = RADIO, country: str | None = None
) -> list[str]:
    text = access_point_configuration(wanted, segment, radio, Country(country) if country else None)
    assert text.endswith("\n")
    return text.splitlines()


def test_wpa2_and_wpa3_are_offered_and_wps_never() -> None:
    found = lines()
    assert {"wpa=2", "rsn_pairwise=CCMP", "wpa_key_mgmt=WPA-PSK WPA-PSK-SHA256 SAE", "ieee80211w=1"} <= set(found)
    assert "sae_require_mfp=1" in found
    assert not [line for line in found if line.startswith(("wps_", "wpa_passphrase", "sae_password", "wpa_psk"))]
    assert not [line for line in found if WANTED.secret in line]


def test_a_radio_without_wpa3_does_wpa2() -> None:
    found = lines(radio=replace(RADIO, sae=False))
    assert "wpa_key_mgmt=WPA-PSK" in found
    assert not [line for line in found if line.startswith(("sae_", "ieee80211w"))]


def test_the_bridge_is_named_where_there_is_one() -> None:
    assert "bridge=ics-br0" in lines(segment=replace(SEGMENT, interface=BRIDGE_NAME))
    assert not [line for line in lines() if line.startswith("bridge=")]


def test_what_is_not_asked_for_is_not_set() -> None:
    asked = lines(replace(WANTED, hidden=True, isolated=True))
    assert {"ignore_broadcast_ssid=1", "ap_isolate=1"} <= set(asked)
    assert not {"ignore_broadcast_ssid=1", "ap_isolate=1"} & set(lines())


def test_the_country_is_announced_where_it_is_known() -> None:
    assert {"country_code=DE", "ieee80211d=1"} <= set(lines(country="DE"))
    assert not [line for line in lines() if line.startswith(("country_code", "ieee80211d", "ieee80211h"))]


def test_each_band_has_its_modes() -> None:
    slow = set(lines(country="DE"))
    assert {"hw_mode=g", "channel=1", "ieee80211n=1", "ieee80211ax=1"} <= slow
    assert not {"ieee80211ac=1", "ieee80211h=1"} & slow
    placement = replace(PLACEMENT, channel=channel(5180))
    fast = set(lines(segment=replace(SEGMENT, access_point=placement), country="DE"))
    assert {"hw_mode=a", "channel=36", "ieee80211n=1", "ieee80211ac=1", "ieee80211ax=1", "ieee80211h=1"} <= fast
    old = set(lines(radio=replace(RADIO, ht=False, vht=False, he=False)))
    assert not {"ieee80211n=1", "ieee80211ac=1", "ieee80211ax=1"} & old


@given(st.text(min_size=1, max_size=32))
def test_no_name_becomes_a_setting(text: str) -> None:
    try:
        name = ssid(text)
    except InvalidRequestError:
        return
    found, usual = lines(replace(WANTED, ssid=name)), lines()
    assert len(found) == len(usual)
    differing = [line for line, other in zip(found, usual, strict=True) if line != other]
    assert all(line.startswith(("# ", "ssid2=")) for line in differing)
    (named,) = [line for line in found if line.startswith("ssid2=")]
    assert bytes.fromhex(named.removeprefix("ssid2=")).decode() == name
