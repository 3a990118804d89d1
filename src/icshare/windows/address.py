"""The address of an interface, as everybody may ask for it.

Source:
    netdevice(7), SIOCGIFADDR.
"""

import errno
import fcntl
import socket
import struct
from ipaddress import IPv4Address

from icshare.errors import HostError

_SIOCGIFADDR = 0x8915


def address_of(interface: str) -> str:
    """Return the primary IPv4 address of *interface*, "" when it has none or is absent.

    Raises:
        HostError: The kernel does not tell.
    """
    request = struct.pack("256s", interface.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking, _SIOCGIFADDR, request)
        except OSError as error:
            if error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
                return ""
            raise HostError(f"cannot read the address of {interface}: {error.strerror}") from error
    return str(IPv4Address(answer[20:24]))
