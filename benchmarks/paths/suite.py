"""The benchmark of the paths: everybody measured by everything, in turns.

Theory of operation
-------------------
Every contender stands on a rig of its own, all at the same time. One repeat takes one measurement after the other, each
of all contenders in a row, and every repeat begins with another of them: what the machine does besides slows down
neighbours alike. A ratio is taken within each repeat, and the median of these is what counts.
"""

import json
import os
import platform
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks.figures import progress
from benchmarks.paths import chart, live, table
from benchmarks.paths.bulk import Bulk
from benchmarks.paths.connections import Connections
from benchmarks.paths.contenders import BARE, CONTENDERS, PLAIN
from benchmarks.paths.frames import Frames
from benchmarks.paths.goals import GOALS, judge
from benchmarks.paths.handshakes import BATCH, Handshakes
from benchmarks.paths.latency import Latency
from benchmarks.paths.packets import Packets
from benchmarks.paths.peers import PEERS, USER_MODE, version
from benchmarks.paths.results import BULK, CONNECTIONS, CPU, IDLE, LOADED, MEASURES, PACKETS, Results
from benchmarks.paths.rig import CLIENT_ADDRESS, WAN_ADDRESS, CannotRunError, standing
from benchmarks.paths.stand import Stand

REPEATS: Final = 5
EVERYBODY: Final = {**CONTENDERS, **PEERS}

_NO_GATEWAY: Final = "it is no gateway"
_OWN_LINK: Final = "it gives the client a link of its own, and a frame on the cable never meets it"


class Part(Protocol):
    """Something that is measured of every contender."""

    def measure(self, stands: Sequence[Stand], repeat: int, /) -> None:
        """Measure each stand once, in the order given."""


def run(repeats: int, output: Path, *, slow: bool = False) -> int:
    """Measure, print the table, write it as JSON and as a chart to the directory *output*; return missed goals.

    On a machine that is *slow*, an emulated one, less is sent at a time.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        results = Results(contenders=tuple(EVERYBODY))
        parts: list[Part] = []
        try:
            frames = Frames(stack, batch=live.SLOW_BATCH if slow else live.BATCH)
            handshakes = Handshakes(stack, batch=1 if slow else BATCH)
            parts += [Packets(frames, results), Connections(handshakes, results)]
        except CannotRunError as error:
            results.unable |= {(name, one): str(error) for name in EVERYBODY for one in (*PACKETS, CONNECTIONS)}
        stands = _stands(stack, results)
        bulk = Bulk(stack, stands, results, slow=slow)
        parts += [bulk, Latency(stack, stands, results, slow=slow)]
        for repeat in range(repeats):
            first = repeat * len(stands) // repeats  # each repeat begins with another
            order = [*stands[first:], *stands[:first]]
            for part in parts:
                progress(f"repeat {repeat + 1} of {repeats}: {type(part).__name__.lower()}")
                part.measure(order, repeat)
        progress("")
        load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    machine = f"{repeats} repeats in {time.monotonic() - began:.0f} s, load average {load:.1f} on {cores} cores"
    print(f"\npaths: {machine}, Linux {platform.release()}")
    versions = {name: found for name in PEERS if (found := version(name))}
    print("versions: " + ", ".join(f"{name} {found}" for name, found in versions.items()))
    for line in table.lines(results):
        print(line)
    output.mkdir(parents=True, exist_ok=True)
    document, picture = output / "paths.json", output / "paths.svg"
    document.write_text(json.dumps(as_document(results, machine), indent=1), encoding="utf-8")
    picture.write_text(chart.draw(results, f"{machine}, Linux {platform.release()}"), encoding="utf-8")
    print(f"\nwritten: {document}, {picture}")
    return table.missed(results)


def as_document(results: Results, machine: str) -> dict[str, Any]:
    """Return everything that was measured, for a program to read; units are packets, bits, connections and seconds."""
    return {
        "machine": machine,
        "kernel": platform.release(),
        "contenders": {
            name: {
                measure: {
                    "values": [*values.values()],
                    **asdict(summary),
                    "ratio_to_plain": None if (ratio := results.ratio(name, PLAIN, measure)) is None else ratio.median,
                }
                for measure in MEASURES
                if (values := results.values.get((name, measure))) and (summary := results.summary(name, measure))
            }
            for name in results.contenders
        },
        "goals": [
            {
                "goal": table.goal_text(goal),
                "times": goal.times,
                "verdicts": [
                    {"measure": one.measure, "other": one.other, "ratio": one.times, "met": one.met}
                    for one in judge(goal, results)
                ],
            }
            for goal in GOALS
        ],
        "versions": {name: version(name) for name in PEERS},
        "absent": results.absent,
        "unable": [
            {"contender": name, "measure": measure, "reason": reason}
            for (name, measure), reason in results.unable.items()
        ],
    }


def _stands(stack: ExitStack, results: Results) -> Sequence[Stand]:
    found = []
    for number, (name, configure) in enumerate(EVERYBODY.items()):
        progress(f"building: {name}")
        with ExitStack() as own:
            rig = own.enter_context(standing(f"path{number}"))
            try:
                configure(own, rig)
            except CannotRunError as error:
                results.absent[name] = str(error)
                continue
            stack.push(own.pop_all())
        public = {PLAIN: CLIENT_ADDRESS, BARE: None}.get(name, WAN_ADDRESS)
        found.append(Stand(name=name, rig=rig, public=public))
        if name == BARE:
            results.unable |= {(name, one): _NO_GATEWAY for one in (*BULK, *CPU, *IDLE, *LOADED)}
        if name in USER_MODE:
            results.unable |= {(name, one): _OWN_LINK for one in (*PACKETS, CONNECTIONS)}
    return found
