"""The benchmark's programs for the kernel that are shipped are what their source compiles to."""

import shutil
from pathlib import Path

import pytest
from benchmarks.paths import frames, handshakes
from tests.unit.host.test_fastpath_object import DEBIAN_12, ROOT, compiler

from icshare.host import command

OBJECTS = (frames.OBJECT, handshakes.OBJECT)


@pytest.mark.skipif(compiler() != DEBIAN_12, reason=f"clang is {compiler()}, not Debian 12's {DEBIAN_12}")
@pytest.mark.parametrize("shipped", OBJECTS)
def test_the_shipped_object_is_what_its_source_compiles_to(tmp_path: Path, shipped: Path) -> None:
    source = shutil.copy(shipped.with_suffix(".c"), tmp_path)
    command.run([str(ROOT / "bpf" / "build"), str(tmp_path / "made.o"), str(source)])
    assert (tmp_path / "made.o").read_bytes() == shipped.read_bytes(), "run `make bpf` and commit what it makes"


@pytest.mark.parametrize("shipped", OBJECTS)
def test_no_path_of_a_machine_is_in_the_object(shipped: Path) -> None:
    assert str(ROOT).encode() not in shipped.read_bytes()
    assert b"/usr/" not in shipped.read_bytes()
