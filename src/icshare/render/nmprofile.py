"""The profile of an access point that NetworkManager makes, as text for plans and journal, and as its settings.

The text tells everything but the passphrase, which is put in when the profile is handed over. NetworkManager keeps a
version with the profile, so that whoever looks later finds out what is in force.

Source:
    nm-settings-dbus(5): connection, 802-11-wireless, 802-11-wireless-security, ipv4, ipv6, user.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import msgspec

from icshare.errors import HostError, IcshareError, NotSupportedError
from icshare.model.names import InterfaceName, interface_name
from icshare.model.wifi import Band, Passphrase, Ssid, ssid

Value = tuple[str, object]
"""A D-Bus variant: signature and value."""
Settings = Mapping[str, Mapping[str, Value]]

USER_KEY = "icshare.version"
"""Where the version lies in the settings of section ``user``."""

_BANDS = {Band.GHZ2: "bg", Band.GHZ5: "a"}
_PMF_OPTIONAL = 2
_WPS_DISABLED = 1
_YES, _NO = 1, 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """An access point as NetworkManager makes it.

    Attributes:
        uuid: The profile's identity: it is found again by that.
        interface: The Wi-Fi link.
        ssid: Name of the network.
        band: Frequency band, None to let NetworkManager choose.
        channel: Channel of that band, None to let it choose.
        hidden: The name is not announced.
        isolated: Clients cannot reach each other by the radio.
    """

    uuid: UUID
    interface: InterfaceName
    ssid: Ssid
    band: Band | None = None
    channel: int | None = None
    hidden: bool = False
    isolated: bool = False


def profile_text(profile: Profile) -> str:
    """Return *profile* as text, one line.

    Raises:
        NotSupportedError: NetworkManager makes no access points on this band.
    """
    if profile.band is not None and profile.band not in _BANDS:
        raise NotSupportedError(
            f"NetworkManager makes no access point on {profile.band} GHz",
            hint=f"nmcli device set {profile.interface} managed no; then icshare makes it itself",
        )
    return msgspec.json.encode(profile).decode()


def parse_profile(text: str) -> Profile:
    """Return the profile that `profile_text` made *text* of.

    Raises:
        HostError: It is none.
    """
    try:
        found = msgspec.json.decode(text, type=Profile)
        interface_name(found.interface)
        ssid(found.ssid)
    except (msgspec.MsgspecError, UnicodeError, IcshareError) as error:
        raise HostError(f"no profile of an access point of ours: {error}") from error
    return found


def profile_settings(profile: Profile, passphrase: Passphrase, version: str) -> Settings:
    """Return the settings that make *profile*, with the *version* to know it by.

    Addresses are ours, so it has none of its own. WPS is off. Protected management frames are asked for; what
    NetworkManager makes of it is WPA2 (see ADR 0019).
    """
    wireless: dict[str, Value] = {
        "ssid": ("ay", profile.ssid.encode()),
        "mode": ("s", "ap"),
        "hidden": ("b", profile.hidden),
        "ap-isolation": ("i", _YES if profile.isolated else _NO),
    }
    if profile.band is not None:
        wireless["band"] = ("s", _BANDS[profile.band])
        if profile.channel is not None:  # which NetworkManager takes with a band only
            wireless["channel"] = ("u", profile.channel)
    return {
        "connection": {
            "id": ("s", f"icshare access point on {profile.interface}"),
            "uuid": ("s", str(profile.uuid)),
            "type": ("s", "802-11-wireless"),
            "interface-name": ("s", profile.interface),
            "autoconnect": ("b", False),
        },
        "802-11-wireless": wireless,
        "802-11-wireless-security": {
            "key-mgmt": ("s", "wpa-psk"),
            "proto": ("as", ["rsn"]),
            "pairwise": ("as", ["ccmp"]),
            "group": ("as", ["ccmp"]),
            "pmf": ("i", _PMF_OPTIONAL),
            "wps-method": ("u", _WPS_DISABLED),
            "psk": ("s", passphrase.reveal()),
        },
        "ipv4": {"method": ("s", "disabled")},
        "ipv6": {"method": ("s", "ignore")},
        "user": {"data": ("a{ss}", {USER_KEY: version})},
    }
