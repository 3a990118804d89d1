"""What the fast path has to show, as data, and whether it does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.paths.contenders import BARE, FLOWTABLE, OFF, PLAIN, TC, XDP, XDP_CONNTRACK
from benchmarks.paths.results import BULK, CONNECTIONS, LOADED, MEASURES, PACKETS, Results

OURS: Final = (OFF, TC, XDP, XDP_CONNTRACK, FLOWTABLE)
NETWORK_MANAGER: Final = "NetworkManager shared"
FILTERING: Final = (NETWORK_MANAGER, "firewalld masquerade", "linux-router rules")
"""Peers that refuse something, and do not only translate and let pass."""

Other = Callable[[Results], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One of ours is to be so many times what others are, or better.

    Attributes:
        ours: Who of us.
        name: What the others are called.
        others: Who they are.
        measures: In what.
        times: How many times at least; of what is better when it is less, at most.
    """

    ours: str
    name: str
    others: Other
    measures: Sequence[str]
    times: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found of a goal by one measure.

    Attributes:
        goal: The goal.
        measure: The measure.
        other: The other it came down to: the one that does best against us; "" when nothing could be compared.
        times: How many times it.
        met: Whether that is enough; None when nothing could be compared.
    """

    goal: Goal
    measure: str
    other: str
    times: float
    met: bool | None


def _only(name: str) -> Other:
    return lambda _: (name,)


def _peers(results: Results) -> Sequence[str]:
    return [one for one in results.contenders if one not in (*OURS, PLAIN, BARE)]


def _filtering(results: Results) -> Sequence[str]:
    return [one for one in results.contenders if one in FILTERING]


_PEER, _FILTER = "every peer", "every peer that filters"
GOALS: Final[Sequence[Goal]] = (
    Goal(ours=XDP, name=NETWORK_MANAGER, others=_only(NETWORK_MANAGER), measures=PACKETS, times=3.5),
    Goal(ours=XDP, name=_PEER, others=_peers, measures=PACKETS, times=3),
    Goal(ours=XDP, name=PLAIN, others=_only(PLAIN), measures=PACKETS, times=2),
    Goal(ours=XDP, name=BARE, others=_only(BARE), measures=PACKETS, times=0.92),
    Goal(ours=XDP_CONNTRACK, name=_PEER, others=_peers, measures=PACKETS, times=1.8),
    Goal(ours=TC, name=OFF, others=_only(OFF), measures=PACKETS, times=1.3),
    Goal(ours=OFF, name=NETWORK_MANAGER, others=_only(NETWORK_MANAGER), measures=PACKETS, times=0.95),
    *(Goal(ours=one, name=PLAIN, others=_only(PLAIN), measures=BULK, times=0.97) for one in (OFF, TC, XDP, FLOWTABLE)),
    *(Goal(ours=one, name=_FILTER, others=_filtering, measures=(CONNECTIONS,), times=1) for one in (OFF, TC, XDP)),
    *(Goal(ours=one, name=_PEER, others=_peers, measures=LOADED[1:], times=1) for one in (OFF, TC, XDP)),
)


def judge(goal: Goal, results: Results) -> list[Verdict]:
    """Return a verdict for each measure of a goal."""
    return [_verdict(goal, results, measure) for measure in goal.measures]


def _verdict(goal: Goal, results: Results, measure: str) -> Verdict:
    sign = 1 if MEASURES[measure].more_is_better else -1
    found = {
        other: ratio.median
        for other in goal.others(results)
        if (ratio := results.ratio(goal.ours, other, measure)) is not None
    }
    if not found:
        return Verdict(goal=goal, measure=measure, other="", times=0, met=None)
    other = min(found, key=lambda one: sign * found[one])
    times = found[other]
    return Verdict(goal=goal, measure=measure, other=other, times=times, met=sign * times >= sign * goal.times)
