"""Which passphrase an access point gets: the one given, the one its network has had, or a new one.

A passphrase is kept before the sharing that needs it, and forgotten again when that comes to nothing. Sharings that
take one are made in turn, from the look at what is kept to the note that it is in use: of two at once that give one
network two passphrases, the one that is done first would forget that of the other.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from icshare.errors import ConflictError, GoneError, IcshareError
from icshare.model.wifi import AccessPoint, Passphrase, Ssid

NOT_KEPT = "0" * 16
"""Secret in place of that of a passphrase that is not kept, or may not be looked at: for plans alone."""


class Passphrases(Protocol):
    """The passphrases on disk."""

    def turn(self) -> AbstractContextManager[None]:
        """Wait until nobody else makes a sharing with one, and keep others from it for the block. Errors as for `find`.

        The other changes are to be made in such a block.
        """
        ...

    def find(self, secret: str) -> Passphrase | None:
        """Return a passphrase by its secret, None when it is not kept.

        Raises:
            IcshareError: They may not be read, or cannot be.
        """
        ...

    def secret_of(self, name: Ssid) -> str | None:
        """Return the secret of a network's passphrase, None without one. Errors as for `find`."""
        ...

    def keep(self, text: Passphrase, name: Ssid) -> str:
        """Keep a passphrase and return its secret. Errors as for `find`."""
        ...

    def settle(self, secret: str) -> None:
        """Note that a passphrase is in use. Errors as for `find`."""
        ...

    def forget(self, secret: str) -> None:
        """Forget a passphrase. Errors as for `find`."""
        ...


class Origin(Enum):
    """Where a passphrase is from."""

    GIVEN = auto()
    STORED = auto()
    GENERATED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A passphrase that is kept.

    Attributes:
        secret: What names it to everybody else.
        passphrase: It.
        origin: Where it is from.
    """

    secret: str
    passphrase: Passphrase
    origin: Origin


class Keys:
    """Takes passphrases for networks, and tells them."""

    def __init__(
        self,
        *,
        kept: Passphrases,
        generate: Callable[[], Passphrase],
        in_force: Callable[[], AccessPoint | None],
        require_admin: Callable[[], None],
    ) -> None:
        """Take what it works on; nothing is changed yet.

        Args:
            kept: The passphrases on disk.
            generate: Makes a new one.
            in_force: Tells the access point that there is, None without one.
            require_admin: Raises `PrivilegeError` for who may not change what is shared.
        """
        self._kept = kept
        self._generate = generate
        self._in_force = in_force
        self._require_admin = require_admin

    @contextmanager
    def taken(self, name: Ssid, given: Passphrase | None = None) -> Iterator[Key]:
        """Give the passphrase of the network *name* for a sharing that is made meanwhile.

        Args:
            name: The network.
            given: Its passphrase, None for the one it has had, or a new one.

        Raises:
            PrivilegeError: The privilege to change what is shared is missing.
            IcshareError: Passphrases cannot be read or kept.
        """
        self._require_admin()
        with self._kept.turn():
            yield from self._take(name, given)

    def _take(self, name: Ssid, given: Passphrase | None) -> Iterator[Key]:
        key = self._known(name, given)
        if key is None:
            words = given or self._generate()
            secret = self._kept.keep(words, name)
            key = Key(secret=secret, passphrase=words, origin=Origin.GIVEN if given else Origin.GENERATED)
        try:
            yield key
        except BaseException as error:  # cancellation must forget too
            try:
                if self._is_in_force(key.secret):  # what failed came after
                    self._kept.settle(key.secret)
                elif key.origin is not Origin.STORED:
                    self._kept.forget(key.secret)
            except IcshareError as failure:
                error.add_note(f"a passphrase that nobody uses stays: {failure}")
            raise
        try:
            self._kept.settle(key.secret)
        except IcshareError as error:
            error.add_note("everything is in force; only the earlier passphrase of this network is not forgotten")
            raise

    def known(self, name: Ssid, given: Passphrase | None = None) -> str:
        """Return the secret that `taken` would give, `NOT_KEPT` where it is not known yet or may not be; for plans."""
        try:
            key = self._known(name, given)
        except PermissionError:
            key = None
        return key.secret if key else NOT_KEPT

    def present(self) -> tuple[AccessPoint, Passphrase]:
        """Return the access point in force and its passphrase.

        Raises:
            GoneError: There is none.
            PrivilegeError: The passphrase may not be read.
            IcshareError: It cannot be read.
        """
        access_point = self._in_force()
        if access_point is None:
            raise GoneError(
                "there is no access point", hint="icshare share PUBLIC PRIVATE... --ssid NAME makes one of a Wi-Fi link"
            )
        words = self._kept.find(access_point.secret)
        if words is None:
            raise ConflictError(
                f"the passphrase of {access_point.ssid!r} is lost", hint="share again: it gets a new one"
            )
        return access_point, words

    def _known(self, name: Ssid, given: Passphrase | None) -> Key | None:
        """Return the passphrase that the network has, unless another is given."""
        present = self._in_force()
        secrets = [present.secret if present and present.ssid == name else None, self._kept.secret_of(name)]
        for secret in secrets:
            words = self._kept.find(secret) if secret else None
            if secret and words and given in {None, words}:
                return Key(secret=secret, passphrase=words, origin=Origin.STORED)
        return None

    def _is_in_force(self, secret: str) -> bool:
        present = self._in_force()
        return present is not None and present.secret == secret
