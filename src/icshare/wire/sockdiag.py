"""Ask the kernel which link each socket is bound to: the one fact about a socket that ``/proc/net`` lacks.

Source: sock_diag(7); ``struct inet_diag_req_v2`` and ``struct inet_diag_msg`` in linux/inet_diag.h. Numbers are in the
host's byte order, addresses and ports in the network's.
"""

import struct
from typing import Final

_SOCK_DIAG_BY_FAMILY: Final = 20
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST_AND_DUMP: Final = 0x1 | 0x300
_ALL_STATES: Final = 0xFFFFFFFF

_HEADER: Final = struct.Struct("=IHHII")
# family, protocol, extensions, padding, states, then an address pair that a dump leaves empty
_REQUEST: Final = struct.Struct("=BBBxI48x")
# family, state, timer, retransmits; ports and both addresses; link; cookie; expiry, queues, uid; inode
_SOCKET: Final = struct.Struct("=4x36xI8x16xI")


def dump_request(family: int, protocol: int) -> bytes:
    """Return the message that asks for all sockets of an address family and an IP protocol."""
    length = _HEADER.size + _REQUEST.size
    header = _HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _REQUEST_AND_DUMP, 1, 0)
    return header + _REQUEST.pack(family, protocol, 0, _ALL_STATES)


def parse_dump(data: bytes) -> tuple[dict[int, int], bool]:
    """Read one datagram of the answer.

    Returns:
        The index of the link by the inode of each socket that is bound to one; and whether the answer is complete,
        be it by its end, by a refusal, or by octets that make no sense.
    """
    bound: dict[int, int] = {}
    position = 0
    while position + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, position)
        if kind in {_NLMSG_ERROR, _NLMSG_DONE} or not _HEADER.size <= length <= len(data) - position:
            return bound, True
        if kind == _SOCK_DIAG_BY_FAMILY and length >= _HEADER.size + _SOCKET.size:
            link, inode = _SOCKET.unpack_from(data, position + _HEADER.size)
            if link:
                bound[inode] = link
        position += (length + 3) & ~3
    return bound, position == 0
