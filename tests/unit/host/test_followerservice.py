"""A stand-in for the follower, started, found and stopped."""

import sys
from pathlib import Path

import pytest

from icshare.errors import HostError
from icshare.host.followerservice import FollowerService

DAEMON = """
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
null = os.open(os.devnull, os.O_RDWR)
for one in (0, 1, 2):
    os.dup2(null, one)
time.sleep(300)
"""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FollowerService:
    """Give a service whose program is a module that this interpreter finds without its own directories."""
    program = tmp_path / "python"
    module = tmp_path / "stand_in.py"
    module.write_text(DAEMON)
    # -I keeps PYTHONPATH out: an interpreter that adds the directory itself, with the arguments as they are.
    program.write_text(
        f"#!/bin/sh\nexec {sys.executable} -I -c \"import sys, runpy; sys.path.append('{tmp_path}'); "
        'runpy.run_module(sys.argv[-2], run_name=\'__main__\')" "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return FollowerService(tmp_path, module="stand_in")


def test_it_is_started_once_and_found_by_another(service: FollowerService, tmp_path: Path) -> None:
    assert not service.running()
    service.ensure()
    try:
        (process,) = FollowerService(tmp_path, module="stand_in").processes()
        service.ensure()
        assert service.processes() == (process,)
        assert not FollowerService(tmp_path / "other", module="stand_in").running()
        (tmp_path / "follower.log").touch()
    finally:
        service.stop()
    assert not service.running()
    assert not (tmp_path / "follower.log").exists()
    service.stop()


def test_one_that_does_not_start_says_why(service: FollowerService, tmp_path: Path) -> None:
    (tmp_path / "stand_in.py").write_text("raise SystemExit('no such thing')")
    with pytest.raises(HostError, match="does not start: no such thing"):
        service.ensure()
