"""Small packets through the gateway.

UDP, 60 bytes a frame, of 1, 1,000 or 20,000 connections in turn, from the client (up) or to it (down). The kernel makes
them (`benchmarks.paths.frames`) on one CPU, and all of the gateway's work happens there as well: the rate is that of
one core, and the generator's part of it is the same for everybody. Before, every connection has had traffic both ways
for more than two seconds, so that conntrack calls it assured, as it does any that lasts.

Connections of all namespaces lie in one table of the kernel. Those of a few contenders at a time do, and are removed
before it is the next ones' turn.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from ipaddress import IPv4Address
from socket import AF_INET
from struct import pack

from benchmarks.paths.frames import Burst, Frames, Way
from benchmarks.paths.results import FLOWS, PACKETS, WAYS, Results, packets_measure
from benchmarks.paths.rig import CLIENT_ADDRESS, INTERNET_ADDRESS, CannotRunError, within
from benchmarks.paths.stand import Stand

from icshare.host.netlink import NetlinkSocket
from icshare.wire.conntrack import NETLINK_NETFILTER
from icshare.wire.netlink import Request

SECONDS = 0.06
"""About so long one measurement of a rate takes."""

_ASSURED_SECONDS = 2.2  # conntrack's own 2 s, and a tick of its clock
_BURST = 10_000
_FEW = 1_000
_GROUP = 4
_NFNL_DELETE = 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE


class Packets:
    """Rates of small packets."""

    def __init__(self, frames: Frames, results: Results) -> None:
        """Take the generator, and where to note what is measured."""
        self._frames = frames
        self._results = results

    def measure(self, stands: Sequence[Stand], repeat: int) -> None:
        """Measure each stand once, in the order given."""
        able = [one for one in stands if (one.name, PACKETS[0]) not in self._results.unable]
        with ExitStack() as stack:
            for stand in able:
                stack.enter_context(self._frames.counting(stand.rig))
            self._rates(able, [flows for flows in FLOWS if flows <= _FEW], repeat)
            for number in range(0, len(able), _GROUP):
                self._rates(able[number : number + _GROUP], [flows for flows in FLOWS if flows > _FEW], repeat)

    def _rates(self, stands: Sequence[Stand], numbers: Sequence[int], repeat: int) -> None:
        for last in (False, True):
            began = time.monotonic()
            for stand in stands:
                self._settle(stand, max(numbers), 3 if last else 1)
            if not last:
                time.sleep(max(0, _ASSURED_SECONDS - (time.monotonic() - began)))
        for flows in numbers:
            for stand in stands:
                for way in WAYS:
                    try:
                        rate = self._rate(stand, flows, way)
                    except CannotRunError as error:
                        self._results.unable[stand.name, packets_measure(flows, way)] = str(error)
                    else:
                        self._results.add(stand.name, packets_measure(flows, way), repeat, rate)
        for stand in stands:
            forget_connections(stand)

    def _settle(self, stand: Stand, flows: int, times: int) -> None:
        """Have traffic both ways on so many connections, so many times.

        What a fast path learns of a connection that has just become assured takes it three packets each way.
        """
        for way in WAYS * times:
            self._frames.send(stand.rig, _way(stand, way), flows, flows)

    def _rate(self, stand: Stand, flows: int, way: str) -> float:
        path = _way(stand, way)
        first = self._frames.send(stand.rig, path, flows, max(flows, _BURST))
        _check(stand, first, way)
        burst = self._frames.send(stand.rig, path, flows, max(flows, round(first.sent / first.seconds * SECONDS)))
        return burst.rate


def forget_connections(stand: Stand) -> None:
    """Remove all connections of a gateway from conntrack."""

    def forget() -> None:
        with NetlinkSocket(NETLINK_NETFILTER) as netlink:
            payload = pack("=BBH", AF_INET, 0, 0)
            netlink.request(Request(type=_NFNL_DELETE, payload=payload, purpose="forget all connections"))

    within(stand.rig.gateway, forget)


def _way(stand: Stand, way: str) -> Way:
    rig = stand.rig
    client, internet = IPv4Address(CLIENT_ADDRESS), IPv4Address(INTERNET_ADDRESS)
    if way == "up":
        return Way(sender=rig.client, first_hop="lan0", source=client, destination=internet, answers=False)
    public = IPv4Address(stand.public or CLIENT_ADDRESS)
    return Way(sender=rig.internet, first_hop="wan0", source=internet, destination=public, answers=True)


def _check(stand: Stand, burst: Burst, way: str) -> None:
    """Refuse a contender that does not let packets through, or with other addresses than a gateway gives them."""
    if burst.arrived < burst.sent / 2:
        raise CannotRunError(f"of {burst.sent} packets {way} only {burst.arrived} came through")
    if stand.public is None:
        return
    expected = (stand.public, INTERNET_ADDRESS) if way == "up" else (INTERNET_ADDRESS, CLIENT_ADDRESS)
    found = (str(burst.source), str(burst.destination))
    if found != expected:
        raise CannotRunError(f"packets {way} came out as {' to '.join(found)}, expected {' to '.join(expected)}")
