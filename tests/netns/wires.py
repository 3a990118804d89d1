"""A gateway of a lab between two raw wires: whatever octets go in at one side, and those that come out at the other.

The lab's client and its Internet lose their voice: their kernels drop everything, so that only we speak. The gateway
believes that all addresses of both links are stations there, so it never asks, and nothing comes late.

Source: packet(7).
"""

import ctypes
import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from tests.netns import packets
from tests.netns.gateway import NETWORK_GATEWAY, output

from icshare.host import fastpath
from icshare.lab import GATEWAY, INTERNET, UPLINK, UPLINK_ROUTER, Lab
from icshare.lab.build import NETNS
from icshare.lab.topology import hardware_address
from icshare.wire.fastpath import Reason

CLIENT = "c0"
LAN_MAC, WAN_MAC = hardware_address(2, 0), hardware_address(1, 0)
ROUTER_MAC = hardware_address(0, 0)
PUBLIC = str(UPLINK.ip)

_LINKS = {CLIENT: "eth0", INTERNET: "isp0"}
_DEADLINE = 10.0
_BUFFER = 16 << 20
_MUTE = """
table inet mute {
    chain in { type filter hook prerouting priority -1000; policy drop; }
    chain out { type filter hook output priority -1000; policy drop; }
}
"""
_CLONE_NEWNET = 0x40000000
_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_AUXDATA, _PACKET_IGNORE_OUTGOING = 263, 8, 23
_TP_STATUS_VLAN_VALID, _TP_STATUS_VLAN_TPID_VALID = 1 << 4, 1 << 6
_SO_RCVBUFFORCE = 33
_IP_ENDS = {NETWORK_GATEWAY, PUBLIC}


def station_mac(address: str) -> str:
    """Return the hardware address that the gateway believes a client's *address* to have."""
    return hardware_address(9, int(address.rsplit(".", 1)[1]))


@contextmanager
def inside(lab: Lab, node: str) -> Iterator[None]:
    """Be in the network namespace of a node with this thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home, open(NETNS / lab.plan.namespace(lab.node(node))) as there:  # noqa: PTH123
        assert libc.setns(there.fileno(), _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())


class Wire:
    """The far end of a link of the gateway: sends octets as they are, and hears whatever the gateway sends."""

    def __init__(self, lab: Lab, node: str, held: ExitStack) -> None:
        with inside(lab, node):
            self._ears = held.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            self._voice = held.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            self._ears.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
            self._ears.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
            self._ears.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
            self._ears.bind((_LINKS[node], _ETH_P_ALL))
            self._voice.bind((_LINKS[node], 0))

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        self._voice.send(frame)

    def hear(self, deadline: float) -> bytes:
        """Return the next frame.

        Raises:
            TimeoutError: None came until *deadline*, in the time of `time.monotonic`.
        """
        self._ears.settimeout(max(deadline - time.monotonic(), 0.001))
        frame, control, flags, _ = self._ears.recvmsg(65536, 256)
        assert not flags & socket.MSG_TRUNC
        for level, kind, value in control:
            if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
                frame = _with_tag(frame, value)
        return frame

    def lost(self) -> int:
        """Return how many frames found no room since this was last asked."""
        return struct.unpack("II", self._ears.getsockopt(_SOL_PACKET, 6, 8))[1]  # type: ignore[no-any-return]


def _with_tag(frame: bytes, auxiliary: bytes) -> bytes:
    """Put the VLAN tag back that the kernel has taken off (struct tpacket_auxdata)."""
    status, *_, tci, protocol = struct.unpack("IIIHHHH", auxiliary[:20])
    if not status & _TP_STATUS_VLAN_VALID:
        return frame
    kind = protocol if status & _TP_STATUS_VLAN_TPID_VALID else packets.VLAN
    return frame[:12] + struct.pack("!HH", kind, tci) + frame[12:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Frames that came out of a gateway, in their order: at the client's side and at the Internet's."""

    client: list[bytes]
    internet: list[bytes]


class Between:
    """A gateway that shares, and both its sides.

    Args:
        lab: Its gateway has ``wan0`` and ``lan0``.
        held: Closes the wires.
    """

    def __init__(self, lab: Lab, held: ExitStack) -> None:
        self.lab = lab
        self._wires = {node: Wire(lab, node, held) for node in _LINKS}
        self._number = 0

    def exchange(self, frames: Sequence[tuple[str, bytes]], markers: dict[str, tuple[bytes, ...]]) -> Heard:
        """Send *frames*, each from the side of a node, and return what came out until all of *markers* did.

        Args:
            frames: Not more than the shortest queue on their way holds.
            markers: For each side frames to be sent last, one by the kernel's way and one by the fast one, and which
                all are sure to come out at the other. That of the client goes first.
        """
        for node, frame in frames:
            self._wires[node].send(frame)
        heard: dict[str, list[bytes]] = {CLIENT: [], INTERNET: []}
        for node, other in ((CLIENT, INTERNET), (INTERNET, CLIENT)):
            for frame in markers[node]:
                self._wires[node].send(frame)
            awaited = {_body(frame) for frame in markers[node]}
            deadline = time.monotonic() + _DEADLINE
            while awaited:
                try:
                    frame = self._wires[other].hear(deadline)
                except TimeoutError:
                    pytest.fail(f"did not come out at {other} of {self.lab.plan.prefix}: {sorted(awaited)}; {heard}")
                if _body(frame) in awaited:
                    awaited.discard(_body(frame))
                elif not _is_noise(frame):
                    heard[other].append(_normal(frame))
        for wire in self._wires.values():
            assert wire.lost() == 0
        return Heard(client=heard[CLIENT], internet=heard[INTERNET])

    def fast_packets(self) -> int:
        """Return how many packets the fast path has sent on for clients."""
        with inside(self.lab, GATEWAY):
            counted = fastpath.traffic()
        clients = [counter for account, counter in counted.items() if not account.port]
        return sum(one.sent_packets + one.received_packets for one in clients)

    def refresh(self) -> None:
        """Have every connection prove itself anew, as after a change of policy."""
        with inside(self.lab, GATEWAY):
            fastpath.refresh()

    def reasons(self) -> dict[Reason, int]:
        """Return for how many packets the fast path had each reason to leave them to the kernel."""
        with inside(self.lab, GATEWAY):
            return dict(fastpath.reasons())


def _body(frame: bytes) -> bytes:
    """Return what no translation changes: what is behind an IP header and eight octets."""
    return frame[packets.ETHERNET + packets.HEADER + 8 :] + b"|" if len(frame) > 42 else b""


def _is_noise(frame: bytes) -> bool:
    """Tell whether the gateway says this of its own accord: ARP, IGMP, neighbour and listener discovery."""
    kind = packets.kind_of(frame)
    if kind == packets.IPV4:
        return frame[packets.ETHERNET + 9] == packets.IGMP
    if kind == packets.IPV6:
        multicast = frame[:2] == b"\x33\x33"
        return multicast and packets.ICMPV6 in {frame[20], frame[54]}
    return kind == packets.ARP


def _normal(frame: bytes) -> bytes:
    """Take away what a kernel chooses at random: the identification of the gateway's own ICMP messages."""
    packet = frame[packets.ETHERNET :]
    own = packets.kind_of(frame) == packets.IPV4 and socket.inet_ntoa(packet[12:16]) in _IP_ENDS
    if not own or packet[9] != packets.ICMP or packets.complaint(frame):
        return frame
    header = packet[:4] + b"\0\0" + packet[6:10] + b"\0\0" + packet[12:20]
    header = header[:10] + struct.pack("!H", packets.checksum(header)) + header[12:]
    return frame[: packets.ETHERNET] + header + packet[20:]


def silence(lab: Lab) -> None:
    """Take the voice of everybody but the gateway, and have that say nothing by the clock."""
    for node, link in _LINKS.items():
        output(lab, node, "ethtool", "-K", link, "tx", "off", "gro", "on")
        output(lab, node, "nft", "-f", "-", input=_MUTE)
        output(lab, node, "ip", "link", "set", link, "arp", "off")
        output(lab, node, "sysctl", "-qw", f"net.ipv6.conf.{link}.disable_ipv6=1", "net.ipv4.ip_forward=0")
    for link in ("wan0", "lan0"):
        output(lab, GATEWAY, "ethtool", "-K", link, "tx", "off")
    # The kernel's limits on errors and redirects go by the clock.
    quiet = [f"net.ipv4.conf.{link}.send_redirects=0" for link in ("all", "wan0", "lan0")]
    output(lab, GATEWAY, "sysctl", "-qw", "net.ipv4.icmp_ratemask=0", "net.ipv4.icmp_ratelimit=0", *quiet)


def introduce(lab: Lab) -> None:
    """Have the gateway of a lab know everybody on both its links, as long as its sharing stays as it is."""
    known = [
        f"neighbour replace 192.168.137.{host} lladdr {station_mac(f'.{host}')} dev lan0" for host in range(2, 255)
    ]
    network = str(UPLINK_ROUTER).rsplit(".", 1)[0]
    others = [host for host in range(1, 255) if f"{network}.{host}" != PUBLIC]
    known += [f"neighbour replace {network}.{host} lladdr {ROUTER_MAC} dev wan0" for host in others]
    output(lab, GATEWAY, "ip", "-batch", "-", input="".join(f"{line} nud permanent\n" for line in known))
