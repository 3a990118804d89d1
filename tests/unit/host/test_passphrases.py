"""Passphrases on disk: who may read them, what survives, what is refused, and that nothing else tells them."""

import os
import stat
import threading
import time
import traceback
from pathlib import Path

import pytest

from icshare.errors import ConflictError, HostError, IcshareError, InvalidRequestError, PrivilegeError
from icshare.host.passphrases import PassphraseStore, generate, read_passphrase, read_passphrase_file
from icshare.host.store import StateStore
from icshare.model.state import Designation
from icshare.model.wifi import Ssid, passphrase

HOME, GUESTS = Ssid("home"), Ssid('Gäste, "oben"')
WORDS, OTHER = passphrase("correct horse battery"), passphrase('q"\\;:, ~1')


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "icshare"


@pytest.fixture
def store(directory: Path) -> PassphraseStore:
    return PassphraseStore(directory)


def test_what_is_kept_is_found_by_another_process(store: PassphraseStore, directory: Path) -> None:
    one, two = store.keep(WORDS, HOME), store.keep(OTHER, GUESTS)
    assert one != two
    assert len(one) == 16
    assert int(one, 16) >= 0
    other = PassphraseStore(directory)
    assert (other.find(one), other.find(two), other.find("0" * 16)) == (WORDS, OTHER, None)


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o777])
def test_nobody_else_may_read_the_file(store: PassphraseStore, directory: Path, mask: int) -> None:
    previous = os.umask(mask)
    try:
        store.keep(WORDS, HOME)
    finally:
        os.umask(previous)
    status = (directory / "passphrases").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o600, os.geteuid())
    assert [one.name for one in directory.iterdir()] == ["passphrases"]


def test_a_network_is_found_by_its_name_when_its_passphrase_is_in_use(store: PassphraseStore) -> None:
    secret = store.keep(WORDS, HOME)
    assert store.secret_of(HOME) is None
    store.settle(secret)
    store.settle(secret)
    assert (store.secret_of(HOME), store.secret_of(GUESTS)) == (secret, None)


def test_a_passphrase_in_use_replaces_the_earlier_ones_of_its_network(store: PassphraseStore) -> None:
    first, guests, unused, second, later = (store.keep(WORDS, name) for name in (HOME, GUESTS, HOME, HOME, HOME))
    store.settle(guests)
    store.settle(first)
    assert store.find(second) == WORDS
    store.settle(second)
    store.settle("0" * 16)
    assert store.secret_of(HOME) == second
    assert [store.find(one) for one in (first, unused)] == [None, None]
    assert [store.find(one) for one in (guests, later)] == [WORDS, WORDS]


def test_sharings_that_take_a_passphrase_are_made_in_turn(store: PassphraseStore, directory: Path) -> None:
    """Of two at once for one network, the first to be done forgot the passphrase that the other brought into force."""
    found: list[object] = []

    def other() -> None:
        mine = PassphraseStore(directory)
        with mine.turn():
            secret = mine.keep(OTHER, HOME)
            mine.settle(secret)
            found.extend((mine.find(secret), mine.find(first)))

    with store.turn():
        thread = threading.Thread(target=other)
        thread.start()
        _await_waiter(directory / "passphrases.lock")
        first = store.keep(WORDS, HOME)
        store.settle(first)
        assert store.find(first) == WORDS
    thread.join()
    assert found == [OTHER, None]
    assert [one.name for one in directory.iterdir()] == ["passphrases"]


def _await_waiter(lock: Path) -> None:
    """Wait until somebody waits for *lock*. Source: proc_locks(5): such lines have an arrow."""
    deadline = time.monotonic() + 10
    inode = f":{lock.stat().st_ino} "
    while not any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines()):
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)


def test_what_is_forgotten_leaves_nothing(store: PassphraseStore, directory: Path) -> None:
    secret = store.keep(WORDS, HOME)
    store.forget("0" * 16)
    assert store.find(secret) == WORDS
    store.forget(secret)
    store.forget(secret)
    assert store.find(secret) is None
    assert not directory.exists()


def test_passphrases_stay_when_nothing_else_is_asked_for(store: PassphraseStore, directory: Path) -> None:
    secret = store.keep(WORDS, HOME)
    state = StateStore(directory)
    with state.lock():
        assert state.load().designation == Designation()
    assert store.find(secret) == WORDS


def test_a_file_that_others_may_read_is_refused(store: PassphraseStore, directory: Path) -> None:
    secret = store.keep(WORDS, HOME)
    (directory / "passphrases").chmod(0o640)
    for use in (lambda: store.find(secret), lambda: store.forget(secret), lambda: store.keep(WORDS, HOME)):
        with pytest.raises(ConflictError, match="only we can read"):
            use()


def test_a_file_of_somebody_else_is_refused(store: PassphraseStore, directory: Path) -> None:
    secret = store.keep(WORDS, HOME)
    try:
        os.chown(directory / "passphrases", 1, 1)
    except OSError:
        pytest.skip("needs a privilege: files cannot be given away here")
    with pytest.raises((ConflictError, PrivilegeError)):
        store.find(secret)


@pytest.mark.parametrize("kind", ["link", "directory", "pipe"])
def test_what_is_no_file_is_refused(store: PassphraseStore, directory: Path, kind: str) -> None:
    directory.mkdir()
    path = directory / "passphrases"
    if kind == "link":
        path.symlink_to("/etc/hostname")
    elif kind == "directory":
        path.mkdir(mode=0o700)
    else:
        os.mkfifo(path, 0o600)
    with pytest.raises(ConflictError, match="not a file that only we can read"):
        store.find("0" * 16)


LINE = '{"secret":"00","ssid":"home","passphrase":"correct horse","settled":true}'


@pytest.mark.parametrize(
    "content",
    [
        "",
        "nonsense",
        "[]",
        '{"passphrases":1,"kept":[' + LINE,
        '{"passphrases":1,"kept":[' + LINE.replace("correct horse", "correct") + "]}",
        '{"passphrases":1,"kept":[' + LINE.replace("correct horse", "corréct horse") + "]}",
        '{"passphrases":1,"kept":[' + LINE.replace("home", "") + "]}",
        '{"passphrases":1,"kept":[' + LINE.replace('"home"', "7") + "]}",
        '{"passphrases":1,"kept":[' + LINE.replace("}", ',"correct":"horse"}') + "]}",
        " " * (1024 * 1024 + 1),
    ],
)
def test_a_damaged_file_is_one_error_that_tells_no_passphrase(
    store: PassphraseStore, directory: Path, content: str
) -> None:
    directory.mkdir()
    path = directory / "passphrases"
    path.write_text(content, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(HostError) as refusal:
        store.find("00")
    assert str(refusal.value) == f"{path} is damaged"
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
    assert path.read_text(encoding="utf-8") == content


def test_bytes_that_are_no_text_are_damage(store: PassphraseStore, directory: Path) -> None:
    directory.mkdir()
    path = directory / "passphrases"
    path.write_bytes(b'{"passphrases":1,"kept":[{"secret":"\xff"}]}')
    path.chmod(0o600)
    with pytest.raises(HostError, match="damaged"):
        store.find("00")


def test_a_newer_file_is_left_alone(store: PassphraseStore, directory: Path) -> None:
    directory.mkdir()
    path = directory / "passphrases"
    path.write_text('{"passphrases":2,"kept":[]}', encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(HostError, match="newer version"):
        store.keep(WORDS, HOME)
    assert '"passphrases":2' in path.read_text(encoding="utf-8")


def test_what_cannot_be_written_leaves_what_there_was(store: PassphraseStore, directory: Path) -> None:
    secret = store.keep(WORDS, HOME)
    (directory / "passphrases.new").mkdir()
    with pytest.raises(IcshareError, match="written"):
        store.keep(OTHER, HOME)
    assert store.find(secret) == WORDS


def test_a_generated_passphrase_is_long_and_easy_to_type() -> None:
    found = {generate().reveal() for _ in range(50)}
    assert len(found) == 50
    for text in found:
        assert [len(group) for group in text.split("-")] == [4, 4, 4, 4]
        assert not set(text) & set("ilo01ILO")
        assert text == text.lower()


@pytest.mark.parametrize("text", ["correct horse", "correct horse\n", "correct horse\r\nsecond line\n"])
def test_the_passphrase_is_the_first_line_of_a_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "words"
    path.write_bytes(text.encode())
    path.chmod(0o600)
    assert read_passphrase_file(path) == (passphrase("correct horse"), False)
    path.chmod(0o644)
    assert read_passphrase_file(path) == (passphrase("correct horse"), True)
    with path.open(encoding="utf-8", newline="\n") as file:
        assert read_passphrase(file, "standard input") == passphrase("correct horse")


@pytest.mark.parametrize("content", [b"", b"\ncorrect horse\n", b"corr\xe4ct horse", b"horse", b"correct h\xc3\xb6rse"])
def test_what_is_no_passphrase_is_refused_without_being_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "words"
    path.write_bytes(content)
    with pytest.raises(InvalidRequestError, match=f"the first line of {path} is no") as refusal:
        read_passphrase_file(path)
    text = "".join(traceback.format_exception(refusal.value))
    assert "horse" not in text.replace(str(path), "")
    assert "0xe4" not in text


def test_a_file_that_cannot_be_read_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="No such file"):
        read_passphrase_file(tmp_path / "none")
    with pytest.raises(InvalidRequestError, match="Is a directory"):
        read_passphrase_file(tmp_path)
