"""Ask a link whether another DHCP server is on it.

The questions go out as raw frames, so the link needs no address, and nothing waits: who answers is noticed by the
ruleset, or by `find_servers` where somebody wants to wait. A server does not hear its own host's frames, so what
answers is never our own.
"""

import ctypes
import errno
import os
import selectors
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from icshare.errors import HostError, PrivilegeError
from icshare.model.names import InterfaceName, MacAddress
from icshare.wire import dhcp

_ETH_P_IP: Final = 0x0800
_SO_ATTACH_FILTER: Final = 26
_FRAME_BYTES: Final = 65536
# A link that is down, gone or without a free buffer has nobody who could answer.
_NOBODY_THERE: Final = frozenset({errno.ENETDOWN, errno.ENXIO, errno.ENODEV, errno.ENOBUFS, errno.EAGAIN})

# In words: IPv4, UDP, not a later fragment, from port 67 to port 68. Keeps a busy link's traffic out of this process.
# Each is a classic BPF instruction: code, jump if true, jump if false, operand (linux/filter.h).
_FILTER: Final = (
    (0x28, 0, 0, 12),  # ldh [12]: type
    (0x15, 0, 10, _ETH_P_IP),
    (0x30, 0, 0, 23),  # ldb [23]: protocol
    (0x15, 0, 8, 17),
    (0x28, 0, 0, 20),  # ldh [20]: fragment
    (0x45, 6, 0, 0x1FFF),
    (0xB1, 0, 0, 14),  # ldxb 4*([14]&0xf): header length
    (0x48, 0, 0, 14),  # ldh [x + 14]: source port
    (0x15, 0, 3, dhcp.SERVER_PORT),
    (0x48, 0, 0, 16),  # ldh [x + 16]: destination port
    (0x15, 0, 1, dhcp.CLIENT_PORT),
    (0x06, 0, 0, _FRAME_BYTES),  # accept
    (0x06, 0, 0, 0),  # ignore
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedLink:
    """A link to be asked: its name, index and hardware address."""

    name: InterfaceName
    index: int
    mac: MacAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignServer:
    """A DHCP server that answered.

    Attributes:
        link: The link it answered on.
        address: Its own identifier.
        mac: Hardware address that its answer came from.
        offered: The address that it offered, None while it has not.
    """

    link: InterfaceName
    address: IPv4Address
    mac: MacAddress
    offered: IPv4Address | None


def send_probe(name: InterfaceName, index: int, mac: MacAddress) -> int | None:
    """Ask for DHCP servers on a link, and do not wait for them.

    It takes some 10 ms all the same: so long does the kernel take to close a packet socket.

    Args:
        name: The link's name.
        index: Its index; if the name has passed to another link, nothing is sent.
        mac: Its hardware address, which the answers name as the client's.

    Returns:
        The transaction number that answers repeat, None when the link cannot carry the question now.

    Raises:
        HostError: The kernel refused for another reason than the link's state.
        PrivilegeError: This process has no CAP_NET_RAW.
    """
    with _packet_socket() as probe:
        return _ask(probe, ProbedLink(name=name, index=index, mac=mac), hear=False)


def find_servers(links: Sequence[ProbedLink], *, seconds: float, first_only: bool = False) -> tuple[ForeignServer, ...]:
    """Ask on all *links* at once and return who answered in time, each server once, in order of arrival.

    Args:
        links: Links to ask on.
        seconds: How long answers are waited for; servers that ping an address before they offer it take up to three.
        first_only: Return at the first answer.

    Raises:
        HostError: The kernel refused for another reason than a link's state.
        PrivilegeError: This process has no CAP_NET_RAW.
    """
    found: dict[tuple[InterfaceName, IPv4Address, MacAddress], ForeignServer] = {}
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for link in links:
            listener = stack.enter_context(_packet_socket())
            transaction = _ask(listener, link, hear=True)
            if transaction is not None:
                selector.register(listener, selectors.EVENT_READ, (link, transaction))
        deadline = time.monotonic() + seconds
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                link, transaction = key.data
                listener = key.fileobj  # type: ignore[assignment]  # what was registered above
                for server in _read(listener, link, transaction):
                    seen = found.get((server.link, server.address, server.mac))
                    if seen is None or seen.offered is None:
                        found[server.link, server.address, server.mac] = server
                    if first_only:
                        return tuple(found.values())
    return tuple(found.values())


@contextmanager
def _packet_socket() -> Iterator[socket.socket]:
    """Open a packet socket that hears nothing until it is bound, and then only DHCP servers.

    Raises:
        HostError: The kernel refused.
        PrivilegeError: This process has no CAP_NET_RAW.
    """
    try:
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    except PermissionError as error:
        raise PrivilegeError(
            "a raw frame needs CAP_NET_RAW in this network namespace", hint="run it as root"
        ) from error
    except OSError as error:
        raise HostError(f"cannot send a raw frame: {error.strerror}") from error
    with raw:
        program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in _FILTER))
        raw.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(_FILTER), ctypes.addressof(program)))
        yield raw


def _ask(probe: socket.socket, link: ProbedLink, *, hear: bool) -> int | None:
    """Bind *probe* to *link* and send the questions; None when the link cannot carry them.

    Args:
        probe: A packet socket.
        link: The link to ask on.
        hear: Whether the socket is to hear the answers.
    """
    transaction = int.from_bytes(os.urandom(4), "big")
    try:
        current = socket.if_nametoindex(link.name)
    except OSError:  # without an errno; there is but one reason
        return None
    if current != link.index:
        return None
    try:
        probe.bind((link.name, _ETH_P_IP if hear else 0))
        for question in (dhcp.inform, dhcp.reboot_request, dhcp.discover):
            probe.send(question(link.mac, transaction))
    except OSError as error:
        if error.errno in _NOBODY_THERE:
            return None
        raise HostError(f"cannot ask for DHCP servers on {link.name}: {error.strerror}") from error
    return transaction


def _read(listener: socket.socket, link: ProbedLink, transaction: int) -> Iterator[ForeignServer]:
    """Yield the servers in the frames that wait on *listener*."""
    while True:
        try:
            frame = listener.recv(_FRAME_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in _NOBODY_THERE:  # the link went down meanwhile
                return
            raise HostError(f"cannot hear DHCP servers on {link.name}: {error.strerror}") from error
        reply = dhcp.parse_reply(frame)
        if reply is not None and reply.transaction == transaction and reply.client == link.mac:
            yield ForeignServer(link=link.name, address=reply.server, mac=reply.source_mac, offered=reply.offered)
