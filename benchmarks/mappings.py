"""Port mappings: adding one until its first packet comes in from outside, and removing one, beside many others.

Somebody on the Internet asks the mapped port by UDP, every millisecond; the answer comes from a client behind the
gateway. Adding is to cost the same however many mappings there are: by the Python API in a process that lives on, as a
daemon does, and by the command line, where the process has to read them all first.
"""

from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.figures import Figures, Measures, ratio, seconds_table, verdict
from benchmarks.gateways import MappedGateway

MOST = 1.2
"""So many times as long adding one may take beside the most mappings as beside the fewest."""
LOAD_SECONDS = 0.03

# Loads the state as a process does that has just started.
_LOAD = """
import time
from icshare.host.settings import state_directory
from icshare.host.store import StateStore
store = StateStore(state_directory())
began = time.monotonic()
store.load()
print(time.monotonic() - began)
"""


class Mappings:
    """Adding and removing one mapping."""

    def __init__(self, gateways: Mapping[int, MappedGateway]) -> None:
        """Take gateways by the number of their mappings."""
        self._gateways = gateways
        self._ended: dict[int, float] = {}

    @property
    def measures(self) -> Measures:
        """What is measured, in the order of one repeat."""
        found: dict[str, Callable[[], float]] = {}
        for size, gateway in self._gateways.items():
            found[_name("add by API", size)] = gateway.add
            found[_name("remove by API", size)] = gateway.remove
        for size, gateway in self._gateways.items():
            found[_name("map add", size)] = partial(self._command_add, size)
            found[_name("map add to its end", size)] = partial(self._ended.__getitem__, size)
            found[_name("map remove", size)] = gateway.command_remove
        most = self._gateways[max(self._gateways)]
        found[self._load] = lambda: float(most.told(_LOAD))
        return found

    def report(self, figures: Figures) -> int:
        """Print seconds, and how they grow."""
        names = sorted(self.measures, key=lambda name: name.rpartition(",")[0])
        goals = {self._load: LOAD_SECONDS}
        missed = seconds_table([figures[name] for name in names], figures["python"].median, goals)
        few, many = min(self._gateways), max(self._gateways)
        for what in ("add by API", "map add"):
            times = ratio(figures, _name(what, many), _name(what, few))
            text = f"{what}: to its first packet {times:.2f} times as long with {many} as with {few}, goal {MOST}"
            missed += verdict(text, met=times <= MOST)
        for what in ("map add to its end", "remove by API", "map remove"):
            times = ratio(figures, _name(what, many), _name(what, few))
            print(f"{what}: {times:.2f} times as long with {many} as with {few}")
        return missed

    @property
    def _load(self) -> str:
        return _name("load the state", max(self._gateways))

    def _command_add(self, size: int) -> float:
        seconds, self._ended[size] = self._gateways[size].command_add()
        return seconds


def _name(what: str, size: int) -> str:
    return f"{what}, {size} mappings"
