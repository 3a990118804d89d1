"""Port mappings: (protocol, external port) of a connection to (target, internal port) behind it.

Source:
    MicrosoftDocs/sdk-api netcon (INetSharingConfiguration::AddPortMapping, INetSharingPortMappingProps).
"""

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from ipaddress import AddressValueError, IPv4Address
from uuid import UUID

from icshare.errors import InvalidRequestError
from icshare.model.names import mac_address

MAX_NAME = 255
"""Longest name of a mapping, in characters."""

_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


class Protocol(IntEnum):
    """Protocols that a mapping can be for, by their IP protocol numbers."""

    TCP = 6
    UDP = 17


class TargetKind(StrEnum):
    """How a target is named."""

    ADDRESS = "address"
    NAME = "name"
    MAC = "mac"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The host that a mapping leads to; make one by `address_target`, `name_target`, `mac_target` or `parse_target`.

    Attributes:
        kind: How it is named.
        value: The address, host name (as given) or hardware address (lower case).
    """

    kind: TargetKind
    value: str

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class PortMapping:
    """One port mapping as defined, whether or not it works at the moment.

    Attributes:
        number: Its identity: never used again for another.
        connection: GUID of the connection whose packets it is about.
        name: Name for people, 1 to `MAX_NAME` printable characters.
        protocol: TCP or UDP.
        external: First external port, 1 to 65535.
        internal: First internal port, 1 to 65535.
        count: How many ports follow each other, 1 for a single one.
        target: Where the packets go.
        enabled: It is wanted to work.
    """

    number: int
    connection: UUID
    name: str
    protocol: Protocol
    external: int
    internal: int
    count: int = 1
    target: Target
    enabled: bool = False

    @property
    def externals(self) -> range:
        """The external ports."""
        return range(self.external, self.external + self.count)

    @property
    def internals(self) -> range:
        """The internal ports, in the order of the external ones."""
        return range(self.internal, self.internal + self.count)


class MappingState(StrEnum):
    """What becomes of a mapping at the moment."""

    ACTIVE = "active"
    DISABLED = "disabled"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingStatus:
    """A mapping and how it fares.

    Attributes:
        mapping: The mapping.
        interface: Interface name of its connection, "" while that is absent.
        state: What becomes of it.
        text: Why it is inactive, one sentence; "" otherwise.
        address: The target's address, None while it is not known or the target is this host.
        own: The target is this host itself.
        hits: Connections (TCP) or flows (UDP) it has let in since it was enabled; None without privilege to look.
        received: Bytes that its target has received by it from the Internet, None if they are not counted.
        sent: Bytes that its target has sent by it, None if they are not counted.
    """

    mapping: PortMapping
    interface: str
    state: MappingState
    text: str = ""
    address: IPv4Address | None = None
    own: bool = False
    hits: int | None = None
    received: int | None = None
    sent: int | None = None


def check_mapping_name(text: str) -> str:
    """Return *text* if it can be the name of a mapping.

    Raises:
        InvalidRequestError: Empty or all blank, longer than `MAX_NAME`, or with a control character.
    """
    if not text.strip() or len(text) > MAX_NAME or not text.isprintable():
        raise InvalidRequestError(f"{text!r:.80} is no name for a mapping (1 to {MAX_NAME} printable characters)")
    return text


def parse_protocol(text: str) -> Protocol:
    """Parse ``tcp`` or ``udp``, in either case.

    Raises:
        InvalidRequestError: It is neither.
    """
    try:
        return Protocol[text.upper()]
    except KeyError:
        raise InvalidRequestError(f"{text!r} is not a protocol of port mappings (expected tcp or udp)") from None


def check_ports(external: int, internal: int, count: int = 1) -> None:
    """Check the ports of a mapping.

    Raises:
        InvalidRequestError: A port outside 1 to 65535, also that of the end of a range.
    """
    most = 65_536 - count
    if count >= 1 and 1 <= external <= most and 1 <= internal <= most:
        return
    first, word = (internal, "internal") if count >= 1 and 1 <= external <= most else (external, "external")
    ports = f"{first}" if count == 1 else f"{first}-{first + count - 1}"
    raise InvalidRequestError(f"{word} port {ports} is out of range (expected 1 to 65535)")


def parse_ports(text: str) -> tuple[int, int]:
    """Parse ``80`` or ``8000-8010`` as first port and number of ports.

    Raises:
        InvalidRequestError: Not a port from 1 to 65535, or not a range of them in rising order.
    """
    match = _RANGE.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last <= 65_535:
        raise InvalidRequestError(f"{text!r} is not a port or a range of ports (expected 80 or 8000-8010)")
    return first, last - first + 1


def address_target(text: str) -> Target:
    """Parse *text* as a target's IPv4 address.

    Raises:
        InvalidRequestError: Not the dotted address of one host.
    """
    try:
        address = IPv4Address(text)
    except AddressValueError as error:
        raise InvalidRequestError(f"{text!r} is not an IPv4 address: {error}") from error
    if address.is_multicast or address.is_unspecified or address.is_reserved:
        raise InvalidRequestError(f"{address} is not the address of a host")
    return Target(kind=TargetKind.ADDRESS, value=str(address))


def name_target(text: str) -> Target:
    """Parse *text* as a target's host name, with or without domain.

    Raises:
        InvalidRequestError: Not a host name (RFC 1123), or one that is an address.
    """
    if not _HOST.fullmatch(text) or len(text) > 253 or text.rpartition(".")[2].isdigit():
        raise InvalidRequestError(f"{text!r:.80} is not a host name")
    return Target(kind=TargetKind.NAME, value=text.removesuffix("."))


def mac_target(text: str) -> Target:
    """Parse *text* as a target's hardware address.

    Raises:
        InvalidRequestError: Not the hardware address of one station.
    """
    return Target(kind=TargetKind.MAC, value=mac_address(text))


def parse_target(text: str) -> Target:
    """Parse *text* as an IPv4 address, a hardware address or else a host name, whichever it looks like.

    Raises:
        InvalidRequestError: It is none of them.
    """
    if re.fullmatch(r"[0-9.]+", text):
        return address_target(text)
    if re.fullmatch(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}", text):
        return mac_target(text)
    return name_target(text)
