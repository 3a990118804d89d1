"""A stand-in for the log's process, started, found, replaced and stopped."""

import sys
from pathlib import Path

import pytest

from icshare.errors import HostError
from icshare.host.logservice import LogService
from icshare.plan.steps import digest

DAEMON = """
import os, pathlib, sys, time
configuration = pathlib.Path(sys.argv[1])
if configuration.read_text() == "refused":
    sys.exit("no group for you")
pid = os.fork()
if pid:
    configuration.with_name("firewall-log.pid").write_text(f"{pid}")
    os._exit(0)
os.setsid()
null = os.open(os.devnull, os.O_RDWR)
for one in (0, 1, 2):
    os.dup2(null, one)
time.sleep(300)
"""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LogService:
    """Give a service whose program this interpreter runs in place of ours, with the arguments as they are."""
    module, program = tmp_path / "stand_in.py", tmp_path / "python"
    module.write_text(DAEMON)
    code = f"import sys, runpy; sys.argv = ['', sys.argv[-1]]; runpy.run_path('{module}')"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -I -c "{code}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    directory = tmp_path / "run"
    directory.mkdir()
    return LogService(directory)


def test_it_is_started_once_replaced_and_stopped_without_a_trace(service: LogService, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    assert service.running() is None
    service.stop()
    try:
        service.start("one")
        (first,) = service.processes()
        service.start("one")
        assert service.processes() == (first,)
        assert LogService(directory).running() == digest("one")
        assert LogService(tmp_path).running() is None
        service.start("two")
        (second,) = service.processes()
        assert second.pid != first.pid
        assert service.running() == digest("two")
        assert sorted(path.name for path in directory.iterdir()) == [
            f"firewall-log-{digest('two')}.json",
            "firewall-log.pid",
        ]
    finally:
        service.stop()
    assert service.processes() == ()
    assert list(directory.iterdir()) == []


def test_the_number_of_a_stranger_is_not_taken_for_ours(service: LogService, tmp_path: Path) -> None:
    (tmp_path / "run" / "firewall-log.pid").write_text("1\n")
    assert service.running() is None
    service.stop()


def test_one_that_does_not_start_tells_why_and_leaves_nothing(service: LogService, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="the firewall's log does not start: no group for you"):
        service.start("refused")
    assert list((tmp_path / "run").iterdir()) == []
