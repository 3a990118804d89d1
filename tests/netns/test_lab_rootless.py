"""A machine of its own: for a user without privilege, and for root who wants nothing of the host touched."""

import os
import select
import signal
import sys
from pathlib import Path

import pytest

import icshare
from icshare.host import command
from icshare.lab import rootless

pytestmark = pytest.mark.netns

SOURCE = str(Path(icshare.__file__).parents[1])
ENVIRONMENT = {"PYTHONPATH": SOURCE, "PYTHONDONTWRITEBYTECODE": "1"}
NOBODY = 65534

WHOLE_LAB = """
import os
from icshare.lab import Lab, LabPlan
with Lab.up(LabPlan(second_uplink=True)) as lab:
    print(os.getpid(), lab.run("gw", ["curl", "-sS", "http://www.example.net/"]).stdout)
    print(lab.seen()[0].source, lab.run("c0", ["ls", "/sys/class/net"]).stdout)
"""

# Tells where it is, then waits for ever.
STAYS = "import os, signal; print(os.readlink('/proc/self/ns/net'), flush=True); signal.pause()"


def needs(*, root: bool) -> None:
    if root and os.geteuid() != 0:
        pytest.skip("needs root")
    refused = rootless.refusal(root=root)
    if refused is not None:
        pytest.skip(f"{refused}")


def as_nobody(argv: list[str]) -> list[str]:
    """Return how to run *argv* as a user without any privilege; skip where that cannot be tried."""
    if os.geteuid() != 0:
        return argv
    argv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--", *argv]
    can = command.run([*argv[:5], sys.executable, "-c", "import icshare.lab"], env=ENVIRONMENT, check=False)
    if can.returncode != 0:
        pytest.skip(f"cannot become the user nobody and read this checkout: {can.stderr.strip().splitlines()[-1]}")
    return argv


def test_a_user_without_privilege_has_a_whole_lab() -> None:
    needs(root=False)
    argv = as_nobody([sys.executable, "-m", "icshare.lab.rootless", sys.executable, "-c", WHOLE_LAB])
    said = command.run(argv, env=ENVIRONMENT, timeout=60).stdout.split()
    assert said[0] == "1"
    assert "198.51.100.2," in said
    assert said[-3:] == ["198.51.100.2", "eth0", "lo"]


@pytest.mark.parametrize("root", [True, False])
def test_nothing_of_the_host_is_touched(*, root: bool) -> None:
    """Everything is left behind on purpose: it must go with its last process."""
    needs(root=root)
    code = "from icshare.lab import Lab, LabPlan; print(Lab.up(LabPlan(prefix='left-behind')).status().healthy)"
    links = command.run(["ip", "-o", "link"]).stdout
    argv = rootless.inside_argv([sys.executable, "-c", code], root=root)
    assert command.run(argv, env=ENVIRONMENT, timeout=60).stdout == "True\n"
    assert not Path("/run/icshare-lab/left-behind").exists()
    assert not list(Path("/run/netns").glob("left-behind-*"))
    assert "left-behind" not in Path("/proc/self/mountinfo").read_text()
    assert command.run(["ip", "-o", "link"]).stdout == links


def test_the_exit_status_is_handed_on() -> None:
    needs(root=os.geteuid() == 0)
    argv = [sys.executable, "-m", "icshare.lab.rootless", "sh", "-c", "exit 7"]
    assert command.run(argv, env=ENVIRONMENT, check=False).returncode == 7


def test_entering_runs_the_same_command_again_inside(tmp_path: Path) -> None:
    needs(root=os.geteuid() == 0)
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        "from icshare.lab import rootless\n"
        "assert not (rootless.is_inside() and os.getpid() != 1)\n"
        "rootless.enter()\n"
        "print(rootless.is_inside(), os.getpid(), sys.argv[1:], os.listdir('/run'))\n"
    )
    said = command.run([sys.executable, str(script), "a b", "$c"], env=ENVIRONMENT, timeout=30).stdout
    assert said == "True 1 ['a b', '$c'] []\n"


@pytest.mark.parametrize("mark", ["here", "x", "", "mnt:[1] net:[here]", "mnt:[1]"])
def test_a_mark_in_the_environment_alone_is_not_believed(mark: str) -> None:
    """A variable left over from a shell inside would let a demo build its networks on the host."""
    here = rootless.where()
    mark = here if mark == "here" else mark.replace("net:[here]", here.split()[1])
    code = "from icshare.lab import rootless; print(rootless.is_inside())"
    environment = {**ENVIRONMENT, "ICSHARE_OUTSIDE": mark}
    assert command.run([sys.executable, "-c", code], env=environment).stdout == "False\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_ending_the_process_outside_ends_all_inside(number: signal.Signals) -> None:
    needs(root=os.geteuid() == 0)
    argv = [sys.executable, "-m", "icshare.lab.rootless", sys.executable, "-c", STAYS]
    process = command.start(argv, env=ENVIRONMENT, stdout=command.PIPE)
    assert process.stdout is not None
    namespace = process.stdout.readline().decode().strip()
    inside = [pid for pid in pids() if where(pid) == namespace]
    descriptors = [os.pidfd_open(pid) for pid in inside]
    assert inside
    process.send_signal(number)
    status = process.wait(10)
    assert status == (-number if number == signal.SIGKILL else 128 + number)
    for descriptor in descriptors:
        assert select.select([descriptor], [], [], 10)[0]
        os.close(descriptor)
    process.stdout.close()


def pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def where(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return None
