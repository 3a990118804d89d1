"""Whatever stands on the command line, the answer is one clear error, and nothing is touched."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.cli.machine import Machine

NAMES = [
    "",
    " ",
    "wan0 lan0",
    "wan0\nlan0",
    'wan"0',
    "wan'0",
    "$(reboot)",
    "wan0; drop",
    "wan*",
    "../../etc",
    "\x1b[2J",
    "caf\udce9",  # a byte that is no UTF-8
    "é",
    "x" * 16,
    "x" * 10_000,
]
SUBNETS = ["", "x", "10.0.0.0", "10.0.0.1/24", "10.0.0.0/33", "10.0.0.0/31", "::/64", "224.0.0.0/8", "1" * 10_000]


def _is_refused(machine: Machine, *arguments: str) -> None:
    before = machine.manager.host.snapshot
    ran = machine(*arguments)
    assert ran.status == 2, ran
    assert ran.out == ""
    assert ran.err.startswith("icshare: ")
    assert "Traceback" not in ran.err
    assert all(line.isprintable() and len(line) < 1100 for line in ran.err.splitlines())
    assert len(ran.err.splitlines()) <= 4
    assert machine.manager.host.snapshot == before
    assert machine.manager.host.ran == []


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_name_is_refused(name: str) -> None:
    _is_refused(Machine(), "share", "--", name, "lan0")
    _is_refused(Machine(), "share", "--", "wan0", "lan0", name)
    _is_refused(Machine(), "share", "--dry-run", "--", "wan0", name)


@pytest.mark.parametrize("subnet", SUBNETS)
def test_a_bad_subnet_is_refused(subnet: str) -> None:
    _is_refused(Machine(), "share", f"--subnet={subnet}", "wan0", "lan0")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["share"], "missing argument 'PUBLIC'"),
        (["share", "wan0"], "missing argument 'PRIVATE'"),
        (["share", "--subnet"], "requires an argument"),
        (["list", "--foo"], "no such option: --foo"),
        (["list", "more"], "unexpected extra argument"),
        (["--foo"], "no such option: --foo"),
        (["lsit"], "there is no command 'lsit'\nhint: did you mean list?"),
        (["\x1b[2J"], "there is no command '\\x1b[2J'"),
        (["share", "wan0", "wan0"], "wan0"),
        (["share", "wan0", "nope0"], "nope0"),
    ],
)
def test_a_wrong_request_is_answered_with_what_is_wrong(arguments: list[str], words: str) -> None:
    machine = Machine()
    _is_refused(machine, *arguments)
    assert words in machine(*arguments).err


def test_no_command_at_all_is_answered_with_help() -> None:
    ran = Machine()()
    assert (ran.status, ran.out) == (2, "")
    assert "Usage: icshare" in ran.err


@given(st.lists(st.text(alphabet=st.characters() | st.sampled_from(string.printable)), max_size=4))
@example(["share", "\udcff", "\0"])
def test_no_line_of_words_is_a_bug(words: list[str]) -> None:
    machine = Machine()
    before = machine.manager.host.snapshot
    ran = machine("share", *words)
    assert ran.status in {0, 2}
    assert "Traceback" not in ran.err
    assert machine.manager.host.snapshot == before
