"""The NAT Traversal API: static port mappings of this gateway's own public connection.

On Windows it talks to the UPnP gateway of the network; here this machine is the gateway, and the mappings are those of
`INetSharingConfiguration`, so both interfaces show the same ones.

Source:
    MicrosoftDocs/sdk-api natupnp.
"""

# ruff: noqa: N802, N803 (the names are Windows')

from collections.abc import Callable, Iterator
from uuid import UUID

from icshare.model.connection import Role
from icshare.model.mapping import PortMapping, Protocol, TargetKind, address_target, check_mapping_name, parse_protocol
from icshare.netcon.arguments import whole_number
from icshare.netcon.hresults import E_INVALIDARG, E_UNEXPECTED, ComError, translated
from icshare.netcon.session import Session


class ERROR_FILE_NOT_FOUND(ComError):  # noqa: N801, N818 (likewise)
    """There is no such mapping."""

    hresult = 0x80070002
    meaning = "there is no such mapping"


class UPnPNAT:
    """The class that programs create: ``HNetCfg.NATUPnP``."""

    def __init__(self, session: Session, address_of: Callable[[str], str]) -> None:
        """Take the system; nothing is asked yet.

        Args:
            session: The system.
            address_of: Returns the IPv4 address of an interface, "" when it has none.
        """
        self._session = session
        self._address_of = address_of

    @property
    def StaticPortMappingCollection(self) -> "IStaticPortMappingCollection | None":
        """The mappings; None when there is no public connection, as on Windows without a gateway."""
        public = next((one for one in self._session.connections() if one.role is Role.PUBLIC), None)
        return IStaticPortMappingCollection(self._session, public.guid, self._address_of) if public else None

    @property
    def DynamicPortMappingCollection(self) -> None:
        """Nothing: no Windows has ever had it."""

    @property
    def NATEventManager(self) -> "INATEventManager":
        """Takes callbacks, which are never called."""
        return INATEventManager()


class INATEventManager:
    """Takes callbacks; none is ever called, as on a Windows whose gateway sends no events.

    Attributes:
        ExternalIPAddressCallback: Would be told of another public address.
        NumberOfEntriesCallback: Would be told of more or fewer mappings.
    """

    def __init__(self) -> None:
        self.ExternalIPAddressCallback: object = None
        self.NumberOfEntriesCallback: object = None


class IStaticPortMappingCollection:
    """The port mappings of the public connection whose target is an address."""

    def __init__(self, session: Session, connection: UUID, address_of: Callable[[str], str]) -> None:
        self._session = session
        self._guid = connection
        self._address_of = address_of

    def _definitions(self) -> list[PortMapping]:
        with translated():
            return list(self._session.system.mappings.all(self._guid))

    def __iter__(self) -> Iterator["IStaticPortMapping"]:
        return (IStaticPortMapping(self._session, one.number, self._address_of) for one in self._definitions())

    @property
    def Count(self) -> int:
        """How many there are."""
        return len(self._definitions())

    def _number(self, external: int, protocol: str) -> int:
        port, transport = whole_number(external, "external port", least=1, most=65_535), _protocol(protocol)
        for one in self._definitions():
            if one.protocol is transport and port in one.externals:
                return one.number
        raise ERROR_FILE_NOT_FOUND(f"there is no mapping of {transport.name} port {port}")

    def Item(self, lExternalPort: int, bstrProtocol: str) -> "IStaticPortMapping":
        """Return the mapping of a port.

        Raises:
            E_INVALIDARG: It is no port, or no protocol.
            ERROR_FILE_NOT_FOUND: There is none.
        """
        return IStaticPortMapping(self._session, self._number(lExternalPort, bstrProtocol), self._address_of)

    def Remove(self, lExternalPort: int, bstrProtocol: str) -> None:
        """Forget the mapping of a port.

        Raises:
            E_INVALIDARG: It is no port, or no protocol.
            ERROR_FILE_NOT_FOUND: There is none.
            E_ACCESSDENIED: A privilege is missing.
        """
        number = self._number(lExternalPort, bstrProtocol)
        with translated():
            self._session.system.mappings.remove(number)

    def Add(
        self,
        lExternalPort: int,
        bstrProtocol: str,
        lInternalPort: int,
        bstrInternalClient: str,
        bEnabled: bool,  # noqa: FBT001 (likewise)
        bstrDescription: str,
    ) -> "IStaticPortMapping":
        """Define a mapping; one of the same protocol, port and client is brought up to date, as gateways do.

        Raises:
            E_INVALIDARG: An argument is wrong.
            ERROR_ALREADY_EXISTS: The port leads to another client.
            E_ACCESSDENIED: A privilege is missing.
        """
        external = whole_number(lExternalPort, "external port", least=1, most=65_535)
        internal = whole_number(lInternalPort, "internal port", least=1, most=65_535)
        protocol = _protocol(bstrProtocol)
        mappings = self._session.system.mappings
        with translated():
            target = address_target(bstrInternalClient)
            name = check_mapping_name(bstrDescription)
            known = next((one for one in mappings.all(self._guid) if _same(one, protocol, external)), None)
            if known is not None and known.target == target and known.count == 1:
                mappings.update(known.number, name=name, internal=internal)
                (mappings.enable if bEnabled else mappings.disable)(known.number)
                made = known
            else:
                made = mappings.add(
                    self._guid,
                    name=name,
                    protocol=protocol,
                    external=external,
                    internal=internal,
                    target=target,
                    enabled=bEnabled,
                )
        return IStaticPortMapping(self._session, made.number, self._address_of)


class IStaticPortMapping:
    """One port mapping: a live handle."""

    def __init__(self, session: Session, number: int, address_of: Callable[[str], str]) -> None:
        self._session = session
        self._mapping = number
        self._address_of = address_of

    def _definition(self) -> PortMapping:
        with translated():
            found = self._session.system.mappings.get(self._mapping)
        if found is None:
            raise E_UNEXPECTED("the port mapping no longer exists", hint="enumerate the mappings again")
        return found

    @property
    def ExternalIPAddress(self) -> str:
        """Address of the public connection, "" while it has none."""
        return self._address_of(self._session.connection(self._definition().connection).interface)

    @property
    def ExternalPort(self) -> int:
        """Port on the public side; of a range the first."""
        return self._definition().external

    @property
    def InternalPort(self) -> int:
        """Port of the target; of a range the first."""
        return self._definition().internal

    @property
    def Protocol(self) -> str:
        """``TCP`` or ``UDP``."""
        return self._definition().protocol.name

    @property
    def InternalClient(self) -> str:
        """Address of the target, "" while that of a target by name or hardware address is not known."""
        definition = self._definition()
        if definition.target.kind is TargetKind.ADDRESS:
            return definition.target.value
        with translated():
            found = self._session.system.mappings.status(self._mapping)
        return str(found.address) if found and found.address else ""

    @property
    def Enabled(self) -> bool:
        """It is wanted to work."""
        return self._definition().enabled

    @property
    def Description(self) -> str:
        """Name for people."""
        return self._definition().name

    def EditInternalClient(self, bstrInternalClient: str) -> None:
        """Lead it to another address.

        Raises:
            E_INVALIDARG: It is no address.
        """
        self._definition()
        with translated():
            self._session.system.mappings.update(self._mapping, target=address_target(bstrInternalClient))

    def Enable(self, vb: bool) -> None:  # noqa: FBT001 (Windows' signature)
        """Let it work, or rest."""
        self._definition()
        mappings = self._session.system.mappings
        with translated():
            (mappings.enable if vb else mappings.disable)(self._mapping)

    def EditDescription(self, bstrDescription: str) -> None:
        """Give it another name.

        Raises:
            E_INVALIDARG: It cannot be one.
        """
        self._definition()
        with translated():
            self._session.system.mappings.update(self._mapping, name=check_mapping_name(bstrDescription))

    def EditInternalPort(self, lInternalPort: int) -> None:
        """Lead it to another port of the target.

        Raises:
            E_INVALIDARG: It is no port.
        """
        port = whole_number(lInternalPort, "internal port", least=1, most=65_535)
        self._definition()
        with translated():
            self._session.system.mappings.update(self._mapping, internal=port)


def _protocol(text: str) -> Protocol:
    if not isinstance(text, str):
        raise E_INVALIDARG("the protocol is no text (expected TCP or UDP)")
    with translated():
        return parse_protocol(text)


def _same(mapping: PortMapping, protocol: Protocol, external: int) -> bool:
    return mapping.protocol is protocol and mapping.external == external
