"""Which XDP features the driver of each link has: the generic netlink family netdev, since Linux 6.3. No socket here.

Source:
    ``linux/netdev.h``; kernel documentation, netlink/specs/netdev.
"""

from dataclasses import dataclass
from struct import Struct

from icshare.errors import HostError
from icshare.model.link import IfIndex
from icshare.wire.genetlink import HEADER
from icshare.wire.netlink import NLM_F_DUMP, Request, attributes, read_u32

FAMILY = "netdev"
"""Name of the family, which the kernel has since Linux 6.3."""

_CMD_DEV_GET = 1
_ATTR_IFINDEX, _ATTR_XDP_FEATURES = 1, 3
_BASIC, _REDIRECT, _NDO_XMIT = 1, 2, 4
_U64 = Struct("=Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What a driver does for XDP, as it is set up now.

    Attributes:
        index: The link.
        runs: It runs programs, and they may send packets on to other links.
        sends: Programs of other links may send packets by it.
    """

    index: IfIndex
    runs: bool
    sends: bool


def dump_devices(family: int) -> Request:
    """Ask for all links of the network namespace; *family* is the number from `genetlink.parse_family`."""
    payload = HEADER.pack(_CMD_DEV_GET, 1)
    return Request(type=family, flags=NLM_F_DUMP, payload=payload, purpose="list the links' XDP features")


def parse_device(payload: bytes) -> Features:
    """Return the features of one answer.

    Raises:
        HostError: The answer is malformed.
    """
    found = attributes(payload, HEADER.size)
    value = found.get(_ATTR_XDP_FEATURES, b"")
    if len(value) < _U64.size:
        raise HostError("the netdev family named a link without its XDP features")
    features = int(_U64.unpack_from(value)[0])
    return Features(
        index=IfIndex(read_u32(found.get(_ATTR_IFINDEX, b""))),
        runs=features & (_BASIC | _REDIRECT) == _BASIC | _REDIRECT,
        sends=bool(features & _NDO_XMIT),
    )
