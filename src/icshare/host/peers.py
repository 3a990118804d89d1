"""The peers that pppd can dial, from their files and what is known of the last try.

Who may not look into the directory has no peers; who may not read a file has one of an unknown kind.
"""

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from icshare.host.pppoptions import PEERS, filled, read_options
from icshare.model.peer import Peer, PeerName, is_left_over, is_peer_name, peer_name
from icshare.plan.dialling import Failure, failure_said
from icshare.plan.dialup import peer_of

_MOST = 1000
_MOST_SAID = 64 * 1024
_FAILURES = "dial"
_DIGITS = 3
_BEGINS = "Starting link"
"""What pppd says at the beginning of each call on demand."""


def read_peers(run_directory: Path, called: Collection[str] = (), root: Path = Path("/")) -> tuple[Peer, ...]:
    """Return the peers, by name.

    Args:
        run_directory: Where `keep_failure` has written.
        called: Peers that a pppd is at.
        root: ``/``, or where a recorded tree is.
    """
    found = []
    for name in peer_names(root):
        words = read_options(root / PEERS / name)
        peer = peer_of(name, None if words is None else filled(words, root))
        if peer is not None:
            failed = _failure(run_directory, name) or Failure(text="")
            status = failed.status if failed.text else None
            found.append(replace(peer, dialling=name in called, failure=status, why=failed.text))
    return tuple(found)


def peer_names(root: Path = Path("/")) -> tuple[PeerName, ...]:
    """Return the names of all files that pppd would take for a peer and that are meant to be one, in order."""
    try:
        names = sorted(path.name for path in _files(root / PEERS))
    except OSError:
        return ()
    return tuple(peer_name(name) for name in names[:_MOST])


def log_of(run_directory: Path, name: str) -> Path:
    """Return the file in which a pppd of ours that dials *name* on demand writes what it says."""
    return run_directory / f"pppd-{name}.log"


def tail(path: Path, start: int = 0) -> str:
    """Return the end of what pppd has said, from byte *start* at the earliest; "" when there is nothing to be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(start, path.stat().st_size - _MOST_SAID))
            return file.read(_MOST_SAID).decode(errors="replace")
    except OSError:
        return ""


def make_directory(run_directory: Path) -> None:
    """Make the run directory if it is not there, for everybody to read whatever the umask."""
    with suppress(FileExistsError):
        run_directory.mkdir(parents=True)
        run_directory.chmod(0o755)


def keep_failure(run_directory: Path, name: PeerName, failed: Failure) -> None:
    """Note why pppd has just failed to dial *name*."""
    place = run_directory / _FAILURES
    with suppress(OSError):  # only what the list says of it is lost
        make_directory(run_directory)
        place.mkdir(mode=0o755, exist_ok=True)
        (place / name).write_text(f"{failed.status} {failed.text}\n", encoding="utf-8")


def forget_failure(run_directory: Path, name: PeerName) -> None:
    """Forget how *name* was dialled the last time."""
    with suppress(OSError):
        (run_directory / _FAILURES / name).unlink(missing_ok=True)
        (run_directory / _FAILURES).rmdir()


def _files(directory: Path) -> Iterator[Path]:
    for path in directory.iterdir():
        if is_peer_name(path.name) and not is_left_over(path.name) and _is_plain(path):
            yield path


def _is_plain(path: Path) -> bool:
    """Tell whether *path* is a plain file; of a link that leads where we may not look, it is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _failure(run_directory: Path, name: PeerName) -> Failure | None:
    """Return why *name* could not be dialled the last time, None if it could: by us, or by traffic."""
    status, _, text = tail(run_directory / _FAILURES / name).strip().partition(" ")
    if status.isdigit() and len(status) <= _DIGITS and text.isprintable():
        return Failure(text=text, status=int(status))
    return failure_said(tail(log_of(run_directory, name)).rpartition(_BEGINS)[2])
