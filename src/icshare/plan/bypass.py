"""What programs of ours go past on their links: what others have set up there, and does not see the packets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from icshare.model.fastpath import LinkAbility, PairPath, Path
from icshare.model.names import InterfaceName
from icshare.model.sharing import Segment
from icshare.model.snapshot import Snapshot
from icshare.render.fastpath import Hook

_GATHERING = frozenset({"bond", "team"})


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands in the way of a path, and the commands that take it away ("" for none)."""

    text: str
    remedy: str = ""


def links_below(names: Iterable[str], snapshot: Snapshot) -> Iterator[InterfaceName]:
    """Yield the links that carry the frames of *names*: those below VLANs, and the ports of bonds."""
    for link in map(snapshot.link, names):
        if link is None:
            continue
        below = snapshot.link_by_index(link.lower) if link.kind == "vlan" else None
        found = [below] if below is not None else []
        if link.kind in _GATHERING:
            found += [one for one in snapshot.links if one.master == link.index]
        for one in found:
            yield InterfaceName(one.name)
            yield from links_below([one.name], snapshot)


def programs_on(
    paths: Iterable[PairPath], segments: Sequence[Segment], snapshot: Snapshot
) -> Mapping[InterfaceName, Hook]:
    """Return the links with programs of ours, those above and below them, and at which hook these are.

    Args:
        paths: What was chosen.
        segments: The segments in force.
        snapshot: The host as it is.
    """
    chosen = list(paths)
    hooks: dict[InterfaceName, Hook] = {}
    for hook, path in ((Hook.TC, Path.TC), (Hook.XDP, Path.XDP)):
        names = [name for pair in chosen if pair.path is path for name in _links_of(pair, segments, hook)]
        below = links_below(names, snapshot) if hook is Hook.XDP else ()
        hooks |= dict.fromkeys((*names, *below), hook)
    return hooks


def _links_of(pair: PairPath, segments: Sequence[Segment], hook: Hook) -> Iterator[InterfaceName]:
    yield pair.public
    yield from (one.interface for one in segments if pair.private in one.members)
    if hook is Hook.XDP:
        yield pair.private


def goes_past(ability: LinkAbility, hook: Hook, hooked: Mapping[str, str]) -> Iterator[Obstacle]:
    """Yield what somebody else has on a link that a program of ours at *hook* goes past, or would.

    One at tc comes after tcx and the filters before it, and what it sends meets the filters and the queueing discipline
    of the link that it goes out by; but nftables' chains at links come after tc, and skip what it sends.

    Args:
        ability: What is on the link.
        hook: Where ours is.
        hooked: Tables with chains at links, by names and patterns of these.
    """
    name = ability.name
    for table in dict.fromkeys(table for pattern, table in hooked.items() if fnmatchcase(name, pattern)):
        yield Obstacle(f"{name} has chains of {table}")
    filters = [one for one in ability.foreign_filters if hook is Hook.XDP or one.late]
    if filters:
        commands = dict.fromkeys(f"tc filter del {one.place}" for one in filters)
        yield Obstacle(f"{name} has tc filters of somebody else", "\n".join(commands))
    if hook is Hook.TC:
        return
    if ability.foreign_xdp:
        yield Obstacle(
            f"{name} has an XDP program of somebody else", f"ip link set dev {name} {ability.foreign_xdp} off"
        )
    if ability.foreign_tcx:
        yield Obstacle(f"{name} has tcx programs of somebody else (bpftool net show dev {name})")
    if ability.shaping:
        yield Obstacle(f"{name} has the queueing discipline {ability.shaping}", f"tc qdisc del dev {name} root")
