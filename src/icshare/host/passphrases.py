"""The passphrases of access points: one file that root alone may read, and nobody else has a use for.

Everything else that icshare writes down or tells names a passphrase by its *secret*, a number chosen at random: so the
state, the journal, plans and errors may be read by everybody.

A passphrase is kept before the sharing that needs it is brought into force, and *settled* when it is; then the earlier
ones of the same network are forgotten. One that is not settled belongs to a sharing that is being made, or to one that
was killed in the middle; as sharings are made in turn, it is clear which.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import msgspec

from icshare.errors import ConflictError, HostError, InvalidRequestError, PrivilegeError
from icshare.host.lockdir import LockedDirectory, denied
from icshare.host.store import StateStore
from icshare.model.wifi import Passphrase, Ssid, passphrase, ssid

_FORMAT = 1
_MAX_BYTES = 1024 * 1024
_MAX_LINE = 4096
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HINT = "move it away: access points get a new passphrase then"

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Letters and digits that nobody takes for each other, on any keyboard without shift."""
_GROUPS, _GROUP = 4, 4


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    secret: str
    ssid: str
    passphrase: str
    settled: bool


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    passphrases: int
    kept: tuple[_Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    passphrase: Passphrase
    ssid: Ssid
    settled: bool


def generate() -> Passphrase:
    """Return a new passphrase of 79 bits, easy to read out and to type: ``k7fm-2wqx-9htr-bc4e``."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return passphrase("-".join(groups))


def read_passphrase(stream: TextIO, name: str) -> Passphrase:
    """Return the first line of *stream*, which errors call *name*, as a passphrase.

    Raises:
        InvalidRequestError: It cannot be read, or is no passphrase; the error does not show it.
    """
    try:
        line = stream.readline(_MAX_LINE)
    except UnicodeDecodeError:  # says the bytes
        raise InvalidRequestError(f"the first line of {name} is no text") from None
    except OSError as error:
        raise InvalidRequestError(f"{name} cannot be read: {error.strerror}") from error
    try:
        return passphrase(line.removesuffix("\n").removesuffix("\r"))
    except InvalidRequestError as error:
        raise InvalidRequestError(f"the first line of {name} is no passphrase: {error.message}") from None


def read_passphrase_file(path: Path) -> tuple[Passphrase, bool]:
    """Return the passphrase in the first line of a file, and whether everybody may read that file.

    Raises:
        InvalidRequestError: It cannot be read, or holds no passphrase; the error does not show it.
    """
    try:
        file = path.open(encoding="utf-8", newline="\n")
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        status = os.fstat(file.fileno())
        return read_passphrase(file, str(path)), stat.S_ISREG(status.st_mode) and bool(status.st_mode & stat.S_IROTH)


class PassphraseStore:
    """The passphrases in a state directory. Changes take the lock of the state: not to be called while it is held."""

    def __init__(self, state_directory: Path) -> None:
        """Take the place; nothing is read or made yet."""
        self._state = StateStore(state_directory)
        self._directory = state_directory
        self._path = state_directory / "passphrases"
        self._queue = LockedDirectory(state_directory, "ICSHARE_STATE_DIR", "passphrases.lock")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until nobody else makes a sharing with a passphrase from here, and keep others from it for the block.

        It is another lock than that of the state, and comes before it: the sharing in the block takes that one.

        Raises:
            PrivilegeError: The state directory cannot be made or written.
            ConflictError: It is not ours alone.
            HostError: It cannot be made for another reason.
        """
        descriptor = self._queue.take()
        try:
            yield
        finally:
            try:
                self._queue.remove()
            finally:
                os.close(descriptor)

    def find(self, secret: str) -> Passphrase | None:
        """Return the passphrase that *secret* names, None when it is not kept here.

        Raises:
            PrivilegeError: The file may not be read.
            ConflictError: Others may read it, or it is somebody else's.
            HostError: It is damaged or cannot be read.
        """
        found = self._load().get(secret)
        return found.passphrase if found else None

    def secret_of(self, name: Ssid) -> str | None:
        """Return the secret of the settled passphrase of network *name*, None without one. Errors as for `find`."""
        return next((secret for secret, one in self._load().items() if one.settled and one.ssid == name), None)

    def keep(self, text: Passphrase, name: Ssid) -> str:
        """Keep a passphrase of the network *name*, on disk when this returns.

        Returns:
            Its secret: 16 hexadecimal digits.

        Raises:
            PrivilegeError: The state directory may not be written, or the file may not be read.
            ConflictError: It is not ours alone.
            HostError: It is damaged, or cannot be read or written; it is as it was.
        """
        secret = secrets.token_hex(8)
        with self._state.lock():
            self._write({**self._load(), secret: _Kept(passphrase=text, ssid=name, settled=False)})
        return secret

    def settle(self, secret: str) -> None:
        """Note that the passphrase is in use, and forget the earlier ones of its network. Errors as for `keep`."""
        with self._state.lock():
            kept = self._load()
            if secret not in kept:
                return
            own, order = kept[secret], list(kept)
            later = order[order.index(secret) + 1 :]  # of sharings that are being made
            settled = {
                key: one for key, one in kept.items() if one.ssid != own.ssid or (key in later and not one.settled)
            }
            settled[secret] = replace(own, settled=True)
            if settled != kept:
                self._write(settled)

    def forget(self, secret: str) -> None:
        """Forget a passphrase; one that is not there is no error. Errors as for `keep`."""
        with self._state.lock():
            kept = self._load()
            if kept.pop(secret, None) is not None:
                self._write(kept)

    def _load(self) -> dict[str, _Kept]:
        try:
            descriptor = os.open(self._path, _READ)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise self._foreign() from error
            if error.errno in {errno.EACCES, errno.EPERM}:
                raise PrivilegeError(f"{self._path} may be read by root only", hint="run it with sudo") from error
            raise HostError(f"{self._path} cannot be read: {error.strerror}") from error
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
                raise self._foreign()
            content = _read(descriptor)
        except OSError as error:
            if isinstance(error, HostError):
                raise
            raise HostError(f"{self._path} cannot be read: {error.strerror}") from error
        finally:
            os.close(descriptor)
        return self._decode(content)

    def _foreign(self) -> ConflictError:
        return ConflictError(f"{self._path} is not a file that only we can read", hint=_HINT)

    def _decode(self, content: bytes) -> dict[str, _Kept]:
        """Return what the file says. What is wrong in it is not told: it would be a part of a passphrase."""
        damaged = HostError(f"{self._path} is damaged", hint=_HINT)
        if len(content) > _MAX_BYTES:
            raise damaged
        try:
            file = msgspec.json.decode(content, type=_File)
            found = {
                line.secret: _Kept(passphrase=passphrase(line.passphrase), ssid=ssid(line.ssid), settled=line.settled)
                for line in file.kept
            }
        except (msgspec.MsgspecError, UnicodeDecodeError, InvalidRequestError):
            raise damaged from None
        if file.passphrases != _FORMAT:
            raise HostError(f"{self._path} was written by a newer version of icshare", hint="update icshare")
        return found

    def _write(self, kept: dict[str, _Kept]) -> None:
        """Put *kept* in place of the file, whole or not at all; without any there is no file."""
        lines = tuple(
            _Line(secret=secret, ssid=one.ssid, passphrase=one.passphrase.reveal(), settled=one.settled)
            for secret, one in kept.items()
        )
        temporary = self._directory / "passphrases.new"
        try:
            temporary.unlink(missing_ok=True)
            if lines:
                _write_new(temporary, msgspec.json.encode(_File(passphrases=_FORMAT, kept=lines)) + b"\n")
                temporary.replace(self._path)
            else:
                self._path.unlink(missing_ok=True)
            self._queue.sync()
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise denied(error, self._path, "written") from error


def _read(descriptor: int) -> bytes:
    """Read the file, and one byte more than it may have."""
    parts: list[bytes] = []
    left = _MAX_BYTES + 1
    while left and (part := os.read(descriptor, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, _NEW, 0o600)
    try:
        os.fchmod(descriptor, 0o600)  # whatever the umask
        while content:
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
