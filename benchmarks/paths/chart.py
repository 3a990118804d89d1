"""The chart: one panel for each measure, one bar for each contender, a line for the middle half of the repeats."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from benchmarks.paths.contenders import BARE, PLAIN
from benchmarks.paths.goals import OURS
from benchmarks.paths.results import BULK, CONNECTIONS, CPU, IDLE, LOADED, MEASURES, PACKETS, Results, Summary, figure

PANELS: Final[Sequence[str]] = (*PACKETS, CONNECTIONS, CPU[0], *BULK, *IDLE[1:], *LOADED[1:])
COLUMNS: Final = 2
WIDTH: Final = 1120
_MARGIN, _GAP, _HEAD, _FOOT = 24, 32, 92, 16
_PANEL = (WIDTH - 2 * _MARGIN - _GAP * (COLUMNS - 1)) / COLUMNS
_LABEL, _NUMBER = 170, 64
_ROW, _BAR, _TITLE = 20, 13, 34
_ROOM: Final = 1.3
_OURS, _PEER, _LIMIT, _INK, _FAINT = "#1f6fb4", "#d98324", "#9aa3ab", "#20262c", "#6b747c"

Rows = Sequence[tuple[str, Summary]]


def draw(results: Results, subtitle: str) -> str:
    """Return the chart as an SVG document."""
    panels = [(measure, rows) for measure in PANELS if (rows := _rows(results, measure))]
    heights = [_TITLE + _ROW * len(rows) + _GAP / 2 for _, rows in panels]
    lines = [max(heights[place : place + COLUMNS]) for place in range(0, len(heights), COLUMNS)]
    height = _HEAD + sum(lines) + _FOOT
    return "\n".join(_document(panels, lines, height, subtitle)) + "\n"


def _document(
    panels: Sequence[tuple[str, Rows]], lines: Sequence[float], height: float, subtitle: str
) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="12">'
    )
    yield f'<rect width="{WIDTH}" height="{height:.0f}" fill="white"/>'
    yield _text(_MARGIN, 32, "Ways through a gateway", size=20, weight="bold")
    yield _text(_MARGIN, 52, f"{subtitle}; bars are medians, lines the middle half of the repeats", colour=_FAINT)
    x = float(_MARGIN)
    for colour, name in ((_OURS, "icshare"), (_PEER, "others"), (_LIMIT, "no gateway with NAT: routing, bare XDP")):
        yield f'<rect x="{x:.1f}" y="63" width="12" height="12" fill="{colour}"/>'
        yield _text(x + 17, 73, name)
        x += 40 + 7.2 * len(name)
    for number, (measure, rows) in enumerate(panels):
        line, column = divmod(number, COLUMNS)
        yield from _panel(_MARGIN + column * (_PANEL + _GAP), _HEAD + sum(lines[:line]), measure, rows)
    yield "</svg>"


def _rows(results: Results, measure: str) -> Rows:
    found = [(name, one) for name in results.contenders if (one := results.summary(name, measure)) is not None]
    return sorted(found, key=lambda row: row[1].median, reverse=MEASURES[measure].more_is_better)


def _panel(x: float, y: float, measure: str, rows: Rows) -> Iterator[str]:
    unit = MEASURES[measure]
    better = "more" if unit.more_is_better else "less"
    yield _text(x, y + 16, measure, size=14, weight="bold")
    yield _text(x + _PANEL, y + 16, f"{unit.name}, {better} is better", colour=_FAINT, anchor="end")
    room = _PANEL - _LABEL - _NUMBER
    # One contender that is all over the place must not make the others' bars unreadable: its whisker is cut off.
    most = min(max(one.high for _, one in rows), _ROOM * max(one.median for _, one in rows)) or 1
    for number, (name, one) in enumerate(rows):
        top = y + _TITLE - 8 + number * _ROW
        middle = top + _BAR / 2
        colour = _OURS if name in OURS else _LIMIT if name in (PLAIN, BARE) else _PEER
        yield _text(x + _LABEL - 8, top + 11, name, anchor="end")
        yield (
            f'<rect x="{x + _LABEL:.1f}" y="{top:.1f}" width="{room * one.median / most:.1f}" height="{_BAR}" '
            f'fill="{colour}"/>'
        )
        if one.low < one.high:
            yield from _whisker(x + _LABEL, room / most, middle, one, most)
        yield _text(x + _PANEL, top + 11, figure(one.median / unit.scale), anchor="end")


def _whisker(x: float, scale: float, y: float, one: Summary, most: float) -> Iterator[str]:
    low, high = x + scale * one.low, x + scale * min(one.high, most)
    ends = f"M{low:.1f} {y - 3:.1f}v6M{low:.1f} {y:.1f}H{high:.1f}"
    if one.high <= most:
        ends += f"M{high:.1f} {y - 3:.1f}v6"
    yield f'<path d="{ends}" stroke="{_INK}" stroke-width="1.2" fill="none"/>'


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    weight: str = "normal",
    colour: str = _INK,
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{colour}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )
