"""The root objects: `NetSharingManager` and `ConnectionManager`.

Source:
    MicrosoftDocs/sdk-api netcon (INetSharingManager, INetConnectionManager); MicrosoftDocs/win32 "Shared connections".
"""

# ruff: noqa: N802, N803 (the names are Windows')

from collections.abc import Iterable

from icshare.model.connection import Connection, Role, Status
from icshare.netcon.arguments import default_flags, instance, whole_number
from icshare.netcon.configuration import INetSharingConfiguration
from icshare.netcon.connections import INetConnection, INetConnectionProps
from icshare.netcon.constants import NCME_HIDDEN
from icshare.netcon.enumerators import (
    IEnumNetConnection,
    INetSharingEveryConnectionCollection,
    INetSharingPrivateConnectionCollection,
    INetSharingPublicConnectionCollection,
)
from icshare.netcon.hresults import (
    E_INVALIDARG,
    E_NOINTERFACE,
    ERROR_CONNECTION_ALREADY_SHARED,
    ERROR_SHARING_NO_PRIVATE_LAN,
    translated,
)
from icshare.netcon.session import Session, System


class INetSharingManager:
    """Enumerates connections and leads to the configuration of each. Make one by `NetSharingManager`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def SharingInstalled(self) -> bool:
        """This machine can share: kernel and tools are there. Says nothing about whether anything is shared."""
        with translated():
            return self._session.system.installed()

    def EnumPublicConnections(self, Flags: int) -> INetSharingPublicConnectionCollection:
        """Return the public connection: no element or one.

        Raises:
            E_INVALIDARG: *Flags* is not ``ICSSC_DEFAULT``.
            E_FAIL: The host could not be read.
        """
        default_flags(Flags)
        return INetSharingPublicConnectionCollection(self._of_role(Role.PUBLIC))

    def EnumPrivateConnections(self, Flags: int) -> INetSharingPrivateConnectionCollection:
        """Return the private connections: no element or more.

        Raises:
            E_INVALIDARG: *Flags* is not ``ICSSC_DEFAULT``.
            E_FAIL: The host could not be read.
        """
        default_flags(Flags)
        return INetSharingPrivateConnectionCollection(self._of_role(Role.PRIVATE))

    @property
    def EnumEveryConnection(self) -> INetSharingEveryConnectionCollection:
        """All connections but the hidden ones, in no particular order; a designated one is there even while absent.

        Raises:
            E_FAIL: The host could not be read.
        """
        found = [one for one in self._session.connections() if not one.hidden or one.role is not Role.NONE]
        return INetSharingEveryConnectionCollection([INetConnection(self._session, one.guid) for one in found])

    def INetSharingConfigurationForINetConnection(self, pNetConnection: INetConnection) -> INetSharingConfiguration:
        """Return the configuration of a connection.

        Besides the connections that pass Windows' rule it is there for what can be shared beyond it (a bridge of the
        administrator's as private), and for what is shared.

        Raises:
            E_POINTER: None was given.
            E_NOINTERFACE: It is not an `INetConnection`, or it cannot be shared; ``reasons`` says why.
            E_UNEXPECTED: The connection no longer exists.
            E_FAIL: The host could not be read.
        """
        given = instance(pNetConnection, INetConnection)
        connection = self._session.connection(given.guid)
        rule = connection.sharable
        if not (rule.ok or connection.as_public.ok or connection.as_private.ok or connection.role is not Role.NONE):
            reasons = (str(rule.reason),) if rule.reason else ()
            raise E_NOINTERFACE(f"{self._session.name(connection)} cannot be shared: {rule.text}", reasons=reasons)
        return INetSharingConfiguration(self._session, connection.guid)

    def NetConnectionProps(self, pNetConnection: INetConnection) -> INetConnectionProps:
        """Return the properties of a connection.

        Raises:
            E_POINTER: None was given.
            E_NOINTERFACE: It is not an `INetConnection`.
            E_UNEXPECTED: The connection no longer exists.
            E_FAIL: The host could not be read.
        """
        given = instance(pNetConnection, INetConnection)
        connection = self._session.connection(given.guid)
        return INetConnectionProps(INetConnection(self._session, connection.guid))

    def enable_ics(self, public: INetConnection, privates: Iterable[INetConnection], *, replace: bool = True) -> None:
        """Share *public* with *privates* as a whole: afterwards all works, or nothing has changed. An addition of ours.

        Args:
            public: The public connection; its firewall goes on.
            privates: The private connections.
            replace: Take the place of what is designated now; otherwise that is an error.

        Raises:
            E_POINTER: A connection is None.
            E_NOINTERFACE: A connection is not an `INetConnection`.
            E_INVALIDARG: It may not be; ``reasons`` says why.
            E_UNEXPECTED: A connection no longer exists.
            ERROR_CONNECTION_ALREADY_SHARED: Other connections are designated, and they are not to be replaced.
            ERROR_SHARING_NO_PRIVATE_LAN: A private connection is absent.
            E_ACCESSDENIED: A privilege is missing.
            E_NOTIMPL: The kernel or a tool lacks a feature.
            E_FAIL: The machine refused it; everything was rolled back.
        """
        if not isinstance(privates, Iterable):
            raise E_INVALIDARG("privates is not a sequence of connections")
        wanted = [self._present(one) for one in (public, *privates)]
        guids = {one.guid for one in wanted}
        others = [
            one.interface for one in self._session.connections() if one.role is not Role.NONE and one.guid not in guids
        ]
        if others and not replace:
            raise ERROR_CONNECTION_ALREADY_SHARED(
                f"already shared: {', '.join(others)}", hint="disable sharing there first, or ask to replace it"
            )
        absent = [one.interface for one in wanted[1:] if one.status is Status.HARDWARE_NOT_PRESENT]
        if absent:
            raise ERROR_SHARING_NO_PRIVATE_LAN(f"not present: {', '.join(absent)}", reasons=("private-absent",))
        with translated():
            self._session.system.share(wanted[0].interface, tuple(one.interface for one in wanted[1:]), firewall=True)

    def _present(self, given: INetConnection) -> Connection:
        return self._session.connection(instance(given, INetConnection).guid)

    def _of_role(self, role: Role) -> list[INetConnection]:
        return [INetConnection(self._session, one.guid) for one in self._session.connections() if one.role is role]


class NetSharingManager(INetSharingManager):
    """The class that programs create: ``HNetCfg.HNetShare``."""

    def __init__(self, manager: System | None = None, *, windows_names: bool = False) -> None:
        """Take the system; nothing is asked yet.

        Args:
            manager: The system, None for this machine.
            windows_names: Name connections as Windows would ("Ethernet 2"), not as the administrator does.

        Raises:
            E_INVALIDARG: The settings of this machine are wrong.
        """
        system = _this_machine() if manager is None else manager
        super().__init__(Session(system=system, windows_names=windows_names))


class INetConnectionManager:
    """Enumerates connections. Make one by `ConnectionManager`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def EnumConnections(self, Flags: int) -> IEnumNetConnection:
        """Return an enumerator of the connections as they are now.

        Args:
            Flags: ``NCME_DEFAULT``, or ``NCME_HIDDEN`` for the hidden ones too.

        Raises:
            E_INVALIDARG: Other flags.
            E_FAIL: The host could not be read.
        """
        hidden = whole_number(Flags, "Flags", most=NCME_HIDDEN) == NCME_HIDDEN
        found = [one for one in self._session.connections() if hidden or not one.hidden or one.role is not Role.NONE]
        return IEnumNetConnection([INetConnection(self._session, one.guid) for one in found])


class ConnectionManager(INetConnectionManager):
    """The class that programs create by its CLSID to enumerate connections."""

    def __init__(self, manager: System | None = None, *, windows_names: bool = False) -> None:
        """Take the system; nothing is asked yet.

        Args:
            manager: The system, None for this machine.
            windows_names: As for `NetSharingManager`.

        Raises:
            E_INVALIDARG: The settings of this machine are wrong.
        """
        system = _this_machine() if manager is None else manager
        super().__init__(Session(system=system, windows_names=windows_names))


def _this_machine() -> System:
    """Return the system of this machine.

    Raises:
        E_INVALIDARG: Its settings are wrong.
    """
    from icshare.api import SharingManager  # noqa: PLC0415 (constants and errors do not need the engine)

    with translated():
        return SharingManager()
