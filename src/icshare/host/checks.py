"""The self-test: does a sharing work, now, on this machine?

Every finding comes from looking: at the kernel's ruleset and settings, at a query that our DNS server answers, at other
tables' chains. A check that needs a privilege we do not have says so instead of guessing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path as FilePath

from icshare.errors import NotSupportedError, PrivilegeError
from icshare.host import dns_check, ruleset
from icshare.host.fastpath import occupation
from icshare.host.resolvers import name_servers
from icshare.host.service import Service
from icshare.host.sockets import port_owners
from icshare.model.fastpath import Path
from icshare.model.firewall import Firewall
from icshare.model.link import IFF_RUNNING, Link
from icshare.model.sharing import Segment, Sharing, Wanted
from icshare.model.snapshot import Snapshot
from icshare.model.status import Check, Grade, Health
from icshare.model.wifi import InterfaceType, channel_on
from icshare.plan.bypass import Obstacle, goes_past, programs_on
from icshare.plan.foreign import find_foreign_drops
from icshare.plan.metering import find_bridging, find_hooked, find_metering
from icshare.plan.packets import bridged_packets, forwarded_packets, service_packets
from icshare.plan.peers import undialled
from icshare.plan.questions import detours, may_ask_here, tells_name_servers
from icshare.plan.routing import PINNED_TABLE
from icshare.plan.steps import (
    AddRoute,
    AddRule,
    RemoveAddress,
    RemoveRoute,
    SetConntrack,
    StartFastPath,
)
from icshare.plan.transition import in_force, sysctl_key
from icshare.plan.wayout import way_out
from icshare.ports import Record
from icshare.render.fastpath import Hook
from icshare.render.firewall import FIREWALL_TABLE
from icshare.render.nft import TABLE

_DNS_SECONDS = 2.0
_BOOTPS = 67
_BRIDGE_RULES = FilePath("/proc/sys/net/bridge/bridge-nf-call-iptables")


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpNews:
    """What was heard of other DHCP servers on the segments.

    Attributes:
        silenced: Ours stays off because of them.
        servers: ``address (hardware address)`` of each.
    """

    silenced: bool
    servers: tuple[str, ...]


def check(snapshot: Snapshot, wanted: Wanted, segments: Sequence[Segment], service: Service) -> Health:
    """Test from end to end that what is *wanted* works on the host as it is now."""
    shared = _sharing(snapshot, wanted.sharing, segments, service) if wanted.sharing else ()
    return Health(checks=(*_firewall(snapshot, wanted.firewalls), *shared))


def _sharing(snapshot: Snapshot, sharing: Sharing, segments: Sequence[Segment], service: Service) -> tuple[Check, ...]:
    return (
        _rules(snapshot),
        *(_segment(snapshot, segment) for segment in segments),
        *_access_point(snapshot, sharing, segments),
        _forwarding(snapshot, sharing, segments),
        *_dns(sharing, segments, service),
        *_dhcp(sharing, segments, service),
        *_foreign(sharing, segments),
        _public(snapshot, sharing),
        *_resolvers(snapshot, sharing, segments, service),
    )


def _ok(name: str, text: str) -> Check:
    return Check(name=name, grade=Grade.OK, text=text)


def _warning(name: str, text: str, remedy: str = "") -> Check:
    return Check(name=name, grade=Grade.WARNING, text=text, remedy=remedy)


def _failed(name: str, text: str, remedy: str = "") -> Check:
    return Check(name=name, grade=Grade.FAILED, text=text, remedy=remedy)


_AGAIN = "share again: it repairs what is missing"
_PRIVILEGE = "run it with sudo for the whole answer"


def _rules(snapshot: Snapshot) -> Check:
    return _table("rules", TABLE, snapshot.ruleset, _AGAIN)


def _firewall(snapshot: Snapshot, firewalls: Sequence[Firewall]) -> Iterator[Check]:
    if not firewalls:
        return
    yield _table("firewall", FIREWALL_TABLE, snapshot.firewall, "switch the firewall on again")
    if any(one.options.log_dropped or one.options.log_opened for one in firewalls) and snapshot.log is None:
        yield _failed("firewall log", "nobody writes the firewall's log", "switch the firewall on again")


def _table(name: str, table: str, found: str | None, remedy: str) -> Check:
    if not ruleset.may_look():
        return _warning(name, "the ruleset was not looked at: that needs CAP_NET_ADMIN", _PRIVILEGE)
    if found is None:
        return _failed(name, f"table inet {table} is not loaded; something has deleted it", remedy)
    if found == ruleset.ALTERED:
        return _failed(name, f"table inet {table} is not as it was loaded; something has changed its rules", remedy)
    return _ok(name, f"table inet {table} is loaded")


def _segment(snapshot: Snapshot, segment: Segment) -> Check:
    link = snapshot.link(segment.interface)
    if link is None:
        remedy = _AGAIN if segment.bridged else "stop, then share with a connection that is there"
        return _failed("segment", f"{segment.interface} is gone", remedy)
    if not any(one.index == link.index and one.interface.ip == segment.gateway for one in snapshot.addresses):
        return _failed("segment", f"{segment.interface} has lost the gateway's address {segment.gateway}", _AGAIN)
    if not link.up:
        return _failed("segment", f"{segment.interface} is down", f"ip link set {segment.interface} up")
    gone = [name for name in segment.members if snapshot.link(name) is None]
    if gone:
        return _failed("segment", f"{', '.join(gone)} is gone", "share again with the connections that are there")
    members = [one for one in (snapshot.link(name) for name in segment.members) if one is not None]
    if segment.bridged:
        astray = [one.name for one in members if one.master != link.index]
        if astray:
            return _failed("segment", f"{', '.join(astray)} left bridge {segment.interface}", _AGAIN)
        down = [one.name for one in members if not one.up]
        if down:
            return _failed("segment", f"{', '.join(down)} is down", f"ip link set {down[0]} up")
    networks = ", ".join(map(str, segment.networks))
    serving = segment.access_point.interface if segment.access_point else None  # which has a check of its own
    unplugged = [one.name for one in members if one.name != serving and not one.flags & IFF_RUNNING]
    if unplugged:
        return _warning("segment", f"nothing is plugged into {', '.join(unplugged)} yet")
    foreign = [one.name for one in snapshot.links if one.master == link.index and one.name not in segment.members]
    also = f", also behind {', '.join(foreign)}, which others have added" if segment.bridged and foreign else ""
    return _ok("segment", f"{segment.interface} serves {networks} as {segment.gateway}{also}")


def _access_point(snapshot: Snapshot, sharing: Sharing, segments: Sequence[Segment]) -> Iterator[Check]:
    placements = [one.access_point for one in segments if one.access_point is not None]
    for placement in placements:
        link = snapshot.link(placement.interface)
        name = sharing.access_point.ssid if sharing.access_point else placement.interface
        if snapshot.access_point is None:
            yield _failed("access point", f"nobody serves the network {name}", _AGAIN)
        elif link is None or link.facts.wireless_type != InterfaceType.AP or link.facts.frequency is None:
            yield _failed("access point", f"{placement.interface} does not serve the network {name}", _AGAIN)
        else:
            channel = channel_on(link.facts.frequency) or placement.channel
            yield _ok("access point", f"{placement.interface} serves the network {name} on {channel}")


def _forwarding(snapshot: Snapshot, sharing: Sharing, segments: Sequence[Segment]) -> Check:
    names = [*(segment.interface for segment in segments), sharing.public]
    off = [
        name
        for name in names
        if snapshot.link(name) is not None and snapshot.sysctls.get(sysctl_key(name, "ipv4/forwarding")) != "1"
    ]
    if off:
        return _failed("forwarding", f"forwarding is off on {', '.join(off)}", _AGAIN)
    return _ok("forwarding", f"forwarding is on for {', '.join(names)} and was left alone elsewhere")


def _dns(sharing: Sharing, segments: Sequence[Segment], service: Service) -> Iterator[Check]:
    if service.running() is None:
        astray = "runs for a link that is gone, or as a user that others have too"
        yield _failed("dns", f"dnsmasq {astray if service.processes() else 'does not run'}", _AGAIN)
        return
    name = f"gateway.{sharing.dns.domain}"
    for segment in segments:
        if dns_check.answers(segment.gateway, name, timeout_seconds=_DNS_SECONDS):
            yield _ok("dns", f"DNS answers on {segment.gateway}")
        else:
            yield _failed("dns", f"DNS does not answer on {segment.gateway}", _AGAIN)


def _dhcp(sharing: Sharing, segments: Sequence[Segment], service: Service) -> Iterator[Check]:
    served = [segment.interface for segment in segments if segment.ethernet]
    if not served:
        return
    if not sharing.dhcp.enabled:
        yield _ok("dhcp", "DHCP is off, as the settings want it")
        return
    try:
        news = heard()
    except PrivilegeError:
        yield _warning("dhcp", "DHCP was not looked at: that needs CAP_NET_ADMIN", _PRIVILEGE)
        return
    others = ", ".join(news.servers)
    if news.silenced:
        yield _warning(
            "dhcp",
            f"another DHCP server serves this segment: {others}; ours stays off, so that no client gets two leases",
            "unplug or stop that server, then icshare stop and share again",
        )
        return
    ours = {process.pid for process in service.processes()}
    if not any(owner.pid in ours for owner in port_owners(_BOOTPS, "udp")):
        yield _failed("dhcp", "our DHCP server has no socket on port 67", _AGAIN)
        return
    if news.servers:
        yield _warning(
            "dhcp", f"another DHCP server has appeared on the segment: {others}", "unplug or stop that server"
        )
        return
    yield _ok("dhcp", f"DHCP serves on {', '.join(served)}")


def heard() -> DhcpNews:
    """Return what the ruleset has noted of other DHCP servers.

    Raises:
        PrivilegeError: The ruleset may not be read.
    """
    silenced, servers = ruleset.foreign_dhcp_servers()
    return DhcpNews(silenced=silenced, servers=tuple(f"{address} ({mac})" for address, mac in servers))


def undone(snapshot: Snapshot, record: Record) -> Iterator[Check]:
    """Look for steps on record that something else has undone, of the kinds that no other check looks at."""
    found = [
        entry.step.describe()
        for entry in record.entries
        if isinstance(entry.step, AddRule | AddRoute | RemoveAddress | RemoveRoute)
        and not in_force(snapshot, entry.step)
    ]
    if found:
        yield _failed("routing", f"something has undone what sharing needs: {'; '.join(found)}", _AGAIN)


def _is_strict(snapshot: Snapshot, link: str) -> bool:
    """Tell whether a link takes only what it would answer to itself; that of all links counts when it is higher.

    Source:
        The kernel's ``ip-sysctl.rst``, ``rp_filter``.
    """
    return max(snapshot.sysctls.get(sysctl_key(name, "ipv4/rp_filter"), "0") for name in ("all", link)) == "1"


def change(record: Record | None, *, under_way: bool) -> Iterator[Check]:
    """Look whether the last change reached its end, or may do so yet as it is under way."""
    if under_way:
        yield _warning("journal", "what is shared is being changed, which may be why something failed", "look again")
    elif record is not None and not record.complete:
        yield _failed("journal", "a change of the sharing was cut off", "icshare stop, then share again")


def fast_path(snapshot: Snapshot, record: Record) -> Iterator[Check]:
    """Look whether the fast path that was chosen is in force: a link that was plugged in again has none."""
    ways = {one.path for one in record.paths if one.path is not Path.KERNEL}
    if not ways:
        return
    if not ruleset.may_look():
        yield _warning("fast path", "the fast path was not looked at: that needs CAP_NET_ADMIN", _PRIVILEGE)
        return
    hooks = programs_on(record.paths, record.segments, snapshot)
    try:
        others = occupation(hooks) if hooks else ()
    except (PrivilegeError, NotSupportedError) as error:
        yield _warning("fast path", f"the fast path was not looked at: {error.message}", error.hint or _PRIVILEGE)
        return
    steps = [entry.step for entry in record.entries if isinstance(entry.step, StartFastPath | SetConntrack)]
    off = [one.describe() for one in steps if isinstance(one, SetConntrack) and not in_force(snapshot, one)]
    if any(isinstance(one, StartFastPath) and not in_force(snapshot, one) for one in steps):
        text = "the fast path is not on all of its links; packets go through the kernel, slower"
        yield _failed("fast path", text, _AGAIN)
    elif Path.FLOWTABLE in ways and not ruleset.flowtable_devices():
        yield _failed("fast path", "the flowtable has lost its links; packets go through the rules, slower", _AGAIN)
    elif off:
        text = f"connection tracking may call packets invalid that come after fast ones; undone: {'; '.join(off)}"
        yield _failed("fast path", text, _AGAIN)
    else:
        yield _ok("fast path", f"the fast path is in force ({', '.join(sorted(ways))})")
    _, listing = ruleset.foreign()
    hooked = find_hooked(listing)
    passed = [found for one in others for found in goes_past(one, hooks[one.name], hooked)]
    if metering := find_metering(listing):
        passed.append(Obstacle(metering))
    if Hook.XDP in hooks.values() and any(one.bridged for one in record.segments):
        passed += [Obstacle(f"{table} sees what bridges forward") for table in [find_bridging(listing)] if table]
    for found in passed:
        remedy = "share again with --fast-path auto, which chooses anew"
        text = f"the fast path goes past what others count on: {found.text}"
        yield _warning("fast path", text, f"{remedy}; or\n{found.remedy}" if found.remedy else remedy)


def hairpin(segments: Sequence[Segment]) -> Iterator[Check]:
    """Look for what keeps clients of a bridge from reaching the mappings of their own port by the public address."""
    bridged = [segment.interface for segment in segments if segment.bridged]
    if bridged and _bridge_calls_ip_rules():
        yield _warning(
            "hairpin",
            f"packets within {', '.join(bridged)} go through the machine's IP rules (bridge-nf-call-iptables), so a"
            " client may not reach what is mapped to its own port by the public address",
            "sysctl net.bridge.bridge-nf-call-iptables=0, if no Docker or Kubernetes on this machine needs it",
        )


def _bridge_calls_ip_rules() -> bool:
    return _BRIDGE_RULES.exists() and _BRIDGE_RULES.read_text(encoding="ascii").strip() == "1"


def _foreign(sharing: Sharing, segments: Sequence[Segment]) -> Iterator[Check]:
    try:
        objects, listing = ruleset.foreign()
    except PrivilegeError:
        yield _warning("firewalls", "other firewalls were not looked at: that needs CAP_NET_ADMIN", _PRIVILEGE)
        return
    ip_rules = _bridge_calls_ip_rules()
    packets = [
        packet
        for segment in segments
        for packet in (
            *(
                packet
                for network in segment.networks
                for packet in forwarded_packets(segment.interface, sharing.public, network)
            ),
            *service_packets(
                segment.interface,
                segment.network,
                gateway=IPv4Network(segment.gateway) if segment.numbered else None,
                dhcp=segment.ethernet and sharing.dhcp.enabled,
            ),
            *(bridged_packets(segment.interface, segment.network, ip_rules=ip_rules) if segment.bridged else ()),
        )
    ]
    drops = find_foreign_drops(objects, packets, listing=listing)
    for drop in drops:
        yield (_failed if drop.certain else _warning)("firewalls", str(drop), drop.remedy)
    if not drops:
        yield _ok("firewalls", "no other firewall drops the segment's traffic")


def _public(snapshot: Snapshot, sharing: Sharing) -> Check:
    link = snapshot.link(sharing.public)
    if link is None and (peer := _peer(snapshot, sharing.public)):
        text = f"{sharing.public} is not connected; clients are cut off until it is"
        return _warning("public", text, f"icshare connect {peer}")
    if link is None:
        return _warning(
            "public", f"{sharing.public} is gone; clients are cut off until it is back", "share again when it is"
        )
    if not _carries(link):
        return _warning("public", f"{sharing.public} is not connected; clients reach the Internet once it is")
    own = way_out(snapshot, link)
    pinned = next((one for one in snapshot.routes if one.table == PINNED_TABLE and one.index == link.index), None)
    if (
        own is not None and pinned is None
    ):  # the kernel drops a link's routes when it goes down, and nobody puts ours back
        return _failed(
            "public", f"{sharing.public} is not the host's default route, and the clients' own one is gone", _AGAIN
        )
    if own is not None and pinned is not None and pinned.gateway != own.gateway:
        text = f"{sharing.public} leads to the Internet by {own.gateway}, and clients are led to {pinned.gateway}"
        return _failed("public", text, _AGAIN)
    if pinned is not None and _is_strict(snapshot, sharing.public):
        text = f"answers that come in by {sharing.public} are dropped, as rp_filter is strict"
        return _failed("public", text, _AGAIN)
    if own is None and not _best(snapshot, link):
        return _warning("public", f"{sharing.public} has no default route; clients reach the Internet once it has one")
    if link.facts.ppp is not None and link.facts.ppp.waiting:
        why = next((one.why for one in snapshot.peers if one.name == link.facts.ppp.peer), "")
        if why:
            return _warning("public", f"{sharing.public} could not be dialled the last time: {why}")
        return _ok("public", f"{sharing.public} is not connected, and dials when there is traffic")
    return _ok("public", f"{sharing.public} is connected")


def _peer(snapshot: Snapshot, interface: str) -> str:
    """Return the pppd peer that would be dialled with *interface*, "" for none."""
    waiting = undialled(snapshot.links, snapshot.peers)
    return next((one.facts.ppp.peer for one in waiting if one.name == interface and one.facts.ppp), "")


def _carries(link: Link) -> bool:
    return link.up and bool(link.flags & IFF_RUNNING)


def _best(snapshot: Snapshot, link: Link) -> bool:
    return any(
        route.index == link.index and route.destination.prefixlen == 0 and route.destination.version == 4
        for route in snapshot.routes
    )


def _resolvers(snapshot: Snapshot, sharing: Sharing, segments: Sequence[Segment], service: Service) -> Iterator[Check]:
    link = snapshot.link(sharing.public)
    here = link is None or may_ask_here(link, pinned=way_out(snapshot, link) is not None)
    direct = service.files.direct
    servers = sharing.dns.servers or snapshot.resolvers
    if link is not None and tells_name_servers(link):
        return  # the other end's own, by the other end
    if not here and direct is not None and not sharing.dns.servers:
        servers = tuple(one for one in name_servers(FilePath(direct)) if isinstance(one, IPv4Address))
    if link is not None and servers and service.account is not None:
        barred = detours(snapshot, link, segments, servers, here=here)
        if len(barred) == len(servers):
            yield _warning(
                "resolvers",
                f"clients resolve only each other's names: {'; '.join(barred.values())}",
                f"set servers under [dns] in icshare.toml that {sharing.public} leads to",
            )
    if not snapshot.resolvers and not sharing.dns.servers:
        yield _warning(
            "resolvers",
            "the host has no name server, so clients resolve only each other's names",
            "connect the public connection, or set servers under [dns] in icshare.toml",
        )
