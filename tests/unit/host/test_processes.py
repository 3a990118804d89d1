"""Processes are found by what they run, and ended by who they are."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from icshare.host import command, processes
from icshare.host.processes import Process, find_process, find_processes, is_alive, owner, read_state, terminate

MakeChild = Callable[[str], command.Process]

# Field 22 is the start; what follows it is of no interest here.
STAT = "{pid} ({name}) {letter} {parent} 1 1 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 {start} 10000 200 0 0"


def write_process(
    proc: Path,
    pid: int,
    *,
    argv: bytes = b"prog\0",
    name: str = "prog",
    letter: str = "S",
    parent: int = 1,
    start: int = 5,
) -> None:
    directory = proc / str(pid)
    directory.mkdir()
    stat = STAT.format(pid=pid, name=name, letter=letter, parent=parent, start=start)
    (directory / "stat").write_text(stat, encoding="utf-8")
    (directory / "cmdline").write_bytes(argv)
    (directory / "comm").write_text(f"{name}\n", encoding="utf-8")


@pytest.fixture
def child() -> Iterator[MakeChild]:
    """Give a function that starts a Python program and waits until it has said so; all are killed at the end."""
    started: list[command.Process] = []

    def start(code: str) -> command.Process:
        program = f"import signal, sys, time\n{code}\nprint('ready', flush=True)\ntime.sleep(60)"
        process = command.start([sys.executable, "-c", program], stdout=command.PIPE)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        command.end(process)


def identify(process: command.Process) -> Process:
    (found,) = [one for one in find_processes(lambda argv: argv[0] == sys.executable) if one.pid == process.pid]
    return found


def test_processes_are_found_by_their_arguments(tmp_path: Path) -> None:
    write_process(tmp_path, 7, argv=b"dnsmasq\0--conf-file=/run/a b\0", start=123)
    write_process(tmp_path, 30, argv=b"dnsmasq\0--conf-file=/etc/dnsmasq.conf\0")
    (tmp_path / "net").mkdir()
    found = find_processes(lambda argv: argv[1:] == ("--conf-file=/run/a b",), proc=tmp_path)
    assert found == (Process(pid=7, start=123, argv=("dnsmasq", "--conf-file=/run/a b")),)


def test_a_process_is_found_by_its_number_if_it_is_the_wanted_one(child: MakeChild) -> None:
    process = child("")
    found = find_process(process.pid, lambda argv: argv[0] == sys.executable)
    assert found is not None
    assert found in find_processes(lambda argv: argv[0] == sys.executable)
    assert find_process(process.pid, lambda argv: argv[0] == "dnsmasq") is None
    assert find_process(2**31 - 1, lambda _: True) is None


def test_an_empty_argument_is_an_argument(tmp_path: Path) -> None:
    write_process(tmp_path, 7, argv=b"prog\0\0last\0")
    (found,) = find_processes(lambda _: True, proc=tmp_path)
    assert found.argv == ("prog", "", "last")


def test_zombies_kernel_threads_and_the_gone_are_not_found(tmp_path: Path) -> None:
    write_process(tmp_path, 7, letter="Z")
    write_process(tmp_path, 8, argv=b"")
    (tmp_path / "9").mkdir()
    assert find_processes(lambda _: True, proc=tmp_path) == ()


@pytest.mark.parametrize("name", ["a b", "a) S 1 2", "(((", ") Z 9 9 9"])
def test_a_programs_name_cannot_forge_its_state(tmp_path: Path, name: str) -> None:
    write_process(tmp_path, 7, name=name, parent=42, start=99)
    state = read_state(7, tmp_path)
    assert state is not None
    assert (state.letter, state.parent, state.start) == ("S", 42, 99)


@pytest.mark.parametrize("text", ["", "7 (x) S", "7 (x) S a b c d e f g h i j k l m n o p q r s t"])
def test_a_state_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(text, encoding="utf-8")
    assert read_state(7, tmp_path) is None


def test_ancestors_lead_to_the_first_process(tmp_path: Path) -> None:
    write_process(tmp_path, 30, parent=20)
    write_process(tmp_path, 20, parent=1)
    write_process(tmp_path, 1, parent=0)
    (tmp_path / "self").symlink_to("30")
    assert list(processes.ancestors(tmp_path)) == [30, 20, 1]


def test_ancestors_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    write_process(tmp_path, 30, parent=20)
    write_process(tmp_path, 20, parent=30)
    (tmp_path / "self").symlink_to("30")
    assert list(processes.ancestors(tmp_path)) == [30, 20]


def test_without_a_process_of_our_own_there_are_no_ancestors(tmp_path: Path) -> None:
    assert list(processes.ancestors(tmp_path)) == []


def test_our_own_ancestors_begin_with_us() -> None:
    assert list(processes.ancestors())[:2] == [os.getpid(), os.getppid()]


def test_a_process_is_its_effective_users(tmp_path: Path) -> None:
    write_process(tmp_path, 7)
    assert owner(7, tmp_path) is None
    (tmp_path / "7" / "status").write_text("Name:\tprog\nUid:\t1000\t1001\t1002\t1003\nGid:\t5\t6\t7\t8\n")
    assert owner(7, tmp_path) == 1001
    assert owner(os.getpid()) == os.geteuid()


def test_a_process_ends_when_it_is_asked(child: MakeChild) -> None:
    process = child("signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))")
    identity = identify(process)
    assert is_alive(identity)
    terminate(identity, timeout_seconds=10)
    assert process.wait(5) == 7


def test_a_process_that_does_not_listen_is_killed(child: MakeChild) -> None:
    process = child("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    terminate(identify(process), timeout_seconds=0.05)
    assert process.wait(5) == -signal.SIGKILL


def test_a_zombie_is_gone(child: MakeChild) -> None:
    process = child("")
    identity = identify(process)
    terminate(identity, timeout_seconds=10)
    assert not is_alive(identity)  # nobody has waited for it yet
    terminate(identity, timeout_seconds=10)
    assert process.wait(5) == -signal.SIGTERM


def test_what_is_gone_needs_no_ending(child: MakeChild) -> None:
    process = child("")
    identity = identify(process)
    process.kill()
    process.wait()
    terminate(identity, timeout_seconds=10)


def test_another_process_under_the_same_number_is_spared(child: MakeChild) -> None:
    process = child("")
    identity = identify(process)
    terminate(Process(pid=identity.pid, start=identity.start - 1, argv=identity.argv), timeout_seconds=10)
    assert process.poll() is None
