"""The journal on disk, and the one lock.

Everything lies in one directory (``/run/icshare``): the lock, the journal, dnsmasq's files. A line of the journal is on
disk (fsync) before the step it announces runs.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from icshare.errors import ConflictError, HostError, PrivilegeError
from icshare.host.lockdir import LockedDirectory
from icshare.plan.diff import Entry
from icshare.plan.records import VERSION, Begin, Complete, Gone, Header, State, Summary, decode, encode
from icshare.plan.steps import AnyStep
from icshare.ports import Record

if TYPE_CHECKING:
    from icshare.plan.planner import Plan

MAX_JOURNAL_BYTES = 64 * 1024 * 1024


class FileJournal:
    """The journal of one run directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._place = LockedDirectory(directory, "ICSHARE_RUN_DIR")
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
        fd = self._place.take()
        try:
            yield
        finally:
            try:
                if self._fd is not None:
                    os.close(self._fd)
                    self._fd = None
                if not self._path.exists():
                    self._place.remove()
            finally:
                os.close(fd)

    def is_locked_or_left(self) -> bool:
        """Tell whether there is a lock file: another icshare is at work, or was killed with nothing on record."""
        return self._place.lock_path.exists()

    def is_changing(self) -> bool:
        """Tell whether a process holds the lock, and so changes something; needs no privilege."""
        return self._place.is_taken()

    @property
    def version(self) -> tuple[int, int, int, int] | None:
        """What differs when the journal was written to meanwhile; None when there is none."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return _identity(status)

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
            paths=summary.paths if summary else (),
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
        summary = Summary(
            sharing=plan.sharing,
            segments=plan.segments,
            firewalls=plan.firewalls,
            notes=plan.notes,
            paths=plan.paths,
        )
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
                identity = _identity(status)
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
                self._place.sync()
            else:
                whole = self._path.read_bytes().rfind(b"\n") + 1
                os.ftruncate(fd, whole)
                os.lseek(fd, 0, os.SEEK_END)
        except BaseException:
            os.close(fd)
            raise
        return fd


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


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
