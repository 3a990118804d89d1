"""The journal on disk: what it keeps through crashes and on a full disk, whom it lets in, what it does not believe."""

import multiprocessing
import os
import resource
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Interface
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import pytest
from tests import scenarios
from tests.hosts import connections_of, settled
from tests.mortal import KilledError, Life, MortalHost, MortalJournal

from icshare.engine import Engine
from icshare.errors import ConflictError, HostError, PrivilegeError
from icshare.host import inotify
from icshare.host import journal as on_disk
from icshare.host.journal import FileJournal
from icshare.model.names import InterfaceName
from icshare.plan.planner import Plan
from icshare.plan.records import Header, encode
from icshare.plan.steps import AddAddress, AnyStep, LinkRef, LoadRuleset, SetUp
from icshare.ports import Journal
from icshare.testing import FakeHost, FakeJournal

LOAD = LoadRuleset(text="table inet icshare {}\n")
UP = SetUp(link=LinkRef(InterfaceName("lan0"), 3), up=True, previous=False)
ADDRESS = AddAddress(link=LinkRef(InterfaceName("lan0"), 3), address=IPv4Interface("192.168.137.1/24"), served=True)

_NOBODY = 65_534
_fork = multiprocessing.get_context("fork")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "icshare"


@pytest.fixture
def file_journal(directory: Path) -> FileJournal:
    return FileJournal(directory)


@pytest.fixture(params=["file", "fake"])
def journal(request: pytest.FixtureRequest, directory: Path) -> Journal:
    return FileJournal(directory) if request.param == "file" else FakeJournal()


@pytest.fixture(scope="module")
def plan() -> Plan:
    scenario = scenarios.load("reserves_addresses_beside_a_smaller_pool")
    return scenarios.machine(scenario).engine.propose(scenario.wanted).plan


def test_nothing_is_on_record_at_first(journal: Journal) -> None:
    assert journal.load() is None
    with journal.lock():
        assert journal.load() is None


def test_steps_are_on_record_by_rank_from_the_moment_they_begin(journal: Journal) -> None:
    with journal.lock():
        first = journal.begin(LOAD, None)
        second = journal.begin(UP, None)
        assert second.rank > first.rank
        replacement = journal.begin(LoadRuleset(text="other"), first.rank)
        record = journal.load()
        assert record is not None
        assert record.entries == (first, replacement, second)
        assert not record.complete
        assert record.sharing is None


def test_what_is_gone_is_off_the_record_and_the_whole_no_longer_complete(journal: Journal, plan: Plan) -> None:
    with journal.lock():
        first, second = journal.begin(LOAD, None), journal.begin(UP, None)
        journal.complete(plan)
        journal.gone(first)
        record = journal.load()
        assert record is not None
        assert record.entries == (second,)
        assert record.sharing == plan.sharing
        assert not record.complete


def test_a_complete_sharing_is_kept_whole(journal: Journal, plan: Plan) -> None:
    with journal.lock():
        entries = tuple(journal.begin(step, None) for step in plan.steps)
        journal.complete(plan)
    record = journal.load()
    assert record is not None
    assert record.complete
    assert (record.sharing, record.segments, record.notes) == (plan.sharing, plan.segments, plan.notes)
    assert record.entries == entries


def test_nothing_is_left_after_clearing(journal: Journal, plan: Plan) -> None:
    with journal.lock():
        journal.begin(LOAD, None)
        journal.complete(plan)
        journal.clear()
        assert journal.load() is None
        assert journal.begin(UP, None).rank == 1
        journal.clear()
    assert journal.load() is None


def test_clearing_what_is_clear_does_nothing(journal: Journal) -> None:
    with journal.lock():
        journal.clear()
        journal.clear()
        assert journal.load() is None


def test_the_next_process_goes_on_where_the_last_one_died(directory: Path, plan: Plan) -> None:
    first = FileJournal(directory)
    with first.lock():
        load, up = first.begin(LOAD, None), first.begin(UP, None)
        first.gone(load)
        first.complete(plan)
    second = FileJournal(directory)
    with second.lock():
        record = second.load()
        assert record is not None
        assert record.entries == (up,)
        assert record.since > 0
        address = second.begin(ADDRESS, None)
        assert address.number > up.number
        assert address.rank > up.rank
        assert second.load() is not None
    third = FileJournal(directory).load()
    assert third is not None
    assert third.entries == (up, address)


def test_what_another_process_writes_is_read(directory: Path, plan: Plan) -> None:
    reader, writer = FileJournal(directory), FileJournal(directory)
    for _ in range(2):  # the second time in a new file
        with writer.lock():
            first = writer.begin(LOAD, None)
            assert _steps(reader) == [LOAD]
            writer.begin(UP, None)
            assert _steps(reader) == _steps(reader) == [LOAD, UP]
            writer.gone(first)
            assert _steps(reader) == [UP]
            writer.complete(plan)
            record = reader.load()
            assert record is not None
            assert record.complete
            writer.clear()
            assert reader.load() is None


def test_the_directory_goes_with_the_journal_and_is_made_again(directory: Path, file_journal: FileJournal) -> None:
    with file_journal.lock():
        assert directory.is_dir()
    assert not directory.exists()
    with file_journal.lock():
        file_journal.begin(LOAD, None)
    assert sorted(path.name for path in directory.iterdir()) == ["journal", "lock"]
    with file_journal.lock():
        file_journal.clear()
    assert not directory.exists()


def test_files_of_others_in_the_directory_stay(directory: Path, file_journal: FileJournal) -> None:
    directory.mkdir()
    (directory / "leases").write_text("kept", encoding="utf-8")
    with file_journal.lock():
        pass
    assert [path.name for path in directory.iterdir()] == ["leases"]


def _hold(directory: Path, pipe: Pipe) -> None:
    with FileJournal(directory).lock():
        pipe.send("holds")
        pipe.recv()


@pytest.fixture
def holder(directory: Path) -> Iterator[tuple[Pipe, int]]:
    """A process that holds the lock until it is sent something, and then removes the directory."""
    ours, theirs = _fork.Pipe()
    process = _fork.Process(target=_hold, args=(directory, theirs))
    process.start()
    assert ours.recv() == "holds"
    assert process.pid is not None
    yield ours, process.pid
    process.kill()
    process.join()


def test_two_processes_never_hold_the_lock_together(directory: Path, holder: tuple[Pipe, int]) -> None:
    """The waiter gets a lock of its own although the holder has removed the file that it waited for."""
    pipe, _ = holder
    taken = threading.Event()
    held: list[bool] = []

    def wait() -> None:
        with FileJournal(directory).lock():
            taken.set()
            held.append(directory.is_dir())

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert not taken.wait(0.2)
    pipe.send("go")
    assert taken.wait(10)
    waiter.join(10)
    assert held == [True]
    assert not directory.exists()


def test_whoever_reads_sees_that_another_process_changes_something(
    directory: Path, file_journal: FileJournal, holder: tuple[Pipe, int]
) -> None:
    """Also without privilege; that somebody waits for the lock is no change."""
    pipe, _ = holder
    ours, theirs = _fork.Pipe()
    nobody = _fork.Process(target=_look_as_nobody, args=(directory, theirs))
    nobody.start()
    assert ours.recv() is True
    nobody.join()
    assert file_journal.is_changing()
    pipe.send("go")
    assert inotify.wait_until(lambda: not file_journal.is_changing(), directory, 10)
    assert not inotify.wait_until(file_journal.is_changing, directory, 0.01)


def _look_as_nobody(directory: Path, pipe: Pipe) -> None:
    for parent in (directory, *directory.parents):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(0o755)
    os.setuid(_NOBODY)
    pipe.send(FileJournal(directory).is_changing())


def test_the_lock_of_a_killed_process_is_free(directory: Path, holder: tuple[Pipe, int]) -> None:
    _, pid = holder
    os.kill(pid, signal.SIGKILL)
    with FileJournal(directory).lock():
        assert directory.is_dir()


@pytest.mark.parametrize("name", ["adds_a_private_to_a_single_one", "gives_back_addresses_and_routes_of_a_private"])
def test_from_the_file_alone_the_next_process_gives_back_the_host(directory: Path, name: str) -> None:
    """Killed before any line or step, with the next line torn: what is on disk is enough to take all of it back."""
    scenario = scenarios.load(name)
    for actions in range(1_000):
        host, life = FakeHost(scenario.host), Life(actions)
        if scenario.present is not None:
            Engine(host, FileJournal(directory), connections_of).apply(scenario.present)
        try:
            process = Engine(MortalHost(host, life), MortalJournal(FileJournal(directory), life), connections_of)
            process.apply(scenario.wanted)
        except KilledError:
            if (directory / "journal").exists():
                with (directory / "journal").open("ab") as file:
                    file.write(b'{"begin":99,"ra')
        else:
            break
        Engine(host, FileJournal(directory), connections_of).stop()
        assert settled(host.snapshot) == settled(scenario.host)
        assert not directory.exists()
    else:
        pytest.fail("it never ends")
    assert actions > 20


def test_a_torn_last_line_does_not_count_and_is_cut_off(directory: Path, file_journal: FileJournal) -> None:
    with file_journal.lock():
        up = file_journal.begin(UP, None)
    path = directory / "journal"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"begin":2,"rank":2,"step":{"step":"set-u')
    journal = FileJournal(directory)
    with journal.lock():
        record = journal.load()
        assert record is not None
        assert record.entries == (up,)
        address = journal.begin(ADDRESS, None)
    content = path.read_bytes()
    assert content.startswith(whole)
    assert content.count(b"\n") == whole.count(b"\n") + 1
    after = FileJournal(directory).load()
    assert after is not None
    assert after.entries == (up, address)


@pytest.mark.parametrize("rest", [b"", b'{"journal":1,"bo'])
def test_a_journal_that_says_nothing_yet_is_begun_anew(directory: Path, file_journal: FileJournal, rest: bytes) -> None:
    directory.mkdir()
    (directory / "journal").write_bytes(rest)
    with file_journal.lock():
        assert file_journal.load() is None
        entry = file_journal.begin(UP, None)
    record = FileJournal(directory).load()
    assert record is not None
    assert record.entries == (entry,)


def test_what_was_in_force_before_a_reboot_is_not_any_more(directory: Path, file_journal: FileJournal) -> None:
    directory.mkdir()
    header = Header(journal=1, boot="another boot", namespace=on_disk.network_namespace(), since=1.0)
    line = b'{"begin":7,"rank":7,"step":{"step":"drop-ruleset","text":""}}\n'
    (directory / "journal").write_bytes(encode(header) + line)
    with file_journal.lock():
        assert file_journal.load() is None
        entry = file_journal.begin(UP, None)
    record = FileJournal(directory).load()
    assert record is not None
    assert record.entries == (entry,)


def test_the_journal_of_another_network_namespace_is_left_alone(directory: Path, file_journal: FileJournal) -> None:
    directory.mkdir()
    header = Header(journal=1, boot=on_disk.boot_id(), namespace=1, since=1.0)
    (directory / "journal").write_bytes(encode(header))
    with pytest.raises(ConflictError, match="another network namespace") as caught:
        file_journal.load()
    assert caught.value.hint is not None
    assert "ICSHARE_RUN_DIR" in caught.value.hint
    with pytest.raises(ConflictError), file_journal.lock():
        file_journal.begin(UP, None)
    assert (directory / "journal").read_bytes() == encode(header)


def test_a_journal_that_cannot_be_ours_for_its_size_is_not_read(
    directory: Path, file_journal: FileJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with file_journal.lock():
        file_journal.begin(LOAD, None)
    size = (directory / "journal").stat().st_size
    monkeypatch.setattr(on_disk, "MAX_JOURNAL_BYTES", size - 1)
    with pytest.raises(HostError, match="larger than any journal of ours"):
        FileJournal(directory).load()


def test_a_journal_that_is_no_file_is_one_clear_error(directory: Path, file_journal: FileJournal) -> None:
    (directory / "journal").mkdir(parents=True)
    with pytest.raises(HostError, match="cannot be read: Is a directory"):
        file_journal.load()


def test_a_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    journal = FileJournal(tmp_path / "link")
    with pytest.raises(ConflictError, match="is not a directory that only we can write to"), journal.lock():
        pass
    assert list((tmp_path / "real").iterdir()) == []


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with (
        pytest.raises(ConflictError, match="not a directory that only we can write to"),
        FileJournal(tmp_path / "file").lock(),
    ):
        pass


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_directory_that_others_can_write_to_is_refused(directory: Path, file_journal: FileJournal, mode: int) -> None:
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(ConflictError, match="only we can write to"), file_journal.lock():
        pass
    assert list(directory.iterdir()) == []


def test_a_directory_of_another_user_is_refused_to_root(directory: Path, file_journal: FileJournal) -> None:
    directory.mkdir()
    try:
        os.chown(directory, _NOBODY, _NOBODY)
    except OSError:
        pytest.skip("only root of a machine with other users can give a directory away")
    if os.geteuid() == _NOBODY:
        pytest.skip("this is that other user")
    with pytest.raises(ConflictError, match="only we can write to"), file_journal.lock():
        pass
    assert list(directory.iterdir()) == []


def _try_as_nobody(directory: Path, pipe: Pipe) -> None:
    try:
        os.setuid(_NOBODY)
    except OSError:
        pipe.send([])
        return
    journal, other = FileJournal(directory), FileJournal(directory.parent / "other")
    acts: list[Callable[[], object]] = [journal.load, journal.lock().__enter__, other.lock().__enter__]
    said = []
    for act in acts:
        try:
            act()
        except PrivilegeError as error:
            said.append((error.message, error.hint))
    pipe.send(said)


def test_who_lacks_the_privilege_is_told_so() -> None:
    with tempfile.TemporaryDirectory() as name:
        parent = Path(name)
        parent.chmod(0o755)
        directory = parent / "icshare"
        journal = FileJournal(directory)
        with journal.lock():
            journal.begin(LOAD, None)
        (directory / "journal").chmod(0o600)
        ours, theirs = _fork.Pipe()
        process = _fork.Process(target=_try_as_nobody, args=(directory, theirs))
        process.start()
        said = ours.recv()
        process.join()
    if not said:
        pytest.skip("only root of a machine with other users can become one of them")
    assert said == [
        (f"{directory / 'journal'} may not be read", "run it with sudo"),
        (f"{directory} belongs to another user", "run it with sudo"),
        (f"{parent / 'other'} may not be written", "run it with sudo"),
    ]


def test_a_run_directory_in_nowhere_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="nowhere does not exist"), FileJournal(tmp_path / "nowhere" / "icshare").lock():
        pass


@contextmanager
def _room(size: int) -> Iterator[None]:
    """Let no file grow past *size* bytes: a write takes what fits and refuses the rest, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("fits", [0, 1, 20])
def test_a_line_that_does_not_fit_is_not_written_at_all(directory: Path, file_journal: FileJournal, fits: int) -> None:
    """A part of it stayed, counted as written, and made one damaged line with what was written next."""
    path = directory / "journal"
    with file_journal.lock():
        load = file_journal.begin(LOAD, None)
        before = path.read_bytes()
        with _room(len(before) + fits), pytest.raises(HostError, match="cannot be written: File too large"):
            file_journal.begin(UP, None)
        assert path.read_bytes() == before
        address = file_journal.begin(ADDRESS, None)
    record = FileJournal(directory).load()
    assert record is not None
    assert record.entries == (load, address)


def test_a_journal_that_cannot_be_begun_can_be_begun_later(directory: Path, file_journal: FileJournal) -> None:
    with file_journal.lock():
        with _room(5), pytest.raises(HostError, match="cannot be written: File too large"):
            file_journal.begin(LOAD, None)
        assert file_journal.load() is None
        entry = file_journal.begin(LOAD, None)
    record = FileJournal(directory).load()
    assert record is not None
    assert record.entries == (entry,)


def test_a_journal_that_is_a_link_is_not_followed(directory: Path, file_journal: FileJournal, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"")
    directory.mkdir()
    (directory / "journal").symlink_to(tmp_path / "precious")
    with pytest.raises(HostError, match="cannot be written: Too many levels"), file_journal.lock():
        file_journal.begin(LOAD, None)
    assert (tmp_path / "precious").read_bytes() == b""


def test_a_lock_that_is_a_link_is_not_followed(directory: Path, file_journal: FileJournal, tmp_path: Path) -> None:
    directory.mkdir()
    (directory / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(HostError, match="cannot be made"), file_journal.lock():
        pass
    assert not (tmp_path / "precious").exists()


def test_every_line_is_on_disk_before_the_step_may_run(
    file_journal: FileJournal, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bytes] = []
    fsync = os.fsync

    def note(fd: int) -> None:
        fsync(fd)
        synced.append((directory / "journal").read_bytes())

    monkeypatch.setattr(os, "fsync", note)
    with file_journal.lock():
        file_journal.begin(LOAD, None)
        assert synced[-1] == (directory / "journal").read_bytes()
        file_journal.begin(UP, None)
        assert synced[-1] == (directory / "journal").read_bytes()
    assert len(synced) == 4  # header, its directory entry, and each line


def test_a_directory_whose_files_do_not_stay_is_an_error_and_no_endless_search() -> None:
    with pytest.raises(HostError, match="do not stay"), FileJournal(Path("/proc")).lock():
        pytest.fail("nothing can be locked in /proc")


def _steps(journal: FileJournal) -> list[AnyStep]:
    record = journal.load()
    return [entry.step for entry in record.entries] if record else []
