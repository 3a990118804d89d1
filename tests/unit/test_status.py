"""Looking at what is shared while somebody changes it: the change is waited for, and told of when it takes too long."""

import threading
from pathlib import Path

import pytest

from icshare.api import SharingManager, SharingStatus
from icshare.control import stillness
from icshare.errors import HostError
from icshare.host.journal import FileJournal
from icshare.model.settings import Settings
from icshare.model.sharing import Wanted
from icshare.model.status import Health
from icshare.plan.planner import Plan


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def manager(directory: Path, tmp_path: Path) -> SharingManager:
    return SharingManager(run_directory=directory, state_directory=tmp_path / "state", settings=Settings())


def test_status_waits_until_nobody_changes_anything(directory: Path, manager: SharingManager) -> None:
    """It called a sharing ill, and the change cut off, that was just being brought into force."""
    found: list[SharingStatus] = []
    looking = threading.Thread(target=lambda: found.append(manager.status()))
    with FileJournal(directory).lock():
        looking.start()
        looking.join(0.3)
        assert found == []
    looking.join(10)
    assert found == [SharingStatus(record=None, health=Health())]


def test_a_change_during_the_look_is_a_reason_to_look_again(
    directory: Path, manager: SharingManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def look() -> SharingStatus:
        looks.append(len(looks))
        if len(looks) == 1:
            journal = FileJournal(directory)
            with journal.lock():
                journal.complete(Plan(wanted=Wanted(), steps=()))
        return SharingStatus(record=None, health=Health())

    monkeypatch.setattr(manager, "_status", look)
    assert not manager.status().changing
    assert looks == [0, 1]


def test_where_it_cannot_be_waited_what_there_is_is_told(
    directory: Path, manager: SharingManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise HostError("cannot watch directories: Too many open files")

    monkeypatch.setattr(stillness, "wait_until", refuse)
    with FileJournal(directory).lock():
        assert manager.status().changing


def test_a_change_without_end_is_told_of(
    directory: Path, manager: SharingManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stillness, "PATIENCE", 0.1)
    with FileJournal(directory).lock():
        assert manager.status().changing
