"""What segments the private connections become, and with which networks.

What can be a bridge port shares the main segment; what cannot, has one of its own. The choice of the main segment's
device remembers the present one: a bridge, once made, stays while one of its ports stays private, with the MAC address
that its clients have in their ARP tables. It is dissolved by stop, not by the removal of a port (as Windows keeps its
bridge).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from icshare.errors import RefusedError
from icshare.model.connection import Connection
from icshare.model.link import ARPHRD_ETHER, RT_MAIN, RTN_UNICAST, Link
from icshare.model.names import InterfaceName
from icshare.model.sharing import BRIDGE_NAME, Segment, Sharing, disjoint
from icshare.model.snapshot import Snapshot
from icshare.model.wifi import Placement
from icshare.plan.addressing import Occupied, SubnetChoice, choose_subnet, gateway_address, occupied_networks
from icshare.plan.validate import dhcp_problems
from icshare.plan.wayout import is_wide

_PAIR = 31  # two addresses: ours and one peer's (RFC 3021)


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What of the present sharing the next one should keep.

    Attributes:
        members: Its private connections.
        bridge_mac: MAC address of its bridge, None without a bridge.
        went_fast: Connection tracking has not seen every segment of connections that go on.
    """

    members: tuple[InterfaceName, ...] = ()
    bridge_mac: str | None = None
    went_fast: bool = False


class Members:
    """The links of the private side: those that were named, the access point's in place of the one it was asked of."""

    def __init__(self, sharing: Sharing, placement: Placement | None, known: Mapping[str, Connection]) -> None:
        self.subnet = sharing.subnet
        self.bridge = sharing.bridge
        self.placement = placement
        asked = sharing.access_point.interface if sharing.access_point else None
        serving = placement.interface if placement else None
        names = [serving if serving and name == asked else name for name in sharing.privates]
        if serving and serving not in names:  # on the radio of the public connection
            names.append(serving)
        self.bridgeable = tuple(name for name in names if name == serving or known[name].bridgeable)
        self.routed = [name for name in names if name not in self.bridgeable]


def choose_segments(
    members: Members, baseline: Snapshot, present: Present
) -> tuple[tuple[Segment, ...], tuple[str, ...]]:
    """Return the segments of *members*, the main one first, and what people should know of the choice.

    Args:
        members: The links of the private side.
        baseline: The host as it would be without us.
        present: What to keep of the present sharing.

    Raises:
        ConflictError: No subnet is free, or the one asked for is not.
    """
    bridgeable, routed = members.bridgeable, members.routed
    ethernet = {name: baseline.standing_link(name).type == ARPHRD_ETHER for name in routed}
    numbered = {name: own for name in routed if not ethernet[name] and (own := _own_segment(baseline, name))}
    occupied = occupied_networks(baseline, ignore=[name for name in (*bridgeable, *routed) if name not in numbered])
    wanted = members.subnet  # for the main segment, the first
    segments: list[Segment] = []
    notes: list[str] = []
    if bridgeable:
        kept = present.bridge_mac is not None and any(name in present.members for name in bridgeable)
        interface = BRIDGE_NAME if len(bridgeable) > 1 or kept or members.bridge else bridgeable[0]
        first = _segment(interface, bridgeable, choose_subnet(wanted, occupied), notes)
        segments.append(replace(first, access_point=members.placement))
        occupied.append(Occupied(network=segments[-1].network, by="the main segment"))
        wanted = None
    for name in sorted(routed, key=lambda name: not ethernet[name]):
        if own := numbered.get(name):
            segments.append(own)
            notes += [
                f"{network} behind {name} takes no part: {taken.network} ({taken.by}) lies in it"
                for network, taken in _led_to(baseline, baseline.standing_link(name))
                if taken is not None
            ]
            continue
        segments.append(_segment(name, (name,), choose_subnet(wanted, occupied), notes, ethernet=ethernet[name]))
        occupied.append(Occupied(network=segments[-1].network, by=f"the segment of {name}"))
        wanted = None
    if wanted is not None:
        notes.append(f"subnet {wanted} is not used: {', '.join(numbered)} keeps the network that it has")
    notes += [
        f"nobody gives addresses on {one.interface}: set one of {one.network} at the other end, and {one.gateway} as "
        "its gateway and name server"
        for one in segments
        if not one.ethernet and not one.numbered
    ]
    return tuple(segments), tuple(notes)


def _segment(
    interface: InterfaceName,
    members: tuple[InterfaceName, ...],
    choice: SubnetChoice,
    notes: list[str],
    *,
    ethernet: bool = True,
) -> Segment:
    if choice.because:
        notes.append(choice.because)
    return Segment(
        interface=interface,
        members=members,
        network=choice.network,
        gateway=gateway_address(choice.network),
        ethernet=ethernet,
    )


def _own_segment(baseline: Snapshot, name: InterfaceName) -> Segment | None:
    """Return the segment of a routed private whose other end is numbered already, None when nobody is.

    A VPN server numbers its clients, and the two ends of a PPP or SLIP line have agreed on an address for each. To
    number them anew would only cut them off: they do not ask a DHCP server. So our address there stays, and the clients
    are whom the kernel reaches through the link: the networks of its addresses (with a peer, that peer), and those that
    routes of the main table lead to. An address of one host without a peer or route reaches nobody.
    """
    link = baseline.standing_link(name)
    own = [one for one in baseline.addresses if one.index == link.index and isinstance(one.interface, IPv4Interface)]
    reached = [one.connected for one in own if one.peer is not None or one.interface.network.prefixlen <= _PAIR]
    reached += [network for network, taken in _led_to(baseline, link) if taken is None]
    networks = disjoint(
        one for one in reached if isinstance(one, IPv4Network) and not _is_the_hosts(one, baseline, link)
    )
    if not own or not networks:
        return None
    gateway = own[0].interface.ip
    assert isinstance(gateway, IPv4Address)
    return Segment(
        interface=name,
        members=(name,),
        network=networks[0],
        beyond=networks[1:],
        gateway=gateway,
        ethernet=False,
        numbered=True,
    )


def _is_the_hosts(network: IPv4Network, baseline: Snapshot, link: Link) -> bool:
    """Tell whether *network* can be no clients', whatever stands on *link*.

    It holds an address of another link: to take that for a client's would cut the host off there. Or it is no unicast
    network: broadcasts and multicast belong to every link.
    """
    if network.is_multicast or network.is_reserved or network.is_loopback:
        return True
    return any(one.index != link.index and one.interface.ip in network for one in baseline.addresses)


def _led_to(baseline: Snapshot, link: Link) -> list[tuple[IPv4Network, Occupied | None]]:
    """Return the networks that routes lead to through *link*, each with what of another link lies in it, if anything.

    A route for the Internet at large leads to no clients. One with a network of another link in it does not tell who is
    behind this link: to take all of it for clients' would keep the host from that network.
    """
    others = occupied_networks(baseline, ignore=[link.name])
    return [
        (network, next((one for one in others if one.network.subnet_of(network)), None))
        for route in baseline.routes
        if route.index == link.index
        and (route.table, route.type) == (RT_MAIN, RTN_UNICAST)
        and isinstance(network := route.destination, IPv4Network)
        and not is_wide(network)
    ]


def refuse_bad_dhcp(sharing: Sharing, segments: Sequence[Segment]) -> None:
    """Check pool and reservations against the subnet that was chosen (validate sees only one that was asked for)."""
    if sharing.subnet is None and sharing.dhcp.enabled and segments[0].ethernet:
        problems = list(dhcp_problems(sharing, segments[0].network))
        if problems:
            raise RefusedError(problems, hint="set --subnet, or the addresses under [dhcp], so that they agree")
