"""What has to be done: from a host without us and a wanted sharing to the steps that make it so.

Theory of operation
-------------------
The plan is always made from the *baseline*: the observed host with everything we did taken back in thought
(`transition.rewind`). So one sharing on one host has one plan, whatever was shared before, and what really has to be
run is the difference between that plan and the steps in force (`diff`). A converged host yields no difference.

The order of the steps is a promise, because they are taken back in reverse: the ruleset comes first and goes last, so
nothing leaves un-translated at any moment; a private link loses its own routes and addresses before it gets ours or
becomes a bridge port; forwarding is on only while the ruleset is there; clients are served last, and an access point
lets them in only when all is there that they will ask for. The fast path is the very last, as it goes past all that is
before it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from icshare.model.connection import Connection, Status
from icshare.model.fastpath import Abilities, Mode, PairPath
from icshare.model.firewall import Firewall
from icshare.model.link import Link
from icshare.model.names import InterfaceName
from icshare.model.sharing import Segment, Sharing, Wanted
from icshare.model.snapshot import Snapshot
from icshare.plan import steps as s
from icshare.plan.accesspoint import ChannelsIn, unknown_country
from icshare.plan.fastpath import SETTINGS, Choice, choose, links_of
from icshare.plan.questions import may_ask_here, tells_name_servers
from icshare.plan.routing import forward, pin
from icshare.plan.segmentlinks import add_gateway, make_segment_links, mtu_of
from icshare.plan.segments import Members, Present, choose_segments, refuse_bad_dhcp
from icshare.plan.serving import make_access_point_link, serve_by_hostapd, set_country
from icshare.plan.steps import AnyStep
from icshare.plan.validate import validate
from icshare.plan.wayout import way_out
from icshare.render.dnsmasq import ServiceFiles, configuration
from icshare.render.firewall import firewall_ruleset
from icshare.render.logsettings import LogSettings, log_configuration
from icshare.render.nft import Questions, ruleset

AbilitiesOf = Callable[[Sequence[InterfaceName]], Abilities | None]
"""Tells what links and the kernel can do for a fast path, None where that cannot be known."""


def unknown_abilities(_: Sequence[InterfaceName]) -> None:
    """Know nothing of what links can do."""
    return


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
        abilities: Tells what links can do for a fast path.
    """

    files: ServiceFiles
    user: str
    profile: UUID
    account: int | None = None
    dialled: str = "/etc/ppp/resolv.conf"
    channels_in: ChannelsIn = unknown_country
    abilities: AbilitiesOf = unknown_abilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is wanted, made concrete.

    Attributes:
        wanted: What is wanted.
        segments: The private segments, the main one first.
        steps: All that has to be so, in order, from a host without us.
        notes: What people should know: why this subnet, what waits for the cable, which port stays open.
        paths: How the later packets of connections go, for each private connection; () when it is not known.
    """

    wanted: Wanted
    segments: tuple[Segment, ...] = ()
    steps: tuple[AnyStep, ...]
    notes: tuple[str, ...] = ()
    paths: tuple[PairPath, ...] = ()

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
    present = present or Present()
    placement = validate(sharing, connections, baseline, environment.channels_in)
    known = {connection.interface: connection for connection in connections}
    segments, why = choose_segments(Members(sharing, placement, known), baseline, present)
    refuse_bad_dhcp(sharing, segments)
    public = baseline.standing_link(sharing.public)
    notes = [*([placement.note] if placement and placement.note else []), *why]
    notes += _notes(sharing, known[sharing.public])
    pinned = way_out(baseline, public)
    here = may_ask_here(public, pinned=pinned is not None)
    questions = None
    if environment.account is not None:
        questions = Questions(account=environment.account, here=here, wireguard=public.kind == "wireguard")
    access_point = sharing.access_point
    able = None if sharing.fast_path is Mode.OFF else environment.abilities(links_of(public, segments, baseline))
    fast = choose(sharing, segments, baseline, able)
    steps = (
        *_protection(wanted),
        s.LoadRuleset(text=ruleset(sharing, segments, questions, on_demand=public.on_demand, fast=fast.rules)),
        *set_country(access_point, baseline),
        *(
            step
            for segment in segments
            for step in make_segment_links(
                segment,
                baseline,
                present,
                make_access_point_link(access_point, segment, baseline, environment.profile),
            )
        ),
        *forward(baseline, public, segments),
        *(pin(baseline, public, segments, environment.account, pinned) if pinned else ()),
        *(step for segment in segments for step in add_gateway(segment, baseline)),
        *_services(sharing, segments, public, baseline, environment, here=here),
        *(step for segment in segments for step in serve_by_hostapd(access_point, segment, baseline)),
        *_go_fast(fast, baseline, present),
    )
    notes += fast.notes
    if pinned:
        notes.append(f"another connection carries the host's default route; clients leave by {sharing.public} alone")
    if not here and questions is None:
        notes.append(
            f"the name server has no account of its own here, so its questions are not kept on {sharing.public}"
        )
    notes += _open_logins(wanted.firewalls)
    return Plan(wanted=wanted, segments=segments, steps=steps, notes=tuple(notes), paths=fast.pairs)


def _go_fast(fast: Choice, baseline: Snapshot, present: Present) -> Iterator[AnyStep]:
    """Start our programs, and have connection tracking overlook what it does not see any more.

    That stays when programs have gone: it would call invalid what comes of connections whose later segments it has not
    seen, and these would hang for good.
    """
    for setting in SETTINGS if fast.programs or present.went_fast else ():
        previous = baseline.conntrack.get(setting, "0")  # there is none before its module is loaded
        if previous != "1":
            yield s.SetConntrack(setting=setting, value="1", previous=previous)
    if fast.programs:
        yield s.StartFastPath(text=fast.programs)


def _protection(wanted: Wanted) -> Iterator[AnyStep]:
    """Write the log before there is something to log, protect before there is something to protect."""
    options = [one.options for one in wanted.firewalls]
    opened = any(one.log_opened for one in options)
    if opened or any(one.log_dropped for one in options):
        yield s.StartLog(text=log_configuration(LogSettings(opened=opened)))
    if wanted.firewalls:
        yield s.LoadFirewall(text=firewall_ruleset(wanted.firewalls))


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
    text = configuration(sharing, segments, files, user=environment.user, mtus=mtus, on_demand=public.on_demand)
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
    return (environment.dialled, *(own if public.on_demand else ()))


def _told_mtu(segment: Segment, public: Link, baseline: Snapshot) -> int | None:
    """Return the MTU that clients of *segment* have to be told, None when that of their cable will do."""
    own = [mtu_of(name, baseline) for name in segment.members]
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
