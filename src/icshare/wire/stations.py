"""Asking which stations an access point serves, and how well it hears them: nl80211. No socket here.

Source:
    ``enum nl80211_sta_info``, ``enum nl80211_rate_info`` in ``linux/nl80211.h``.
"""

from collections.abc import Mapping

from icshare.errors import HostError, InvalidRequestError
from icshare.model.link import IfIndex
from icshare.model.names import MacAddress, mac_address
from icshare.model.wifi import Station
from icshare.wire.genetlink import HEADER
from icshare.wire.netlink import NLM_F_DUMP, Request, attributes, read_u8, read_u32, u32

_CMD_GET_STATION = 17
_ATTR_IFINDEX, _ATTR_MAC, _ATTR_STA_INFO = 3, 6, 21
_STA_INFO_SIGNAL, _STA_INFO_TX_BITRATE, _STA_INFO_RX_BITRATE, _STA_INFO_CONNECTED_TIME = 7, 8, 14, 16
_RATE_INFO_BITRATE32 = 5
_KBIT = 100
"""A rate is counted in units of 100 kbit/s."""


def dump_stations(family: int, index: IfIndex) -> Request:
    """Ask for the stations of the access point on link *index*; *family* is the number of nl80211."""
    payload = HEADER.pack(_CMD_GET_STATION, 0) + u32(_ATTR_IFINDEX, index)
    return Request(type=family, flags=NLM_F_DUMP, payload=payload, purpose=f"list the stations of link {index}")


def parse_station(payload: bytes) -> tuple[MacAddress, Station]:
    """Return the hardware address and the state of the station of one answer to `dump_stations`.

    Raises:
        HostError: The answer is malformed.
    """
    found = attributes(payload, HEADER.size)
    information = attributes(found.get(_ATTR_STA_INFO, b""))
    station = Station(
        signal=_signal(information),
        sent_rate=_rate(information, _STA_INFO_RX_BITRATE),  # what the access point receives
        received_rate=_rate(information, _STA_INFO_TX_BITRATE),
        connected_seconds=read_u32(information[_STA_INFO_CONNECTED_TIME])
        if _STA_INFO_CONNECTED_TIME in information
        else None,
    )
    try:
        return mac_address(found.get(_ATTR_MAC, b"").hex(":")), station
    except InvalidRequestError as error:
        raise HostError(f"nl80211 named a station without its address: {error}") from error


def _signal(information: Mapping[int, bytes]) -> int | None:
    if _STA_INFO_SIGNAL not in information:
        return None
    value = read_u8(information[_STA_INFO_SIGNAL])
    return value - 256 if value > 127 else value


def _rate(information: Mapping[int, bytes], kind: int) -> int | None:
    rate = attributes(information.get(kind, b""))
    return read_u32(rate[_RATE_INFO_BITRATE32]) * _KBIT if _RATE_INFO_BITRATE32 in rate else None
