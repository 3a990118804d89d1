"""The lasting state on disk: an append-only log, its lock, and what it says, read anew as it grows.

Everybody may read it, at any time and without the lock: a line counts when it is whole, and a file that takes another's
place does so in one rename. Only the holder of the lock writes.

The lock file holds a mark while ports are being opened or closed: whoever finds it there takes the lock of one that was
killed in the middle, when the kernel's mappings may not be those of the state.
"""

import errno
import os
import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from icshare.errors import HostError, IcshareError, InvalidRequestError, PrivilegeError
from icshare.host.lockdir import LockedDirectory, denied
from icshare.model.state import State, is_blank
from icshare.plan.statebook import Book
from icshare.plan.staterecords import Fact, Header, decode, decode_header, encode, encode_header

MAX_STATE_BYTES = 64 * 1024 * 1024
SPARE_BYTES = 64 * 1024
"""So much of the log may be out of date before it is written anew."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MARK = b"unfinished\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """How the file was when it was last read: identity, size and time, end of the last whole line, its number."""

    status: tuple[int, int, int, int]
    header: bytes
    end: int
    lines: int


_ABSENT = _Seen(status=(0, 0, -1, 0), header=b"", end=0, lines=0)


class StateStore:
    """The state of one directory. Threads may share it."""

    def __init__(self, directory: Path) -> None:
        """Take the place; nothing is read or made yet."""
        self._directory = directory
        self._place = LockedDirectory(directory, "ICSHARE_STATE_DIR")
        self._path = directory / "state"
        self._writer = threading.RLock()  # held with the lock; readers do not wait for it
        self._guard = threading.RLock()  # held while what was read changes
        self._book = Book()
        self._seen = _ABSENT
        self._lock: int | None = None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the one lock of the directory, waiting for another holder to finish; who holds it may take it again.

        Raises:
            PrivilegeError: The directory cannot be made or written.
            ConflictError: It is not ours alone.
        """
        with self._writer:
            if self._lock is not None:
                yield
                return
            self._lock = self._place.take()
            try:
                yield
            finally:
                try:
                    self._clear()
                finally:
                    os.close(self._lock)
                    self._lock = None

    @property
    def unfinished(self) -> bool:
        """The kernel's mappings may not be those of the state; to be asked and set under the lock."""
        return os.fstat(self._held()).st_size > 0

    @unfinished.setter
    def unfinished(self, value: bool) -> None:
        fd = self._held()
        try:
            if value:
                os.pwrite(fd, _MARK, 0)
            else:
                os.ftruncate(fd, 0)
        except OSError as error:
            raise HostError(f"{self._place.lock_path} cannot be written: {error.strerror}") from error

    def load(self) -> State:
        """Return everything asked for, as it is now.

        Raises:
            HostError: The file is damaged, not a file of ours, or of a newer version.
            PrivilegeError: It may not be read.
        """
        with self._guard:
            try:
                self._refresh()
            except BaseException:
                self._forget()
                raise
            return self._book.state

    def append(self, *facts: Fact) -> None:
        """Write *facts* down: on disk when this returns, all or none of them; to be called under the lock.

        Raises:
            InvalidRequestError: One of them holds what has no meaning; nothing was written.
            HostError: The file is damaged or cannot be written; nothing was written.
            PrivilegeError: It may not be written.
        """
        self._held()
        if not facts:
            return
        with self._guard:
            self.load()
            self._book.refuse(facts)
            self._write(encode(facts))
            self.load()
            if self._is_wasteful():
                self.compact()

    def compact(self) -> None:
        """Write the log anew without what is out of date; to be called under the lock.

        A disk that is too full for it is no error: the log stays as it is.
        """
        self._held()
        with self._guard:
            state = self.load()
            temporary = self._directory / "state.new"
            content = encode_header(Header(log=secrets.token_hex(8), next=state.next_number))
            content += b"".join(encode([fact]) for fact in self._book.facts())
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
                _write_new(temporary, content)
                temporary.replace(self._path)
                self._place.sync()
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _clear(self) -> None:
        """Take away a file that says nothing, and a directory without one; to be called under the lock."""
        try:
            state = self.load()
        except IcshareError:
            return
        if is_blank(state) and not self.unfinished:
            with suppress(OSError):  # what stays says nothing
                self._path.unlink(missing_ok=True)
                self._place.remove()

    def _held(self) -> int:
        assert self._lock is not None, "the state's lock is not held"
        return self._lock

    def _forget(self) -> None:
        self._book, self._seen = Book(), _ABSENT

    def _is_wasteful(self) -> bool:
        size, recorded, live = self._seen.end, self._book.recorded, self._book.live
        return recorded > 2 * live and size - size * live // recorded > SPARE_BYTES

    def _refresh(self) -> None:
        try:
            status = self._path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            self._forget()
            return
        except OSError as error:
            raise self._unreadable(error) from error
        if _identity(status) == self._seen.status:
            return
        if not stat.S_ISREG(status.st_mode):
            raise HostError(f"{self._path} is not a regular file", hint="move it away to begin anew")
        try:
            fd = os.open(self._path, _READ)
        except FileNotFoundError:
            self._forget()
            return
        except OSError as error:
            raise self._unreadable(error) from error
        try:
            self._read(fd)
        except OSError as error:
            if isinstance(error, HostError):
                raise
            raise self._unreadable(error) from error
        finally:
            os.close(fd)

    def _read(self, fd: int) -> None:
        """Take in what the open file has beyond what is known, or all of it if it is another."""
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise HostError(f"{self._path} is not a regular file", hint="move it away to begin anew")
        if status.st_size > MAX_STATE_BYTES:
            raise HostError(f"{self._path} is larger than any state of ours ({MAX_STATE_BYTES} bytes)")
        seen = self._seen
        same = seen.header and seen.status[:2] == (status.st_dev, status.st_ino) and status.st_size >= seen.end
        if not same or os.pread(fd, len(seen.header), 0) != seen.header:
            self._forget()
            seen = _ABSENT
        content = _pread(fd, status.st_size - seen.end, seen.end)
        content = content[: content.rfind(b"\n") + 1]
        header, lines = seen.header, seen.lines
        rest = content
        if not header and content:
            header, _, rest = content.partition(b"\n")
            self._book = Book(decode_header(header, str(self._path)))
            header, lines = header + b"\n", 1
        if rest:
            try:
                self._book.take(decode(rest, str(self._path), lines + 1))
            except InvalidRequestError as error:
                raise HostError(f"{self._path} is damaged: {error}", hint="move it away to begin anew") from error
        self._seen = _Seen(
            status=_identity(status), header=header, end=seen.end + len(content), lines=lines + rest.count(b"\n")
        )

    def _write(self, line: bytes) -> None:
        """Put *line* at the end, whole or not at all, in place of a torn last line."""
        end = self._seen.end
        if not end:
            line = encode_header(Header(log=secrets.token_hex(8))) + line
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            fd = os.open(self._path, flags, 0o644)
        except OSError as error:
            raise denied(error, self._path, "written") from error
        try:
            os.ftruncate(fd, end)
            try:
                _write_all(fd, line, end)
                if not end:
                    os.fchmod(fd, 0o644)
                    self._place.sync()
            except BaseException:
                os.ftruncate(fd, end)
                raise
        except OSError as error:
            raise HostError(f"{self._path} cannot be written: {error.strerror}") from error
        finally:
            os.close(fd)

    def _unreadable(self, error: OSError) -> HostError | PrivilegeError:
        if error.errno in {errno.EACCES, errno.EPERM}:
            return PrivilegeError(f"{self._path} may not be read", hint="run it with sudo")
        return HostError(f"{self._path} cannot be read: {error.strerror}")


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _pread(fd: int, size: int, offset: int) -> bytes:
    """Read *size* bytes, or fewer where the file has become shorter."""
    parts: list[bytes] = []
    while size > 0 and (part := os.pread(fd, size, offset)):
        parts.append(part)
        size, offset = size - len(part), offset + len(part)
    return b"".join(parts)


def _write_all(fd: int, content: bytes, offset: int) -> None:
    while content:  # a full disk takes a part first, and refuses then
        written = os.pwrite(fd, content, offset)
        content, offset = content[written:], offset + written
    os.fsync(fd)


def _write_new(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        os.fchmod(fd, 0o644)
        _write_all(fd, content, 0)
    finally:
        os.close(fd)
