"""What has to be done: from a host without us and a wanted sharing to the steps that make it so.

Theory of operation
-------------------
The plan is always made from the *baseline*: the observed host with everything we did taken back in thought
(`transition.rewind`). So one sharing on one host has one plan, whatever was shared before, and what really has to be
run is the difference between that plan and the steps in force (`diff`). A converged host yields no difference.

The order of the steps is a promise, because they are taken back in reverse: the ruleset comes first and goes last, so
nothing leaves un-translated at any moment; a private link loses its own routes and addresses before it gets ours or
becomes a bridge port; forwarding is on only while the ruleset is there; clients are served last,
and an access point lets them in only when all is there that they will ask for.

The choice of the segment's device remembers the present one: a bridge, once made, stays while one of its ports stays
private, with the MAC address that its clients have in their ARP tables. It is dissolved by stop, not by the removal of
a port (as Windows keeps its bridge).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from uuid import UUID

from icshare.errors import RefusedError
from icshare.model.connection import Connection, Status
from icshare.model.firewall import Firewall
from icshare.model.link import Link, Route
from icshare.model.names import InterfaceName
from icshare.model.sharing import BRIDGE_NAME, Segment, Sharing, Wanted, disjoint
from icshare.model.snapshot import Snapshot
from icshare.model.wifi import Placement
from icshare.plan import steps as s
from icshare.plan.accesspoint import ChannelsIn, unknown_country
from icshare.plan.addressing import Occupied, SubnetChoice, choose_subnet, gateway_address, occupied_networks
from icshare.plan.questions import may_ask_here, tells_name_servers
from icshare.plan.serving import make_link, serve_by_hostapd, serve_by_networkmanager, set_country
from icshare.plan.steps import AnyStep, LinkRef
from icshare.plan.transition import sysctl_key
from icshare.plan.validate import dhcp_problems, validate
from icshare.plan.wayout import DEFAULT, WIDEST, is_wide, way_out
from icshare.render.dnsmasq import ServiceFiles, configuration
from icshare.render.firewall import firewall_ruleset
from icshare.render.logsettings import LogSettings, log_configuration
from icshare.render.nft import Questions, ruleset

PINNED_TABLE = 13_700
"""Routing table with the default route of a public connection that does not carry the host's own."""

RULE_PRIORITY = 13_700
"""Priority of our first policy rule; before main (32766), after local (0)."""

_PAIR = 31  # two addresses: ours and one peer's (RFC 3021)
NOBODYS_ADDRESS = IPv4Interface("192.0.0.8/32")
"""Address that holds routes: the IPv4 dummy address, which no packet ever bears (RFC 7600, section 4.8)."""

_ARPHRD_ETHER = 1
_ETHERNET_MTU = 1500
_RT_MAIN = 254
_RT_LOCAL = 255
_RTN_UNICAST = 1
_RTPROT_KERNEL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the plan needs to know of the machine besides the snapshot.

    Attributes:
        files: Paths for dnsmasq.
        user: Account that dnsmasq runs as when it has none of its own.
        profile: Identity of the profile for an access point that NetworkManager makes.
        account: User id that dnsmasq runs as, and no other program; None when it has none of its own.
        dialled: File in which pppd writes the name servers that the other end tells of.
        channels_in: Tells what channels may be used for in another country than the one that is set.
    """

    files: ServiceFiles
    user: str
    profile: UUID
    account: int | None = None
    dialled: str = "/etc/ppp/resolv.conf"
    channels_in: ChannelsIn = unknown_country


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What of the present sharing the next one should keep.

    Attributes:
        members: Its private connections.
        bridge_mac: MAC address of its bridge, None without a bridge.
    """

    members: tuple[InterfaceName, ...] = ()
    bridge_mac: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is wanted, made concrete.

    Attributes:
        wanted: What is wanted.
        segments: The private segments, the main one first.
        steps: All that has to be so, in order, from a host without us.
        notes: What people should know: why this subnet, what waits for the cable, which port stays open.
    """

    wanted: Wanted
    segments: tuple[Segment, ...] = ()
    steps: tuple[AnyStep, ...]
    notes: tuple[str, ...] = ()

    @property
    def sharing(self) -> Sharing | None:
        """The sharing that is wanted, None for none."""
        return self.wanted.sharing

    @property
    def firewalls(self) -> tuple[Firewall, ...]:
        """The connection firewalls that are wanted."""
        return self.wanted.firewalls

    @property
    def ruleset(self) -> str:
        """The text of all tables that the plan loads, "" for none."""
        return "\n".join(step.text for step in self.steps if isinstance(step, s.LoadFirewall | s.LoadRuleset))


def make_plan(
    wanted: Wanted,
    baseline: Snapshot,
    connections: Sequence[Connection],
    environment: Environment,
    present: Present | None = None,
) -> Plan:
    """Plan what is *wanted* on the host *baseline*.

    Args:
        wanted: The sharing, and the firewalls of connections that are there.
        baseline: The host as it would be without us.
        connections: Its connections, with their verdicts.
        environment: Paths and accounts.
        present: What to keep of the present sharing, None when nothing is shared.

    Raises:
        RefusedError: The sharing may not be; carries every problem.
        ConflictError: No subnet is free, or the one asked for is not.
    """
    sharing = wanted.sharing
    if sharing is None:
        return Plan(wanted=wanted, steps=tuple(_protection(wanted)), notes=tuple(_open_logins(wanted.firewalls)))
    placement = validate(sharing, connections, baseline, environment.channels_in)
    known = {connection.interface: connection for connection in connections}
    notes: list[str] = [placement.note] if placement and placement.note else []
    segments = _segments(_Members(sharing, placement, known), baseline, present or Present(), notes)
    _refuse_bad_dhcp(sharing, segments)
    public = _link(baseline, sharing.public)
    notes += _notes(sharing, known[sharing.public])
    pinned = way_out(baseline, public)
    here = may_ask_here(public, pinned=pinned is not None)
    questions = None
    if environment.account is not None:
        questions = Questions(account=environment.account, here=here, wireguard=public.kind == "wireguard")
    access_point = sharing.access_point
    steps = (
        *_protection(wanted),
        s.LoadRuleset(text=ruleset(sharing, segments, questions, on_demand=_on_demand(public))),
        *set_country(access_point, baseline),
        *(
            step
            for segment in segments
            for step in _segment_links(
                segment,
                baseline,
                present or Present(),
                serve_by_networkmanager(access_point, segment.access_point, environment.profile),
            )
        ),
        *_forwarding(baseline, public, segments),
        *(_pin(baseline, public, segments, environment.account, pinned) if pinned else ()),
        *(step for segment in segments for step in _gateway(segment, baseline)),
        *_services(sharing, segments, public, baseline, environment, here=here),
        *(step for segment in segments for step in serve_by_hostapd(access_point, segment, baseline)),
    )
    if pinned:
        notes.append(f"another connection carries the host's default route; clients leave by {sharing.public} alone")
    if not here and questions is None:
        notes.append(
            f"the name server has no account of its own here, so its questions are not kept on {sharing.public}"
        )
    notes += _open_logins(wanted.firewalls)
    return Plan(wanted=wanted, segments=segments, steps=steps, notes=tuple(notes))


def _protection(wanted: Wanted) -> Iterator[AnyStep]:
    """Write the log before there is something to log, protect before there is something to protect."""
    options = [one.options for one in wanted.firewalls]
    opened = any(one.log_opened for one in options)
    if opened or any(one.log_dropped for one in options):
        yield s.StartLog(text=log_configuration(LogSettings(opened=opened)))
    if wanted.firewalls:
        yield s.LoadFirewall(text=firewall_ruleset(wanted.firewalls))


def _link(snapshot: Snapshot, name: str) -> Link:
    link = snapshot.link(name)
    assert link is not None, name
    return link


def _ref(link: Link) -> LinkRef:
    return LinkRef(InterfaceName(link.name), link.index)


class _Members:
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


def _segments(members: _Members, baseline: Snapshot, present: Present, notes: list[str]) -> tuple[Segment, ...]:
    bridgeable, routed = members.bridgeable, members.routed
    ethernet = {name: _link(baseline, name).type == _ARPHRD_ETHER for name in routed}
    numbered = {name: own for name in routed if not ethernet[name] and (own := _own_segment(baseline, name))}
    occupied = occupied_networks(baseline, ignore=[name for name in (*bridgeable, *routed) if name not in numbered])
    wanted = members.subnet  # for the main segment, the first
    segments: list[Segment] = []
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
                for network, taken in _led_to(baseline, _link(baseline, name))
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
    return tuple(segments)


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
    link = _link(baseline, name)
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
        and (route.table, route.type) == (_RT_MAIN, _RTN_UNICAST)
        and isinstance(network := route.destination, IPv4Network)
        and not is_wide(network)
    ]


def _refuse_bad_dhcp(sharing: Sharing, segments: Sequence[Segment]) -> None:
    """Check pool and reservations against the subnet that was chosen (validate sees only one that was asked for)."""
    if sharing.subnet is None and sharing.dhcp.enabled and segments[0].ethernet:
        problems = list(dhcp_problems(sharing, segments[0].network))
        if problems:
            raise RefusedError(problems, hint="set --subnet, or the addresses under [dhcp], so that they agree")


def _segment_links(
    segment: Segment, baseline: Snapshot, present: Present, serving: Iterable[AnyStep]
) -> Iterator[AnyStep]:
    members = [link for name in segment.members if (link := baseline.link(name)) is not None]
    if not _keeps_own(segment, baseline):
        for link in members:
            yield from _clear(link, baseline)
    refs = {name: LinkRef(name) for name in segment.members} | {link.name: _ref(link) for link in members}
    if segment.access_point is not None:
        yield from make_link(segment.access_point, baseline)
    yield from serving
    if segment.bridged:
        first = next((link for link in members if link.name in present.members), members[0] if members else None)
        mac = present.bridge_mac or (first.address if first else "")
        yield s.CreateBridge(name=segment.interface, mac=mac, mtu=min(_mtu(name, baseline) for name in refs))
        for ref in refs.values():
            yield s.SetMaster(link=ref, master=segment.interface, previous=None)
    up = {link.name for link in members if link.up}
    for name, ref in refs.items():
        if name not in up:
            yield s.SetUp(link=ref, up=True, previous=False)
    if segment.bridged:
        yield s.SetUp(link=LinkRef(segment.interface), up=True, previous=False)


def _mtu(name: str, baseline: Snapshot) -> int:
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
    """Take a link's own IPv4 routes, fixed neighbours and addresses away; the reverse gives them back as they were."""
    routes = [route for route in baseline.routes if _is_own_route(route, link)]
    for route in sorted(routes, key=lambda route: route.gateway is None):
        destination = route.destination
        assert isinstance(destination, IPv4Network)
        yield s.RemoveRoute(
            link=_ref(link),
            destination=destination,
            gateway=route.gateway if isinstance(route.gateway, IPv4Address) else None,
            table=route.table,
            metric=route.metric,
            protocol=route.protocol,
            raw=route.raw,
        )
    for neighbour in baseline.neighbours:
        if neighbour.index == link.index and isinstance(neighbour.address, IPv4Address) and neighbour.mac:
            yield s.RemoveNeighbour(link=_ref(link), address=neighbour.address, mac=neighbour.mac, raw=neighbour.raw)
    for address in reversed([one for one in baseline.addresses if one.index == link.index]):
        if isinstance(address.interface, IPv4Interface):
            yield s.RemoveAddress(
                link=_ref(link),
                address=address.interface,
                peer=address.peer if isinstance(address.peer, IPv4Address) else None,
                raw=address.raw,
                taken=baseline.boot_seconds,
            )


def _is_own_route(route: Route, link: Link) -> bool:
    return (
        route.index == link.index
        and isinstance(route.destination, IPv4Network)
        and route.table != _RT_LOCAL
        and route.protocol != _RTPROT_KERNEL
    )


def _forwarding(baseline: Snapshot, public: Link, segments: Sequence[Segment]) -> Iterator[AnyStep]:
    """Turn forwarding on for the links of the sharing alone: the host is no router for others."""
    refs = [
        _ref(link) if (link := baseline.link(segment.interface)) else LinkRef(segment.interface) for segment in segments
    ]
    for ref in [*refs, _ref(public)]:
        previous = _sysctl(baseline, ref.name, "ipv4/forwarding", "0")
        if previous != "1":
            yield s.SetSysctl(link=ref, setting="ipv4/forwarding", value="1", previous=previous)


def _sysctl(snapshot: Snapshot, link: str, setting: str, otherwise: str) -> str:
    inherited = snapshot.sysctls.get(sysctl_key("default", setting), otherwise)
    return snapshot.sysctls.get(sysctl_key(link, setting), inherited)


def _pin(
    baseline: Snapshot, public: Link, segments: Sequence[Segment], account: int | None, route: Route
) -> Iterator[AnyStep]:
    """Lead the segments' packets, and our name server's, out of the public link and nowhere else, unreachable first."""
    whose: list[tuple[InterfaceName | None, int | None]] = [(segment.interface, None) for segment in segments]
    whose += [(None, account)] if account is not None else []
    for link, user in whose:
        yield s.AddRule(link=link, account=user, priority=RULE_PRIORITY + 2)
    gateway = route.gateway if isinstance(route.gateway, IPv4Address) else None
    if _on_demand(public):
        # Each time it dials, pppd takes its address away and gives it the new one; with the last address of a link go
        # all routes through it, ours too.
        yield s.AddAddress(link=_ref(public), address=NOBODYS_ADDRESS, holds_routes=True)
    yield s.AddRoute(link=_ref(public), destination=DEFAULT, gateway=gateway, table=PINNED_TABLE)
    for link, user in whose:
        yield s.AddRule(link=link, account=user, priority=RULE_PRIORITY, table=_RT_MAIN, suppress_prefixlength=WIDEST)
        yield s.AddRule(link=link, account=user, priority=RULE_PRIORITY + 1, table=PINNED_TABLE)
    previous = _sysctl(baseline, public.name, "ipv4/rp_filter", "0")
    strict = "1" in {previous, _sysctl(baseline, "all", "ipv4/rp_filter", "0")}
    if strict and previous != "2":  # answers come in by a link that the main table would not answer to: loose mode
        yield s.SetSysctl(link=_ref(public), setting="ipv4/rp_filter", value="2", previous=previous)


def _on_demand(public: Link) -> bool:
    return public.facts.ppp is not None and public.facts.ppp.demand


def _gateway(segment: Segment, baseline: Snapshot) -> Iterator[AnyStep]:
    if not _keeps_own(segment, baseline):
        link = baseline.link(segment.interface)
        ref = _ref(link) if link else LinkRef(segment.interface)
        yield s.AddAddress(link=ref, address=_interface(segment), served=True)


def _services(
    sharing: Sharing,
    segments: Sequence[Segment],
    public: Link,
    baseline: Snapshot,
    environment: Environment,
    *,
    here: bool,
) -> Iterator[AnyStep]:
    if sharing.dhcp.enabled:
        for segment in segments:
            if segment.ethernet:
                yield s.ProbeDhcp(link=segment.interface, members=segment.members)
    mtus = {segment.interface: mtu for segment in segments if (mtu := _told_mtu(segment, public, baseline))}
    files = replace(environment.files, resolv=_resolvers(public, environment, here=here))
    text = configuration(sharing, segments, files, user=environment.user, mtus=mtus, on_demand=_on_demand(public))
    yield s.StartService(text=text)


def _resolvers(public: Link, environment: Environment, *, here: bool) -> tuple[str, ...]:
    """Return the files whose name servers clients are answered by; of several the one that was written last counts.

    The provider's, if it tells of any. While a link waits for its first traffic nobody has told yet, so the host's own
    have to do: what asks them dials.
    """
    own = environment.files.resolv
    if not here and environment.files.direct is not None:
        own = (environment.files.direct,)
    if not tells_name_servers(public):
        return own
    return (environment.dialled, *(own if _on_demand(public) else ()))


def _told_mtu(segment: Segment, public: Link, baseline: Snapshot) -> int | None:
    """Return the MTU that clients of *segment* have to be told, None when that of their cable will do."""
    own = [_mtu(name, baseline) for name in segment.members]
    told = min(public.mtu, *own)
    return told if told < max(own) else None


def _notes(sharing: Sharing, public: Connection) -> Iterator[str]:
    if public.status is not Status.CONNECTED:
        yield (
            f"{sharing.public} is not connected ({public.status.name.lower().replace('_', ' ')}): "
            "the segment is served, and clients reach the Internet once it is"
        )


def _open_logins(firewalls: Sequence[Firewall]) -> Iterator[str]:
    for one in firewalls:
        if one.login_port is not None:
            yield f"TCP port {one.login_port} of {one.interface} stays open for your own SSH login"
