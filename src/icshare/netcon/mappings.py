"""One port mapping: `INetSharingPortMapping` and its properties.

Source:
    MicrosoftDocs/sdk-api netcon (INetSharingPortMapping, INetSharingPortMappingProps).
"""

# ruff: noqa: N802 (the names are Windows')

from uuid import UUID

from icshare.model.mapping import MappingStatus, PortMapping, Protocol, TargetKind, parse_target
from icshare.netcon.arguments import text, whole_number
from icshare.netcon.constants import NAT_PROTOCOL_TCP, NAT_PROTOCOL_UDP
from icshare.netcon.hresults import E_INVALIDARG, E_UNEXPECTED, S_OK, translated
from icshare.netcon.session import Session


class INetSharingPortMapping:
    """A port mapping of a connection: a live handle. Two objects of one mapping are equal."""

    def __init__(self, session: Session, connection: UUID, number: int) -> None:
        self._session = session
        self._guid = connection
        self._number = number

    @property
    def number(self) -> int:
        """Identity of the mapping, never used again for another; an addition of ours."""
        return self._number

    @property
    def connection(self) -> UUID:
        """GUID of the connection that the mapping belongs to; an addition of ours."""
        return self._guid

    def __eq__(self, other: object) -> bool:
        return isinstance(other, INetSharingPortMapping) and other._number == self._number

    def __hash__(self) -> int:
        return hash(self._number)

    def __repr__(self) -> str:
        return f"<INetSharingPortMapping {self._number}>"

    @property
    def Properties(self) -> "INetSharingPortMappingProps":
        """The properties.

        Raises:
            E_UNEXPECTED: The mapping no longer exists.
            E_FAIL: The state could not be read.
        """
        self.definition()
        return INetSharingPortMappingProps(self)

    def Enable(self) -> int:
        """Let the mapping work.

        Raises:
            E_UNEXPECTED: The mapping no longer exists.
            E_ACCESSDENIED: A privilege is missing.
            E_FAIL: The machine refused it; the mapping is as it was.
        """
        self.definition()
        with translated():
            self._session.system.mappings.enable(self._number)
        return S_OK

    def Disable(self) -> int:
        """Let the mapping rest; it stays defined, and its connections are cut.

        Raises:
            E_UNEXPECTED: The mapping no longer exists.
            E_ACCESSDENIED: A privilege is missing.
            E_FAIL: The machine refused it; the mapping is as it was.
        """
        self.definition()
        with translated():
            self._session.system.mappings.disable(self._number)
        return S_OK

    def Delete(self) -> int:
        """Forget the mapping; its connections are cut.

        Raises:
            E_UNEXPECTED: The mapping no longer exists.
            E_ACCESSDENIED: A privilege is missing.
            E_FAIL: The machine refused it; the mapping is as it was.
        """
        self.definition()
        with translated():
            self._session.system.mappings.remove(self._number)
        return S_OK

    def update(
        self,
        *,
        name: str | None = None,
        protocol: int | None = None,
        external: int | None = None,
        internal: int | None = None,
        count: int | None = None,
        target: str | None = None,
    ) -> None:
        """Change the mapping in one step, which Windows cannot; an addition of ours. None leaves a field as it is.

        Args:
            name: Name for people.
            protocol: `NAT_PROTOCOL_TCP` or `NAT_PROTOCOL_UDP`.
            external: First external port.
            internal: First internal port.
            count: How many ports follow each other.
            target: IPv4 address, host name or hardware address.

        Raises:
            E_INVALIDARG: A field cannot be so.
            ERROR_ALREADY_EXISTS: The connection has another mapping of this protocol and external port.
            E_UNEXPECTED: The mapping no longer exists.
            E_ACCESSDENIED: A privilege is missing.
            E_FAIL: The machine refused it; the mapping is as it was.
        """
        if name is not None:
            text(name, "name")
        ports = [
            None if number is None else whole_number(number, word, least=1, most=65_535)
            for number, word in ((external, "external"), (internal, "internal"), (count, "count"))
        ]
        self.definition()
        with translated():
            self._session.system.mappings.update(
                self._number,
                name=name,
                protocol=None if protocol is None else transport(protocol),
                external=ports[0],
                internal=ports[1],
                count=ports[2],
                target=None if target is None else parse_target(text(target, "target")),
            )

    def status(self) -> MappingStatus:
        """Return how the mapping fares, with the reason why it is inactive and its hits; an addition of ours.

        Raises:
            E_UNEXPECTED: The mapping no longer exists.
            E_FAIL: The state could not be read.
        """
        with translated():
            statuses = self._session.system.mappings.statuses(self._guid)
        found = next((one for one in statuses if one.mapping.number == self._number), None)
        if found is None:
            raise _gone()
        return found

    def resolved_address(self) -> str:
        """Return the address that packets go to, "" while it is not known or is this host; an addition of ours.

        Raises:
            E_UNEXPECTED: The mapping no longer exists.
            E_FAIL: The state could not be read.
        """
        with translated():
            found = self._session.system.mappings.status(self._number)
        if found is None:
            raise _gone()
        return str(found.address) if found.address is not None else ""

    def definition(self) -> PortMapping:
        """Return the mapping as it is defined now, with what Windows has no words for; an addition of ours.

        Raises:
            E_UNEXPECTED: The mapping no longer exists.
            E_FAIL: The state could not be read.
        """
        with translated():
            found = self._session.system.mappings.get(self._number)
        if found is None:
            raise _gone()
        return found


class INetSharingPortMappingProps:
    """The properties of a port mapping; each one is read anew.

    Every property raises `E_UNEXPECTED` when the mapping no longer exists, and `E_FAIL` when the state cannot be read.
    """

    def __init__(self, mapping: INetSharingPortMapping) -> None:
        self._mapping = mapping

    @property
    def Name(self) -> str:
        """Name for people."""
        return self._mapping.definition().name

    @property
    def IPProtocol(self) -> int:
        """`NAT_PROTOCOL_TCP` or `NAT_PROTOCOL_UDP`."""
        return int(self._mapping.definition().protocol)

    @property
    def ExternalPort(self) -> int:
        """Port on the public side, 1 to 65535; of a range the first."""
        return self._mapping.definition().external

    @property
    def InternalPort(self) -> int:
        """Port of the target, 1 to 65535; of a range the first."""
        return self._mapping.definition().internal

    @property
    def Options(self) -> int:
        """Reserved: 0."""
        self._mapping.definition()
        return 0

    @property
    def TargetName(self) -> str:
        """Host name of the target, "" when it was given by address."""
        target = self._mapping.definition().target
        return target.value if target.kind is TargetKind.NAME else ""

    @property
    def TargetIPAddress(self) -> str:
        """Address of the target, "" when it was given by name."""
        target = self._mapping.definition().target
        return target.value if target.kind is TargetKind.ADDRESS else ""

    @property
    def Enabled(self) -> bool:
        """The mapping is wanted to work."""
        return self._mapping.definition().enabled

    @property
    def ResolvedAddress(self) -> str:
        """Address that packets go to, "" while it is not known or is this host; an addition of ours."""
        return self._mapping.resolved_address()


def transport(value: object) -> Protocol:
    """Return the protocol that *value* is the number of.

    Raises:
        E_INVALIDARG: Neither `NAT_PROTOCOL_TCP` nor `NAT_PROTOCOL_UDP`.
    """
    number = whole_number(value, "protocol", most=255)
    if number not in {NAT_PROTOCOL_TCP, NAT_PROTOCOL_UDP}:
        raise E_INVALIDARG(f"protocol is {number} (expected 6, TCP, or 17, UDP)")
    return Protocol(number)


def _gone() -> E_UNEXPECTED:
    return E_UNEXPECTED("the port mapping no longer exists", hint="enumerate the port mappings again")
