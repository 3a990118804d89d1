"""What the documents show is true: the examples in Python, run on the gateway of a lab."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import icshare
from icshare.host.command import Completed
from icshare.lab import GATEWAY, Lab

pytestmark = pytest.mark.netns

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(make_lab: Callable[..., Lab]) -> Callable[..., Completed]:
    """Give a function that runs Python on the gateway of a lab."""
    lab = make_lab(privates=2)
    environment = {"PYTHONPATH": str(Path(icshare.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}

    def python(*arguments: str) -> Completed:
        return lab.run(GATEWAY, [sys.executable, *arguments], env=environment, check=False, timeout=100)

    return python


def test_the_examples_of_the_python_api_are_true(run: Callable[..., Completed]) -> None:
    done = run("-m", "doctest", str(ROOT / "docs" / "python-api.md"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_of_the_readme_runs(run: Callable[..., Completed]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    here = example.replace("wlan0", "wan0").replace("eth0", "lan0").replace("events()", "events(timeout=0.1)")
    done = run("-c", f"{here}print([one.text for one in manager.mappings.statuses()])")
    assert (done.stdout.splitlines()[-1], done.stderr) == ("['no client with the name printer is known']", "")
