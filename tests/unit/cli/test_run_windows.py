"""``icshare run-windows``, up to the point where the program begins."""

import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest
from tests.unit.cli.machine import FakeManager, Machine

from icshare.host import command


class Begun(Exception):  # noqa: N818 (not an error: the process would be another by now)
    """The process has become another one."""


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Give the argument vectors that the process would have become."""
    seen: list[Sequence[str]] = []

    def become(argv: Sequence[str]) -> None:
        seen.append(argv)
        raise Begun

    monkeypatch.setattr(command, "become", become)
    return seen


def test_the_program_gets_its_arguments_even_if_they_look_like_options(
    begun: list[Sequence[str]], tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.touch()
    Machine()("run-windows", str(program), "--json", "-v", "x")
    assert begun == [[sys.executable, "-P", "-m", "icshare.windows", str(program), "--json", "-v", "x"]]


@pytest.mark.parametrize("arguments", [(), ("nowhere.py",)])
def test_a_program_has_to_be_there(arguments: tuple[str, ...], begun: list[Sequence[str]]) -> None:
    ran = Machine()("run-windows", *arguments)
    assert (ran.status, begun) == (2, [])
    assert "program" in ran.err


def test_names_are_not_listed_for_a_program(begun: list[Sequence[str]]) -> None:
    ran = Machine()("run-windows", "--names", "program.py")
    assert (ran.status, ran.out, begun) == (2, "", [])
    assert "--names" in ran.err


def test_names_are_listed() -> None:
    class Named(FakeManager):
        def windows_names(self) -> dict[UUID, str]:
            return {one.guid: f"Ethernet {number}" for number, one in enumerate(self.connections(), 1)}

    ran = Machine(manager=Named())("run-windows", "--names")
    assert ran.status == 0
    assert "Ethernet 2" in ran.out
