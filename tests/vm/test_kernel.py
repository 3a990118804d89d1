"""The virtual machine's kernel has what a container's often lacks."""

import time
from pathlib import Path

from tests.vm.conftest import MakeNode
from icshare.lab import Lab


def test_it_is_a_machine_of_its_own() -> None:
    assert Path("/proc/1/comm").read_text() == "job\n"

def test_timing(make_node: MakeNode) -> None:
    t = time.monotonic()
    def lap(x):
        nonlocal t
        n = time.monotonic(); print(x, round(n - t, 2)); t = n
    a = make_node("a"); lap("node")
    b = make_node("b"); lap("node")
    a.icshare("list"); lap("list")
    print(a.icshare("list")); lap("list")
    a.start("ip", "monitor"); lap("start")

def test_lab(internet: Lab) -> None:
    assert 0
