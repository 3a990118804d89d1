"""Killed or refused at any step, on a real host that somebody has lived on: nothing is left, nothing is lost.

Each scenario is cut into parts, so that they run side by side; together they strike at every change there is.
"""

import itertools
import json
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.netns import forced, inhabited, victim

from icshare.host.command import Completed
from icshare.lab import GATEWAY, Lab
from icshare.model.fastpath import Mode

# Dozens of sharings each: seconds on a quiet machine, minutes on a busy one.
pytestmark = [pytest.mark.netns, pytest.mark.timeout(600)]

MakeLab = Callable[..., Lab]

VICTIM = str(Path(victim.__file__))
PARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Arguments of a sharing."""

    public: str = "wan0"
    privates: tuple[str, ...]
    subnet: str | None = None
    fast_path: Mode = Mode.AUTO

    def document(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is shared at first, None for nothing, and what it is changed to, None for the stop."""

    name: str
    first: Wanted | None
    then: Wanted | None

    def strike(self, lab: Lab, how: str, number: int) -> Completed:
        sharings = [one.document() if one else victim.NOTHING for one in (self.first, self.then)]
        argv = [sys.executable, VICTIM, how, str(number), *sharings]
        return lab.run(GATEWAY, argv, env=inhabited.ENVIRONMENT, check=False, timeout=60)


ONE = Wanted(privates=("lan0",))
TWO = Wanted(privates=("lan0", "lan1"))
OTHER_PUBLIC = Wanted(public="wan1", privates=("lan0", "lan1"))
OTHER_SUBNET = Wanted(public="wan1", privates=("lan2", "lan0"), subnet="10.99.0.0/24")
SHARE = Scenario(name="share", first=None, then=TWO)
CHANGES = [
    Scenario(name="one_to_two", first=ONE, then=TWO),
    Scenario(name="other_public", first=TWO, then=OTHER_PUBLIC),
    Scenario(name="other_subnet", first=OTHER_PUBLIC, then=OTHER_SUBNET),
]
# The others have tc, as auto chooses it for the links of a lab.
XDP = Scenario(
    name="xdp",
    first=Wanted(privates=("lan0", "lan1"), fast_path=Mode.OFF),
    then=Wanted(privates=("lan0", "lan1"), fast_path=Mode.XDP),
)
STOP = Scenario(name="stop", first=TWO, then=None)
KILLS = [
    *(pytest.param(one, "kill-anywhere", id=one.name) for one in [SHARE, STOP]),
    *(pytest.param(one, "kill", id=one.name) for one in CHANGES),
    pytest.param(XDP, "kill", id=XDP.name, marks=pytest.mark.programs),
]
# A change of the public connection alone is four steps and their inverses.
LEAST = 3


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    found = make_lab(privates=3, second_uplink=True)
    inhabited.furnish(found)
    forced.take_packets_of_xdp(found)
    return found


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(("scenario", "how"), KILLS)
def test_after_a_kill_at_any_moment_stop_leaves_the_host_as_it_was(
    lab: Lab, scenario: Scenario, how: str, part: int
) -> None:
    before = inhabited.snapshot(lab)
    for number in itertools.count(1 + part, PARTS):
        done = scenario.strike(lab, how, number)
        inhabited.run(lab, "stop")
        inhabited.assert_unchanged(lab, before, f"killed after change {number}")
        if done.returncode != -signal.SIGKILL:
            assert (done.returncode, done.stdout) == (0, "done"), done.stderr
            assert number > LEAST, "the scenario has no changes to be killed at"
            break


@pytest.mark.check(27)
@pytest.mark.parametrize("scenario", [SHARE, *CHANGES], ids=[one.name for one in [SHARE, *CHANGES]])
def test_a_refused_step_is_named_and_everything_is_rolled_back(lab: Lab, scenario: Scenario) -> None:
    before = inhabited.snapshot(lab)
    shared = None
    if scenario.first:
        undisturbed = Scenario(name="first", first=None, then=scenario.first).strike(lab, "fail", 1000)
        assert undisturbed.stdout == "done", undisturbed.stderr
        shared = shape(lab)
        inhabited.run(lab, "stop")
    for number in itertools.count(1):
        done = scenario.strike(lab, "fail", number)
        assert done.returncode == 0, done.stderr
        if done.stdout == "done":
            assert number > LEAST
            break
        told: dict[str, Any] = json.loads(done.stdout)
        assert told["error"] == victim.WHY
        (note,) = told["notes"]
        assert re.fullmatch(r"while: .+", note)
        if shared is not None:
            assert_shape(lab, shared, note)
            inhabited.run(lab, "stop")
        inhabited.assert_unchanged(lab, before, f"step {number} was refused, {note}")


def assert_shape(lab: Lab, wanted: dict[str, Any], when: str) -> None:
    """Assert that the sharing is as *wanted*, at last: the kernel tells routes of a link's carrier when it likes."""
    deadline = time.monotonic() + inhabited.DEADLINE
    while (found := shape(lab)) != wanted:
        assert time.monotonic() < deadline, (
            when,
            {what: found[what] for what in wanted if found[what] != wanted[what]},
        )


def shape(lab: Lab) -> dict[str, Any]:
    """Return what makes up a sharing, without numbers that the kernel hands out, times and counts."""
    counts = {"since", "fast_packets", "kernel_packets"}
    return {
        "status": {key: value for key, value in inhabited.document(lab, "status").items() if key not in counts},
        "addresses": sorted(
            f"{link['ifname']} {link.get('master')} {link['mtu']} {address['local']}/{address['prefixlen']}"
            for link in json.loads(lab.run(GATEWAY, ["ip", "-json", "-4", "address", "show"]).stdout)
            for address in link["addr_info"]
        ),
        "routes": lab.run(GATEWAY, ["ip", "-4", "route", "show", "table", "all"]).stdout,
        "rules": lab.run(GATEWAY, ["ip", "-4", "rule", "show"]).stdout,
        "forwarding": lab.run(GATEWAY, ["grep", "-r", "", "/proc/sys/net/ipv4/conf", "--include=forwarding"]).stdout,
    }
