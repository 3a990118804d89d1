"""Capabilities that are given up, in a process of its own."""

import sys

from icshare.host import command

PROGRAM = """
from pathlib import Path
from icshare.host.capabilities import CAP_NET_ADMIN, keep_only
keep_only({CAP_NET_ADMIN})
print(Path("/proc/self/status").read_text())
"""


def test_net_admin_is_all_that_stays() -> None:
    said = command.run([sys.executable, "-I", "-c", PROGRAM]).stdout
    found = dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)
    assert found["NoNewPrivs"] == "1"
    assert int(found["CapInh"], 16) == 0
    assert int(found["CapEff"], 16) & ~(1 << 12) == 0
    assert int(found["CapPrm"], 16) & ~(1 << 12) == 0
