"""``icshare lab`` from the user's side: what its last lines tell to type works as told."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import icshare
from icshare.host import command
from icshare.lab import LabName, take_down

pytestmark = pytest.mark.netns

ICSHARE = [sys.executable, "-m", "icshare.cli.main"]
ENVIRONMENT = {**command.environment(), "PYTHONPATH": str(Path(icshare.__file__).parents[1])}


def icshare_(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ICSHARE, *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=False)


def test_what_is_proposed_to_be_tried_works(prefix: LabName) -> None:
    try:
        up = icshare_("lab", "up", "--prefix", prefix)
        assert (up.returncode, up.stderr) == (0, "")
        proposed = [shlex.split(line) for line in up.stdout.splitlines() if line.startswith("  icshare ")]
        assert [line[:2] for line in proposed] == [["icshare", "lab"]] * 4
        *tried, removal = proposed
        ran = [icshare_(*line[1:]) for line in tried]
        assert [one.returncode for one in ran] == [0, 0, 0]
        assert "Sharing wan0 with lan0, lan1" in ran[0].stdout
        assert "You came from 198.51.100.2" in ran[2].stdout
        assert icshare_(*removal[1:]).stdout == f"The lab {prefix} is gone.\n"
        assert json.loads(icshare_("lab", "status", "--prefix", prefix, "--json").stdout) == {"labs": []}
    finally:
        take_down(prefix)


def test_the_lab_is_the_one_that_was_asked_for(prefix: LabName) -> None:
    try:
        up = icshare_("lab", "up", "--prefix", prefix, "--privates", "3", "--second-uplink", "--mtu", "1400", "--json")
        built = json.loads(up.stdout)
        assert [node["name"] for node in built["nodes"]] == ["inet", "gw", "c0", "c1", "c2"]
        assert built["healthy"]
        show = icshare_("lab", "exec", "--prefix", prefix, "gw", "ip", "-json", "link", "show")
        links = {link["ifname"]: link["mtu"] for link in json.loads(show.stdout)}
        assert links == {"lo": 65536, "wan0": 1400, "wan1": 1400, "lan0": 1500, "lan1": 1500, "lan2": 1500}
        found = icshare_("lab", "status", "--prefix", prefix)
        assert (found.returncode, re.findall(r"^\w+ .* there", found.stdout, re.MULTILINE) != []) == (0, True)
    finally:
        take_down(prefix)


@pytest.mark.parametrize("json_", [False, True])
def test_the_exit_status_of_a_command_is_passed_on(prefix: LabName, json_: bool) -> None:
    try:
        assert icshare_("lab", "up", "--prefix", prefix, "--privates", "1").returncode == 0
        options = ["--prefix", prefix, *(["--json"] if json_ else [])]
        done = icshare_("lab", "exec", *options, "c0", "sh", "-c", "hostname; exit 7")
        assert done.returncode == 7
        told = json.loads(done.stdout)["stdout"] if json_ else done.stdout
        assert told == "c0\n"
        killed = icshare_("lab", "exec", *options, "c0", "sh", "-c", "kill -9 $$")
        assert killed.returncode == (137 if json_ else -9)
        absent = icshare_("lab", "exec", *options, "c0", "no-such-program")
        assert absent.returncode == 1
        assert "no-such-program" in absent.stdout + absent.stderr
    finally:
        take_down(prefix)
