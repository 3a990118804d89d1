"""The log's file: begun, continued, put aside, lost and full."""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from icshare.errors import HostError
from icshare.host.logfile import LogFile, open_directory

HEADER = "#head\n"
LINE = "one line of the log\n"


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def log_file(directory: int, limit: int = 1000, name: str = "log") -> LogFile:
    return LogFile(directory, name, header=HEADER, limit=limit)


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """Let the kernel take no byte of a file beyond *size*, as a full file system would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_lines_follow_the_header_and_the_next_writer_goes_on(tmp_path: Path, directory: int) -> None:
    for _ in range(2):
        with log_file(directory) as log:
            assert log.write(LINE)
            log.close()
    assert (tmp_path / "log").read_text() == HEADER + LINE * 2


def test_only_its_own_account_and_group_may_read_it(tmp_path: Path, directory: int) -> None:
    with log_file(directory):
        assert (tmp_path / "log").stat().st_mode & 0o137 == 0


def test_a_full_file_is_put_aside_and_never_exceeds_its_limit(tmp_path: Path, directory: int) -> None:
    limit = len(HEADER) + 3 * len(LINE)
    with log_file(directory, limit) as log:
        for _ in range(8):
            assert log.write(LINE)
    assert (tmp_path / "log").read_text() == HEADER + LINE * 2
    assert (tmp_path / "log.old").read_text() == HEADER + LINE * 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.old"]


def test_a_line_that_no_file_could_hold_is_written_all_the_same(tmp_path: Path, directory: int) -> None:
    with log_file(directory, 1) as log:
        assert log.write(LINE)
        assert log.write(LINE)
    assert (tmp_path / "log").read_text() == (tmp_path / "log.old").read_text() == HEADER + LINE


@pytest.mark.parametrize("taken", ["unlinked", "moved", "replaced"])
def test_a_file_that_was_taken_away_is_begun_anew(tmp_path: Path, directory: int, taken: str) -> None:
    path = tmp_path / "log"
    with log_file(directory) as log:
        log.write(LINE)
        if taken == "unlinked":
            path.unlink()
        else:
            path.rename(tmp_path / "elsewhere")
        if taken == "replaced":
            path.touch()
        assert log.write(LINE)
    assert path.read_text() == HEADER + LINE


def test_what_a_full_file_system_does_not_take_leaves_no_part_of_a_line(tmp_path: Path, directory: int) -> None:
    path = tmp_path / "log"
    with log_file(directory) as log:
        log.write(LINE)
        with full_at(path.stat().st_size + 5):
            assert not log.write(LINE)
            assert path.read_text() == HEADER + LINE
            assert not log.write(LINE)
        assert log.write(LINE)
    assert path.read_text() == HEADER + LINE * 2


@pytest.mark.parametrize("kind", ["link", "directory", "fifo"])
def test_what_is_no_ordinary_file_is_not_written_to(tmp_path: Path, directory: int, kind: str) -> None:
    path, victim = tmp_path / "log", tmp_path / "victim"
    victim.write_text("precious")
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(HostError, match="cannot open the log file log"):
        log_file(directory)
    assert victim.read_text() == "precious"


def test_a_link_that_takes_the_files_place_is_not_followed(tmp_path: Path, directory: int) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    with log_file(directory) as log:
        (tmp_path / "log").unlink()
        (tmp_path / "log").symlink_to(victim)
        assert not log.write(LINE)
    assert victim.read_text() == "precious"


# -------------------------------------------------------------------------------------------------------- the directory


def test_a_missing_directory_is_made_for_the_writer(tmp_path: Path) -> None:
    for _ in range(2):
        descriptor = open_directory(tmp_path / "logs", os.geteuid(), os.getegid())
        assert os.path.samestat(os.fstat(descriptor), (tmp_path / "logs").stat())
        os.close(descriptor)
    assert (tmp_path / "logs").stat().st_mode & 0o7777 == 0o2750


def test_a_directory_of_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=f"belongs to user {os.geteuid()}, not to user 4242"):
        open_directory(tmp_path, 4242, 4242)


@pytest.mark.parametrize("name", ["nowhere/at/all", "file", "link"])
def test_what_is_no_directory_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/tmp")
    with pytest.raises(HostError, match="cannot open the log directory"):
        open_directory(tmp_path / name, os.geteuid(), os.getegid())
