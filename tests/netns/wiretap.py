"""A gateway with raw sockets at all of its ends: frames go in as they are written, and all that comes out is seen.

The hosts at the ends are dumb, so that nothing answers by itself, but for ARP. What comes out is told in a form in
which two gateways can be compared: hardware addresses by the part that they play, and without what a kernel numbers at
random when it writes an ICMP error of its own.
"""

import os
import select
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Self

from tests.netns import frames
from tests.netns.fastlab import standing_in
from tests.netns.gateway import document, icshare_command, json_of, laboratory, output

from icshare.host import fastpath
from icshare.lab import GATEWAY, INTERNET, UPLINK, Lab
from icshare.model.fastpath import Mode
from icshare.wire.fastpath import Reason

CLIENT, NEIGHBOUR, STRANGER = "client", "neighbour", "internet"
"""Who sends and receives: c0, whose packets are watched; c1, on the same bridge if there is one; a server outside."""

CLIENT_ADDRESS = IPv4Address("192.168.137.50")
SECOND_ADDRESS = IPv4Address("192.168.137.150")
"""The client's as well, as if there were two behind one port."""
NEIGHBOUR_ADDRESS = IPv4Address("192.168.137.51")
GATEWAY_ADDRESS = IPv4Address("192.168.137.1")
SERVER_ADDRESS = IPv4Address("203.0.113.99")
PUBLIC_ADDRESS = UPLINK.ip
MAPPED_TCP, MAPPED_UDP = 8080, 9090
PUBLIC_MTU, PRIVATE_MTU = 1400, 1500

_PATIENCE = 20.0
_PACKET_AUXDATA, _VLAN_VALID, _VLAN_TPID_VALID = 8, 1 << 4, 1 << 6
_AUXILIARY = struct.Struct("=IIIHHHH")
_SOL_PACKET = 263
_OUTGOING = 4
# What stands for hardware addresses in frames that are compared.
_NAMES = {CLIENT: b"client", NEIGHBOUR: b"neighb", STRANGER: b"intern", "inside": b"inside", "outside": b"outsid"}
_NOBODY = bytes.fromhex("020000000098")
_DUMB = """
table inet dumb {
	chain prerouting { type filter hook prerouting priority -400; policy drop; }
	chain output { type filter hook output priority -400; policy drop; }
}
"""
# Both gateways judge segments alike, whether they see all of them or not, and tell of every error. What is only bridged
# is no business of the ruleset: otherwise a packet to a neighbour takes the address translation of its flow away.
_SAME = (
    "net.netfilter.nf_conntrack_tcp_be_liberal=1",
    "net.netfilter.nf_conntrack_tcp_ignore_invalid_rst=1",
    "net.ipv4.icmp_ratelimit=0",
    "net.ipv4.icmp_ratemask=0",
)


@contextmanager
def on_one_cpu() -> Iterator[None]:
    """Keep this thread on one CPU, as each has a cache of its own, and packets are forwarded where they were sent."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """What somebody sends.

    Attributes:
        sender: Who.
        data: All that follows the Ethernet header.
        to: Name of the hardware address that it is sent to, or that address.
        kind: Protocol of the Ethernet header.
        tags: VLAN tags, see `frames.ethernet`.
    """

    sender: str
    data: bytes
    to: str | bytes = "gateway"
    kind: int = frames.IPV4
    tags: Sequence[tuple[int, int]] = ()


Received = Mapping[str, Sequence[bytes]]
"""Who -> the frames that came to it, in order, in a form to be compared."""


class Tapped:
    """A gateway that shares, and whoever is at its ends."""

    def __init__(
        self, lab: Lab, privates: Sequence[str], sockets: Mapping[str, socket.socket], hardware: Mapping[str, bytes]
    ) -> None:
        self.lab = lab
        self.privates = privates
        self._sockets = sockets
        self._hardware = hardware
        self._names = {hardware[who]: name for who, name in _NAMES.items() if who in hardware}

    @classmethod
    @contextmanager
    def up(cls, name: str, mode: Mode, *privates: str) -> Iterator[Self]:
        """Build a lab that shares *privates* by the path *mode*, with two port mappings to its client."""
        with (
            laboratory(f"{name}-{mode}-{len(privates)}", privates=len(privates), mtu=PUBLIC_MTU) as lab,
            ExitStack() as held,
        ):
            ends = {STRANGER: (INTERNET, "isp0"), CLIENT: ("c0", "eth0")}
            if len(privates) > 1:
                ends[NEIGHBOUR] = ("c1", "eth0")
            for node, link in ends.values():
                output(lab, node, "ethtool", "-K", link, "tx", "off", "gro", "on")
            document(lab, "share", "wan0", *privates, "--fast-path", mode)
            for address, node in ((CLIENT_ADDRESS, "c0"), (SECOND_ADDRESS, "c0"), (NEIGHBOUR_ADDRESS, "c1")):
                if node in lab.plan.clients:
                    output(lab, node, "ip", "address", "add", f"{address}/24", "dev", "eth0")
            document(lab, "map", "add", "a", "tcp", str(MAPPED_TCP), str(CLIENT_ADDRESS))
            document(lab, "map", "add", "b", "udp", str(MAPPED_UDP), str(CLIENT_ADDRESS))
            output(lab, GATEWAY, "sysctl", "-qw", *_SAME)
            output(
                lab, GATEWAY, "sysctl", "-qew", "net.bridge.bridge-nf-call-iptables=0"
            )  # -e: if there is such a thing
            inside = privates[0] if len(privates) == 1 else "ics-br0"
            hardware = {
                **{who: _hardware(lab, *end) for who, end in ends.items()},
                "inside": _hardware(lab, GATEWAY, inside),
                "outside": _hardware(lab, GATEWAY, "wan0"),
            }
            sockets = {}
            for who, (node, link) in ends.items():
                output(lab, node, "nft", "-f", "-", input=_DUMB)
                with standing_in(lab, node):
                    opened = held.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
                opened.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
                opened.bind((link, 3))
                opened.setblocking(False)
                sockets[who] = opened
            try:
                yield cls(lab, privates, sockets, hardware)
            finally:
                icshare_command(lab, "stop")

    def send(self, packets: Sequence[Packet]) -> None:
        for packet in packets:
            own = self._hardware["outside" if packet.sender == STRANGER else "inside"]
            to = (
                packet.to
                if isinstance(packet.to, bytes)
                else {"gateway": own, **self._hardware}.get(packet.to, _NOBODY)
            )
            source = self._hardware[packet.sender]
            self._sockets[packet.sender].send(frames.ethernet(to, source, packet.kind, packet.data, packet.tags))

    def received(self) -> dict[str, list[bytes]]:
        """Return what has come since the last call."""
        return {who: list(self._frames(one)) for who, one in self._sockets.items()}

    def wait_for(self, marks: Mapping[str, bytes]) -> dict[str, list[bytes]]:
        """Return what has come, as soon as everybody has got a frame with its mark in it, without those frames."""
        found: dict[str, list[bytes]] = {who: [] for who in self._sockets}
        missing = set(marks)
        deadline = time.monotonic() + _PATIENCE
        while missing:
            select.select(list(self._sockets.values()), [], [], 1)
            for who, some in self.received().items():
                for frame in some:
                    if who in marks and marks[who] in frame:
                        missing.discard(who)
                    else:
                        found[who].append(frame)
            assert time.monotonic() < deadline, f"nothing comes through to {missing}"
        return found

    def forget_flows(self) -> None:
        """Forget every connection, and what may go fast."""
        output(self.lab, GATEWAY, "conntrack", "-F")
        with standing_in(self.lab, GATEWAY):
            fastpath.refresh()

    @contextmanager
    def private_mtu(self, mtu: int) -> Iterator[None]:
        """Give the private links another MTU, and with them their bridge if there is one."""
        try:
            self._set_private_mtu(mtu)
            yield
        finally:
            self._set_private_mtu(PRIVATE_MTU)

    def _set_private_mtu(self, mtu: int) -> None:
        for link in self.privates:
            output(self.lab, GATEWAY, "ip", "link", "set", "dev", link, "mtu", str(mtu))

    def reasons(self) -> Mapping[Reason, int]:
        """Return how many packets went fast, and how many did not, by reason."""
        with standing_in(self.lab, GATEWAY):
            return fastpath.reasons()

    def _frames(self, opened: socket.socket) -> Iterator[bytes]:
        while True:
            try:
                data, more, _, sender = opened.recvmsg(65536, 64)
            except BlockingIOError:
                return
            if sender[2] == _OUTGOING or _is_noise(data):
                continue
            (auxiliary,) = (_AUXILIARY.unpack(value[: _AUXILIARY.size]) for *_, value in more)
            if auxiliary[0] & _VLAN_VALID:
                proto = auxiliary[6] if auxiliary[0] & _VLAN_TPID_VALID else frames.VLAN
                data = data[:12] + struct.pack("!HH", proto, auxiliary[5]) + data[12:]
            yield self._comparable(data)

    def _comparable(self, frame: bytes) -> bytes:
        names = b"".join(self._names.get(frame[at : at + 6], frame[at : at + 6]) for at in (0, 6))
        frame = names + frame[12:]
        packet = frame[frames.ETHERNET :]
        ours = frames.kind_of(frame) == frames.IPV4 and packet[9] == frames.ICMP and _is_error(packet)
        if not ours or frames.faults(frame):
            return frame
        # An error that the gateway has written: the kernel numbers it at random.
        bare = frame[:18] + b"\0\0" + frame[20:24] + b"\0\0" + frame[26:]
        return bare[:24] + frames.checksum(bare[14:34]).to_bytes(2, "big") + bare[26:]


def _is_error(packet: bytes) -> bool:
    own = (PUBLIC_ADDRESS.packed, GATEWAY_ADDRESS.packed)
    return packet[12:16] in own and packet[20] not in {0, 8}


def _is_noise(frame: bytes) -> bool:
    """Tell whether hosts send this by themselves: ARP, spanning tree, neighbours and groups."""
    kind, packet = frames.kind_of(frame), frame[frames.ETHERNET :]
    if kind == frames.IPV6:
        # A hop-by-hop header before what is told about groups.
        return packet[6] == 0 or (packet[6] == frames.ICMPV6 and packet[40] in range(130, 144))
    return kind == frames.ARP or kind < 0x0600 or (kind == frames.IPV4 and packet[9] == 2)


def _hardware(lab: Lab, node: str, link: str) -> bytes:
    (found,) = json_of(lab, node, "ip", "-json", "link", "show", "dev", link)
    return bytes.fromhex(found["address"].replace(":", ""))
