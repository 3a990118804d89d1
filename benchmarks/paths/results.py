"""What was measured, and what can be said about it."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

FLOWS = (1, 1_000, 20_000)
WAYS = ("up", "down")


def figure(value: float) -> str:
    """Return a value with three digits, as people write it."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def packets_measure(flows: int, way: str) -> str:
    """Return the name of the rate of small packets of so many flows one way."""
    return f"{_several(flows, 'flow')} {way}"


def _several(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number > 1 else ''}"


PACKETS = tuple(packets_measure(flows, way) for flows in FLOWS for way in WAYS)
CONNECTIONS = "new connections"
STREAMS = (1, 8)
BULK = tuple(f"TCP, {_several(streams, 'stream')}" for streams in STREAMS)
CPU = tuple(f"CPU, {_several(streams, 'stream')}" for streams in STREAMS)
IDLE = ("p50 idle", "p99 idle")
LOADED = ("p50 loaded", "p99 loaded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """How the values of a measure are shown.

    Attributes:
        name: Of the unit they are shown in.
        scale: How many of what they are measured in make one of it.
        more_is_better: A rate, and not a time.
    """

    name: str
    scale: float
    more_is_better: bool = True


_RATE, _BITS = Unit(name="Mpacket/s", scale=1e6), Unit(name="Gbit/s", scale=1e9)
_CPU_SECONDS, _MICROSECONDS = (
    Unit(name="s/GB", scale=1, more_is_better=False),
    Unit(name="µs", scale=1e-6, more_is_better=False),
)
MEASURES: Mapping[str, Unit] = {
    **dict.fromkeys(PACKETS, _RATE),
    CONNECTIONS: Unit(name="1000/s", scale=1e3),
    **dict.fromkeys(BULK, _BITS),
    **dict.fromkeys(CPU, _CPU_SECONDS),
    **dict.fromkeys((*IDLE, *LOADED), _MICROSECONDS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Values of several repeats.

    Attributes:
        median: The middle one.
        low: Where their middle half begins.
        high: Where it ends.
    """

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """Width of the middle half, as a part of the median."""
        return (self.high - self.low) / self.median if self.median else 0.0


def summarise(values: Sequence[float]) -> Summary:
    """Return the median of at least one value, and where the middle half of them lies."""
    if len(values) < 2:
        return Summary(median=values[0], low=values[0], high=values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Summary(median=median, low=low, high=high)


@dataclass(slots=True, kw_only=True)
class Results:
    """Everything that was measured so far.

    Attributes:
        contenders: Who takes part, in the order in which they are shown.
        values: By contender and measure, and then by number of the repeat.
        absent: Why a contender cannot run at all.
        unable: Why a contender has no values of a measure.
    """

    contenders: Sequence[str]
    values: dict[tuple[str, str], dict[int, float]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    unable: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, contender: str, measure: str, repeat: int, value: float) -> None:
        """Note a value."""
        self.values.setdefault((contender, measure), {})[repeat] = value

    def summary(self, contender: str, measure: str) -> Summary | None:
        """Return what a contender reached, None without any value."""
        found = self.values.get((contender, measure))
        return summarise([*found.values()]) if found else None

    def ratio(self, one: str, other: str, measure: str) -> Summary | None:
        """Return how many times *other* was *one*, repeat by repeat: what slows down a repeat slows down both.

        None without a repeat that has both.
        """
        left, right = self.values.get((one, measure), {}), self.values.get((other, measure), {})
        found = [value / right[repeat] for repeat, value in left.items() if right.get(repeat)]
        return summarise(found) if found else None
