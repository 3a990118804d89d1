"""inotify: told when something changes in directories, also in those that do not exist yet.

A directory that is missing is waited for in the nearest directory above it that exists.

Source:
    inotify(7), inotify_add_watch(2).
"""

import ctypes
import errno
import os
import select
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

from icshare.errors import HostError, PrivilegeError

_IN_MODIFY: Final = 0x2
_IN_CLOSE_WRITE: Final = 0x8
_IN_MOVED_FROM: Final = 0x40
_IN_MOVED_TO: Final = 0x80
_IN_CREATE: Final = 0x100
_IN_DELETE: Final = 0x200
_IN_DELETE_SELF: Final = 0x400
_IN_MOVE_SELF: Final = 0x800
_IN_Q_OVERFLOW: Final = 0x4000
_IN_ONLYDIR: Final = 0x1000000
_IN_MASK_ADD: Final = 0x20000000

_COMING: Final = _IN_CREATE | _IN_MOVED_TO | _IN_DELETE_SELF | _IN_MOVE_SELF
_ANYTHING: Final = _COMING | _IN_MODIFY | _IN_CLOSE_WRITE | _IN_MOVED_FROM | _IN_DELETE

_EVENT: Final = struct.Struct("=iIII")
_READ: Final = 1 << 16


def wait_until(done: Callable[[], bool], directory: Path, seconds: float) -> bool:
    """Wait until *done*, which is asked at first and when something happens in *directory*; tell whether it is.

    Args:
        done: What is waited for.
        directory: Where the files are that it depends on; need not exist.
        seconds: How long to wait at the most; 0 or less asks once.

    Raises:
        HostError: The kernel gives no inotify, or no more watches.
        PrivilegeError: The directory may not be read.
    """
    if (found := done()) or seconds <= 0:
        return found
    deadline = time.monotonic() + seconds
    with closing(Directories([directory])) as directories:
        poll = select.poll()
        poll.register(directories, select.POLLIN)
        while not (found := done()):
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                break
            directories.changed()
    return found


class Directories:
    """Some directories, watched; readable (`fileno`) when something may have happened in them."""

    def __init__(self, directories: Iterable[Path]) -> None:
        """Begin to watch.

        Raises:
            HostError: The kernel gives no inotify, or no more watches.
            PrivilegeError: A directory may not be read.
        """
        self._paths = tuple(dict.fromkeys(path.absolute() for path in directories))
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise HostError(f"cannot watch directories: {os.strerror(ctypes.get_errno())}")
        self._own: dict[Path, int] = {}
        self._all: set[int] = set()
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._fd

    def close(self) -> None:
        """Stop watching; closing twice is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def changed(self) -> bool:
        """Take what has been told, and tell whether something happened in the directories themselves."""
        told = False
        while content := self._read():
            offset = 0
            while offset < len(content):
                watch, mask, _, length = _EVENT.unpack_from(content, offset)
                offset += _EVENT.size + length
                told = told or bool(mask & _IN_Q_OVERFLOW) or watch in self._own.values()
        before = dict(self._own)
        self._look()
        return told or self._own != before

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, _READ)
        except BlockingIOError:
            return b""

    def _look(self) -> None:
        """Watch what exists now. The kernel gives the same number again to a directory that is watched already."""
        own: dict[Path, int] = {}
        waiting: set[int] = set()
        for path in self._paths:
            watch = self._add(path, _ANYTHING)
            if watch is not None:
                own[path] = watch
                continue
            # Its parent may come between a try and the next watch: until a round finds nothing new, nothing is missed.
            known: set[int] = set()
            while (nearest := self._add_nearest(path)) not in known:
                known.add(nearest)
            waiting |= known
            if (late := self._add(path, _ANYTHING)) is not None:
                own[path] = late
        for watch in self._all - {*own.values(), *waiting}:
            self._libc.inotify_rm_watch(self._fd, watch)  # refused when the directory is gone, and the watch with it
        self._own, self._all = own, {*own.values(), *waiting}

    def _add_nearest(self, path: Path) -> int:
        for parent in path.parents:
            watch = self._add(parent, _COMING)
            if watch is not None:
                return watch
        raise HostError(f"cannot watch {path}: not even / can be watched")

    def _add(self, path: Path, mask: int) -> int | None:
        found: int = self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask | _IN_ONLYDIR | _IN_MASK_ADD)
        if found >= 0:
            return found
        number = ctypes.get_errno()
        if number in {errno.ENOENT, errno.ENOTDIR}:
            return None
        if number == errno.EACCES:
            raise PrivilegeError(f"{path} may not be read", hint="run it with sudo")
        raise HostError(
            f"cannot watch {path}: {os.strerror(number)}",
            hint="raise fs.inotify.max_user_watches" if number == errno.ENOSPC else None,
        )
