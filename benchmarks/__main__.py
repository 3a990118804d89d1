"""Measure on this machine: ``python -m benchmarks [REPEATS] [PART...] [--output DIRECTORY]``, or ``make bench``.

Theory of operation
-------------------
Everything runs in labs, as a user would run it: icshare as a process of its own, Python's start included, and a client
that has configured itself already and keeps asking. Only what a neighbour does at that moment differs from run to run,
so every repeat measures everything once, and medians are compared; the spread (the middle half of the values) tells how
far to trust them, and the best value what a quiet machine may give. ``python`` is an interpreter that does nothing:
figures of two machines are best compared by their ratio to it.

The parts, all of them if none is named, tell what exactly they measure: ``sharing``, ``mappings``, ``forwarding``,
``objects``, and ``paths``, which compares with others, comes last, and writes its results to a directory as well
(``--output``).
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.figures import Figure, Part, progress, timed
from benchmarks.forwarding import Forwarding
from benchmarks.gateways import MappedGateway
from benchmarks.mappings import Mappings
from benchmarks.objects import Objects
from benchmarks.paths import suite
from benchmarks.sharing import Sharing

from icshare.host import command

REPEATS = 9
PARTS = ("sharing", "mappings", "forwarding", "objects", "paths")
RESULTS = Path(__file__).with_name("results")
MAPPINGS = (10, 1_000, 10_000)


def main(arguments: Sequence[str]) -> int:
    """Measure, print the tables, and return 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("what", nargs="*", metavar="REPEATS | PART", help=f"a number, or one of {', '.join(PARTS)}")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where to write the results of paths")
    parser.add_argument("--slow", action="store_true", help="send less at a time: for an emulated machine")
    asked = parser.parse_args(arguments)
    repeats = next((int(one) for one in asked.what if one.isdigit()), None)
    chosen = [one for one in asked.what if not one.isdigit()] or PARTS
    if unknown := [one for one in chosen if one not in PARTS]:
        sys.exit(f"no such part: {', '.join(unknown)} (expected {', '.join(PARTS)})")
    if repeats == 0:
        sys.exit("nothing can be measured 0 times")
    missed = 0
    if others := [one for one in chosen if one != "paths"]:
        missed += _measure(others, repeats or REPEATS)
    if "paths" in chosen:
        missed += suite.run(repeats or suite.REPEATS, asked.output, slow=asked.slow)
    return 1 if missed else 0


def _measure(chosen: Sequence[str], repeats: int) -> int:
    """Measure every part but ``paths``, print the tables, and return how many goals were missed."""
    values: dict[str, list[float]] = {}
    with ExitStack() as stack:
        parts = _parts(stack, chosen)
        measures: dict[str, Callable[[], float]] = {
            "python": lambda: timed(lambda: command.run([sys.executable, "-c", "pass"]))
        }
        for part in parts:
            measures |= part.measures
        for number in range(repeats):
            for name, measure in measures.items():
                progress(f"repeat {number + 1} of {repeats}: {name}")
                values.setdefault(name, []).append(measure())
    progress("")
    figures = {name: Figure(name=name, values=tuple(found)) for name, found in values.items()}
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    print(f"{repeats} repeats, interleaved; spread is the middle half of the values; python takes ", end="")
    print(f"{figures['python'].median:.4f} s")
    print(f"load average {load:.1f} on {cores} cores{': too busy to judge goals by' if load > 2 * cores else ''}")
    return sum(part.report(figures) for part in parts)


def _parts(stack: ExitStack, chosen: Sequence[str]) -> list[Part]:
    found: list[Part] = []
    if "sharing" in chosen:
        found.append(Sharing(stack))
    if set(chosen) - {"sharing"}:
        sizes = MAPPINGS[:1] if set(chosen) <= {"sharing", "objects"} else MAPPINGS
        gateways = {}
        for size in sizes:
            progress(f"building a gateway with {size} mappings")
            gateways[size] = MappedGateway(stack, size)
        if "mappings" in chosen:
            found.append(Mappings(gateways))
        if "forwarding" in chosen:
            found.append(Forwarding(stack, gateways))
        if "objects" in chosen:
            found.append(Objects(gateways[sizes[0]]))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
