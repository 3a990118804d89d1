"""The fast path in the kernel: started, found again, told of changes, read, stopped.

The links hold the programs and the programs hold the maps, so it works on while no process of ours runs, and goes
with the last link that it is attached to. Nothing is pinned and nothing is remembered in a file: a process finds the
programs by their names on the links of its network namespace, and by them everything else.

Each `start` with another configuration begins with new maps for what is configured and for flows, and exchanges the
programs link by link. So no packet ever meets half a configuration, and taking back is to exchange once more. Flows
have to prove themselves again, which costs each a few packets' way through the kernel; after a change of policy they
must anyway. Maps that count, and that which knows where stations are, are taken over as long as their layout is the
same. What was counted in maps that go is kept in the sharing's table for as long as that is there (`ledger`).
"""

from icshare.host.fastpath.counting import forget, reasons, traffic
from icshare.host.fastpath.loader import preflight, start, stop
from icshare.host.fastpath.probe import occupation, probe
from icshare.host.fastpath.state import refresh, running

__all__ = ["forget", "occupation", "preflight", "probe", "reasons", "refresh", "running", "start", "stop", "traffic"]
