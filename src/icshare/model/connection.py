"""A connection: one link of the host in the words of the Windows ICS API.

Source:
    MicrosoftDocs/sdk-api netcon (NETCON_MEDIATYPE, NETCON_STATUS, NETCON_CHARACTERISTIC_FLAGS, NETCON_PROPERTIES).
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag, StrEnum
from uuid import UUID


class MediaType(IntEnum):
    """NETCON_MEDIATYPE."""

    NONE = 0
    DIRECT = 1
    ISDN = 2
    LAN = 3
    PHONE = 4
    TUNNEL = 5
    PPPOE = 6
    BRIDGE = 7
    SHAREDACCESSHOST_LAN = 8
    SHAREDACCESSHOST_RAS = 9


class Status(IntEnum):
    """NETCON_STATUS."""

    DISCONNECTED = 0
    CONNECTING = 1
    CONNECTED = 2
    DISCONNECTING = 3
    HARDWARE_NOT_PRESENT = 4
    HARDWARE_DISABLED = 5
    HARDWARE_MALFUNCTION = 6
    MEDIA_DISCONNECTED = 7
    AUTHENTICATING = 8
    AUTHENTICATION_SUCCEEDED = 9
    AUTHENTICATION_FAILED = 10
    INVALID_ADDRESS = 11
    CREDENTIALS_REQUIRED = 12
    ACTION_REQUIRED = 13
    ACTION_REQUIRED_RETRY = 14
    CONNECT_FAILED = 15


class Characteristics(IntFlag):
    """NETCON_CHARACTERISTIC_FLAGS."""

    NONE = 0
    ALL_USERS = 0x1
    ALLOW_DUPLICATION = 0x2
    ALLOW_REMOVAL = 0x4
    ALLOW_RENAME = 0x8
    INCOMING_ONLY = 0x20
    OUTGOING_ONLY = 0x40
    BRANDED = 0x80
    SHARED = 0x100
    BRIDGED = 0x200
    FIREWALLED = 0x400
    DEFAULT = 0x800
    HOMENET_CAPABLE = 0x1000
    SHARED_PRIVATE = 0x2000
    QUARANTINED = 0x4000
    HOSTED_NETWORK = 0x10000
    VIRTUAL_STATION = 0x20000
    WIFI_DIRECT = 0x40000


class Role(StrEnum):
    """What a connection does in the current sharing."""

    NONE = "none"
    PUBLIC = "public"
    PRIVATE = "private"


class Reason(StrEnum):
    """Machine-readable reasons why a connection cannot be shared or cannot play a role."""

    MEDIA_TYPE = "media-type"
    INCOMING_ONLY = "incoming-only"
    BRIDGE_MEMBER = "bridge-member"
    PORT_OF_MASTER = "port-of-master"
    NOT_AS_PUBLIC = "not-as-public"
    NOT_AS_PRIVATE = "not-as-private"
    UNUSABLE_NAME = "unusable-name"
    NO_FIREWALL = "no-firewall"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An answer with its reason.

    Attributes:
        ok: The answer.
        reason: Why not, for programs; None when ok.
        text: Why not, one sentence for people; "" when ok.
    """

    ok: bool
    reason: Reason | None = None
    text: str = ""


YES = Verdict(ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkClass:
    """What a kind of link is and may do.

    Attributes:
        media: Media type.
        public: It may be the public connection.
        private: It may be a private connection.
        bridgeable: The kernel takes it as a bridge port.
        flags: Characteristics that follow from the kind alone.
        label: The kind in words for people: "Ethernet", "Wi-Fi access point", ...
        hidden: Listed only on request (loopback, fallback tunnels).
    """

    media: MediaType
    public: bool
    private: bool
    bridgeable: bool
    flags: Characteristics = Characteristics.NONE
    label: str = ""
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOverride:
    """What the administrator says about a link, against what it looks like; None and "" leave the matter as found.

    Attributes:
        media: Media type. Without ``public`` and ``private`` it also brings the roles usual for that type.
        incoming_only: It only answers calls (a PPP or VPN server's end), so it cannot be shared.
        public: It may be the public connection, even where Windows' rule says no (a bridge).
        private: It may be a private connection.
        bridgeable: It can be a bridge port; no makes it a routed segment of its own.
        name: Name for people.
    """

    media: MediaType | None = None
    incoming_only: bool | None = None
    public: bool | None = None
    private: bool | None = None
    bridgeable: bool | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One connection of the host.

    Attributes:
        guid: Stable over reboots and renames (version 5 UUID).
        name: Name for people: the link's alias, else its interface name.
        device: Device name for people: driver or kind, and interface name.
        interface: Kernel interface name, the key on the command line.
        status: NETCON_STATUS.
        media: NETCON_MEDIATYPE.
        characteristics: NETCON_CHARACTERISTIC_FLAGS.
        role: Its part in the current sharing.
        kind: The kind in words for people.
        sharable: The Windows rule: one of six media and not incoming-only.
        as_public: May be given as the public connection.
        as_private: May be given as a private connection.
        bridgeable: The kernel takes it as a bridge port.
        hidden: Listed only on request.
        peer: Name of the pppd peer that it is, or was dialled by; "" for none.
        there: It has a link; one that has to be dialled first has none, and is called by the name that it will get.
    """

    guid: UUID
    name: str
    device: str
    interface: str
    status: Status
    media: MediaType
    characteristics: Characteristics
    role: Role
    kind: str
    sharable: Verdict
    as_public: Verdict
    as_private: Verdict
    bridgeable: bool
    hidden: bool = False
    peer: str = ""
    there: bool = True
