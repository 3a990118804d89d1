"""Wait until the kernel has acted on every link's carrier: a program that is told the links on standard input.

When both ends of a veth are up, the carrier is there at once, but the kernel's link watch acts on it later: in
milliseconds as a rule, after up to a second when both ends happen to have the same interface index. Until then the link
drops what is sent, a bridge keeps its port closed, and ``ip link`` calls it down: a DHCP client would lose its first
packet and wait for seconds. Asking for the carrier by ethtool makes the kernel catch up with that link before it
answers, so nothing has to be guessed or slept.

Source: ``ethtool_op_get_link()``, ``linkwatch_sync_dev()`` and ``linkwatch_urgent_event()`` of the kernel.
"""

import array
import ctypes
import fcntl
import json
import os
import socket
import struct
import sys

CLONE_NEWNET = 0x40000000
SIOCETHTOOL = 0x8946
ETHTOOL_GLINK = 0x0000000A


def main() -> int:
    """Settle the links of standard input (path of a namespace -> link names); 1 when one has no carrier."""
    spaces: dict[str, list[str]] = json.load(sys.stdin)
    libc = ctypes.CDLL(None, use_errno=True)
    for path, links in spaces.items():
        namespace = os.open(path, os.O_RDONLY)
        if libc.setns(namespace, CLONE_NEWNET) != 0:
            sys.stderr.write(f"cannot enter {path}: {os.strerror(ctypes.get_errno())}\n")
            return 1
        os.close(namespace)
        for link in links:
            if not has_carrier(link):
                sys.stderr.write(f"{path}: {link} has no carrier\n")
                return 1
    return 0


def has_carrier(link: str) -> bool:
    """Tell whether *link* of this network namespace has a carrier, and let the kernel act on it."""
    value = array.array("I", [ETHTOOL_GLINK, 0])  # struct ethtool_value
    request = struct.pack("16sP16x", link.encode(), value.buffer_info()[0])  # struct ifreq with its pointer
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCETHTOOL, request)
    return value[1] == 1


if __name__ == "__main__":
    sys.exit(main())
