"""The virtual machine's kernel has what a container's often lacks."""

from pathlib import Path


def test_it_is_a_machine_of_its_own() -> None:
    assert Path("/proc/1/comm").read_text() == "job\n"
