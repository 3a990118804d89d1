"""The journal on disk, and the one lock.

Everything lies in one directory (``/run/icshare``): the lock, the journal, dnsmasq's files. The directory must belong
to us alone, because what the journal says is done with our privileges. A line of the journal is on disk (fsync) before
the step it announces runs.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from icshare.errors import ConflictError, HostError, PrivilegeError
from icshare.plan.diff import Entry
from icshare.plan.records import VERSION, Begin, Complete, Gone, Header, State, Summary, decode, encode
from icshare.plan.steps import AnyStep
from icshare.ports import Record

if TYPE_CHECKING:
    from icshare.plan.planner import Plan

MAX_JOURNAL_BYTES = 64 * 1024 * 1024

# Each try that fails means that another holder has finished; or, with all of them, that nobody can hold a lock there,
# as in /proc, where a new file is said not to exist.
_LOCK_TRIES = 10_000


class FileJournal:
    """The journal of one run directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "journal"
        self._fd: int | None = None
        self._next = 1
        self._rank = 1
        self._seen: tuple[tuple[int, int, int, int], State | None] | None = None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the one lock of the directory, waiting for another holder to finish.

        Raises:
            PrivilegeError: The directory cannot be made or written.
            ConflictError: It is not ours alone.
        """
        fd = self._take_lock()
        try:
            yield
        finally:
            try:
                if self._fd is not None:
                    os.close(self._fd)
                    self._fd = None
                if not self._path.exists():
                    self._remove_directory()
            finally:
                os.close(fd)

    def is_locked_or_left(self) -> bool:
        """Tell whether there is a lock file: another icshare is at work, or was killed with nothing on record."""
        return (self._directory / "lock").exists()

    def load(self) -> Record | None:
        """Return what is on record, None when nothing is.

        Raises:
            HostError: The journal is damaged or of a newer version.
            ConflictError: It belongs to another network namespace.
            PrivilegeError: It may not be read.
        """
        state = self._read()
        if state is None:
            return None
        self._next = state.next_number
        self._rank = max((entry.rank for entry in state.entries), default=0) + 1
        summary = state.summary
        return Record(
            sharing=summary.sharing if summary else None,
            segments=summary.segments if summary else (),
            firewalls=summary.firewalls if summary else (),
            notes=summary.notes if summary else (),
            entries=state.entries,
            complete=state.complete,
            since=state.header.since,
        )

    def begin(self, step: AnyStep, rank: int | None) -> Entry:
        """Put *step* on record, on disk, before it runs."""
        if rank is None:
            rank = self._rank
        self._rank = max(self._rank, rank + 1)
        entry = Entry(number=self._next, rank=rank, step=step)
        self._next += 1
        self._append(encode(Begin(begin=entry.number, rank=rank, step=step)))
        return entry

    def gone(self, entry: Entry) -> None:
        """Note that *entry* is no longer in force."""
        self._append(encode(Gone(gone=entry.number)))

    def complete(self, plan: "Plan") -> None:
        """Note that *plan* is in force and was verified."""
        summary = Summary(sharing=plan.sharing, segments=plan.segments, firewalls=plan.firewalls, notes=plan.notes)
        self._append(encode(Complete(complete=summary)))

    def clear(self) -> None:
        """Forget everything: nothing is shared any more."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        self._path.unlink(missing_ok=True)
        self._next = self._rank = 1

    def _read(self) -> State | None:
        """Return what the file says, read again only when it is another or has grown."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                identity = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
                seen = self._seen
                known = seen is not None and seen[0] == identity
                content = b"" if known else file.read(min(status.st_size, MAX_JOURNAL_BYTES))
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise PrivilegeError(f"{self._path} may not be read", hint="run it with sudo") from error
        except OSError as error:
            raise HostError(f"{self._path} cannot be read: {error.strerror}") from error
        if seen is None or not known:
            if status.st_size > MAX_JOURNAL_BYTES:
                raise HostError(f"{self._path} is larger than any journal of ours ({MAX_JOURNAL_BYTES} bytes)")
            self._seen = seen = identity, self._decode(content)
        state = seen[1]
        if state is not None and state.header.namespace != network_namespace():
            raise ConflictError(
                f"the sharing on record in {self._directory} belongs to another network namespace",
                hint=f"run icshare there, set ICSHARE_RUN_DIR, or remove {self._directory} if that namespace is gone",
            )
        return state

    def _decode(self, content: bytes) -> State | None:
        """Return what *content* says of this boot, None when it says nothing."""
        state = decode(content, str(self._path))
        return None if state is None or state.header.boot != boot_id() else state

    def _append(self, line: bytes) -> None:
        if self._fd is None:
            self._fd = self._open()
        self._write(self._fd, line)

    def _write(self, fd: int, line: bytes) -> None:
        """Put *line* on disk, whole or not at all: a torn one would damage what is written after it."""
        before = os.fstat(fd).st_size
        try:
            rest = line
            while rest:  # a full disk takes a part first, and refuses then
                rest = rest[os.write(fd, rest) :]
            os.fsync(fd)
        except OSError as error:
            os.ftruncate(fd, before)
            os.lseek(fd, before, os.SEEK_SET)
            raise HostError(f"{self._path} cannot be written: {error.strerror}") from error

    def _open(self) -> int:
        """Open the journal for appending, begun anew when nothing in it is in force, and without a torn last line."""
        state = self._read()
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(self._path, flags | (os.O_TRUNC if state is None else 0), 0o644)
        except OSError as error:
            raise HostError(f"{self._path} cannot be written: {error.strerror}") from error
        try:
            if state is None:
                header = Header(journal=VERSION, boot=boot_id(), namespace=network_namespace(), since=time.time())
                os.fchmod(fd, 0o644)
                self._write(fd, encode(header))
                _sync_directory(self._directory)
            else:
                whole = self._path.read_bytes().rfind(b"\n") + 1
                os.ftruncate(fd, whole)
                os.lseek(fd, 0, os.SEEK_END)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _take_lock(self) -> int:
        path = self._directory / "lock"
        for _ in range(_LOCK_TRIES):
            self._make_directory()
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except FileNotFoundError:
                continue  # the last holder has just removed the directory
            except OSError as error:
                raise _denied(error, path) from error
            fcntl.flock(fd, fcntl.LOCK_EX)
            try:
                if os.fstat(fd).st_ino == path.lstat().st_ino:
                    return fd
            except FileNotFoundError:
                pass
            os.close(fd)  # the last holder removed the file that we waited for
        raise HostError(
            f"{path} cannot be made: files made in this directory do not stay", hint="check ICSHARE_RUN_DIR"
        )

    def _make_directory(self) -> None:
        try:
            self._directory.mkdir(mode=0o755)
            self._directory.chmod(0o755)  # whatever the umask: everybody may read what is shared
        except FileExistsError:
            pass
        except FileNotFoundError as error:
            raise HostError(f"{self._directory.parent} does not exist", hint="check ICSHARE_RUN_DIR") from error
        except OSError as error:
            raise _denied(error, self._directory) from error
        try:
            status = self._directory.lstat()
        except FileNotFoundError:
            return  # the last holder has just removed it; opening the lock file will tell
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            if os.geteuid() != status.st_uid and os.geteuid() != 0:
                raise PrivilegeError(f"{self._directory} belongs to another user", hint="run it with sudo")
            raise ConflictError(
                f"{self._directory} is not a directory that only we can write to",
                hint="remove it, or name another with ICSHARE_RUN_DIR",
            )

    def _remove_directory(self) -> None:
        (self._directory / "lock").unlink(missing_ok=True)
        try:
            self._directory.rmdir()
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.ENOENT, errno.EEXIST, errno.EBUSY}:
                raise HostError(f"{self._directory} cannot be removed: {error.strerror}") from error


def _denied(error: OSError, path: Path) -> HostError | PrivilegeError:
    if error.errno in {errno.EACCES, errno.EPERM}:
        return PrivilegeError(f"{path} may not be written", hint="run it with sudo")
    return HostError(f"{path} cannot be made: {error.strerror}")


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def boot_id() -> str:
    """Return the kernel's id of this boot.

    Source:
        random(4), ``/proc/sys/kernel/random/boot_id``.
    """
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def network_namespace() -> int:
    """Return the inode number of this process's network namespace.

    Source:
        namespaces(7).
    """
    return os.stat("/proc/self/ns/net").st_ino  # noqa: PTH116 (the link's target matters, not the link)
