"""``icshare demo`` shows a whole sharing, tells what it saw, and leaves nothing, however it ends."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import icshare
from icshare.host import command
from icshare.lab import LabName, LabPlan
from icshare.lab.demo import run_demo
from icshare.lab.report import Finding, Ran, Step

pytestmark = pytest.mark.netns

DEMO = [sys.executable, "-m", "icshare.cli.main", "demo"]
SOURCE = str(Path(icshare.__file__).parents[1])
STEPS = ["lab", "list", "share", "lease", "internet", "neighbours", "outside", "clients", "stop", "traces"]
MARK = "ICSHARE_TEST_MARK"


class Ignored:
    """Watches nothing."""

    def begins(self, number: int, title: str) -> None:
        pass

    def draws(self, picture: str) -> None:
        pass

    def ran(self, ran: Ran, *, show: bool) -> None:
        pass

    def found(self, finding: Finding) -> None:
        pass

    def ends(self, step: Step, /) -> None:
        pass


def environment(**extra: str) -> Mapping[str, str]:
    return {**command.environment(), "PYTHONPATH": SOURCE, "PYTHONDONTWRITEBYTECODE": "1", **extra}


def links() -> str:
    """Return the links and namespaces here, without those of tests that run beside this one, in another process."""
    of_a_test = re.compile(r"[a-z]+([0-9]+)-")
    # Without the numbers behind some of the names, which the kernel gives them when it has to tell of them.
    names = [line.split()[0] for line in command.run(["ip", "netns", "list"]).stdout.splitlines()]
    others = [name for name in names if (found := of_a_test.match(name)) and int(found[1]) != os.getpid()]
    return "\n".join([command.run(["ip", "-o", "link"]).stdout, *(name for name in names if name not in others)])


def marked(mark: str) -> list[int]:
    """Return the processes that were started with *mark* in their environment, or by such ones."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return found


@pytest.fixture(scope="module")
def document(lab_allowed: None) -> dict[str, Any]:  # noqa: ARG001 - asked for, not used
    """Give what the demo tells to programs."""
    before = links()
    done = subprocess.run([*DEMO, "--json"], env=environment(), capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert links() == before
    told: dict[str, Any] = json.loads(done.stdout)
    wrong = [one["text"] for step in told["steps"] for one in step["observations"] if not one["ok"]]
    assert (done.returncode, wrong) == (0, [])
    return told


def observations(document: dict[str, Any], name: str) -> str:
    (step,) = (step for step in document["steps"] if step["name"] == name)
    return "\n".join(one["text"] for one in step["observations"])


def test_every_step_is_gone_through_in_less_than_15_seconds(document: dict[str, Any]) -> None:
    assert [step["name"] for step in document["steps"]] == STEPS
    assert all(step["ok"] and step["observations"] for step in document["steps"])
    assert document["ok"]
    assert document["seconds"] < 15


def test_the_server_saw_the_public_address_only(document: dict[str, Any]) -> None:
    text = observations(document, "internet")
    assert "the server's log: 2 requests, from 198.51.100.2" in text
    assert text.count("You came from 198.51.100.2\n") == 2


def test_the_clients_took_leases_with_a_client_that_is_not_ours(document: dict[str, Any]) -> None:
    (step,) = (step for step in document["steps"] if step["name"] == "lease")
    assert [one["line"].split()[0] for one in step["commands"]] == ["udhcpc", "udhcpc"]
    for ran in step["commands"]:
        assert re.search(r"lease of 192\.168\.137\.\d+ obtained", ran["output"])


def test_what_was_open_to_the_internet_is_closed_while_sharing_and_open_again_afterwards(
    document: dict[str, Any],
) -> None:
    """The same web server, asked in the same way: so the silence is the firewall's doing."""
    assert "its own web server is open" in observations(document, "lab")
    assert re.search(r"TCP http://198\.51\.100\.2:80/: (no answer|refused)", observations(document, "outside"))
    assert "the gateway's web server: open as before" in observations(document, "traces")


def test_every_kind_of_trace_is_compared(document: dict[str, Any]) -> None:
    text = observations(document, "traces")
    kinds = ("links", "routes", "rules", "addresses", "neighbours", "nftables", "sysctls", "processes", "files")
    for kind in kinds:
        assert re.search(rf"^{kind}: (\d+) before, \1 now, the very same$", text, re.MULTILINE)
    assert "of the lab is left: nothing" in text


@pytest.mark.usefixtures("lab_allowed")
def test_a_pipe_gets_plain_text_with_the_topology_and_a_mark_for_each_fact() -> None:
    done = subprocess.run(DEMO, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "┌─ gw: the gateway ─┐" in done.stdout
    assert "gw# icshare share --verbose wan0 lan0 lan1" in done.stdout
    assert done.stdout.count("✓") > 30
    assert "✗" not in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.usefixtures("lab_allowed")
@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_gets_colour_and_lines_that_fit(width: int) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, width))
    with subprocess.Popen(DEMO, env=environment(TERM="xterm-256color"), stdout=theirs, stderr=theirs) as demo:
        os.close(theirs)
        printed = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            printed += part
        assert demo.wait(20) == 0
    os.close(ours)
    text = printed.decode()
    assert "\x1b[" in text
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).split("\r\n")
    assert max(map(len, lines)) <= width


@pytest.mark.usefixtures("lab_allowed")
@pytest.mark.skipif(Path("/proc/self/uid_map").read_text().split()[:2] != ["0", "0"], reason="we are no true root")
def test_an_ordinary_user_can_run_it() -> None:
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    allowed = subprocess.run([*user, "unshare", "--user", "--map-root-user", "true"], check=False, capture_output=True)
    if allowed.returncode != 0:
        pytest.skip("this kernel gives users no namespaces of their own")
    readable = subprocess.run(
        [*user, sys.executable, "-c", "import icshare.cli.main"], env=environment(), check=False, capture_output=True
    )
    if readable.returncode != 0:
        pytest.skip("this checkout cannot be read by other users")
    done = subprocess.run([*user, *DEMO, "--json"], env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["ok"]


@pytest.mark.usefixtures("lab_allowed")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("heading", ["A virtual Internet", "Share wan0", "The Internet tries"])
def test_interrupted_at_any_moment_it_leaves_nothing(number: signal.Signals, heading: str) -> None:
    before, mark = links(), uuid.uuid4().hex
    # As from a terminal's Ctrl-C, the signal goes to the whole group.
    with subprocess.Popen(
        DEMO, env=environment(**{MARK: mark}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        for line in demo.stdout:
            if heading.encode() in line:
                break
        assert marked(mark) != []
        os.killpg(demo.pid, number)
        demo.stdout.read()
        message = demo.stderr.read().decode()
        assert demo.wait(20) == 128 + number
    if number == signal.SIGINT:
        assert message.splitlines()[0] == "icshare: interrupted; the lab and all that was in it is gone"
    assert marked(mark) == []
    assert links() == before


def test_what_goes_wrong_is_told_and_the_rest_is_cleaned_up(prefix: LabName) -> None:
    """A lab whose uplink is not plugged in: the gateway is not online, and neither are its clients."""
    before = links()
    found = run_demo(Ignored(), plan=LabPlan(prefix=prefix, uplink_up=False))
    assert not found.ok
    steps = {step.name: step for step in found.steps}
    assert [one.ok for one in steps["lab"].findings if "the gateway is online" in one.text] == [False]
    assert not steps["internet"].ok
    assert steps["lease"].ok
    assert [one.text for one in steps["traces"].findings if not one.ok] == ["the gateway's web server: still closed"]
    assert links() == before
