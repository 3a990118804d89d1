"""What every part of the benchmarks needs: figures, how they are taken, and how they are shown."""

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import icshare
from icshare.lab import GATEWAY, Lab

ENVIRONMENT = {"PYTHONPATH": str(Path(icshare.__file__).parents[1])}
SECONDS = 60.0
"""Only a machine that hangs takes as long as this."""

Measures = Mapping[str, Callable[[], float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured under one name.

    Attributes:
        name: What.
        values: One value for each repeat: seconds, or how many in one second.
    """

    name: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Width of the middle half of the values; 0 for a single one."""
        if len(self.values) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return high - low


Figures = Mapping[str, Figure]


class Part(Protocol):
    """One part of the benchmarks."""

    @property
    def measures(self) -> Measures:
        """What it measures, in the order of one repeat; each leaves everything as the next expects it."""

    def report(self, figures: Figures) -> int:
        """Print what was measured, and return how many goals were missed."""


def icshare_seconds(lab: Lab, *arguments: str) -> float:
    """Run ``icshare`` on the gateway, and return how long it took."""
    argv = [sys.executable, "-m", "icshare.cli.main", *arguments]
    return timed(lambda: lab.run(GATEWAY, argv, env=ENVIRONMENT, timeout=SECONDS))


def timed(act: Callable[[], object]) -> float:
    """Return the seconds that *act* takes."""
    began = time.monotonic()
    act()
    return time.monotonic() - began


def ratio(figures: Figures, one: str, other: str) -> float:
    """Return how many times the median of *other* the median of *one* is."""
    return figures[one].median / figures[other].median


def verdict(what: str, *, met: bool) -> int:
    """Print what was found of a goal, and return how many were missed, 0 or 1."""
    print(f"{what}: {'met' if met else 'MISSED'}")
    return 0 if met else 1


def seconds_table(figures: Sequence[Figure], python: float, goals: Mapping[str, float]) -> int:
    """Print a table of seconds, and return how many goals were missed.

    Args:
        figures: The rows.
        python: Median of an interpreter that does nothing.
        goals: What medians are to stay under, by name.
    """
    print(f"\n{'seconds':36}{'median':>9}{'spread':>9}{'best':>9}{'x python':>10}{'goal':>8}")
    missed = 0
    for one in figures:
        goal = goals.get(one.name)
        met = goal is None or one.median < goal
        missed += not met
        shown = "" if goal is None else f"{goal:8.2f} {'met' if met else 'MISSED'}"
        print(
            f"{one.name:36}{one.median:9.4f}{one.spread:9.4f}{min(one.values):9.4f}{one.median / python:10.2f}{shown}"
        )
    return missed


def rates_table(title: str, figures: Sequence[Figure], goals: Mapping[str, float], *, scale: float = 1) -> int:
    """Print a table of rates, divided by *scale*, and return how many goals (medians to exceed) were missed."""
    print(f"\n{title:36}{'median':>9}{'spread':>9}{'best':>9}{'goal':>8}")
    missed = 0
    for one in figures:
        goal = goals.get(one.name)
        met = goal is None or one.median > goal
        missed += not met
        shown = "" if goal is None else f"{goal:8.0f} {'met' if met else 'MISSED'}"
        print(f"{one.name:36}{one.median / scale:9.0f}{one.spread / scale:9.0f}{max(one.values) / scale:9.0f}{shown}")
    return missed


def progress(text: str) -> None:
    """Say on the terminal what is going on."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[2K{text}")
        sys.stderr.flush()
