"""The fast path's program that is shipped is what its source compiles to."""

import os
import re
import shutil
from pathlib import Path

import pytest

from icshare.host import command
from icshare.host.fastpath import loader

ROOT = Path(__file__).parents[3]
DEBIAN_12 = "14.0.6"


def compiler() -> str | None:
    """Return the version of clang, None without one."""
    if shutil.which("clang") is None:
        return None
    said = command.run(["clang", "--version"]).stdout
    version = re.search(r"clang version (\d+(?:\.\d+)*)", said)
    return version[1] if version else said


@pytest.mark.skipif(
    compiler() != DEBIAN_12 and "CI" not in os.environ,
    reason=f"clang is {compiler()}, and another one than Debian 12's {DEBIAN_12} makes other instructions",
)
@pytest.mark.parametrize("place", ["a", "a much longer name of a directory"])
def test_the_shipped_object_is_what_the_source_compiles_to(tmp_path: Path, place: str) -> None:
    source, made = tmp_path / place, tmp_path / "made.o"
    shutil.copytree(ROOT / "bpf", source)
    command.run([str(source / "build"), str(made)])
    assert made.read_bytes() == loader.shipped_object(), "bpf/ has changed: run `make bpf` and commit what it makes"


def test_no_path_of_a_machine_is_in_the_object() -> None:
    assert str(ROOT).encode() not in loader.shipped_object()
    assert b"/usr/" not in loader.shipped_object()
