"""A directory of ours, made on demand, with the one lock of all that lies in it; it goes when nothing is left to keep.

What lies there is done with our privileges, so nobody else may write to it. Everybody may read it.
"""

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

from icshare.errors import ConflictError, HostError, PrivilegeError

# Each try that fails means that another holder has finished; or, with all of them, that nobody can hold a lock there,
# as in /proc, where a new file is said not to exist.
_LOCK_TRIES = 10_000


class LockedDirectory:
    """The directory at a path.

    Attributes:
        path: Where it is.
        lock_path: Its lock file.
    """

    def __init__(self, path: Path, variable: str, lock: str = "lock") -> None:
        """Take the place; nothing is made yet.

        Args:
            path: Where it is.
            variable: Environment variable that names it, for hints.
            lock: Name of the lock file: that of all that lies there, or of a part that has a lock of its own.
        """
        self.path = path
        self.lock_path = path / lock
        self._hint = f"check {variable}"
        self._other = f"remove it, or name another with {variable}"

    def take(self) -> int:
        """Wait for the lock and return its descriptor; closing it gives the lock back.

        Raises:
            PrivilegeError: The directory cannot be made or written.
            ConflictError: It is not ours alone.
            HostError: It cannot be made for another reason.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        for _ in range(_LOCK_TRIES):
            self._make()
            try:
                descriptor = os.open(self.lock_path, flags, 0o600)
            except FileNotFoundError:
                continue  # the last holder has just removed the directory
            except OSError as error:
                raise denied(error, self.lock_path, "made") from error
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise HostError(f"{self.lock_path} is not a regular file", hint="remove it")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except BaseException:
                os.close(descriptor)
                raise
            with suppress(FileNotFoundError):
                if os.fstat(descriptor).st_ino == self.lock_path.lstat().st_ino:
                    return descriptor
            os.close(descriptor)  # the last holder removed the file that we waited for
        raise HostError(f"{self.lock_path} cannot be made: files made in this directory do not stay", hint=self._hint)

    def is_taken(self) -> bool:
        """Tell whether a process holds the lock; needs no privilege.

        Who may not open the lock file looks into the kernel's list of locks, which has none of processes outside of the
        own PID namespace, and may call an overlay's or a subvolume's file system otherwise than stat(2). Could anybody
        open the file, anybody could hold the lock, and keep everybody waiting.

        Source:
            flock(2), proc_locks(5).
        """
        try:
            descriptor = os.open(self.lock_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except PermissionError:
            return self._is_listed()
        except OSError:
            return False  # there is none, or the place is not what it should be, of which whoever reads there tells
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _is_listed(self) -> bool:
        try:
            status = self.lock_path.lstat()
        except OSError:
            return False
        device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
        with Path("/proc/locks").open(encoding="ascii") as locks:
            return any(_held(line) == f"{device}:{status.st_ino}" for line in locks)

    def remove(self) -> None:
        """Remove lock file and directory, unless it holds something else; to be called under the lock.

        Raises:
            HostError: It cannot be removed.
        """
        try:
            self.lock_path.unlink(missing_ok=True)
            self.path.rmdir()
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.ENOENT, errno.EEXIST, errno.EBUSY}:
                raise HostError(f"{self.path} cannot be removed: {error.strerror}") from error

    def sync(self) -> None:
        """Have names that were made in it or changed on disk."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o755)
            self.path.chmod(0o755)  # whatever the umask
        except FileExistsError:
            pass
        except FileNotFoundError as error:
            raise HostError(f"{self.path.parent} does not exist", hint=self._hint) from error
        except OSError as error:
            raise denied(error, self.path, "made") from error
        try:
            status = self.path.lstat()
        except FileNotFoundError:
            return  # the last holder has just removed it; opening the lock file will tell
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            if os.geteuid() not in {status.st_uid, 0}:
                raise PrivilegeError(f"{self.path} belongs to another user", hint="run it with sudo")
            raise ConflictError(f"{self.path} is not a directory that only we can write to", hint=self._other)


def _held(line: str) -> str | None:
    """Return the file that a line of ``/proc/locks`` tells a lock of flock(2) on; None for a process that waits."""
    words = line.split()
    return words[5] if words[1] == "FLOCK" else None


def denied(error: OSError, path: Path, what: str) -> HostError | PrivilegeError:
    """Return the error that says that *path* cannot be *what* ("made", "written")."""
    if error.errno in {errno.EACCES, errno.EPERM}:
        return PrivilegeError(f"{path} may not be written", hint="run it with sudo")
    return HostError(f"{path} cannot be {what}: {error.strerror}")
