"""The lasting state on disk: what it keeps through crashes and on a full disk, who sees what when, what it refuses."""

import multiprocessing
import os
import resource
import signal
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from uuid import UUID

import pytest

from icshare.errors import ConflictError, HostError, InvalidRequestError, PrivilegeError
from icshare.host import store as on_disk
from icshare.host.store import StateStore
from icshare.model.mapping import PortMapping, Protocol, parse_target
from icshare.model.state import Designation, State
from icshare.plan.staterecords import Designated, Fact, Mapped, Named, Removed, Seen, decode

ONE = UUID(int=1)
WEB = PortMapping(
    number=1,
    connection=ONE,
    name="Web",
    protocol=Protocol.TCP,
    external=8080,
    internal=80,
    target=parse_target("192.168.137.5"),
    enabled=True,
)
_NOBODY = 65_534
_fork = multiprocessing.get_context("fork")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "icshare"


@pytest.fixture
def store(directory: Path) -> StateStore:
    return StateStore(directory)


def _write(store: StateStore, *mappings: PortMapping) -> None:
    with store.lock():
        for mapping in mappings:
            store.append(Mapped(mapping=mapping))


def _mapping(number: int, name: str = "Web") -> PortMapping:
    return replace(WEB, number=number, external=number, name=name)


def test_nothing_was_asked_for_without_a_file(store: StateStore, directory: Path) -> None:
    assert store.load().designation == Designation()
    assert not directory.exists()
    with store.lock():
        store.append()
        assert store.load().next_number == 1
        assert [one.name for one in directory.iterdir()] == ["lock"]
    assert not directory.exists()


def test_a_state_that_says_nothing_any_more_leaves_nothing(store: StateStore, directory: Path) -> None:
    other = StateStore(directory)
    with store.lock():
        store.append(Designated(designation=Designation(public=ONE)), Seen(connection=ONE, interface="eth0"))
    assert other.load().designation.public == ONE
    with other.lock():
        other.append(Designated(designation=Designation()))
    assert not directory.exists()
    assert store.load().interfaces == {}
    with store.lock():
        store.append(Designated(designation=Designation(public=ONE)))
    assert other.load().designation.public == ONE


def test_a_state_that_had_a_mapping_stays_because_of_its_number(store: StateStore, directory: Path) -> None:
    _write(store, WEB)
    with store.lock():
        store.append(Removed(number=WEB.number))
    assert StateStore(directory).load().next_number == WEB.number + 1


def test_a_state_that_is_unfinished_or_damaged_stays(store: StateStore, directory: Path) -> None:
    with store.lock():
        store.unfinished = True
    with store.lock():
        assert store.unfinished
        store.unfinished = False
        (directory / "state").write_text("no\n")
    assert (directory / "state").exists()


def test_writers_that_wait_while_the_directory_goes_each_have_their_turn(directory: Path) -> None:
    def work(number: int) -> None:
        store = StateStore(directory)
        for _ in range(30):
            with store.lock():
                assert store.load().designation == Designation()
                store.append(Designated(designation=Designation(public=UUID(int=number))))
                assert store.load().designation.public == UUID(int=number)
                store.append(Designated(designation=Designation()))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(1, 5)))
    assert not directory.exists()


def test_what_is_written_is_there_for_the_next_process(store: StateStore, directory: Path) -> None:
    with store.lock():
        store.append(Designated(designation=Designation(public=ONE)), Seen(connection=ONE, interface="eth0"))
        store.append(Mapped(mapping=WEB))
    state = StateStore(directory).load()
    assert state.designation.public == ONE
    assert state.interfaces == {ONE: "eth0"}
    assert state.mappings == {1: WEB}
    assert stat.S_IMODE((directory / "state").stat().st_mode) == 0o644
    assert stat.S_IMODE(directory.stat().st_mode) == 0o755


def test_modes_do_not_depend_on_the_umask(store: StateStore, directory: Path) -> None:
    before = os.umask(0o077)
    try:
        _write(store, WEB)
    finally:
        os.umask(before)
    assert stat.S_IMODE((directory / "state").stat().st_mode) == 0o644
    assert stat.S_IMODE(directory.stat().st_mode) == 0o755


def test_readers_see_each_change_at_once(store: StateStore, directory: Path) -> None:
    reader = StateStore(directory)
    for number in range(1, 5):
        _write(store, _mapping(number))
        assert (*reader.load().mappings,) == (*range(1, number + 1),)
    with store.lock():
        store.append(Removed(number=2))
        store.compact()
    assert (*reader.load().mappings,) == (1, 3, 4)
    assert reader.load().next_number == 5
    _write(store, _mapping(5))
    assert (*reader.load().mappings,) == (1, 3, 4, 5)
    (directory / "state").unlink()
    assert reader.load().mappings == {}


def test_a_reader_in_another_process_sees_changes_at_once(store: StateStore, directory: Path) -> None:
    here, there = _fork.Pipe()
    child = _fork.Process(target=_answer, args=(directory, here, there))
    child.start()
    there.close()
    try:
        for number in range(1, 20):
            _write(store, _mapping(number))
            here.send("?")
            assert here.recv() == number
    finally:
        here.close()
        child.join(30)
    assert child.exitcode == 0


def _answer(directory: Path, other: Pipe, pipe: Pipe) -> None:
    other.close()
    reader = StateStore(directory)
    try:
        while pipe.recv():
            pipe.send(len(reader.load().mappings))
    except EOFError:
        os._exit(0)


def test_numbers_are_not_used_again_after_a_compaction(store: StateStore, directory: Path) -> None:
    with store.lock():
        store.append(Mapped(mapping=_mapping(7)))
        store.append(Removed(number=7))
        store.compact()
    assert StateStore(directory).load().next_number == 8
    assert (directory / "state").read_bytes().count(b"\n") == 2


def test_the_log_is_written_anew_when_most_of_it_is_out_of_date(
    store: StateStore, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_disk, "SPARE_BYTES", 2000)
    sizes = []
    with store.lock():
        for turn in range(100):
            store.append(Mapped(mapping=replace(WEB, enabled=turn % 2 == 0)))
            sizes.append((directory / "state").stat().st_size)
    assert max(sizes) < 4000
    assert StateStore(directory).load() == store.load()


def test_only_the_tail_is_read_again(store: StateStore, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counted(content: bytes, name: str, first: int) -> Iterable[Fact]:
        read.append(content.count(b"\n"))
        return decode(content, name, first)

    monkeypatch.setattr(on_disk, "decode", counted)
    reader = StateStore(directory)
    for number in range(1, 10):
        _write(store, _mapping(number))
        read.clear()
        reader.load()
        reader.load()
        assert read == [1]


def test_the_mappings_of_a_state_follow_the_store(store: StateStore) -> None:
    _write(store, _mapping(1))
    state = store.load()
    _write(store, _mapping(2))
    store.load()
    assert (*state.mappings,) == (1, 2)


def test_a_torn_last_line_does_not_count_and_is_overwritten(store: StateStore, directory: Path) -> None:
    _write(store, _mapping(1), _mapping(2))
    path = directory / "state"
    whole = path.read_bytes()
    second = whole.rstrip(b"\n").rfind(b"\n") + 1
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        found = StateStore(directory)
        kept = (*found.load().mappings,)
        assert kept == ((1,) if size >= second else ())
        _write(found, _mapping(3))
        assert (*StateStore(directory).load().mappings,) == (*kept, 3)


def test_what_was_there_stays_when_the_disk_is_full(store: StateStore, directory: Path) -> None:
    _write(store, _mapping(1))
    before = (directory / "state").read_bytes()
    with _full_disk(len(before) + 20), store.lock():
        with pytest.raises(HostError, match="state cannot be written"):
            store.append(Mapped(mapping=_mapping(2)))
        store.compact()
        assert (*store.load().mappings,) == (1,)
    assert (directory / "state").read_bytes() == before
    _write(store, _mapping(2))
    assert (*StateStore(directory).load().mappings,) == (1, 2)


def test_the_first_line_on_a_full_disk(store: StateStore, directory: Path) -> None:
    with _full_disk(20), store.lock(), pytest.raises(HostError, match="state cannot be written"):
        store.append(Mapped(mapping=_mapping(1)))
    assert StateStore(directory).load().mappings == {}
    _write(store, _mapping(1))
    assert (*StateStore(directory).load().mappings,) == (1,)


def test_a_log_that_cannot_be_written_anew_stays(store: StateStore, directory: Path) -> None:
    _write(store, *map(_mapping, range(1, 10)))
    before = (directory / "state").read_bytes()
    with _full_disk(500), store.lock():
        store.compact()
    assert (directory / "state").read_bytes() == before
    assert sorted(one.name for one in directory.iterdir()) == ["lock", "state"]


@contextmanager
def _full_disk(size: int) -> Iterator[None]:
    """Let no file grow beyond *size* bytes, as on a disk that is full then."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_what_could_not_be_read_again_is_not_written(store: StateStore, directory: Path) -> None:
    _write(store, _mapping(1))
    before = (directory / "state").read_bytes()
    with store.lock():
        with pytest.raises(InvalidRequestError):
            store.append(Named(connection=ONE, name="fine"), Seen(connection=ONE, interface="not fine"))
        with pytest.raises(InvalidRequestError):
            store.append(Mapped(mapping=replace(_mapping(1), number=2)))
    assert (directory / "state").read_bytes() == before
    assert store.load().names == {}


def test_a_damaged_line_stops_everything_and_changes_nothing(store: StateStore, directory: Path) -> None:
    _write(store, _mapping(1))
    path = directory / "state"
    content = path.read_bytes() + b"nonsense\n"
    path.write_bytes(content)
    with pytest.raises(HostError, match="state is damaged at line 3"):
        store.load()
    with store.lock(), pytest.raises(HostError, match="state is damaged at line 3"):
        store.append(Mapped(mapping=_mapping(2)))
    assert path.read_bytes() == content
    path.write_bytes(content.replace(b"nonsense\n", b""))
    assert (*store.load().mappings,) == (1,)


def test_lines_that_contradict_each_other_are_damage(store: StateStore, directory: Path) -> None:
    _write(store, _mapping(1))
    path = directory / "state"
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines()[1].replace(b'r":1', b'r":2') + b"\n")
    with pytest.raises(HostError, match="state is damaged: mapping 2"):
        store.load()


def test_a_newer_version_is_left_alone(store: StateStore, directory: Path) -> None:
    directory.mkdir()
    (directory / "state").write_bytes(b'{"state":2}\n')
    with store.lock(), pytest.raises(HostError, match="version 2"):
        store.append(Mapped(mapping=_mapping(1)))
    assert (directory / "state").read_bytes() == b'{"state":2}\n'


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    (path.parent / "other").write_text("kept", encoding="utf-8")
    path.symlink_to("other")


@pytest.mark.parametrize("make", [_fifo, _link, Path.mkdir])
def test_what_is_no_regular_file_is_not_read(store: StateStore, directory: Path, make: Callable[[Path], None]) -> None:
    directory.mkdir()
    make(directory / "state")
    with pytest.raises(HostError, match="not a regular file"):
        store.load()
    with store.lock(), pytest.raises(HostError, match="not a regular file"):
        store.append(Mapped(mapping=WEB))


@pytest.mark.parametrize("make", [_fifo, _link, Path.mkdir])
def test_a_lock_that_is_no_regular_file_is_not_taken(
    store: StateStore, directory: Path, make: Callable[[Path], None]
) -> None:
    directory.mkdir()
    make(directory / "lock")
    with pytest.raises(HostError, match="lock"), store.lock():
        pass


def test_a_file_too_large_is_not_read(store: StateStore, directory: Path) -> None:
    directory.mkdir()
    with (directory / "state").open("wb") as file:
        file.truncate(on_disk.MAX_STATE_BYTES + 1)
    with pytest.raises(HostError, match="larger than any state of ours"):
        store.load()


def test_a_directory_of_others_is_not_written(store: StateStore, directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o777)
    with pytest.raises(ConflictError, match="only we can write to"), store.lock():
        pass


def test_a_directory_without_a_parent_is_not_made(tmp_path: Path) -> None:
    store = StateStore(tmp_path / "no" / "where")
    assert store.load().mappings == {}
    with pytest.raises(HostError, match="does not exist"), store.lock():
        pass


def test_a_path_through_a_file_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = StateStore(tmp_path / "file")
    assert store.load().mappings == {}
    with pytest.raises(ConflictError), store.lock():
        pass


def test_everybody_may_read_and_nobody_else_write(store: StateStore, directory: Path, tmp_path: Path) -> None:
    _write(store, WEB)
    for one in (tmp_path, *list(tmp_path.parents)[:-2]):
        one.chmod(one.stat().st_mode | 0o055)
    child = _fork.Process(target=_as_nobody, args=(directory,))
    child.start()
    child.join()
    assert child.exitcode == 0


def _as_nobody(directory: Path) -> None:
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)
    store = StateStore(directory)
    code = 0 if (*store.load().mappings,) == (1,) else 1
    try:
        with store.lock():
            code = 2
    except PrivilegeError:
        pass
    try:
        with StateStore(directory.parent / "new").lock():
            code = 3
    except PrivilegeError:
        pass
    os._exit(code)


def test_the_lock_is_taken_again_by_its_holder_and_by_nobody_else(store: StateStore, directory: Path) -> None:
    order: list[str] = []
    started = threading.Event()

    def other() -> None:
        started.set()
        with StateStore(directory).lock():
            order.append("other")

    with store.lock():
        with store.lock():
            thread = threading.Thread(target=other)
            thread.start()
            started.wait()
        assert store.load().mappings == {}
        order.append("first")
    thread.join()
    assert order == ["first", "other"]


def test_a_thread_reads_while_another_holds_the_lock(store: StateStore) -> None:
    found: list[State] = []
    with store.lock():
        thread = threading.Thread(target=lambda: found.append(store.load()))
        thread.start()
        thread.join(10)
        assert found


def test_the_mark_stays_when_its_writer_dies(store: StateStore, directory: Path) -> None:
    child = _fork.Process(target=_die_marked, args=(directory,))
    child.start()
    child.join()
    with store.lock():
        assert store.unfinished
        store.unfinished = False
        assert not store.unfinished
    with StateStore(directory).lock():
        assert not store._lock
        assert not StateStore(directory)._lock


def _die_marked(directory: Path) -> None:
    with (store := StateStore(directory)).lock():
        assert not store.unfinished
        store.unfinished = True
        os._exit(0)


def test_without_the_lock_nothing_is_written(store: StateStore) -> None:
    with pytest.raises(AssertionError):
        store.append(Mapped(mapping=WEB))
    with pytest.raises(AssertionError):
        store.compact()
