"""The documents that ``--json`` prints. Names never change meaning; new ones may be added.

``docs/json.md`` is made from the descriptions here by ``python -m icshare.cli.jsondoc``.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from icshare.cli.errors import ErrorKind
from icshare.model.connection import Reason, Role
from icshare.model.fastpath import Path
from icshare.model.firewall import IcmpOption
from icshare.model.mapping import MappingState, TargetKind
from icshare.model.status import Grade
from icshare.model.wifi import Band


class Document(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of everything that is printed as JSON."""


class VerdictDocument(Document, frozen=True):
    """An answer with its reason."""

    ok: Annotated[bool, Meta(description="The answer.")]
    reason: Annotated[Reason | None, Meta(description="Why not; null when ok.")]
    text: Annotated[str, Meta(description="Why not, a sentence for people; empty when ok.")]


class ConnectionDocument(Document, frozen=True):
    """One connection of the host."""

    guid: Annotated[UUID, Meta(description="Stable over reboots and renames.")]
    interface: Annotated[str, Meta(description="Name of the network interface: the key on the command line.")]
    name: Annotated[str, Meta(description="Name for people.")]
    windows_name: Annotated[
        str, Meta(description="The name that programs for Windows know it by; stable over reboots. Empty if none.")
    ]
    device: Annotated[str, Meta(description="Device name for people.")]
    kind: Annotated[str, Meta(description="What it is, in words for people.")]
    media: Annotated[str, Meta(description="NETCON_MEDIATYPE in lower case: `lan`, `phone`, `tunnel`, ...")]
    status: Annotated[str, Meta(description="NETCON_STATUS in lower case: `connected`, `media_disconnected`, ...")]
    characteristics: Annotated[
        tuple[str, ...], Meta(description="NETCON_CHARACTERISTIC_FLAGS that are set, in lower case.")
    ]
    role: Annotated[Role, Meta(description="Its part in sharing, in force or not.")]
    sharable: Annotated[VerdictDocument, Meta(description="It can take part in a sharing.")]
    as_public: Annotated[VerdictDocument, Meta(description="It can be the public connection.")]
    as_private: Annotated[VerdictDocument, Meta(description="It can be a private connection.")]
    bridgeable: Annotated[bool, Meta(description="It can be a port of a bridge.")]
    hidden: Annotated[bool, Meta(description="It is listed with --all only.")]


class ListDocument(Document, frozen=True):
    """Printed by `icshare list --json`."""

    connections: Annotated[tuple[ConnectionDocument, ...], Meta(description="By interface index.")]


class DialDocument(Document, frozen=True):
    """Printed by `icshare connect --json` and `icshare disconnect --json`."""

    guid: Annotated[UUID, Meta(description="As in `icshare list --json`.")]
    interface: Annotated[str, Meta(description="Name of its interface, also of one that has to be dialled to have it.")]
    name: Annotated[str, Meta(description="Name for people.")]
    status: Annotated[str, Meta(description="NETCON_STATUS in lower case, as it is now.")]


class SegmentDocument(Document, frozen=True):
    """A private segment."""

    interface: Annotated[str, Meta(description="The link with the gateway's address: a private, or our bridge.")]
    members: Annotated[tuple[str, ...], Meta(description="Its private connections.")]
    network: Annotated[str, Meta(description="Its subnet in CIDR notation; of a line with two ends, its peer (/32).")]
    beyond: Annotated[tuple[str, ...], Meta(description="Further networks of its clients, by routes into a tunnel.")]
    gateway: Annotated[str, Meta(description="Our address on it: the clients' gateway and DNS server.")]
    bridged: Annotated[bool, Meta(description="Its interface is a bridge that icshare made.")]
    dhcp: Annotated[bool, Meta(description="Clients can take their settings by DHCP.")]


class CheckDocument(Document, frozen=True):
    """One thing that was looked at."""

    name: Annotated[str, Meta(description="What was looked at; stable.")]
    grade: Annotated[Grade, Meta(description="How it came out.")]
    text: Annotated[str, Meta(description="What was found, a sentence for people.")]
    remedy: Annotated[str, Meta(description="The command or act that mends it; empty when nothing is to be done.")]


class AccessPointDocument(Document, frozen=True):
    """A Wi-Fi access point; `icshare wifi show` tells its passphrase."""

    ssid: Annotated[str, Meta(description="Name of the wireless network.")]
    interface: Annotated[str, Meta(description="Interface of the access point.")]
    band: Annotated[Band | None, Meta(description="Frequency band in GHz; null while it is not chosen.")]
    channel: Annotated[int | None, Meta(description="Channel; null while it is not chosen.")]
    hidden: Annotated[bool, Meta(description="The name is not announced.")]
    isolated: Annotated[bool, Meta(description="Clients cannot reach each other by the radio.")]
    country: Annotated[str | None, Meta(description="Country that was asked for; null for what the machine is set to.")]
    note: Annotated[str, Meta(description="Why it is where it is, if nobody asked for that; empty otherwise.")]


class PairPathDocument(Document, frozen=True):
    """How the later packets of connections go between the public connection and a private one."""

    public: Annotated[str, Meta(description="Interface of the public connection.")]
    private: Annotated[str, Meta(description="Interface of the private connection.")]
    path: Annotated[Path, Meta(description="The path; `kernel` is none but the kernel's own way.")]
    reason: Annotated[str, Meta(description="Why it was chosen, and not a faster one, in words for people.")]
    remedy: Annotated[str, Meta(description="What would bring a faster one; empty when nothing is known.")]


class KernelPacketsDocument(Document, frozen=True):
    """Packets that the fast path's programs have left to the kernel."""

    reason: Annotated[
        str, Meta(description="Why: `tcp_flags`, `ungranted`, ...; [all of them](fast-path.md#what-is-counted).")
    ]
    packets: Annotated[int, Meta(description="How many since the fast path was first started.")]


# What documents about a sharing have in common. They are no base class: fields are printed in the order that they have.
Privates = Annotated[tuple[str, ...], Meta(description="Interfaces of the private connections.")]
Protected = Annotated[bool, Meta(description="The public connection is protected.")]
Segments = Annotated[tuple[SegmentDocument, ...], Meta(description="The private segments, the main one first.")]
AccessPoint = Annotated[AccessPointDocument | None, Meta(description="The access point; null without one.")]
PairPaths = Annotated[
    tuple[PairPathDocument, ...], Meta(description="One for each private connection; empty while it is not known.")
]
Notes = Annotated[tuple[str, ...], Meta(description="What people should know.")]
Checks = Annotated[tuple[CheckDocument, ...], Meta(description="What was looked at, and how it came out.")]


class ShareDocument(Document, frozen=True):
    """Printed by `icshare share --json`, with --dry-run too."""

    dry_run: Annotated[bool, Meta(description="Nothing was changed.")]
    public: Annotated[str, Meta(description="Interface of the public connection.")]
    privates: Privates
    firewall: Protected
    segments: Segments
    access_point: AccessPoint
    fast_path: PairPaths
    notes: Notes
    changes: Annotated[
        tuple[str, ...], Meta(description="What was done, or would be, in order; empty if all was so before.")
    ]
    checks: Annotated[tuple[CheckDocument, ...], Meta(description="The self-test; empty with --dry-run.")]
    ruleset: Annotated[str | None, Meta(description="The nftables ruleset; null without --dry-run.")]


class MappingDocument(Document, frozen=True):
    """One port mapping and how it fares; printed by `icshare map add`, `set`, `enable` and `disable` with `--json`."""

    number: Annotated[int, Meta(description="Its identity, `#number` on the command line; never used for another.")]
    name: Annotated[str, Meta(description="Name for people; made through other faces, two can have the same.")]
    connection: Annotated[UUID, Meta(description="GUID of the connection whose packets it is about.")]
    interface: Annotated[str, Meta(description="Interface of that connection; empty while it is absent.")]
    protocol: Annotated[str, Meta(description="`tcp` or `udp`.")]
    external: Annotated[int, Meta(description="First external port.")]
    internal: Annotated[int, Meta(description="First port of the target.")]
    count: Annotated[int, Meta(description="How many ports follow each other; 1 for a single one.")]
    target: Annotated[str, Meta(description="Where the packets go, as it was given.")]
    target_kind: Annotated[TargetKind, Meta(description="How the target is named.")]
    enabled: Annotated[bool, Meta(description="It is wanted to work.")]
    state: Annotated[MappingState, Meta(description="What becomes of it at the moment.")]
    text: Annotated[str, Meta(description="Why it is inactive, a sentence for people; empty otherwise.")]
    address: Annotated[
        str | None, Meta(description="The target's address; null while it is not known, or if it is this host.")
    ]
    own: Annotated[bool, Meta(description="The target is this host itself.")]
    hits: Annotated[
        int | None, Meta(description="Connections let in since it was enabled; null without privilege to look.")
    ]
    received_bytes: Annotated[
        int | None, Meta(description="Bytes from the Internet to its target since it was enabled; null if not counted.")
    ]
    sent_bytes: Annotated[
        int | None, Meta(description="Bytes from its target to the Internet since it was enabled; null if not counted.")
    ]


class MapListDocument(Document, frozen=True):
    """Printed by `icshare map list --json`."""

    mappings: Annotated[tuple[MappingDocument, ...], Meta(description="By number.")]


class MapRemoveDocument(Document, frozen=True):
    """Printed by `icshare map remove --json`."""

    number: Annotated[int, Meta(description="Number of the mapping that is no more.")]
    name: Annotated[str, Meta(description="Its name.")]


class FirewallDocument(Document, frozen=True):
    """The firewall of one connection; printed by `icshare firewall on`, `off` and `set` with `--json`."""

    guid: Annotated[UUID, Meta(description="GUID of the connection.")]
    interface: Annotated[str, Meta(description="Its interface; the last one known while it is absent.")]
    on: Annotated[bool, Meta(description="The firewall is switched on.")]
    in_force: Annotated[bool, Meta(description="It protects the connection now.")]
    icmp: Annotated[tuple[IcmpOption, ...], Meta(description="ICMP options that are on.")]
    log_dropped: Annotated[bool, Meta(description="Dropped packets are written into the log.")]
    log_opened: Annotated[bool, Meta(description="Connections that were let through are written into the log.")]


class FirewallStatusDocument(Document, frozen=True):
    """Printed by `icshare firewall status --json`."""

    firewalls: Annotated[tuple[FirewallDocument, ...], Meta(description="One for each connection, on or off.")]


class StatusDocument(Document, frozen=True):
    """Printed by `icshare status --json`."""

    shared: Annotated[bool, Meta(description="A connection is shared.")]
    healthy: Annotated[bool, Meta(description="No check failed, and the last change reached its end.")]
    complete: Annotated[
        bool,
        Meta(
            description="The last change reached its end. If not, and none is under way, `icshare stop` takes back "
            "what there is."
        ),
    ]
    changing: Annotated[bool, Meta(description="A change was under way all the ten seconds that one is waited for.")]
    public: Annotated[str | None, Meta(description="Interface of the public connection; null when nothing is shared.")]
    privates: Privates
    firewall: Protected
    since: Annotated[datetime | None, Meta(description="When the sharing began, UTC; null when nothing is shared.")]
    segments: Segments
    firewalls: Annotated[tuple[str, ...], Meta(description="Interfaces whose firewall is in force.")]
    active_mappings: Annotated[int, Meta(description="How many port mappings work.")]
    inactive_mappings: Annotated[
        tuple[MappingDocument, ...], Meta(description="The port mappings that are enabled and do not work now.")
    ]
    access_point: AccessPoint
    fast_path: PairPaths
    fast_packets: Annotated[
        int | None,
        Meta(description="Packets that the programs of the fast path have sent on; null without them or privilege."),
    ]
    kernel_packets: Annotated[
        tuple[KernelPacketsDocument, ...], Meta(description="Packets that they have left to the kernel, by reason.")
    ]
    notes: Notes
    checks: Checks


class StopDocument(Document, frozen=True):
    """Printed by `icshare stop --json`."""

    stopped: Annotated[bool, Meta(description="There was something to take back.")]
    taken_back: Annotated[tuple[str, ...], Meta(description="What was taken back, in order.")]


class StationDocument(Document, frozen=True):
    """A client of the access point, as its radio knows it."""

    signal: Annotated[int | None, Meta(description="Strength of what it sends, in dBm; null if unknown.")]
    sent_rate: Annotated[int | None, Meta(description="Rate at which it last sent, in kbit/s; null if unknown.")]
    received_rate: Annotated[
        int | None, Meta(description="Rate at which it was last sent to, in kbit/s; null if unknown.")
    ]
    connected_seconds: Annotated[
        int | None, Meta(description="Seconds since it joined the wireless network; null if unknown.")
    ]


class ClientDocument(Document, frozen=True):
    """A client of the segment."""

    name: Annotated[str, Meta(description="The host name that it told; empty if none.")]
    mac: Annotated[str | None, Meta(description="Its hardware address; null on links without.")]
    address: Annotated[str, Meta(description="Its IPv4 address.")]
    leased: Annotated[bool, Meta(description="It has the address from our DHCP server.")]
    online: Annotated[bool, Meta(description="It has answered on the link within the last minute or so.")]
    since: Annotated[datetime | None, Meta(description="When it was first seen, UTC; null if unknown.")]
    sent_bytes: Annotated[int | None, Meta(description="Bytes from it to the Internet; null if not counted.")]
    received_bytes: Annotated[int | None, Meta(description="Bytes from the Internet to it; null if not counted.")]
    station: Annotated[StationDocument | None, Meta(description="Its radio link; null if it is not there by Wi-Fi.")]


class ClientsDocument(Document, frozen=True):
    """Printed by `icshare clients --json`."""

    clients: Annotated[tuple[ClientDocument, ...], Meta(description="By address.")]


class WifiDocument(Document, frozen=True):
    """Printed by `icshare wifi show --json`, for root only."""

    access_point: Annotated[AccessPointDocument, Meta(description="The access point.")]
    security: Annotated[
        str,
        Meta(
            description="What clients join it by: `WPA2/WPA3`, or `WPA2` where its radio or its maker cannot do more."
        ),
    ]
    passphrase: Annotated[str, Meta(description="Its passphrase.")]
    code: Annotated[str, Meta(description="Text of the QR code by which a phone joins it.")]


class DoctorDocument(Document, frozen=True):
    """Printed by `icshare doctor --json`."""

    healthy: Annotated[bool, Meta(description="Nothing stands in the way.")]
    checks: Checks


class ProblemDocument(Document, frozen=True):
    """One reason for a refusal."""

    reason: Annotated[str, Meta(description="For programs; stable.")]
    text: Annotated[str, Meta(description="A sentence for people.")]


class FaultDocument(Document, frozen=True):
    """What went wrong."""

    kind: Annotated[ErrorKind, Meta(description="For programs: what reaction it asks for.")]
    message: Annotated[str, Meta(description="A sentence for people.")]
    hint: Annotated[str | None, Meta(description="What can be done about it; null when nothing is known.")]
    problems: Annotated[tuple[ProblemDocument, ...], Meta(description="All reasons; empty unless kind is `refused`.")]
    notes: Annotated[tuple[str, ...], Meta(description="The step that failed, what could not be rolled back.")]
    errors: Annotated[
        tuple["FaultDocument", ...], Meta(description="The single errors; empty unless kind is `several`.")
    ]


class ErrorDocument(Document, frozen=True):
    """Printed by every command with `--json` in place of its own document when it fails."""

    error: Annotated[FaultDocument, Meta(description="What went wrong.")]
    exit_status: Annotated[int, Meta(description="The exit status of the command.")]


DOCUMENTS: tuple[type[Document], ...] = (
    ListDocument,
    DialDocument,
    ShareDocument,
    StatusDocument,
    StopDocument,
    ClientsDocument,
    MapListDocument,
    MappingDocument,
    MapRemoveDocument,
    FirewallStatusDocument,
    FirewallDocument,
    WifiDocument,
    DoctorDocument,
    ErrorDocument,
)
"""What commands print; the others are parts of these."""
