"""A process is known by its pid and start time together."""

import os

from icshare.host import command
from icshare.lab import processes


def test_a_process_is_running_under_its_own_start_time_only() -> None:
    started = processes.start_time(os.getpid())
    assert started is not None
    assert processes.is_running(os.getpid(), started)
    assert not processes.is_running(os.getpid(), started + 1)


def test_a_process_that_ended_is_not_running_even_before_it_was_waited_for() -> None:
    process = command.start(["cat"], stdin=command.PIPE)
    started = processes.start_time(process.pid)
    assert started is not None
    assert process.stdin is not None
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not processes.is_running(process.pid, started)
    process.wait()
    assert processes.start_time(process.pid) is None


def test_a_name_full_of_parentheses_does_not_confuse_the_start_time() -> None:
    code = "import ctypes; ctypes.CDLL(None).prctl(15, b') S 1 (2) 3', 0, 0, 0); print(flush=True); input()"
    process = command.start(["python3", "-c", code], stdin=command.PIPE, stdout=command.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    ours, theirs = processes.start_time(os.getpid()), processes.start_time(process.pid)
    command.end(process)
    assert ours is not None
    assert theirs is not None
    assert theirs >= ours


def test_processes_outside_of_the_namespaces_are_not_touched() -> None:
    process = command.start(["sleep", "100"])
    assert processes.end_those_in(frozenset({(0, 0)})) == 0
    assert process.poll() is None
    command.end(process)


def test_we_are_in_the_namespace_that_our_children_are_in() -> None:
    process = command.start(["sleep", "100"])
    assert processes.namespace_of(process.pid) == processes.namespace_of(os.getpid())
    command.end(process)
    assert processes.namespace_of(process.pid) is None
