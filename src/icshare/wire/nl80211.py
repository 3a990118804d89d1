"""Wi-Fi interfaces and the regulatory domain: nl80211 over generic netlink. No socket here.

Source:
    ``linux/nl80211.h``.
"""

from dataclasses import dataclass

from icshare.errors import HostError
from icshare.model.link import IfIndex
from icshare.model.names import InterfaceName
from icshare.model.wifi import WORLD, InterfaceType
from icshare.wire.genetlink import HEADER
from icshare.wire.netlink import NLM_F_DUMP, Request, attributes, read_text, read_u8, read_u32, text, u32

FAMILY = "nl80211"
"""Name of the family, which the kernel has where a Wi-Fi driver is loaded."""

_CMD_GET_INTERFACE, _CMD_SET_INTERFACE, _CMD_NEW_INTERFACE, _CMD_DEL_INTERFACE = 5, 6, 7, 8
_CMD_REQ_SET_REG, _CMD_GET_REG = 27, 31
_ATTR_WIPHY, _ATTR_IFINDEX, _ATTR_IFNAME, _ATTR_IFTYPE, _ATTR_REG_ALPHA2 = 1, 3, 4, 5, 33
_ATTR_WIPHY_FREQ, _ATTR_SSID, _ATTR_4ADDR = 38, 52, 83


@dataclass(frozen=True, slots=True, kw_only=True)
class WirelessInterface:
    """One virtual interface of a radio.

    Attributes:
        index: Interface index.
        radio: Number of the radio ("phy").
        type: nl80211 interface type: 1 ad hoc, 2 station, 3 access point, 4 its VLAN, 5 WDS, 6 monitor, 7 mesh point,
            8 P2P client, 9 P2P group owner.
        four_address: It sends frames with four addresses.
        frequency: Centre of the channel it is on in MHz, None while it is on none.
        ssid: Network that it is connected to or serves, "" if none.
    """

    index: IfIndex
    radio: int
    type: int
    four_address: bool
    frequency: int | None = None
    ssid: str = ""


def dump_interfaces(family: int) -> Request:
    """Ask for the Wi-Fi interfaces of the network namespace; *family* is the number from `genetlink.parse_family`."""
    payload = HEADER.pack(_CMD_GET_INTERFACE, 0)
    return Request(type=family, flags=NLM_F_DUMP, payload=payload, purpose="list the Wi-Fi interfaces")


def get_interface(family: int, index: IfIndex) -> Request:
    """Ask for one Wi-Fi interface; the answer is as those to `dump_interfaces`."""
    payload = HEADER.pack(_CMD_GET_INTERFACE, 0) + u32(_ATTR_IFINDEX, index)
    return Request(type=family, payload=payload, purpose=f"look at Wi-Fi link {index}")


def parse_interface(payload: bytes) -> WirelessInterface | None:
    """Return the interface of one answer to `dump_interfaces`, None for one that is no network link (a P2P device).

    Raises:
        HostError: The answer is malformed.
    """
    found = attributes(payload, HEADER.size)
    if _ATTR_IFINDEX not in found:
        return None
    return WirelessInterface(
        index=IfIndex(read_u32(found[_ATTR_IFINDEX])),
        radio=read_u32(found.get(_ATTR_WIPHY, b"")),
        type=read_u32(found.get(_ATTR_IFTYPE, b"")),
        four_address=bool(read_u8(found[_ATTR_4ADDR])) if _ATTR_4ADDR in found else False,
        frequency=read_u32(found[_ATTR_WIPHY_FREQ]) if _ATTR_WIPHY_FREQ in found else None,
        ssid=read_text(found.get(_ATTR_SSID, b"")),
    )


def create_access_point_link(family: int, radio: int, name: InterfaceName) -> Request:
    """Make an interface of the type for access points on a *radio*."""
    attributes = u32(_ATTR_WIPHY, radio) + text(_ATTR_IFNAME, name) + u32(_ATTR_IFTYPE, InterfaceType.AP)
    return _change(family, _CMD_NEW_INTERFACE, attributes, f"make {name} on radio {radio}")


def delete_interface(family: int, index: IfIndex) -> Request:
    """Delete an interface of a radio."""
    return _change(family, _CMD_DEL_INTERFACE, u32(_ATTR_IFINDEX, index), f"delete link {index}")


def set_interface_type(family: int, index: IfIndex, kind: InterfaceType) -> Request:
    """Make an interface that is down one of another type."""
    attributes = u32(_ATTR_IFINDEX, index) + u32(_ATTR_IFTYPE, kind)
    return _change(family, _CMD_SET_INTERFACE, attributes, f"make link {index} {describe_type(kind)}")


def describe_type(kind: InterfaceType) -> str:
    """Return a type of interface in words, with its article."""
    return _TYPE_WORDS.get(kind, f"an interface of type {kind.name.lower().replace('_', ' ')}")


_TYPE_WORDS = {
    InterfaceType.STATION: "a station",
    InterfaceType.AP: "an access point",
    InterfaceType.MONITOR: "a monitor",
}


def get_country(family: int) -> Request:
    """Ask for the regulatory domain in force."""
    return Request(type=family, payload=HEADER.pack(_CMD_GET_REG, 0), purpose="read the regulatory domain")


def parse_country(payload: bytes) -> str:
    """Return the domain in the answer to `get_country`: a country, 00 for the world, 98 or 99 for a mixture.

    Raises:
        HostError: The answer is malformed.
    """
    found = read_text(attributes(payload, HEADER.size).get(_ATTR_REG_ALPHA2, b""))
    if len(found) != len(WORLD) or not found.isascii() or not found.isalnum():
        raise HostError(f"the kernel told the regulatory domain {found!r}, which is none")
    return found


def set_country(family: int, country: str) -> Request:
    """Ask for another regulatory domain; it comes into force some time after the kernel has agreed to look for it."""
    return _change(family, _CMD_REQ_SET_REG, text(_ATTR_REG_ALPHA2, country), f"set the regulatory domain {country}")


def _change(family: int, command: int, attributes: bytes, purpose: str) -> Request:
    return Request(type=family, payload=HEADER.pack(command, 0) + attributes, purpose=purpose)
