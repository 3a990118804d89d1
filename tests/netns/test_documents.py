"""What the documents show is true: the examples of docs/python-api.md, run as they stand on the gateway of a lab."""

import sys
from pathlib import Path

import pytest
from tests.netns.gateway import laboratory

import icshare
from icshare.lab import GATEWAY

pytestmark = pytest.mark.netns

PAGE = Path(__file__).parents[2] / "docs" / "python-api.md"


def test_the_examples_of_the_python_api_are_true() -> None:
    environment = {"PYTHONPATH": str(Path(icshare.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    with laboratory("documents", privates=2) as lab:
        done = lab.run(GATEWAY, [sys.executable, "-m", "doctest", str(PAGE)], env=environment, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
