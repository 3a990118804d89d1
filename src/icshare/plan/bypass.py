"""What programs of ours go past on their links: what others have set up there, and does not see the packets."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from icshare.model.fastpath import Abilities, LinkAbility, PairPath, Path
from icshare.model.names import InterfaceName
from icshare.model.sharing import Segment
from icshare.model.snapshot import Snapshot
from icshare.render.fastpath import Hook

Able = Callable[[Sequence[InterfaceName]], Abilities | None]
"""Tells what the links of some names can do, those that are there; None when nobody may look."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands in the way of a path, and what takes it away ("" for nothing)."""

    text: str
    remedy: str = ""


def below_vlans(names: Iterable[str], snapshot: Snapshot) -> Iterator[InterfaceName]:
    """Yield the links below those of *names* that are VLANs; names of links that are not there yield nothing."""
    for link in map(snapshot.link, names):
        lower = snapshot.link_by_index(link.lower) if link is not None and link.kind == "vlan" else None
        if lower is not None:
            yield InterfaceName(lower.name)


def gone_past(
    paths: Iterable[PairPath], segments: Sequence[Segment], snapshot: Snapshot, able: Able
) -> Iterator[Obstacle]:
    """Yield what somebody has put on the links since programs of ours were chosen for them.

    Args:
        paths: What was chosen.
        segments: The segments in force.
        snapshot: The host as it is.
        able: Tells what links can do.
    """
    hooks: dict[InterfaceName, Hook] = {}
    for hook, path in ((Hook.TC, Path.TC), (Hook.XDP, Path.XDP)):
        names = [name for pair in paths if pair.path is path for name in _links_of_pair(pair, segments, hook)]
        hooks |= dict.fromkeys((*names, *(below_vlans(names, snapshot) if hook is Hook.XDP else ())), hook)
    found = able(tuple(hooks)) if hooks else None
    for ability in found.links if found is not None else ():
        yield from goes_past(ability, hooks[ability.name])


def _links_of_pair(pair: PairPath, segments: Sequence[Segment], hook: Hook) -> Iterator[InterfaceName]:
    yield pair.public
    yield from (one.interface for one in segments if pair.private in one.members)
    if hook is Hook.XDP:
        yield pair.private


def goes_past(ability: LinkAbility, hook: Hook) -> Iterator[Obstacle]:
    """Yield what somebody else has on a link that a program of ours at *hook* goes past, or would."""
    name = ability.name
    if ability.foreign_filters:
        remedy = f"tc filter del dev {name} ingress, if nobody needs them"
        yield Obstacle(f"{name} has tc filters of somebody else", remedy)
    if hook is Hook.TC:  # which comes after tcx, and sends by the queueing discipline
        return
    if ability.foreign_tcx:
        yield Obstacle(f"{name} has tcx programs of somebody else", "bpftool net show tells whose they are")
    if ability.shaping:
        yield Obstacle(f"{name} is shaped ({ability.qdisc})", f"tc qdisc del dev {name} root, if it need not be")
