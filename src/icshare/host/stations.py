"""The clients of access points as the radios know them: how well they are heard, how fast they send."""

import errno

from icshare.errors import HostError
from icshare.host.netlink import NetlinkSocket
from icshare.host.sysfs import wireless_interfaces
from icshare.model.link import IfIndex
from icshare.model.names import MacAddress
from icshare.model.wifi import InterfaceType, Station
from icshare.wire import genetlink, nl80211
from icshare.wire.stations import dump_stations, parse_station

_SERVING = frozenset({InterfaceType.AP, InterfaceType.AP_VLAN, InterfaceType.P2P_GO})
_NONE_THERE = frozenset({errno.ENODEV, errno.EOPNOTSUPP, errno.ENETDOWN})
"""The link went away, or its driver does not tell."""


def read_stations() -> dict[MacAddress, Station]:
    """Return the stations of all access points of this network namespace, by hardware address; needs no privilege.

    Raises:
        HostError: The kernel answered nonsense.
    """
    serving = [one.index for one in wireless_interfaces() if one.type in _SERVING]
    if not serving:
        return {}
    with NetlinkSocket(genetlink.NETLINK_GENERIC) as kernel:
        family = genetlink.parse_family(kernel.request(genetlink.get_family(nl80211.FAMILY))[0].payload)
        return {mac: station for index in serving for mac, station in _stations_of(kernel, family, index)}


def _stations_of(kernel: NetlinkSocket, family: int, index: IfIndex) -> list[tuple[MacAddress, Station]]:
    try:
        answers = kernel.dump(dump_stations(family, index))
    except HostError as error:
        if error.errno in _NONE_THERE:
            return []
        raise
    return [parse_station(one.payload) for one in answers]
