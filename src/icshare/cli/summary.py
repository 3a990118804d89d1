"""Print what is shared, and how a client finds its settings."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from icshare.cli.output import Cell, Printer
from icshare.cli.words import quantity, span_in_words

if TYPE_CHECKING:
    from icshare.model.fastpath import FastPackets, PairPath
    from icshare.model.firewall import Firewall
    from icshare.model.mapping import MappingStatus
    from icshare.model.sharing import Segment, Sharing
    from icshare.model.status import Check
    from icshare.model.wifi import AccessPoint, Placement
    from icshare.plan.steps import AnyStep

_STATES = ("active", "inactive", "disabled")
_FEW = 10


def partners(sharing: "Sharing") -> str:
    """Return with what is shared: the private connections, and an access point beside the public one on its radio."""
    names: list[str] = list(sharing.privates)
    if sharing.access_point is not None and sharing.access_point.interface == sharing.public:
        names.append(f"the access point {sharing.access_point.ssid}")
    return ", ".join(names)


def placement_in(segments: "Iterable[Segment]") -> "Placement | None":
    """Return where the access point in one of *segments* is, None without one."""
    return next((one.access_point for one in segments if one.access_point is not None), None)


def security_in(steps: "Iterable[AnyStep]") -> str:
    """Return what clients join the access point by that *steps* start: WPA3 too, where its radio and its maker can."""
    from icshare.plan.steps import StartAccessPoint

    found = [one for one in steps if isinstance(one, StartAccessPoint)]
    return "WPA2/WPA3" if any(not one.networkmanager and "SAE" in one.text for one in found) else "WPA2"


def print_summary(
    out: Printer,
    sharing: "Sharing",
    segments: "Sequence[Segment]",
    firewalls: "Sequence[Firewall]",
    mappings: "Sequence[MappingStatus]" = (),
    *,
    paths: "Sequence[PairPath]" = (),
    packets: "FastPackets | None" = None,
) -> None:
    """Print the segments, the clients' settings, what is protected, how many mappings there are, the fast path."""
    pairs: list[tuple[str, str]] = []
    for number, segment in enumerate(segments):
        pairs += _segment(sharing, segment, main=number == 0)
    if sharing.access_point is not None:
        pairs.append(("Wi-Fi", _in_words(sharing.access_point, placement_in(segments))))
    pairs += [*_protection(sharing.public, firewalls), *_mappings(mappings)]
    pairs += [("fast path", words) for words in paths_in_words(paths)]
    if packets is not None:
        rest = sum(packets.kernel.values())
        pairs.append(("packets", f"{packets.fast} went fast, {rest} through the kernel"))
    out.fields(pairs)


def print_firewalls(out: Printer, firewalls: "Sequence[Firewall]", mappings: "Sequence[MappingStatus]") -> None:
    """Print what is protected, and how many mappings there are, while nothing is shared."""
    out.fields([*_protection(None, firewalls), *_mappings(mappings)])


def mapping_notes(mappings: "Iterable[MappingStatus]") -> Iterator[str]:
    """Yield a note on each mapping that is inactive, and in place of many how many more there are."""
    inactive = [one for one in mappings if one.state == "inactive"]
    for one in inactive[:_FEW]:
        yield f"the mapping {one.mapping.name} is inactive: {one.text}"
    if len(inactive) > _FEW:
        yield f"{quantity(len(inactive) - _FEW, 'more mapping')} inactive; icshare map list shows them all"


def print_notes(out: Printer, notes: Iterable[str], warnings: "Iterable[Check]" = ()) -> None:
    """Print what people should know."""
    lines = [(Cell("note: ", "bold"), note) for note in notes]
    for check in warnings:
        lines.append((Cell("warning: ", "bold yellow"), check.text))
        if check.remedy:
            lines.append((Cell("  mend: ", "bold"), check.remedy))
    if lines:
        out.line()
    for mark, text in lines:
        out.line(mark, text)


def _in_words(access_point: "AccessPoint", placement: "Placement | None") -> str:
    words = [f"{access_point.ssid} on {placement.interface if placement else access_point.interface}"]
    words += [str(placement.channel)] if placement else []
    words += ["not announced"] if access_point.hidden else []
    words += ["clients kept apart"] if access_point.isolated else []
    return ", ".join(words)


def _protection(public: str | None, firewalls: "Sequence[Firewall]") -> Iterator[tuple[str, str]]:
    protected = sorted((one.interface for one in firewalls), key=lambda name: name != public)
    words = [f"protects {', '.join(protected)}"] if protected else []
    if public is not None and public not in protected:
        words.insert(0, f"off: {public} is open")
    if words:
        yield "firewall", "; ".join(words)


def _mappings(mappings: "Sequence[MappingStatus]") -> Iterator[tuple[str, str]]:
    counts = Counter(one.state.value for one in mappings)
    if counts:
        yield "mappings", ", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state])


_PATHS = {"xdp": "XDP", "tc": "tc", "flowtable": "flowtable", "kernel": "none"}


def paths_in_words(paths: "Sequence[PairPath]") -> Iterator[str]:
    """Yield a line for each path and reason."""
    ways: dict[tuple[str, str], list[str]] = {}
    for one in paths:
        ways.setdefault((_PATHS[one.path], one.reason), []).append(one.private)
    for (way, reason), privates in ways.items():
        yield f"{way} for {', '.join(privates)}: {reason}"


def _segment(sharing: "Sharing", segment: "Segment", *, main: bool) -> Iterator[tuple[str, str]]:
    from icshare.model.leasing import lease_pool

    members = f", a bridge of {', '.join(segment.members)}" if segment.bridged else ""
    yield "network", f"{', '.join(map(str, segment.networks))} on {segment.interface}{members}"
    yield "gateway", f"{segment.gateway}, also the DNS server (names under {sharing.dns.domain})"
    if segment.numbered:
        yield "clients", "have their addresses: the link keeps those that it has"
        return
    if not (sharing.dhcp.enabled and segment.ethernet):
        yield "clients", "have to be given their settings by hand: there is no DHCP here"
        return
    settings = sharing.dhcp
    pool = lease_pool(
        segment.network,
        first=settings.pool_first if main else None,
        last=settings.pool_last if main else None,
    )
    lease = span_in_words(settings.lease_seconds)
    yield "clients", f"get {pool.first} to {pool.last} by DHCP, for {lease} at a time"
