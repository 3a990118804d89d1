"""The benchmark's generator of packets that is shipped is what its source compiles to."""

import shutil
from pathlib import Path

import pytest
from benchmarks.paths.frames import OBJECT
from tests.unit.host.test_fastpath_object import DEBIAN_12, ROOT, compiler

from icshare.host import command


@pytest.mark.skipif(compiler() != DEBIAN_12, reason=f"clang is {compiler()}, not Debian 12's {DEBIAN_12}")
def test_the_shipped_generator_is_what_its_source_compiles_to(tmp_path: Path) -> None:
    source = shutil.copy(OBJECT.with_suffix(".c"), tmp_path)
    command.run([str(ROOT / "bpf" / "build"), str(tmp_path / "made.o"), str(source)])
    assert (tmp_path / "made.o").read_bytes() == OBJECT.read_bytes(), "run `make bpf` and commit what it makes"


def test_no_path_of_a_machine_is_in_the_generator() -> None:
    assert str(ROOT).encode() not in OBJECT.read_bytes()
    assert b"/usr/" not in OBJECT.read_bytes()
