"""Print what is shared, and how a client finds its settings."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from icshare.cli.output import Cell, Printer
from icshare.cli.words import quantity, span_in_words

if TYPE_CHECKING:
    from icshare.model.firewall import Firewall
    from icshare.model.mapping import MappingStatus
    from icshare.model.sharing import Segment, Sharing
    from icshare.model.status import Check

_STATES = ("active", "inactive", "disabled")
_FEW = 10


def print_summary(
    out: Printer,
    sharing: "Sharing",
    segments: "Sequence[Segment]",
    firewalls: "Sequence[Firewall]",
    mappings: "Sequence[MappingStatus]" = (),
) -> None:
    """Print the segments, the clients' settings, what is protected, and how many mappings there are."""
    pairs: list[tuple[str, str]] = []
    for number, segment in enumerate(segments):
        pairs += _segment(sharing, segment, main=number == 0)
    out.fields([*pairs, *_protection(sharing.public, firewalls), *_mappings(mappings)])


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
