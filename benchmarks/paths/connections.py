"""How many new connections a second each contender takes, from their first packet to their last."""

from collections.abc import Sequence

from benchmarks.paths.handshakes import Handshakes
from benchmarks.paths.packets import forget_connections
from benchmarks.paths.results import CONNECTIONS, Results
from benchmarks.paths.stand import Stand

AT_A_TIME = 10_000
_FIRST = 64
"""Before that, so many settle who is who on the links; not all of them need to get through."""


class Connections:
    """Rates of new connections."""

    def __init__(self, handshakes: Handshakes, results: Results) -> None:
        """Take both far ends, and where to note what is measured."""
        self._handshakes = handshakes
        self._results = results

    def measure(self, stands: Sequence[Stand], repeat: int) -> None:
        """Measure each stand once, in the order given."""
        for stand in stands:
            if (stand.name, CONNECTIONS) in self._results.unable:
                continue
            with self._handshakes.answering(stand.rig):
                self._handshakes.open_and_close(stand.rig, _FIRST)
                found = self._handshakes.open_and_close(stand.rig, AT_A_TIME)
            if found.closed < found.begun / 2:
                reason = f"of {found.begun} connections only {found.closed} came to their end"
                self._results.unable[stand.name, CONNECTIONS] = reason
            else:
                self._results.add(stand.name, CONNECTIONS, repeat, found.rate)
            forget_connections(stand)
