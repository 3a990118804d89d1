"""Asking the driver's name by ioctl, for links whose sysfs we do not see.

Source:
    netdevice(7); ``struct ethtool_drvinfo`` of ``linux/ethtool.h``.
"""

import array
import fcntl
import socket
import struct
from dataclasses import dataclass

_SIOCETHTOOL = 0x8946
_ETHTOOL_GDRVINFO = 3
_ETHTOOL_GFLAGS = 0x25
_ETH_FLAG_RXVLAN = 1 << 8
_DRVINFO_BYTES = 196
_NAME_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverInfo:
    """What a driver says about itself.

    Attributes:
        driver: Its name, "" if it says nothing.
        bus: Where the device sits: a PCI address, ``tun``, ``tap``; "" for most virtual links.
    """

    driver: str = ""
    bus: str = ""


def driver_info(name: str) -> DriverInfo:
    """Return what the driver of the link *name* says in the current network namespace; empty if it does not answer."""
    encoded = name.encode(errors="surrogateescape")
    if len(encoded) >= _NAME_BYTES:
        return DriverInfo()
    answer = array.array("B", struct.pack("=I", _ETHTOOL_GDRVINFO) + bytes(_DRVINFO_BYTES - 4))
    request = struct.pack("16sP", encoded, answer.buffer_info()[0]).ljust(40, b"\0")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
    except OSError:  # the link has no driver of its own, is gone, or the kernel has no IPv4
        return DriverInfo()
    raw = answer.tobytes()
    return DriverInfo(driver=_text(raw[4:36]), bus=_text(raw[100:132]))


def _text(value: bytes) -> str:
    return value.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def takes_vlan_tags(name: str) -> bool:
    """Tell whether the hardware of the link *name* takes VLAN tags off incoming frames; False if it does not answer."""
    encoded = name.encode(errors="surrogateescape")
    if len(encoded) >= _NAME_BYTES:
        return False
    answer = array.array("B", struct.pack("=II", _ETHTOOL_GFLAGS, 0))
    request = struct.pack("16sP", encoded, answer.buffer_info()[0]).ljust(40, b"\0")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
    except OSError:  # as above
        return False
    _, flags = struct.unpack("=II", answer.tobytes())
    return bool(flags & _ETH_FLAG_RXVLAN)
