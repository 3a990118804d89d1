"""Print what is shared, and how a client finds its settings."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from icshare.cli.output import Cell, Printer
from icshare.cli.words import span_in_words

if TYPE_CHECKING:
    from icshare.model.sharing import Segment, Sharing
    from icshare.model.status import Check


def print_summary(out: Printer, sharing: "Sharing", segments: "Sequence[Segment]") -> None:
    """Print the segments and the clients' settings."""
    pairs: list[tuple[str, str]] = []
    for number, segment in enumerate(segments):
        pairs += _segment(sharing, segment, main=number == 0)
    pairs.append(("firewall", f"protects {sharing.public}" if sharing.firewall else f"off: {sharing.public} is open"))
    out.fields(pairs)


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


def _segment(sharing: "Sharing", segment: "Segment", *, main: bool) -> Iterator[tuple[str, str]]:
    from icshare.model.leasing import lease_pool

    members = f", a bridge of {', '.join(segment.members)}" if segment.bridged else ""
    yield "network", f"{segment.network} on {segment.interface}{members}"
    yield "gateway", f"{segment.gateway}, also the DNS server (names under {sharing.dns.domain})"
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
