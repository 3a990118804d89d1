"""Asking which kind each Wi-Fi interface is: nl80211 over generic netlink. No socket here.

Source:
    ``linux/genetlink.h``, ``linux/nl80211.h``.
"""

from dataclasses import dataclass
from struct import Struct

from icshare.errors import HostError
from icshare.model.link import IfIndex
from icshare.wire.netlink import NLM_F_DUMP, Request, attributes, read_u8, read_u32, text

NETLINK_GENERIC = 16
FAMILY = "nl80211"

_GENERIC_HEADER = Struct("=BBxx")
_CONTROLLER = 16
_CTRL_CMD_GETFAMILY = 3
_CTRL_ATTR_FAMILY_ID, _CTRL_ATTR_FAMILY_NAME = 1, 2
_NL80211_CMD_GET_INTERFACE = 5
_ATTR_WIPHY, _ATTR_IFINDEX, _ATTR_IFTYPE, _ATTR_4ADDR = 1, 3, 5, 83
_U16 = Struct("=H")


@dataclass(frozen=True, slots=True, kw_only=True)
class WirelessInterface:
    """One virtual interface of a radio.

    Attributes:
        index: Interface index.
        radio: Number of the radio ("phy").
        type: nl80211 interface type: 1 ad hoc, 2 station, 3 access point, 4 its VLAN, 5 WDS, 6 monitor, 7 mesh point,
            8 P2P client, 9 P2P group owner.
        four_address: It sends frames with four addresses.
    """

    index: IfIndex
    radio: int
    type: int
    four_address: bool


def get_family() -> Request:
    """Ask for the number of the nl80211 family; the kernel answers ENOENT where no Wi-Fi driver is loaded."""
    payload = _GENERIC_HEADER.pack(_CTRL_CMD_GETFAMILY, 1) + text(_CTRL_ATTR_FAMILY_NAME, FAMILY)
    return Request(type=_CONTROLLER, payload=payload, purpose="find the nl80211 family")


def parse_family(payload: bytes) -> int:
    """Return the family number in the answer to `get_family`.

    Raises:
        HostError: The answer is malformed.
    """
    value = attributes(payload, _GENERIC_HEADER.size).get(_CTRL_ATTR_FAMILY_ID, b"")
    if len(value) < _U16.size:
        raise HostError("generic netlink named a family without its number")
    return int(_U16.unpack_from(value)[0])


def dump_interfaces(family: int) -> Request:
    """Ask for the Wi-Fi interfaces of the network namespace; *family* is the number from `parse_family`."""
    payload = _GENERIC_HEADER.pack(_NL80211_CMD_GET_INTERFACE, 0)
    return Request(type=family, flags=NLM_F_DUMP, payload=payload, purpose="list the Wi-Fi interfaces")


def parse_interface(payload: bytes) -> WirelessInterface | None:
    """Return the interface of one answer to `dump_interfaces`, None for one that is no network link (a P2P device).

    Raises:
        HostError: The answer is malformed.
    """
    found = attributes(payload, _GENERIC_HEADER.size)
    if _ATTR_IFINDEX not in found:
        return None
    return WirelessInterface(
        index=IfIndex(read_u32(found[_ATTR_IFINDEX])),
        radio=read_u32(found.get(_ATTR_WIPHY, b"")),
        type=read_u32(found.get(_ATTR_IFTYPE, b"")),
        four_address=bool(read_u8(found[_ATTR_4ADDR])) if _ATTR_4ADDR in found else False,
    )
