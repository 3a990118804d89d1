"""Names that are safe to render into a ruleset, a configuration file or a path.

Text becomes one of these types once, at the edge; a renderer takes nothing else and therefore never escapes.
"""

import re
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from typing import NewType

from icshare.errors import InvalidRequestError

InterfaceName = NewType("InterfaceName", str)
MacAddress = NewType("MacAddress", str)
HostName = NewType("HostName", str)

_INTERFACE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,14}")
_MAC_ADDRESS = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_SUBNET_HINT = "for example 192.168.50.0/24"

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")


def interface_name(text: str) -> InterfaceName:
    """Parse *text* as the name of a network interface that is safe to render.

    Narrower than the kernel, which accepts any 15 bytes without ``/`` and white space: nft has no escape for
    a quote and reads a trailing ``*`` as a wildcard, sysctl reads ``.`` as a separator unless it is given a path.

    Raises:
        InvalidRequestError: Empty, longer than 15 bytes, or with a character outside ``A-Za-z0-9_.@-``.

    Source:
        ``dev_valid_name()`` of the kernel; nft(8), lexical conventions.
    """
    if not _INTERFACE_NAME.fullmatch(text) or text in {"all", "default"}:
        raise InvalidRequestError(
            f"{text!r} is not a usable interface name",
            hint="1 to 15 characters of A-Z a-z 0-9 _ . @ -; icshare list shows the names of this host",
        )
    return InterfaceName(text)


def is_interface_name(text: str) -> bool:
    """Tell whether *text* is a name that `interface_name` takes."""
    return bool(_INTERFACE_NAME.fullmatch(text)) and text not in {"all", "default"}


def mac_address(text: str) -> MacAddress:
    """Parse *text* as a 48-bit hardware address, ``xx:xx:xx:xx:xx:xx`` in either case.

    Raises:
        InvalidRequestError: Not six hexadecimal octets, or a group (multicast) address.
    """
    lowered = text.lower().replace("-", ":")
    if not _MAC_ADDRESS.fullmatch(lowered) or int(lowered[:2], 16) & 1:
        raise InvalidRequestError(f"{text!r} is not the hardware address of one station (expected xx:xx:xx:xx:xx:xx)")
    return MacAddress(lowered)


def host_name(text: str) -> HostName:
    """Parse *text* as one label of a host name.

    Raises:
        InvalidRequestError: Not 1 to 63 letters, digits and inner hyphens.

    Source:
        RFC 1123 section 2.1.
    """
    if not _HOST_NAME.fullmatch(text):
        raise InvalidRequestError(f"{text!r} is not a host name (one label of letters, digits and inner hyphens)")
    return HostName(text)


def subnet(text: str) -> IPv4Network:
    """Parse *text* as a private segment's subnet in CIDR notation, host bits clear.

    Raises:
        InvalidRequestError: Not a unicast IPv4 network from /8 to /29, or with host bits set.
    """
    try:
        network = IPv4Network(text)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise InvalidRequestError(f"{text!r} is not an IPv4 subnet: {error}", hint=_SUBNET_HINT) from error
    if not 8 <= network.prefixlen <= 29:
        raise InvalidRequestError(
            f"{network} cannot hold a segment (expected a prefix length from 8 to 29)", hint=_SUBNET_HINT
        )
    if (
        network.is_multicast
        or network.is_loopback
        or network.is_link_local
        or network.is_reserved
        or network.is_unspecified
    ):
        raise InvalidRequestError(
            f"{network} is not a unicast subnet", hint="choose from 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
        )
    if network.network_address.packed[0] == 0:
        raise InvalidRequestError(f"{network} lies in 0.0.0.0/8, which names no host", hint=_SUBNET_HINT)
    return network
