"""Sharing, firewall and port mappings of one connection: `INetSharingConfiguration`.

Source:
    MicrosoftDocs/sdk-api netcon (INetSharingConfiguration).
"""

# ruff: noqa: N802, N803 (the names are Windows')

from uuid import UUID

from icshare.errors import GoneError
from icshare.model.connection import Role
from icshare.model.firewall import FirewallOptions
from icshare.model.mapping import Target, address_target, check_mapping_name, name_target
from icshare.netcon.arguments import default_flags, instance, text, whole_number
from icshare.netcon.constants import (
    ICSSHARINGTYPE_PRIVATE,
    ICSSHARINGTYPE_PUBLIC,
    ICSTT_IPADDRESS,
    SHARINGCONNECTIONTYPE,
)
from icshare.netcon.enumerators import INetSharingPortMappingCollection
from icshare.netcon.hresults import E_INVALIDARG, E_UNEXPECTED, S_OBJECT_NO_LONGER_VALID, S_OK, translated
from icshare.netcon.mappings import INetSharingPortMapping, transport
from icshare.netcon.session import Session


class INetSharingConfiguration:
    """What is shared, filtered and mapped on one connection: a live handle. Methods take effect at once and last.

    Every member raises `E_UNEXPECTED` when the connection no longer exists, unless there is nothing to do then, and
    `E_FAIL` when the machine cannot be read or refuses; every write raises `E_ACCESSDENIED` without privilege. Port
    mappings outlive their connection: they can be enumerated, and taken away, without it.
    """

    def __init__(self, session: Session, guid: UUID) -> None:
        self._session = session
        self._guid = guid

    @property
    def SharingEnabled(self) -> bool:
        """The connection is designated, as public or as private."""
        return self._session.role(self._guid) is not Role.NONE

    @property
    def SharingConnectionType(self) -> SHARINGCONNECTIONTYPE:
        """The side of the connection.

        Raises:
            E_UNEXPECTED: The connection is not shared; ask ``SharingEnabled`` first.
        """
        role = self._session.role(self._guid)
        if role is Role.NONE:
            raise E_UNEXPECTED("the connection is not shared, so it has no type", hint="read SharingEnabled first")
        return ICSSHARINGTYPE_PUBLIC if role is Role.PUBLIC else ICSSHARINGTYPE_PRIVATE

    def DisableSharing(self) -> int:
        """Take the role of the connection and disable all its port mappings; its firewall stays on.

        It is no error when the connection has no role.

        Returns:
            `S_OK`, or `S_OBJECT_NO_LONGER_VALID` when the connection no longer exists.
        """
        gone = self._session.find(self._guid) is None
        with translated():
            try:
                self._session.system.unshare(self._guid)
            except GoneError:
                gone = True
        return S_OBJECT_NO_LONGER_VALID if gone else S_OK

    def EnableSharing(self, Type: int) -> int:
        """Designate the connection; sharing operates when a public and a private one are designated.

        Args:
            Type: ``ICSSHARINGTYPE_PUBLIC`` takes the role from the public connection so far, whose port mappings are
                disabled, and switches the firewall on; ``ICSSHARINGTYPE_PRIVATE`` extends the private network.

        Raises:
            E_INVALIDARG: Another type, or the connection cannot play this part; ``reasons`` says why.
        """
        side = whole_number(Type, "Type", most=ICSSHARINGTYPE_PRIVATE)
        self._session.connection(self._guid)
        with translated():
            if side == ICSSHARINGTYPE_PUBLIC:
                self._session.system.set_public(self._guid)
            else:
                self._session.system.add_private(self._guid)
        return S_OK

    @property
    def InternetFirewallEnabled(self) -> bool:
        """The firewall of the connection is on."""
        self._session.role(self._guid)
        with translated():
            return self._session.system.firewall(self._guid) is not None

    def EnableInternetFirewall(self) -> int:
        """Switch the firewall on, with the options it has or else the strictest.

        Raises:
            E_INVALIDARG: The connection can have none (private, a bridge, a port of a bridge, IrDA, direct cable).
        """
        self._session.connection(self._guid)
        with translated():
            options = self._session.system.firewall(self._guid)
            self._session.system.set_firewall(self._guid, options or FirewallOptions())
        return S_OK

    def DisableInternetFirewall(self) -> int:
        """Switch the firewall off; it is no error when it is not on.

        Returns:
            `S_OK`, or `S_OBJECT_NO_LONGER_VALID` when the connection no longer exists.
        """
        gone = self._session.find(self._guid) is None
        with translated():
            try:
                self._session.system.set_firewall(self._guid, None)
            except GoneError:
                gone = True
        return S_OBJECT_NO_LONGER_VALID if gone else S_OK

    def EnumPortMappings(self, Flags: int) -> INetSharingPortMappingCollection:
        """Return all port mappings of the connection, enabled or not, as they are now.

        Raises:
            E_INVALIDARG: *Flags* is not ``ICSSC_DEFAULT``.
        """
        default_flags(Flags)
        with translated():
            found = self._session.system.mappings.all(self._guid)
        return INetSharingPortMappingCollection(
            [INetSharingPortMapping(self._session, self._guid, mapping.number) for mapping in found]
        )

    def AddPortMapping(
        self,
        bstrName: str,
        ucIPProtocol: int,
        usExternalPort: int,
        usInternalPort: int,
        dwOptions: int,
        bstrTargetNameOrIPAddress: str,
        eTargetType: int,
    ) -> INetSharingPortMapping:
        """Define a port mapping, disabled.

        Args:
            bstrName: Name for people, 1 to 255 printable characters; need not be unique.
            ucIPProtocol: `NAT_PROTOCOL_TCP` or `NAT_PROTOCOL_UDP`.
            usExternalPort: Port on the public side, 1 to 65535.
            usInternalPort: Port of the target, 1 to 65535, or 0 for the external one.
            dwOptions: Reserved: 0.
            bstrTargetNameOrIPAddress: Host name or IPv4 address of the target.
            eTargetType: ``ICSTT_NAME`` or ``ICSTT_IPADDRESS``: which of them it is.

        Raises:
            E_INVALIDARG: An argument is wrong.
            ERROR_ALREADY_EXISTS: The connection has a mapping of this protocol and external port.
        """
        protocol = transport(ucIPProtocol)
        external = whole_number(usExternalPort, "external port", least=1, most=65_535)
        internal = whole_number(usInternalPort, "internal port", most=65_535) or external
        whole_number(dwOptions, "dwOptions", most=0)
        with translated():
            name = check_mapping_name(text(bstrName, "name"))
            target = _target(bstrTargetNameOrIPAddress, eTargetType)
        self._session.connection(self._guid)
        with translated():
            mapping = self._session.system.mappings.add(
                self._guid, name=name, protocol=protocol, external=external, internal=internal, target=target
            )
        return INetSharingPortMapping(self._session, self._guid, mapping.number)

    def RemovePortMapping(self, pMapping: INetSharingPortMapping) -> int:
        """Forget a port mapping of this connection, as `INetSharingPortMapping.Delete` does.

        Raises:
            E_POINTER: None was given.
            E_NOINTERFACE: It is not an `INetSharingPortMapping`.
            E_INVALIDARG: It is one of another connection.
            E_UNEXPECTED: It no longer exists.
        """
        mapping = instance(pMapping, INetSharingPortMapping)
        if mapping.connection != self._guid:
            raise E_INVALIDARG("the port mapping belongs to another connection")
        return INetSharingPortMapping(self._session, self._guid, mapping.number).Delete()


def _target(value: object, kind: object) -> Target:
    """Return the target of the kind that the caller says it is."""
    by = whole_number(kind, "eTargetType", most=ICSTT_IPADDRESS)
    given = text(value, "target")
    return address_target(given) if by == ICSTT_IPADDRESS else name_target(given)
