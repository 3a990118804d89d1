"""The file of the firewall's log: lines are added, and a full file is put aside as ``.old``.

The directory belongs to the account that writes, so that it can rename without any privilege. Everything is done
relative to the opened directory: whoever writes need not be able to walk there, and nobody can swap the way.
"""

import contextlib
import grp
import os
import stat
from pathlib import Path
from typing import Final, Self

from icshare.errors import HostError

_READERS: Final = "adm"  # Debian's group of those who may read logs
_OPEN: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def open_directory(path: Path, user: int, group: int) -> int:
    """Open the directory *path*, made for account *user* if it is missing; return its descriptor.

    A directory that we make is readable for the group adm where there is one, otherwise for *group*.

    Raises:
        HostError: It belongs to another account, is no directory, or cannot be made.
    """
    try:
        made = _make(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise HostError(f"cannot open the log directory {path}: {error.strerror}") from error
    try:
        if made:
            _hand_over(descriptor, user, group)
        owner = os.fstat(descriptor).st_uid
    except OSError as error:
        os.close(descriptor)
        raise HostError(f"cannot set up the log directory {path}: {error.strerror}") from error
    if owner != user:
        os.close(descriptor)
        raise HostError(
            f"the log directory {path} belongs to user {owner}, not to user {user}, who writes the log",
            hint="name a log file in a directory that does not exist yet: it is made for the log",
        )
    return descriptor


class LogFile:
    """A log file that is open for writing; use it as a context manager."""

    def __init__(self, directory: int, name: str, *, header: str, limit: int) -> None:
        """Open the file, new or where it ended.

        Args:
            directory: Descriptor of its directory; stays the caller's.
            name: Its name there.
            header: What every new file begins with.
            limit: Size in bytes that it never exceeds by more than what was written last.

        Raises:
            HostError: It cannot be opened, or is no ordinary file.
        """
        self._directory = directory
        self._name = name
        self._header = header.encode("ascii")
        self._limit = limit
        self._file = -1
        try:
            self._open()
        except OSError as error:
            self.close()
            raise HostError(f"cannot open the log file {name}: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def write(self, text: str) -> bool:
        """Add whole lines, visible to readers at once.

        A file that was moved away or deleted is begun anew; one that is full is put aside first.

        Returns:
            False when the file system did not take them; nothing of them is in the file then.
        """
        try:
            if not self._is_current():
                self._open()
            if os.fstat(self._file).st_size + len(text) > self._limit:
                self._put_aside()
            self._append(text.encode("ascii"))
        except OSError:
            return False
        return True

    def _is_current(self) -> bool:
        if self._file < 0:
            return False
        try:
            found = os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self._file))

    def _open(self) -> None:
        self.close()
        self._file = os.open(self._name, _OPEN, 0o640, dir_fd=self._directory)
        found = os.fstat(self._file)
        if not stat.S_ISREG(found.st_mode):
            raise OSError("it is no ordinary file")
        if found.st_size == 0:
            self._append(self._header)

    def _put_aside(self) -> None:
        if os.fstat(self._file).st_size <= len(self._header):
            return  # even a new file would be too small
        os.replace(self._name, f"{self._name}.old", src_dir_fd=self._directory, dst_dir_fd=self._directory)
        self._open()

    def _append(self, data: bytes) -> None:
        size = os.fstat(self._file).st_size
        written = os.write(self._file, data)
        if written < len(data):
            os.ftruncate(self._file, size)
            raise OSError("the file system is full")


def _make(path: Path) -> bool:
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return False
    return True


def _hand_over(descriptor: int, user: int, group: int) -> None:
    """Give a new directory to *user*; its files get its group, by the set-group-ID bit."""
    with contextlib.suppress(KeyError):
        readers = grp.getgrnam(_READERS).gr_gid
        with contextlib.suppress(OSError):  # a user namespace may lack the group
            os.fchown(descriptor, user, readers)
            os.fchmod(descriptor, 0o2750)
            return
    os.fchown(descriptor, user, group)
    os.fchmod(descriptor, 0o2750)
