"""A lab comes up whole or not at all, and goes without a trace."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import icshare
from icshare.errors import ConflictError, HostError, InvalidRequestError
from icshare.host import command
from icshare.lab import Lab, LabName, LabPlan, find_labs, status, take_down
from icshare.lab.lab import base_directory
from icshare.lab.state import LabState, Phase, save

pytestmark = pytest.mark.netns

MakeLab = Callable[..., Lab]
SOURCE = {"PYTHONPATH": str(Path(icshare.__file__).parents[1])}


def traces(prefix: LabName) -> list[str]:
    """Return all that a lab named *prefix* could leave on this machine."""
    namespaces = [str(path) for path in Path("/run/netns").glob(f"{prefix}-*")]
    directories = [str(path) for path in base_directory().glob(f"{prefix}*")]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if prefix in line]
    return namespaces + directories + mounts


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_lab_comes_up_whole_and_goes_without_a_trace(prefix: LabName) -> None:
    links = command.run(["ip", "-o", "link"]).stdout
    with Lab.up(LabPlan(prefix=prefix, second_uplink=True, far_mtu=1400, clients_per_private=2)) as lab:
        found = lab.status()
        pids = [service.pid for service in found.services]
        assert found.healthy
        assert [str(node.node) for node in found.nodes] == ["inet", "far", "gw", "switch", "c0", "c1", "c2", "c3"]
        assert [service.name for service in found.services] == ["keeper", "dns", "servers", "servers"]
        assert prefix in find_labs()
    assert traces(prefix) == []
    assert not any(alive(pid) for pid in pids)
    assert prefix not in find_labs()
    assert status(prefix) is None
    assert command.run(["ip", "-o", "link"]).stdout == links


def test_taking_down_twice_is_no_error(prefix: LabName) -> None:
    lab = Lab.up(LabPlan(prefix=prefix, privates=1))
    lab.down()
    lab.down()
    assert traces(prefix) == []


def test_going_down_ends_what_was_started_inside_and_nothing_else(make_lab: MakeLab) -> None:
    lab = make_lab(privates=1)
    inside = lab.popen("c0", ["sleep", "1000"])
    deaf = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {15}); print(flush=True); signal.pause()"
    stubborn = lab.popen("gw", python(deaf), stdout=command.PIPE)
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    outside = command.start(["sleep", "1000"])
    lab.down()
    assert inside.wait(5) == -signal.SIGTERM
    assert stubborn.wait(5) == -signal.SIGKILL
    assert outside.poll() is None
    stubborn.stdout.close()
    command.end(outside)


def test_up_refuses_the_name_of_a_lab_that_exists(lab: Lab) -> None:
    with pytest.raises(ConflictError, match="exists already"):
        Lab.up(LabPlan(prefix=lab.plan.prefix))
    assert lab.status().healthy


def test_up_refuses_names_of_namespaces_that_are_somebody_elses(prefix: LabName) -> None:
    theirs = f"{prefix}-c1"
    command.run(["ip", "netns", "add", theirs])
    try:
        with pytest.raises(ConflictError, match=theirs):
            Lab.up(LabPlan(prefix=prefix))
        take_down(prefix)
        assert not (base_directory() / prefix).exists()
        assert [path.name for path in Path("/run/netns").glob(f"{prefix}-*")] == [theirs]
        command.run(["ip", "-n", theirs, "link", "set", "lo", "up"])
    finally:
        command.run(["ip", "netns", "del", theirs])


def test_two_labs_live_side_by_side(make_lab: MakeLab) -> None:
    first, second = make_lab(privates=1), make_lab(privates=3)
    first.run("gw", ["curl", "-sS", "http://www.example.net/"])
    assert len(first.seen()) == 1
    assert second.seen() == ()
    first.down()
    assert second.status().healthy


@pytest.mark.parametrize("made", [0, 1, 3])
def test_half_a_lab_can_be_taken_down(prefix: LabName, made: int) -> None:
    """Ended after *made* of its four namespaces, with a process in the last one."""
    plan = LabPlan(prefix=prefix)
    directory = base_directory() / prefix
    directory.mkdir(parents=True)
    save(directory, LabState(phase=Phase.BUILDING, plan=plan))
    names = [plan.namespace(node) for node in plan.nodes[:made]]
    for name in names:
        command.run(["ip", "netns", "add", name])
    held = [
        command.start(["ip", "netns", "exec", name, "sh", "-c", "echo in; exec sleep 1000"], stdout=command.PIPE)
        for name in names[-1:]
    ]
    for process in held:
        assert process.stdout is not None
        assert process.stdout.read(3) == b"in\n"  # until then it is in no namespace of the lab
    with pytest.raises(InvalidRequestError, match="half-built"):
        Lab.open(prefix)
    found = status(prefix)
    assert found is not None
    assert not found.healthy
    take_down(prefix)
    assert traces(prefix) == []
    for process in held:
        process.communicate(timeout=30)


def test_a_lab_whose_making_was_killed_before_it_wrote_anything_can_be_taken_down(prefix: LabName) -> None:
    (base_directory() / prefix).mkdir(parents=True)
    take_down(prefix)
    assert traces(prefix) == []


def test_a_lab_whose_making_was_killed_can_be_taken_down(prefix: LabName) -> None:
    code = f"from icshare.lab import Lab, LabPlan; Lab.up(LabPlan(prefix={prefix!r}, privates=64))"
    with subprocess.Popen(python(code), env=command.environment(SOURCE), start_new_session=True) as making:
        deadline = time.monotonic() + 20
        while not Path(f"/run/netns/{prefix}-c10").exists():
            assert time.monotonic() < deadline
        os.killpg(making.pid, signal.SIGKILL)
    take_down(prefix)
    assert traces(prefix) == []


def test_a_failure_on_the_way_up_leaves_nothing(prefix: LabName) -> None:
    """The keeper needs more descriptors than it may have; by then every namespace has been made."""
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))
from icshare.lab import Lab, LabPlan
Lab.up(LabPlan(prefix={prefix!r}, privates=40))
"""
    done = command.run(python(code), env=SOURCE, check=False)
    assert done.returncode == 1
    assert "Too many open files" in done.stderr
    assert traces(prefix) == []


def test_a_damaged_state_file_is_one_clear_error_and_nothing_is_touched(lab: Lab) -> None:
    file = lab.directory / "lab.json"
    whole = file.read_bytes()
    for damaged in (
        whole[: len(whole) // 2],
        b"",
        b'{"version": 2}',
        b"[]",
        whole.replace(b'"mtu": 1500', b'"mtu": 1'),
    ):
        file.write_bytes(damaged)
        with pytest.raises(InvalidRequestError, match=r"lab\.json"):
            lab.down()
        with pytest.raises(InvalidRequestError, match=r"lab\.json"):
            Lab.open(lab.plan.prefix)
    file.write_bytes(whole)
    assert lab.status().healthy


def test_another_process_finds_and_uses_the_lab(lab: Lab) -> None:
    code = f"""
from icshare.lab import Lab
lab = Lab.open({lab.plan.prefix!r})
print(lab.status().healthy, lab.run("c1", ["hostname"]).stdout)
"""
    assert command.run(python(code), env=SOURCE).stdout.split() == ["True", "c1"]


def test_a_lost_keeper_is_named(make_lab: MakeLab) -> None:
    lab = make_lab(privates=1)
    keeper = next(service for service in lab.status().services if service.name == "keeper")
    descriptor = os.pidfd_open(keeper.pid)
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    assert select.select([descriptor], [], [], 5)[0] == [descriptor]
    os.close(descriptor)
    assert not lab.status().healthy
    with pytest.raises(HostError, match="keeper"):
        lab.run("c0", ["true"])
