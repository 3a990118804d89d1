"""The configuration of our hostapd: one network on one link, WPA2 and WPA3.

WPA3 for clients that can, WPA2 for those that cannot, on the same network ("transition mode"): with management frames
protected for all who offer it, and required of those who use SAE. WPS is left out, as its PIN can be guessed. Where the
radio cannot do WPA3 it is WPA2 alone. Channels are 20 MHz wide.

The passphrase is no part of the text, as plans and the journal may be read by everybody: whoever starts hostapd adds
it. The name is written in hexadecimal digits, so no name can be mistaken for another setting.

Source:
    hostapd.conf of hostapd 2.10; WPA3 Specification of the Wi-Fi Alliance, section 2.3 (transition mode).
"""

from collections.abc import Iterator

from icshare.model.sharing import Segment
from icshare.model.wifi import AccessPoint, Band, Country, Radio

_HARDWARE_MODES = {Band.GHZ2: "g", Band.GHZ5: "a", Band.GHZ6: "a"}


def access_point_configuration(wanted: AccessPoint, segment: Segment, radio: Radio, country: Country | None) -> str:
    """Return the text of hostapd's configuration file without the passphrase.

    Args:
        wanted: What is wanted.
        segment: The segment with the access point among its members.
        radio: The radio that it is placed on.
        country: The regulatory domain that will be in force, None for the world's.
    """
    return "".join(f"{line}\n" for line in _lines(wanted, segment, radio, country))


def _lines(wanted: AccessPoint, segment: Segment, radio: Radio, country: Country | None) -> Iterator[str]:
    placement = segment.access_point
    assert placement is not None, "it has a place"
    yield "# made by icshare; changes are lost"
    yield f"interface={placement.interface}"
    if segment.bridged:
        yield f"bridge={segment.interface}"
    yield "driver=nl80211"
    yield f"# {wanted.ssid}"
    yield f"ssid2={wanted.ssid.encode().hex()}"
    yield "utf8_ssid=1"
    if wanted.hidden:
        yield "ignore_broadcast_ssid=1"
    if wanted.isolated:
        yield "ap_isolate=1"
    yield ""
    yield "# radio"
    fast = placement.channel.band is Band.GHZ5
    if country is not None:
        yield f"country_code={country}"
        yield "ieee80211d=1"
        if fast:
            yield "ieee80211h=1"
    yield f"hw_mode={_HARDWARE_MODES[placement.channel.band]}"
    yield f"channel={placement.channel.number}"
    yield "wmm_enabled=1"
    if radio.ht:
        yield "ieee80211n=1"
    if radio.vht and fast:
        yield "ieee80211ac=1"
    if radio.he:
        yield "ieee80211ax=1"
    yield ""
    yield "# security"
    yield "auth_algs=1"
    yield "wpa=2"
    yield "rsn_pairwise=CCMP"
    if radio.sae:
        yield "wpa_key_mgmt=WPA-PSK WPA-PSK-SHA256 SAE"
        yield "ieee80211w=1"
        yield "sae_require_mfp=1"
    else:
        yield "wpa_key_mgmt=WPA-PSK"
