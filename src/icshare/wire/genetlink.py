"""Generic netlink: families, which have names, and numbers that the kernel gives them. No socket here.

Source:
    ``linux/genetlink.h``.
"""

from struct import Struct

from icshare.errors import HostError
from icshare.wire.netlink import Request, attributes, text

NETLINK_GENERIC = 16

HEADER = Struct("=BBxx")
"""command, version"""

_CONTROLLER = 16
_GETFAMILY = 3
_FAMILY_ID, _FAMILY_NAME = 1, 2
_U16 = Struct("=H")


def get_family(name: str) -> Request:
    """Ask for the number of a family; the kernel answers ENOENT for one that it does not have."""
    payload = HEADER.pack(_GETFAMILY, 1) + text(_FAMILY_NAME, name)
    return Request(type=_CONTROLLER, payload=payload, purpose=f"find the {name} family")


def parse_family(payload: bytes) -> int:
    """Return the family number in the answer to `get_family`.

    Raises:
        HostError: The answer is malformed.
    """
    value = attributes(payload, HEADER.size).get(_FAMILY_ID, b"")
    if len(value) < _U16.size:
        raise HostError("generic netlink named a family without its number")
    return int(_U16.unpack_from(value)[0])
