"""The steps that make a segment's links ready: emptied, bridged, up, and with the gateway's address."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from icshare.model.link import RT_LOCAL, RTPROT_KERNEL, Link, Route
from icshare.model.sharing import Segment
from icshare.model.snapshot import Snapshot
from icshare.plan import steps as s
from icshare.plan.segments import Present
from icshare.plan.steps import AnyStep, LinkRef

_ETHERNET_MTU = 1500


def make_segment_links(
    segment: Segment, baseline: Snapshot, present: Present, access_point: Iterable[AnyStep]
) -> Iterator[AnyStep]:
    """Make the links of *segment* one network, with nothing of their own on it.

    Args:
        segment: The segment.
        baseline: The host as it would be without us.
        present: What to keep of the present sharing.
        access_point: The steps that make the link of its access point, if it has one.
    """
    members = [link for name in segment.members if (link := baseline.link(name)) is not None]
    if not _keeps_own(segment, baseline):
        for link in members:
            yield from _clear(link, baseline)
    refs = {name: LinkRef.called(name, baseline) for name in segment.members}
    yield from access_point
    if segment.bridged:
        first = next((link for link in members if link.name in present.members), members[0] if members else None)
        mac = present.bridge_mac or (first.address if first else "")
        yield s.CreateBridge(name=segment.interface, mac=mac, mtu=min(mtu_of(name, baseline) for name in refs))
        for ref in refs.values():
            yield s.SetMaster(link=ref, master=segment.interface, previous=None)
    up = {link.name for link in members if link.up}
    for name, ref in refs.items():
        if name not in up:
            yield s.SetUp(link=ref, up=True, previous=False)
    if segment.bridged:
        yield s.SetUp(link=LinkRef(segment.interface), up=True, previous=False)


def add_gateway(segment: Segment, baseline: Snapshot) -> Iterator[AnyStep]:
    """Give *segment* the gateway's address, unless its link has it."""
    if not _keeps_own(segment, baseline):
        link = LinkRef.called(segment.interface, baseline)
        yield s.AddAddress(link=link, address=_interface(segment), served=True)


def mtu_of(name: str, baseline: Snapshot) -> int:
    """Return the MTU of a member; that of a Wi-Fi link that is yet to be made is Ethernet's."""
    link = baseline.link(name)
    return link.mtu if link else _ETHERNET_MTU


def _keeps_own(segment: Segment, baseline: Snapshot) -> bool:
    """Tell whether the segment's link has the gateway's address already; a bridge of ours is yet to be made."""
    link = baseline.link(segment.interface)
    if link is None:
        return False
    return segment.numbered or any(
        address.index == link.index and address.interface == _interface(segment) for address in baseline.addresses
    )


def _interface(segment: Segment) -> IPv4Interface:
    return IPv4Interface((segment.gateway, segment.network.prefixlen))


def _clear(link: Link, baseline: Snapshot) -> Iterator[AnyStep]:
    """Take a link's own IPv4 routes, fixed neighbours and addresses away; the reverse gives them back as they were.

    A route whose packets bear an address of ours goes with that, and could not be given back when we have gone.
    """
    own = {address.interface.ip for address in baseline.addresses}
    routes = [route for route in baseline.routes if _is_own_route(route, link) and route.source in {None, *own}]
    for route in sorted(routes, key=lambda route: route.gateway is None):
        destination = route.destination
        assert isinstance(destination, IPv4Network)
        yield s.RemoveRoute(
            link=LinkRef.to(link),
            destination=destination,
            gateway=route.gateway if isinstance(route.gateway, IPv4Address) else None,
            table=route.table,
            metric=route.metric,
            protocol=route.protocol,
            raw=route.raw,
        )
    for neighbour in baseline.neighbours:
        if neighbour.index == link.index and isinstance(neighbour.address, IPv4Address) and neighbour.mac:
            yield s.RemoveNeighbour(
                link=LinkRef.to(link), address=neighbour.address, mac=neighbour.mac, raw=neighbour.raw
            )
    for address in reversed([one for one in baseline.addresses if one.index == link.index]):
        if isinstance(address.interface, IPv4Interface):
            yield s.RemoveAddress(
                link=LinkRef.to(link),
                address=address.interface,
                peer=address.peer if isinstance(address.peer, IPv4Address) else None,
                raw=address.raw,
                taken=baseline.boot_seconds,
            )


def _is_own_route(route: Route, link: Link) -> bool:
    return (
        route.index == link.index
        and isinstance(route.destination, IPv4Network)
        and route.table != RT_LOCAL
        and route.protocol != RTPROT_KERNEL
    )
