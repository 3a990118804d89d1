"""``icshare lab``, as far as it goes without making one: requests, what is found on disk, documents."""

import io
import json
import os
import sys
from pathlib import Path

import pytest
from tests.unit.cli.machine import Machine

from icshare.cli.lab import print_drawing
from icshare.cli.session import Session
from icshare.lab import INTERNET, LabPlan, lab_name
from icshare.lab.drawing import draw
from icshare.lab.processes import start_time
from icshare.lab.state import Keeper, LabState, Phase, Service, save


@pytest.fixture
def labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty directory where labs are looked for."""
    directory = tmp_path / "labs"
    monkeypatch.setenv("ICSHARE_LAB_DIR", str(directory))
    return directory


def leave(labs: Path, state: LabState) -> None:
    """Leave behind what the lab of *state* would have written."""
    (labs / state.plan.prefix).mkdir(parents=True)
    save(labs / state.plan.prefix, state)


def lost(prefix: str, pid: int) -> LabState:
    """Return a lab that was up; its namespaces are gone, and all its processes are *pid*."""
    started = start_time(os.getpid())
    assert started is not None
    return LabState(
        phase=Phase.UP,
        plan=LabPlan(prefix=lab_name(prefix), privates=1),
        keeper=Keeper(pid=pid, started=started, mnt={}, uts={}),
        services=(Service(name="dns", node=INTERNET, pid=pid, started=started),),
    )


@pytest.mark.parametrize("prefix", ["", "gone"])
def test_no_lab_is_no_failure(labs: Path, prefix: str) -> None:
    option = ["--prefix", prefix] if prefix else []
    ran = Machine()("lab", "status", *option)
    assert (ran.status, ran.out) == (0, "There is no lab gone.\n" if prefix else "There is no lab.\n")
    assert json.loads(Machine()("lab", "status", "--json", *option).out) == {"labs": []}
    assert not labs.exists()


def test_taking_down_what_is_not_there_is_no_failure(labs: Path) -> None:
    ran = Machine()("lab", "down", "--prefix", "gone")
    assert (ran.status, ran.out) == (0, "There is no lab gone, so nothing had to be removed.\n")
    assert json.loads(Machine()("lab", "down", "--json").out) == {"prefix": "icslab", "removed": False}
    assert not labs.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["up", "--privates", "0"], "privates: 0 (expected 1 to 64)"),
        (["up", "--privates", "65", "--mtu", "9217"], "the public MTU: 9217 (expected 576 to 9216)"),
        (["up", "--privates", "two"], "--privates"),
        (["up", "--prefix", "../etc"], "'../etc' is not a lab name"),
        (["down", "--prefix", "a b"], "'a b' is not a lab name"),
        (["status", "--prefix", "A"], "'A' is not a lab name"),
        (["exec", "c0", "true"], "there is no lab icslab"),
        (["exec", "c0"], "COMMAND"),
        (["exec"], "NODE"),
        (["sideways"], "sideways"),
        ([], "missing command"),
    ],
)
def test_a_wrong_request_is_told_and_touches_nothing(labs: Path, arguments: list[str], message: str) -> None:
    ran = Machine()("lab", *arguments)
    assert ran.status == 2
    assert ran.out == ""
    assert message.lower() in ran.err.lower()
    assert not labs.exists()


def test_a_wrong_request_is_told_as_a_document_when_asked(labs: Path) -> None:
    ran = Machine()("lab", "up", "--privates", "0", "--json")
    assert ran.status == 2
    assert json.loads(ran.out)["error"]["kind"] == "invalid-request"
    assert not labs.exists()


def test_half_a_lab_is_shown_and_is_a_failure(labs: Path) -> None:
    leave(labs, LabState(phase=Phase.BUILDING, plan=LabPlan(prefix=lab_name("half"), privates=1)))
    ran = Machine()("lab", "status")
    assert ran.status == 1
    assert ran.out.splitlines()[0] == "half: not whole"
    assert [line.split() for line in ran.out.splitlines()[1:]] == [
        ["NODE", "NAMESPACE", "STATE", "PROCESSES"],
        ["inet", "half-inet", "missing"],
        ["gw", "half-gw", "missing"],
        ["c0", "half-c0", "missing"],
    ]


def test_every_lab_is_shown_with_what_is_missing_of_it(labs: Path) -> None:
    leave(labs, lost("one", os.getpid()))
    leave(labs, lost("two", 2**22 + 1))  # no kernel gives a process this number
    ran = Machine()("lab", "status", "--json")
    one, two = json.loads(ran.out)["labs"]
    assert ran.status == 1
    assert (one["prefix"], two["prefix"]) == ("one", "two")
    assert one["directory"] == str(labs / "one")
    assert one["nodes"][0] == {"name": "inet", "namespace": "one-inet", "present": False}
    assert [service["running"] for service in one["services"]] == [True, True]
    assert [service["running"] for service in two["services"]] == [False, False]
    assert one["healthy"] is two["healthy"] is False
    text = Machine()("lab", "status").out
    assert f"keeper ({os.getpid()}), dns ({os.getpid()})" in text
    assert "keeper has ended, dns has ended" in text
    assert Machine()("lab", "status", "--prefix", "two").out in text


def test_a_node_that_the_lab_does_not_have_is_named_with_those_it_has(labs: Path) -> None:
    leave(labs, lost("small", os.getpid()))
    if os.geteuid() == 0:
        ran = Machine()("lab", "exec", "--prefix", "small", "c7", "true")
        assert (ran.status, "inet, gw, c0" in ran.err) == (2, True)
    else:
        ran = Machine()("lab", "exec", "--prefix", "small", "c0", "true")
        assert (ran.status, "sudo" in ran.err) == (3, True)


def test_what_follows_the_node_belongs_to_its_command(labs: Path) -> None:
    """Without this, ``lab exec c0 icshare list --json`` would print a document about exec."""
    ran = Machine()("lab", "exec", "c0", "ls", "--no-such-option", "--prefix", "x")
    assert "there is no lab icslab" in ran.err
    assert not labs.exists()


def test_a_drawing_is_printed_in_characters_that_the_stream_knows() -> None:
    drawing = draw(LabPlan())
    for encoding, fancy in (("utf-8", True), ("latin-1", False), ("ascii", False)):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        print_drawing(Session(stdout=stream, stderr=sys.stderr), drawing)
        stream.seek(0)
        printed = stream.read()
        assert ("┌" in printed, "+-" in printed) == (fancy, not fancy)
