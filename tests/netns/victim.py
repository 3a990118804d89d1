"""An engine on the real machine whose process is killed, or whose step fails, at a chosen moment.

Run on the gateway as ``victim.py HOW NUMBER FIRST THEN``. FIRST is shared undisturbed; on the way to THEN it happens.
Both are the arguments of a sharing as JSON, or "nothing".

* ``kill``: SIGKILL by the process's own hand right after the NUMBER-th step.
* ``kill-anywhere``: the same, but lines of the journal count as well.
* ``fail``: the NUMBER-th step is refused.

It prints a line of JSON for a refused step, and "done" when there were fewer steps than that.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from ipaddress import IPv4Network

from icshare.api import SharingManager
from icshare.engine import Engine
from icshare.errors import HostError
from icshare.host.journal import FileJournal
from icshare.host.linux import LinuxHost
from icshare.host.settings import run_directory
from icshare.model.fastpath import Mode
from icshare.plan.diff import Entry
from icshare.plan.planner import Plan
from icshare.plan.steps import AnyStep

NOTHING = "nothing"
WHY = "refused for the sake of the test"


class Fate:
    """Counts changes and strikes at one of them."""

    def __init__(self, number: int, strike: Callable[[], None]) -> None:
        self._left = number
        self._strike = strike

    def count(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._strike()


class VictimHost(LinuxHost):
    """The machine, with a fate before or after each step."""

    before: Fate | None = None
    after: Fate | None = None

    def run(self, step: AnyStep) -> None:
        if self.before:
            self.before.count()
        super().run(step)
        if self.after:
            self.after.count()


class VictimJournal(FileJournal):
    """The journal, with a fate after each line."""

    after: Fate | None = None

    def begin(self, step: AnyStep, rank: int | None) -> Entry:
        entry = super().begin(step, rank)
        self._strike()
        return entry

    def gone(self, entry: Entry) -> None:
        super().gone(entry)
        self._strike()

    def complete(self, plan: Plan) -> None:
        super().complete(plan)
        self._strike()

    def clear(self) -> None:
        super().clear()
        self._strike()

    def _strike(self) -> None:
        if self.after:
            self.after.count()


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _refuse() -> None:
    raise HostError(WHY)


def main(how: str, number: int, first: str, then: str) -> None:
    directory = run_directory()
    host, journal = VictimHost(directory), VictimJournal(directory)
    manager = SharingManager()
    manager._engine = manager._roles._engine = Engine(host, journal, manager._machine.judge)
    if first != NOTHING:
        _share(manager, first)
    if how == "fail":
        host.before = Fate(number, _refuse)
    else:
        host.after = Fate(number, _kill)
        journal.after = host.after if how == "kill-anywhere" else None
    try:
        if then == NOTHING:
            manager.stop()
        else:
            _share(manager, then)
    except HostError as error:
        sys.stdout.write(json.dumps({"error": str(error), "notes": getattr(error, "__notes__", [])}))
    else:
        sys.stdout.write("done")


def _share(manager: SharingManager, arguments: str) -> None:
    words = json.loads(arguments)
    subnet = IPv4Network(words["subnet"]) if words["subnet"] else None
    fast_path = Mode(words["fast_path"])
    manager.share(words["public"], words["privates"], subnet=subnet, fast_path=fast_path)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
