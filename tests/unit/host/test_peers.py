"""The files of pppd are read as pppd reads them, whoever wrote them."""

import ctypes
import os
import stat
from pathlib import Path

import pytest

from icshare.host.peers import forget_failure, keep_failure, log_of, peer_names, read_peers
from icshare.host.pppoptions import PEERS, filled, read_options
from icshare.model.peer import peer_name
from icshare.plan.dialling import Failure

IN_OPEN = 0x20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / PEERS).mkdir(parents=True)
    return tmp_path


def write(root: Path, name: str, text: str) -> Path:
    path = root / PEERS / name
    path.write_text(text)
    return path


def test_each_file_is_a_peer_and_nothing_else_is(root: Path) -> None:
    write(root, "fibre", "plugin rp-pppoe.so\nnic-eth0\n")
    write(root, "call", "/dev/ttyUSB0\n")
    for name in ("fibre~", "fibre.dpkg-old", "#fibre#", ".fibre.swp", "a b", "a..b"):
        write(root, name, "plugin rp-pppoe.so\n")
    (root / PEERS / "folder").mkdir()
    (root / PEERS / "gone").symlink_to("nowhere")
    os.mkfifo(root / PEERS / "pipe")
    assert [(one.name, one.facts.transport) for one in read_peers(root, root=root)] == [
        ("call", "modem"),
        ("fibre", "pppoe"),
    ]


def test_a_link_that_leads_nowhere_hides_no_peer(root: Path) -> None:
    """There were no peers at all beside one symbolic link that could not be followed."""
    write(root, "fibre", "")
    (root / PEERS / "circle").symlink_to("circle")
    (root / PEERS / "long").symlink_to("/" + 300 * "q")
    assert peer_names(root) == ("fibre",)


def test_without_pppd_there_are_no_peers(tmp_path: Path) -> None:
    assert read_peers(tmp_path, root=tmp_path) == ()


def test_options_of_other_files_count(root: Path) -> None:
    (root / "etc/ppp/common").write_text("usepeerdns file /etc/ppp/common\n")
    write(root, "fibre", "plugin rp-pppoe.so\nfile /etc/ppp/common\n")
    (found,) = read_peers(root, root=root)
    assert found.facts.asks_dns


def test_a_circle_of_files_has_an_end(root: Path) -> None:
    write(root, "a", "call b\n")
    write(root, "b", "call a\n")
    assert len(filled(["call", "a"], root)) < 20


def test_files_that_name_each_other_many_times_have_an_end(root: Path) -> None:
    """The command line of a process could keep root reading for years: 64 KiB of itself, 8000 times."""
    (root / "bomb").write_text("file bomb " * 6000)
    words = filled(["file", "bomb"], root)
    assert len(words) < 33 * 12_001


def test_what_is_no_plain_file_is_not_even_opened(root: Path) -> None:
    """It was, and let go of again; but a watchdog that was opened once resets the machine, and a tape winds."""
    os.mkfifo(root / "pipe")
    libc = ctypes.CDLL(None, use_errno=True)
    opened = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert libc.inotify_add_watch(opened, os.fsencode(root / "pipe"), IN_OPEN) > 0
    assert read_options(root / "pipe") is None
    with pytest.raises(BlockingIOError):
        os.read(opened, 1024)
    os.close(os.open(root / "pipe", os.O_RDONLY | os.O_NONBLOCK))
    assert os.read(opened, 1024), "an opening is told of"
    os.close(opened)


def test_nothing_but_a_plain_file_of_a_usual_size_is_read(root: Path) -> None:
    """A process that called itself pppd could have root read from a pipe for ever by naming it on its command line."""
    os.mkfifo(root / "pipe")
    assert read_options(root / "pipe") is None
    assert read_options(Path("/dev/zero")) is None
    assert read_options(root / "missing") is None
    assert read_options(root / "a\0b") is None
    large = root / "large"
    large.write_text("word " * 100_000)
    found = read_options(large)
    assert found is not None
    assert len(found) < 20_000
    assert filled(["file", "pipe"], root) == ["file", "pipe"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_a_peer_of_unknown_kind(root: Path) -> None:
    write(root, "secret", "plugin rp-pppoe.so\n").chmod(0)
    (found,) = read_peers(root, root=root)
    assert not found.readable


def test_a_failure_is_remembered_until_the_next_success(root: Path) -> None:
    write(root, "fibre", "plugin rp-pppoe.so\n")
    name = peer_name("fibre")
    keep_failure(root / "run", name, Failure(text="no PPPoE server answers", status=19))
    (found,) = read_peers(root / "run", ("fibre",), root)
    assert (found.failure, found.why, found.dialling) == (19, "no PPPoE server answers", True)
    assert stat.S_IMODE((root / "run/dial").stat().st_mode) & 0o022 == 0
    forget_failure(root / "run", name)
    (found,) = read_peers(root / "run", (), root)
    assert (found.failure, found.why, found.dialling) == (None, "", False)
    assert not (root / "run/dial").exists()


def test_a_note_that_is_none_of_ours_counts_for_nothing(root: Path) -> None:
    write(root, "fibre", "plugin rp-pppoe.so\n")
    (root / "run/dial").mkdir(parents=True)
    (root / "run/dial/fibre").write_text("x" * 1000)
    (found,) = read_peers(root / "run", (), root)
    assert found.failure is None


def test_what_traffic_could_not_dial_is_told_too(root: Path) -> None:
    write(root, "fibre", "plugin rp-pppoe.so\n")
    log = log_of(root, "fibre")
    log.write_text("Starting link\nCHAP authentication failed\nStarting link\nTimeout waiting for PADO packets\n")
    (found,) = read_peers(root, (), root)
    assert found.why == "no PPPoE server answers"
    log.write_text(log.read_text() + "Starting link\nlocal  IP address 192.0.2.2\n")
    (found,) = read_peers(root, (), root)
    assert (found.failure, found.why) == (None, "")


def test_names_alone_take_no_reading(root: Path) -> None:
    write(root, "fibre", "")
    assert peer_names(root) == ("fibre",)
