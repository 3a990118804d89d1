"""One connection: `INetConnection`, its properties, and its user interface that is none.

Source:
    MicrosoftDocs/sdk-api netcon (INetConnection, INetConnectionProps, INetConnectionConnectUi, NETCON_PROPERTIES).
"""

# ruff: noqa: N801, N802, N803, N815 (the names are Windows')

from dataclasses import dataclass
from typing import NoReturn
from uuid import UUID

from icshare.netcon.arguments import instance, text, whole_number
from icshare.netcon.constants import NETCON_CHARACTERISTIC_FLAGS, NETCON_MEDIATYPE, NETCON_STATUS
from icshare.netcon.hresults import (
    E_INVALIDARG,
    E_NOTIMPL,
    E_POINTER,
    E_UNEXPECTED,
    S_OBJECT_NO_LONGER_VALID,
    S_OK,
    translated,
)
from icshare.netcon.identifiers import braced
from icshare.netcon.names import NcIsValidConnectionName
from icshare.netcon.session import Session

GUID_NULL = UUID(int=0)
"""No class: connections here have no object class of their own, and no user interface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NETCON_PROPERTIES:
    """What a connection is at one moment, in Windows' order of fields.

    Attributes:
        guidId: Identity, stable over reboots and renames.
        pszwName: Name for people.
        pszwDeviceName: Device for people.
        Status: How it fares.
        MediaType: What it is.
        dwCharacter: What it can do and takes part in.
        clsidThisObject: Class of the connection object; always `GUID_NULL`.
        clsidUiObject: Class of its user interface; always `GUID_NULL`.
    """

    guidId: UUID
    pszwName: str
    pszwDeviceName: str
    Status: NETCON_STATUS
    MediaType: NETCON_MEDIATYPE
    dwCharacter: NETCON_CHARACTERISTIC_FLAGS
    clsidThisObject: UUID = GUID_NULL
    clsidUiObject: UUID = GUID_NULL


def NcFreeNetconProperties(pProps: NETCON_PROPERTIES | None) -> None:
    """Do nothing: Python frees what is no longer used. Programs written for Windows call it."""


class INetConnection:
    """A connection. Two objects of one connection are equal."""

    def __init__(self, session: Session, guid: UUID) -> None:
        self._session = session
        self._guid = guid

    @property
    def guid(self) -> UUID:
        """Identity of the connection; an addition of ours, true also after the connection has vanished."""
        return self._guid

    def __eq__(self, other: object) -> bool:
        return isinstance(other, INetConnection) and other._guid == self._guid

    def __hash__(self) -> int:
        return hash(self._guid)

    def __repr__(self) -> str:
        return f"<INetConnection {braced(self._guid)}>"

    def Connect(self) -> int:
        """Connect: dial what has to be dialled, set the link up of anything else. Returns when it is connected.

        Raises:
            E_UNEXPECTED: It no longer exists.
            E_ACCESSDENIED: A privilege is missing.
            E_NOTIMPL: What it takes is not installed.
            E_FAIL: It cannot be connected; the message has the reason.
        """
        self._session.connection(self._guid)
        with translated():
            self._session.system.connect(self._guid)
        return S_OK

    def Disconnect(self) -> int:
        """Disconnect: hang up what was dialled, set the link down of anything else.

        Returns:
            `S_OK`, or `S_OBJECT_NO_LONGER_VALID` when it no longer exists.

        Raises:
            E_ACCESSDENIED: A privilege is missing.
            E_FAIL: The machine refused it.
        """
        if self._session.find(self._guid) is None:
            return S_OBJECT_NO_LONGER_VALID
        with translated():
            self._session.system.disconnect(self._guid)
        return S_OK

    def Delete(self) -> int:
        """Remove the connection.

        Returns:
            `S_OK`, or `S_OBJECT_NO_LONGER_VALID` when it no longer exists.

        Raises:
            E_NOTIMPL: It is hardware, which only hands can remove.
            E_ACCESSDENIED: A privilege is missing.
            E_FAIL: The machine refused it.
        """
        if self._session.find(self._guid) is None:
            return S_OBJECT_NO_LONGER_VALID
        with translated():
            self._session.system.delete(self._guid)
        return S_OK

    def Duplicate(self, pszwDuplicateName: str) -> NoReturn:
        """Fail: without a connection manager there are no profiles that could be copied.

        Raises:
            E_POINTER: No name was given.
            E_INVALIDARG: The name cannot be one.
            E_UNEXPECTED: The connection no longer exists.
            E_NOTIMPL: Otherwise.
        """
        _new_name(pszwDuplicateName)
        self._session.connection(self._guid)
        raise E_NOTIMPL("a connection cannot be duplicated: it is a link of the kernel, not a profile")

    def Rename(self, pszwNewName: str) -> int:
        """Give the connection another name: the link's alias.

        Raises:
            E_POINTER: No name was given.
            E_INVALIDARG: `NcIsValidConnectionName` says no, or the kernel takes no such alias.
            E_UNEXPECTED: The connection no longer exists.
            E_NOTIMPL: The connection cannot be renamed.
            E_ACCESSDENIED: A privilege is missing.
            E_FAIL: The machine refused it.
        """
        name = _new_name(pszwNewName)
        self._session.connection(self._guid)
        with translated():
            self._session.system.rename(self._guid, name)
        return S_OK

    def GetProperties(self) -> NETCON_PROPERTIES:
        """Return what the connection is at this moment.

        Raises:
            E_UNEXPECTED: It no longer exists.
            E_FAIL: The host could not be read.
        """
        connection = self._session.connection(self._guid)
        return NETCON_PROPERTIES(
            guidId=connection.guid,
            pszwName=self._session.name(connection),
            pszwDeviceName=connection.device,
            Status=NETCON_STATUS(connection.status),
            MediaType=NETCON_MEDIATYPE(connection.media),
            dwCharacter=NETCON_CHARACTERISTIC_FLAGS(connection.characteristics),
        )

    def GetUiObjectClassId(self) -> UUID:
        """Return `GUID_NULL`: no connection has a user interface of its own.

        Raises:
            E_UNEXPECTED: The connection no longer exists.
            E_FAIL: The host could not be read.
        """
        return self.GetProperties().clsidUiObject


class INetConnectionProps:
    """The properties of a connection, for scripts; each one is read anew.

    Every property raises `E_UNEXPECTED` when the connection no longer exists, `E_FAIL` when the host cannot be read.
    """

    def __init__(self, connection: INetConnection) -> None:
        self._connection = connection

    @property
    def Guid(self) -> str:
        """Identity in braces, upper case."""
        return braced(self._connection.GetProperties().guidId)

    @property
    def Name(self) -> str:
        """Name for people; it changes with ``Rename``."""
        return self._connection.GetProperties().pszwName

    @property
    def DeviceName(self) -> str:
        """Device for people."""
        return self._connection.GetProperties().pszwDeviceName

    @property
    def Status(self) -> NETCON_STATUS:
        """How the connection fares."""
        return self._connection.GetProperties().Status

    @property
    def MediaType(self) -> NETCON_MEDIATYPE:
        """What the connection is."""
        return self._connection.GetProperties().MediaType

    @property
    def Characteristics(self) -> NETCON_CHARACTERISTIC_FLAGS:
        """What the connection can do and takes part in."""
        return self._connection.GetProperties().dwCharacter


class INetConnectionConnectUi:
    """Connects and disconnects without asking anybody: there is no window to ask in."""

    def __init__(self) -> None:
        self._connection: INetConnection | None = None

    def SetConnection(self, pCon: INetConnection) -> int:
        """Choose the connection.

        Raises:
            E_POINTER: None was given.
            E_NOINTERFACE: It is not an `INetConnection`.
        """
        self._connection = instance(pCon, INetConnection)
        return S_OK

    def Connect(self, hwndParent: object, dwFlags: int) -> int:  # noqa: ARG002 (Windows' signature)
        """Connect; the window is not used.

        Args:
            hwndParent: Any value.
            dwFlags: ``NCUC_*`` flags, of no consequence.

        Raises:
            E_INVALIDARG: Other flags.
            E_UNEXPECTED: No connection was chosen.
            ComError: As `INetConnection.Connect`.
        """
        return self._chosen(dwFlags).Connect()

    def Disconnect(self, hwndParent: object, dwFlags: int) -> int:  # noqa: ARG002 (likewise)
        """Disconnect; the window is not used.

        Args:
            hwndParent: Any value.
            dwFlags: ``NCUC_*`` flags, of no consequence.

        Raises:
            E_INVALIDARG: Other flags.
            E_UNEXPECTED: No connection was chosen.
            ComError: As `INetConnection.Disconnect`.
        """
        return self._chosen(dwFlags).Disconnect()

    def _chosen(self, flags: object) -> INetConnection:
        whole_number(flags, "dwFlags", most=3)
        if self._connection is None:
            raise E_UNEXPECTED("no connection was chosen", hint="call SetConnection first")
        return self._connection


def _new_name(value: object) -> str:
    """Return *value* if it can be the name of a connection."""
    if value is None:
        raise E_POINTER("no name was given")
    name = text(value, "name")
    lone = any("\ud800" <= one <= "\udfff" for one in name)  # half a character; Windows' rule does not mind
    if lone or not NcIsValidConnectionName(name):
        raise E_INVALIDARG(
            f"{name!r:.80} cannot be the name of a connection", hint='it may have none of \\ / : * ? < > | "'
        )
    return name
