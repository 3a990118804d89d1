"""The steps that lead clients' packets on: forwarding, and policy rules to a way out that is not the host's own."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Interface

from icshare.model.link import RT_MAIN, Link, Route
from icshare.model.names import InterfaceName
from icshare.model.sharing import Segment
from icshare.model.snapshot import Snapshot
from icshare.plan import steps as s
from icshare.plan.steps import AnyStep, LinkRef
from icshare.plan.transition import sysctl_key
from icshare.plan.wayout import DEFAULT, WIDEST

PINNED_TABLE = 13_700
"""Routing table with the default route of a public connection that does not carry the host's own."""

RULE_PRIORITY = 13_700
"""Priority of our first policy rule; before main (32766), after local (0)."""

NOBODYS_ADDRESS = IPv4Interface("192.0.0.8/32")
"""Address that holds routes: the IPv4 dummy address, which no packet ever bears (RFC 7600, section 4.8)."""


def forward(baseline: Snapshot, public: Link, segments: Sequence[Segment]) -> Iterator[AnyStep]:
    """Turn forwarding on for the links of the sharing alone: the host is no router for others."""
    for ref in [*(LinkRef.called(segment.interface, baseline) for segment in segments), LinkRef.to(public)]:
        # What a link that we make has inherited is no reason to leave the step out: others may change the default while
        # the link is there, and taking back a step that is not wanted any more would cut its clients off.
        made = baseline.link(ref.name) is None
        previous = "0" if made else _sysctl(baseline, ref.name, "ipv4/forwarding", "0")
        if previous != "1":
            yield s.SetSysctl(link=ref, setting="ipv4/forwarding", value="1", previous=previous)


def pin(
    baseline: Snapshot, public: Link, segments: Sequence[Segment], account: int | None, route: Route
) -> Iterator[AnyStep]:
    """Lead the segments' packets, and our name server's, out of the public link and nowhere else, unreachable first."""
    whose: list[tuple[InterfaceName | None, int | None]] = [(segment.interface, None) for segment in segments]
    whose += [(None, account)] if account is not None else []
    for link, user in whose:
        yield s.AddRule(link=link, account=user, priority=RULE_PRIORITY + 2)
    gateway = route.gateway if isinstance(route.gateway, IPv4Address) else None
    if public.on_demand:
        # Each time it dials, pppd takes its address away and gives it the new one; with the last address of a link go
        # all routes through it, ours too.
        yield s.AddAddress(link=LinkRef.to(public), address=NOBODYS_ADDRESS, holds_routes=True)
    yield s.AddRoute(link=LinkRef.to(public), destination=DEFAULT, gateway=gateway, table=PINNED_TABLE)
    for link, user in whose:
        yield s.AddRule(link=link, account=user, priority=RULE_PRIORITY, table=RT_MAIN, suppress_prefixlength=WIDEST)
        yield s.AddRule(link=link, account=user, priority=RULE_PRIORITY + 1, table=PINNED_TABLE)
    previous = _sysctl(baseline, public.name, "ipv4/rp_filter", "0")
    strict = "1" in {previous, _sysctl(baseline, "all", "ipv4/rp_filter", "0")}
    if strict and previous != "2":  # answers come in by a link that the main table would not answer to: loose mode
        yield s.SetSysctl(link=LinkRef.to(public), setting="ipv4/rp_filter", value="2", previous=previous)


def _sysctl(snapshot: Snapshot, link: str, setting: str, otherwise: str) -> str:
    inherited = snapshot.sysctls.get(sysctl_key("default", setting), otherwise)
    return snapshot.sysctls.get(sysctl_key(link, setting), inherited)
