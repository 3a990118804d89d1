"""Waiting for changes of directories that come, go and are replaced."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from icshare.host.inotify import Directories
from icshare.host.watch import Watch


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "a" / "run"


@pytest.fixture
def directories(place: Path) -> Iterator[Directories]:
    found = Directories([place, place.parent.parent / "other"])
    yield found
    found.close()
    found.close()


def test_a_directory_that_comes_goes_and_comes_again(directories: Directories, place: Path) -> None:
    assert not directories.changed()
    place.parent.mkdir()
    assert not directories.changed()
    place.mkdir()
    assert directories.changed()
    (place / "journal").write_text("one")
    assert directories.changed()
    (place / "journal").unlink()
    place.rmdir()
    assert directories.changed()
    assert not directories.changed()
    place.parent.rmdir()
    place.mkdir(parents=True)
    assert directories.changed()
    (place / "journal").touch()
    assert directories.changed()


def test_files_that_are_rewritten_and_replaced(directories: Directories, place: Path) -> None:
    place.mkdir(parents=True)
    leases = place / "leases"
    leases.write_text("one")
    assert directories.changed()
    with leases.open("r+") as file:
        file.write("two")
        file.truncate()
        file.flush()
        assert directories.changed()
    assert directories.changed()
    assert not directories.changed()
    new = place.parent / "new"
    new.write_text("three")
    assert not directories.changed()
    new.replace(leases)
    assert directories.changed()


def test_what_lies_beside_a_missing_directory_tells_nothing(directories: Directories, place: Path) -> None:
    (place.parent.parent / "strange").mkdir()
    assert not directories.changed()


def test_a_watch_tells_and_times_out(place: Path) -> None:
    watch = Watch([place])
    assert not watch.wait(0)
    place.mkdir(parents=True)
    assert watch.wait(10)
    watch.close()
    watch.close()
    assert watch.closed
    assert not watch.wait(None)


def test_another_thread_ends_a_wait(place: Path) -> None:
    watch = Watch([place])
    told: list[bool] = []
    thread = threading.Thread(target=lambda: told.append(watch.wait(None)))
    thread.start()
    watch.close()
    thread.join(10)
    assert told == [False]
