"""What all objects of one manager share: the way to the system, which every property asks anew."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from icshare.model.connection import Connection, Role
from icshare.model.firewall import FirewallOptions
from icshare.model.mapping import MappingStatus, PortMapping, Target
from icshare.model.mapping import Protocol as IPProtocol
from icshare.netcon.hresults import E_UNEXPECTED, translated


class Mappings(Protocol):
    """What this package asks of ``icshare.control.mappings``."""

    def all(self, connection: UUID | None = None, /) -> tuple[PortMapping, ...]:
        """Return the definitions, of one connection or of all."""

    def get(self, number: int, /) -> PortMapping | None:
        """Return one definition, None when there is none."""

    def add(  # noqa: PLR0913 (the fields of a mapping)
        self,
        connection: UUID,
        /,
        *,
        name: str,
        protocol: IPProtocol,
        external: int,
        internal: int | None = None,
        count: int = 1,
        target: Target,
        enabled: bool = False,
    ) -> PortMapping:
        """Define a mapping."""

    def update(
        self,
        number: int,
        /,
        *,
        name: str | None = None,
        protocol: IPProtocol | None = None,
        external: int | None = None,
        internal: int | None = None,
        count: int | None = None,
        target: Target | None = None,
    ) -> PortMapping:
        """Change a definition; None leaves a field as it is."""

    def enable(self, number: int, /) -> None:
        """Let a mapping work."""

    def disable(self, number: int, /) -> None:
        """Let a mapping rest."""

    def remove(self, number: int, /) -> None:
        """Forget a mapping."""

    def status(self, number: int, /) -> MappingStatus | None:
        """Return how one mapping fares, without hits; None when there is none. A fraction of the work of all."""

    def statuses(self, connection: UUID | None = None, /) -> tuple[MappingStatus, ...]:
        """Return how mappings fare."""


class System(Protocol):
    """What this package asks of ``icshare.api.SharingManager``."""

    @property
    def mappings(self) -> Mappings:
        """The port mappings."""

    def connections(self) -> tuple[Connection, ...]:
        """Return every connection, absent ones that are designated too."""

    def connection(self, guid: UUID, /) -> Connection | None:
        """Return one of them, None when there is none; a fraction of the work."""

    def role(self, guid: UUID, /) -> Role | None:
        """Return the part of one of them, None when there is none; a fraction of that again."""

    def windows_names(self) -> Mapping[UUID, str]:
        """Return the names that Windows would give."""

    def installed(self) -> bool:
        """Tell whether this machine can share."""

    def share(self, public: str, privates: Iterable[str], /, *, firewall: bool | None = None) -> object:
        """Share in place of what is shared now, proved to work or rolled back."""

    def set_public(self, guid: UUID, /) -> None:
        """Designate the public connection."""

    def add_private(self, guid: UUID, /) -> None:
        """Designate a private connection."""

    def unshare(self, guid: UUID, /) -> None:
        """Take the role of a connection and disable its mappings."""

    def firewall(self, guid: UUID, /) -> FirewallOptions | None:
        """Return how the firewall of a connection is set, None when it is off."""

    def set_firewall(self, guid: UUID, options: FirewallOptions | None, /) -> None:
        """Switch the firewall of a connection on or off."""

    def connect(self, guid: UUID, /) -> None:
        """Dial a connection, or set its link up."""

    def disconnect(self, guid: UUID, /) -> None:
        """Hang a connection up, or set its link down."""

    def rename(self, guid: UUID, name: str, /) -> None:
        """Give a connection another name."""

    def delete(self, guid: UUID, /) -> None:
        """Remove a virtual connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The system, and how its connections are named here.

    Attributes:
        system: The system.
        windows_names: Name connections as Windows would ("Ethernet 2"), not as the administrator does.
    """

    system: System
    windows_names: bool = False

    def connections(self) -> tuple[Connection, ...]:
        """Return every connection as it is now.

        Raises:
            E_FAIL: The host could not be read.
        """
        with translated():
            return self.system.connections()

    def find(self, guid: UUID) -> Connection | None:
        """Return a connection as it is now, None when it no longer exists.

        Raises:
            E_FAIL: The host could not be read.
        """
        with translated():
            return self.system.connection(guid)

    def connection(self, guid: UUID) -> Connection:
        """Return a connection as it is now.

        Raises:
            E_UNEXPECTED: It no longer exists.
            E_FAIL: The host could not be read.
        """
        found = self.find(guid)
        if found is None:
            raise _gone()
        return found

    def role(self, guid: UUID) -> Role:
        """Return the part in sharing that a connection has now; errors as for `connection`."""
        with translated():
            found = self.system.role(guid)
        if found is None:
            raise _gone()
        return found

    def name(self, connection: Connection) -> str:
        """Return the name of a connection.

        Raises:
            E_FAIL: The names could not be read.
        """
        if not self.windows_names:
            return connection.name
        with translated():
            return self.system.windows_names().get(connection.guid, connection.name)


def _gone() -> E_UNEXPECTED:
    return E_UNEXPECTED("the connection no longer exists", hint="enumerate the connections again")
