"""What happens to sharing, and is told to whoever listens."""

from dataclasses import dataclass
from uuid import UUID

from icshare.model.client import Client
from icshare.model.connection import Role, Status
from icshare.model.firewall import FirewallOptions
from icshare.model.mapping import PortMapping


class _Named:
    """An event is named after its class."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The name of the kind of event."""
        return type(self).__name__


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionChanged(_Named):
    """A connection has come, gone, or has another name, status or role.

    Attributes:
        guid: The connection.
        interface: Its interface name; the last one when it is gone.
        status: Its status now, `Status.HARDWARE_NOT_PRESENT` when it is gone.
        role: Its part in sharing now.
    """

    guid: UUID
    interface: str
    status: Status
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingChanged(_Named):
    """Other connections have a part in sharing, or it has come into force or out of it.

    Attributes:
        public: Interface name of the public connection, None without one.
        privates: Interface names of the private connections, in the order they were named.
        in_force: Clients are served now.
    """

    public: str | None
    privates: tuple[str, ...]
    in_force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallChanged(_Named):
    """The firewall of a connection was switched on, off, or set otherwise.

    Attributes:
        guid: The connection.
        interface: Its interface name, the last one while it is absent, "" if there was none.
        options: How it is set now, None when it is off.
    """

    guid: UUID
    interface: str
    options: FirewallOptions | None

    @property
    def on(self) -> bool:
        """The firewall is on."""
        return self.options is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingChanged(_Named):
    """A port mapping was added, changed, enabled, disabled or removed.

    Attributes:
        number: Its number.
        mapping: The mapping as it is now, None when it was removed.
        before: As it was, None when it was added.
    """

    number: int
    mapping: PortMapping | None
    before: PortMapping | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLeft(_Named):
    """A client has gone: its link, its answers or its lease has ended.

    Attributes:
        client: The client as it was last seen.
    """

    client: Client


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientJoined(_Named):
    """A client has come.

    Attributes:
        client: The client.
    """

    client: Client


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientChanged(_Named):
    """A client that stays has got a lease or another name.

    Attributes:
        client: The client as it is now.
        before: As it was.
    """

    client: Client
    before: Client


Event = (
    ConnectionChanged | SharingChanged | FirewallChanged | MappingChanged | ClientLeft | ClientJoined | ClientChanged
)
"""Anything that happens."""
