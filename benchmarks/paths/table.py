"""What was measured, as text: ratios first, as they are what another machine can be compared by."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from benchmarks.paths.contenders import PLAIN
from benchmarks.paths.goals import GOALS, Goal, judge
from benchmarks.paths.results import BULK, CONNECTIONS, CPU, IDLE, LOADED, MEASURES, PACKETS, Results, figure

GROUPS: Final[Sequence[tuple[str, Sequence[str]]]] = (
    ("small packets of so many flows, one core", PACKETS),
    ("connections and bulk TCP", (CONNECTIONS, *BULK, *CPU)),
    ("an answer's time", (*IDLE, *LOADED)),
)
_NAME, _COLUMN = 24, 17


def lines(results: Results) -> Iterator[str]:
    """Yield the whole report."""
    for title, measures in GROUPS:
        yield from _table(f"{title}: times {PLAIN} (* less is better)", results, measures, _ratio_cell)
    yield ""
    yield from goal_lines(results)
    for title, measures in GROUPS:
        units = ", ".join(dict.fromkeys(MEASURES[one].name for one in measures))
        yield from _table(f"{title}: median in {units}, and spread", results, measures, _value_cell)
    yield from absent_lines(results)


def goal_lines(results: Results) -> Iterator[str]:
    """Yield one line for each goal: the measure that comes nearest to missing it, and all ratios."""
    yield "goals, by the median of the repeats' ratios"
    for goal in GOALS:
        yield f"  {goal_text(goal)}: {_outcome(goal, results)}"


def goal_text(goal: Goal) -> str:
    """Return what a goal demands."""
    sign = ">=" if MEASURES[goal.measures[0]].more_is_better else "<="
    return f"{goal.ours} {sign} {goal.times:g} x {goal.name}, {_measures(goal)}"


def missed(results: Results) -> int:
    """Return how many goals were missed."""
    return sum(any(one.met is False for one in judge(goal, results)) for goal in GOALS)


def absent_lines(results: Results) -> Iterator[str]:
    """Yield who could not be measured, in what, and why."""
    if not results.absent and not results.unable:
        return
    yield ""
    yield "not measured"
    for name, reason in results.absent.items():
        yield f"  {name}: {reason}"
    reasons: dict[tuple[str, str], list[str]] = {}
    for (name, measure), reason in results.unable.items():
        reasons.setdefault((name, reason), []).append(measure)
    for (name, reason), measures in reasons.items():
        yield f"  {name} ({'; '.join(measures)}): {reason}"


def _measures(goal: Goal) -> str:
    return "small packets" if goal.measures == PACKETS else "; ".join(goal.measures)


def _outcome(goal: Goal, results: Results) -> str:
    verdicts = judge(goal, results)
    known = [one for one in verdicts if one.met is not None]
    if not known:
        return f"not judged, as {goal.ours if goal.ours in results.absent else goal.name} was not measured"
    found = "  ".join(f"{one.times:.2f}" for one in known)
    failed = [one for one in known if not one.met]
    named = "" if all(one.other == goal.name for one in known) else f" ({known[0].other})"
    if not failed:
        return f"{found}{named}: met"
    most = max(abs(one.times / goal.times - 1) for one in failed)
    return f"{found}{named}: MISSED by {most:.0%} in {len(failed)} of {len(known)}"


def _table(
    title: str, results: Results, measures: Sequence[str], cell: Callable[[Results, str, str], str]
) -> Iterator[str]:
    rows = {name: [cell(results, name, one) for one in measures] for name in results.contenders}
    if not any(map(any, rows.values())):
        return
    yield ""
    yield title
    yield " " * _NAME + "".join(f"{_head(one):>{_COLUMN}}" for one in measures)
    for name, cells in rows.items():
        if any(cells):
            yield f"{name:{_NAME}}" + "".join(f"{one or '-':>{_COLUMN}}" for one in cells)


def _head(measure: str) -> str:
    unit = MEASURES[measure]
    return measure.replace(" flows", "").replace(" flow", "") + ("" if unit.more_is_better else " *")


def _ratio_cell(results: Results, name: str, measure: str) -> str:
    ratio = results.ratio(name, PLAIN, measure)
    return "" if ratio is None else f"{ratio.median:.2f}"


def _value_cell(results: Results, name: str, measure: str) -> str:
    summary, unit = results.summary(name, measure), MEASURES[measure]
    return "" if summary is None else f"{figure(summary.median / unit.scale)} {100 * summary.spread:3.0f} %"
