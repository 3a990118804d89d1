"""Every error becomes its exit status, one message, and with --json one document; none becomes a traceback."""

import io
import itertools
import os
import signal
from collections.abc import Sequence

import msgspec
import pytest
from tests.unit.cli.machine import FakeManager, Machine, failing

from icshare import errors
from icshare.cli.errors import TABLE, ErrorKind
from icshare.cli.program import main
from icshare.cli.schema import ErrorDocument
from icshare.cli.session import Session
from icshare.errors import (
    AlreadyExistsError,
    ConflictError,
    GoneError,
    HostError,
    IcshareError,
    InvalidRequestError,
    NotSupportedError,
    PolicyError,
    PrivilegeError,
    RefusedError,
    VerificationError,
)
from icshare.plan.steps import AnyStep

STATUSES = [
    (InvalidRequestError("wrong"), 2, "invalid-request"),
    (RefusedError([("media-type", "wrong")]), 2, "refused"),
    (ConflictError("wrong"), 1, "conflict"),
    (AlreadyExistsError("wrong"), 1, "already-exists"),
    (GoneError("wrong"), 1, "gone"),
    (NotSupportedError("wrong"), 1, "not-supported"),
    (PrivilegeError("wrong"), 3, "privilege"),
    (PolicyError("wrong"), 3, "policy"),
    (HostError("wrong"), 1, "host"),
    (VerificationError("wrong"), 1, "verification"),
    (IcshareError("wrong"), 1, "other"),
]
COMMANDS = (
    ["list"],
    ["share", "wan0", "lan0"],
    ["status"],
    ["stop"],
    ["clients"],
    ["doctor"],
    ["map", "add", "web", "tcp", "80", "192.168.137.9"],
    ["map", "list"],
    ["map", "enable", "web"],
    ["map", "disable", "web"],
    ["map", "set", "web", "--external", "81"],
    ["map", "remove", "web"],
    ["firewall", "on", "wan0"],
    ["firewall", "off", "wan0"],
    ["firewall", "set", "wan0", "--icmp", "redirect"],
    ["firewall", "status"],
)


def test_every_class_of_error_has_its_exit_status() -> None:
    raised = {one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, IcshareError)}
    assert raised == {type(error) for error, _, _ in STATUSES}
    assert raised <= set(TABLE)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("error", "status", "kind"), STATUSES)
def test_an_error_becomes_its_status_and_one_line(
    error: IcshareError, status: int, kind: str, command: Sequence[str]
) -> None:
    ran = failing(error)(*command)
    assert (ran.status, ran.out, ran.err) == (status, "", "icshare: wrong\n")
    told = failing(error)(*command, "--json")
    assert (told.status, told.err) == (status, "")
    document = msgspec.json.decode(told.out, type=ErrorDocument)
    assert (document.exit_status, document.error.kind, document.error.message) == (status, ErrorKind(kind), "wrong")


def test_hints_and_notes_follow_the_message() -> None:
    error = HostError("no such device\nsaid by the kernel", hint="plug it in")
    error.add_note("while: link eth0: down -> up")
    assert failing(error)("list").err == (
        "icshare: no such device\n         said by the kernel\nnote: while: link eth0: down -> up\nhint: plug it in\n"
    )
    document = msgspec.json.decode(failing(error)("list", "--json").out, type=ErrorDocument)
    assert document.error.hint == "plug it in"
    assert document.error.notes == ("while: link eth0: down -> up",)


def test_a_refusal_tells_every_problem_on_a_line_of_its_own() -> None:
    error = RefusedError([("bridge-member", "eth0 is a port"), ("media-type", "lo is no network")], hint="icshare list")
    assert failing(error)("share", "eth0", "lo").err == (
        "icshare: eth0 is a port\nicshare: lo is no network\nhint: icshare list\n"
    )
    document = msgspec.json.decode(failing(error)("share", "eth0", "lo", "--json").out, type=ErrorDocument)
    assert [problem.reason for problem in document.error.problems] == ["bridge-member", "media-type"]


def test_a_group_tells_every_error_and_takes_the_worst_status() -> None:
    group = ExceptionGroup("2 of 3 steps could not be taken back", [HostError("one"), PrivilegeError("two", hint="h")])
    ran = failing(group)("stop")
    assert ran.status == 3
    assert ran.err == "icshare: 2 of 3 steps could not be taken back\nicshare: one\nicshare: two\nhint: h\n"
    document = msgspec.json.decode(failing(group)("stop", "--json").out, type=ErrorDocument)
    assert document.error.kind is ErrorKind.SEVERAL
    assert [one.kind for one in document.error.errors] == [ErrorKind.HOST, ErrorKind.PRIVILEGE]


def test_a_step_that_fails_is_rolled_back_and_named() -> None:
    machine = Machine()
    before = machine.manager.host.snapshot
    machine.manager.host.fail_at = 4
    ran = machine("share", "wan0", "lan0")
    assert ran.status == 1
    assert ran.out == ""
    assert "icshare: the fake host refuses step 4\n" in ran.err
    assert "note: while: sysctl net.ipv4.conf.wan0.forwarding" in ran.err
    assert machine.manager.host.snapshot == before


def test_a_bug_shows_its_traceback_and_asks_for_a_report() -> None:
    ran = Machine(manager=FakeManager(failure=ZeroDivisionError("bug")))("list", "--json")
    assert ran.status == 70
    assert "Traceback" in ran.err
    assert "ZeroDivisionError: bug" in ran.err
    assert ran.err.endswith("icshare: this is a bug of icshare; please report it with the lines above\n")


def test_an_expected_error_shows_its_traceback_only_to_those_who_ask() -> None:
    assert "Traceback" not in failing(HostError("wrong"))("-v", "list").err
    assert "Traceback" in failing(HostError("wrong"))("-vv", "list").err


class Interrupted(FakeManager):
    """Gets a signal before each step from the third on."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        run, runs = self.host.run, itertools.count(1)

        def interrupted(step: AnyStep) -> None:
            if next(runs) >= 3:  # the second signal comes in the middle of rolling back
                os.kill(os.getpid(), number)
            run(step)

        self.host.run = interrupted  # type: ignore[method-assign]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_rolls_back_what_share_has_begun(number: signal.Signals) -> None:
    machine = Machine(manager=Interrupted(number))
    before, handler = machine.manager.host.snapshot, signal.getsignal(number)
    ran = machine("share", "wan0", "lan0")
    assert ran.status == 128 + number
    assert ran.out == ""
    assert ran.err == "icshare: interrupted; nothing is shared, and everything is as it was before\n"
    assert machine.manager.host.snapshot == before
    assert machine.manager.journal.record is None
    assert signal.getsignal(number) is handler


def test_a_signal_while_changing_tells_what_is_shared_still() -> None:
    machine = Machine()
    assert machine("share", "wan0", "lan0").status == 0
    changed = Interrupted(signal.SIGINT)
    changed.host.snapshot, changed.journal = machine.manager.host.snapshot, machine.manager.journal
    ran = Machine(manager=changed)("share", "wan0", "lan0", "lan1")
    assert (ran.status, ran.err) == (130, "icshare: interrupted; wan0 is shared with lan0 now\n")
    assert Machine(manager=changed)("status").status == 0


def test_a_signal_while_stopping_tells_how_to_go_on() -> None:
    machine = Machine()
    assert machine("share", "wan0", "lan0", "lan1").status == 0
    stopping = Interrupted(signal.SIGTERM)
    stopping.host.snapshot, stopping.journal = machine.manager.host.snapshot, machine.manager.journal
    ran = Machine(manager=stopping)("stop")
    assert (ran.status, ran.err) == (143, "icshare: interrupted; icshare stop takes back what is left\n")
    assert machine("stop").status == 0
    assert machine.manager.journal.record is None


def test_ctrl_c_ends_any_command_with_one_line() -> None:
    def pressed() -> FakeManager:
        raise KeyboardInterrupt

    out, err = io.StringIO(), io.StringIO()
    assert main(["list"], Session(open_manager=pressed, stdout=out, stderr=err)) == 130
    assert (out.getvalue(), err.getvalue()) == ("", "icshare: interrupted\n")


def test_nobody_is_told_that_nobody_reads() -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    err = io.StringIO()
    status = main(["list"], Session(open_manager=FakeManager, stdout=Closed(), stderr=err))
    assert (status, err.getvalue()) == (141, "")
