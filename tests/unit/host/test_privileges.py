"""Privileges that are given up, in a process of its own."""

import os
import pwd
import sys

import pytest

from icshare.host import command

KEEP = """
from pathlib import Path
from icshare.host.privileges import keep_only
from icshare.host.processes import CAP_NET_ADMIN
keep_only({CAP_NET_ADMIN})
print(Path("/proc/self/status").read_text())
"""
BECOME = """
import os, sys
from pathlib import Path
from icshare.host.privileges import become, keep_only
become(*map(int, sys.argv[1:]))
keep_only(())
print(Path("/proc/self/status").read_text())
print(f"dumpable:\\t{os.stat('/proc/self/status').st_uid}")
for regained in (lambda: os.setuid(0), lambda: os.setgroups([0])):
    try:
        regained()
        print("regained")
    except PermissionError:
        pass
"""


def status(program: str, *arguments: object) -> dict[str, str]:
    """Run *program*, return what it printed about itself."""
    said = command.run([sys.executable, "-I", "-c", program, *map(str, arguments)]).stdout
    assert "regained" not in said
    return dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)


def test_net_admin_is_all_that_stays() -> None:
    found = status(KEEP)
    assert found["NoNewPrivs"] == "1"
    assert int(found["CapInh"], 16) == 0
    assert int(found["CapEff"], 16) & ~(1 << 12) == 0
    assert int(found["CapPrm"], 16) & ~(1 << 12) == 0
    if os.geteuid() == 0:
        assert int(found["CapBnd"], 16) & ~(1 << 12) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_has_become_nobody_keeps_nothing_and_gets_nothing_back() -> None:
    nobody = pwd.getpwnam("nobody")
    found = status(BECOME, nobody.pw_uid, nobody.pw_gid)
    assert set(found["Uid"].split()) == {str(nobody.pw_uid)}
    assert set(found["Gid"].split()) == {str(nobody.pw_gid)}
    assert found["Groups"].strip() == ""
    assert found["NoNewPrivs"] == "1"
    assert {found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert found["dumpable"] == "0"
