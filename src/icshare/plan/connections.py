"""The connections of a host: its links in the words of the Windows ICS API, each with its verdicts.

Source:
    MicrosoftDocs/win32 "Shared connections" (the rule); MicrosoftDocs/sdk-api netcon (status, characteristics).
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Network
from uuid import UUID, uuid5

from icshare.model.connection import (
    YES,
    Characteristics,
    Connection,
    LinkClass,
    LinkOverride,
    MediaType,
    Reason,
    Role,
    Status,
    Verdict,
)
from icshare.model.link import IFF_LOOPBACK, IFF_RUNNING, RT_MAIN, RTN_UNICAST, Address, IfIndex, Link, PppFacts, Route
from icshare.model.names import is_interface_name
from icshare.model.sharing import BRIDGE_NAME
from icshare.plan.classify import classify

NAMESPACE = UUID("6b1f0f0e-9b3c-5c55-8a55-3d1c3e0a7a10")
"""Namespace of the version 5 UUIDs that identify links; fixed for ever, or every stored identity is lost."""

SHARABLE_MEDIA = frozenset(
    {MediaType.DIRECT, MediaType.ISDN, MediaType.LAN, MediaType.PHONE, MediaType.TUNNEL, MediaType.PPPOE}
)

NOT_THERE = 0
"""Index of the highest link that is none: of what has to be dialled first. The kernel's begin with 1."""

_IFA_LINK_LOCAL = IPv4Network("169.254.0.0/16")

_TAKING_ALL = frozenset({"macvlan", "macvtap", "ipvlan", "ipvtap", "macsec"})
"""Kinds that take over what the link below them receives, as a bridge would: the kernel refuses the second."""

_OPERSTATE_NOTPRESENT, _OPERSTATE_DOWN, _OPERSTATE_LOWERLAYERDOWN, _OPERSTATE_DORMANT, _OPERSTATE_UP = 1, 2, 3, 5, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a connection manager (NetworkManager) knows of a link.

    Attributes:
        uuid: Identity of its profile.
        name: Name that the user gave it.
    """

    uuid: UUID
    name: str


def connections(  # noqa: PLR0913 (the facts of one host)
    links: Sequence[Link],
    addresses: Sequence[Address],
    routes: Sequence[Route],
    *,
    public: str | None = None,
    privates: AbstractSet[str] = frozenset(),
    firewalled: AbstractSet[str] = frozenset(),
    overrides: Mapping[str, LinkOverride] | None = None,
    profiles: Mapping[str, Profile] | None = None,
) -> tuple[Connection, ...]:
    """Return the connections of a host, one for each link, in the links' order.

    Args:
        links: All links, with facts.
        addresses: All addresses.
        routes: All routes.
        public: Interface name of the present public connection, None when nothing is shared.
        privates: Interface names of the present private connections.
        firewalled: Interface names under our connection firewall.
        overrides: The administrator's word, by interface name.
        profiles: A connection manager's knowledge, by interface name.
    """
    by_index = {link.index: link for link in links}
    named = {link.name: Profile(uuid=peer_guid(name), name=name) for link in links if (name := _ppp(link).peer)}
    profiles = {**named, **(profiles or {})}
    best = best_default(routes, links)
    known = identities(links)
    taken = {link.lower for link in links if link.kind in _TAKING_ALL}
    found = []
    for link in links:
        override = (overrides or {}).get(link.name)
        kind = classify(link, override)
        master = by_index.get(link.master) if link.master is not None else None
        profile = profiles.get(link.name)
        peer = _ppp(link).peer
        flags = _characteristics(link, kind, master, default=link.index == best, profile=profile)
        role = Role.PUBLIC if link.name == public else Role.PRIVATE if link.name in privates else Role.NONE
        flags |= Characteristics.SHARED if role is Role.PUBLIC else Characteristics.NONE
        ours = role is Role.PRIVATE or (link.name == BRIDGE_NAME and public is not None)
        flags |= Characteristics.SHARED_PRIVATE if ours else Characteristics.NONE
        flags |= Characteristics.FIREWALLED if link.name in firewalled else Characteristics.NONE
        as_private = _as_role(link, kind, flags, master, override, public=False, role=role)
        flags |= Characteristics.HOMENET_CAPABLE if as_private.ok else Characteristics.NONE
        found.append(
            Connection(
                guid=profile.uuid if profile and (peer or _dialled(kind)) else known[link.index],
                name=(override.name if override else "")
                or (profile.name if profile else "")
                or link.alias
                or link.name,
                device=_device(link, kind),
                interface=link.name,
                status=_status(link, addresses),
                media=kind.media,
                characteristics=flags,
                role=role,
                kind=kind.label,
                sharable=sharable(kind.media, flags),
                as_public=_as_role(link, kind, flags, master, override, public=True, role=role),
                as_private=as_private,
                bridgeable=kind.bridgeable and link.index not in taken,
                hidden=kind.hidden,
                peer=peer,
                there=link.index > NOT_THERE,
            )
        )
    return tuple(found)


def sharable(media: MediaType, characteristics: Characteristics) -> Verdict:
    """Apply the rule that says which connection can be shared at all.

    It must be of one of six media and not be incoming-only; nothing else counts.

    Source:
        MicrosoftDocs/sdk-api, INetSharingManager::get_NetConnectionProps, remarks.
    """
    if media not in SHARABLE_MEDIA:
        return Verdict(ok=False, reason=Reason.MEDIA_TYPE, text=f"its media type, {media.name}, cannot be shared")
    if characteristics & Characteristics.INCOMING_ONLY:
        return Verdict(ok=False, reason=Reason.INCOMING_ONLY, text="it only answers calls and leads nowhere by itself")
    return YES


def firewallable(connection: Connection, *, private: bool) -> Verdict:
    """Tell whether a connection may have a firewall: not the private side, no bridge nor member of one, no cable.

    Args:
        connection: The connection.
        private: It is designated as private.

    Source:
        MicrosoftDocs/win32 "About ICS and ICF" (where the firewall may not be enabled).
    """
    if private or connection.characteristics & Characteristics.SHARED_PRIVATE:
        why = "it is a private connection: its clients need the gateway's services"
    elif connection.media is MediaType.BRIDGE:
        why = "it is a bridge"
    elif connection.characteristics & Characteristics.BRIDGED:
        why = "it is a member of a bridge"
    elif connection.media is MediaType.DIRECT:
        why = "it is a direct cable or infrared connection"
    elif connection.media not in SHARABLE_MEDIA:
        why = f"its media type is {connection.media.name}"
    else:
        return YES
    return Verdict(ok=False, reason=Reason.NO_FIREWALL, text=why)


def best_default(routes: Sequence[Route], links: Sequence[Link]) -> IfIndex | None:
    """Return the link that carries the best default route of table main: IPv4 before IPv6, lowest metric first.

    Routes through links that are not among *links* do not count. None without a default route.
    """
    known = {link.index for link in links}
    for default in (IPv4Network("0.0.0.0/0"), IPv6Network("::/0")):
        candidates = [
            (route.metric, hop)
            for route in routes
            if route.table == RT_MAIN and route.type == RTN_UNICAST and route.destination == default
            for hop in ((route.index,) if route.index is not None else route.nexthops[:1])
            if hop in known
        ]
        if candidates:
            return min(candidates, key=lambda one: one[0])[1]
    return None


def guid(link: Link) -> UUID:
    """Return the identity of a link: the same after a reboot, and after a rename if the device has one of its own.

    What was dialled is the peer, whatever its link is called. Any other identity is made of the permanent hardware
    address, else of the place on its bus, else of the name. What the kernel calls the permanent address of a link that
    is made by software is none: that of the link below (ipvlan, macsec), another one at each making (ip6tnl, vti6), or
    the tunnel's own end (gre, ipip).
    """
    if peer := _ppp(link).peer:
        return peer_guid(peer)
    software = link.kind and not link.parent_device
    if not software and set(link.permanent_address) - set("0:"):
        return uuid5(NAMESPACE, f"permaddr:{link.permanent_address.lower()}")
    if link.parent_device:
        return uuid5(NAMESPACE, f"path:{link.parent_bus}:{link.parent_device}")
    return guid_of_name(link.name)


def guid_of_name(name: str) -> UUID:
    """Return the identity of a link that has nothing but its name."""
    return uuid5(NAMESPACE, f"name:{name}")


def peer_guid(name: str) -> UUID:
    """Return the identity of what the pppd peer *name* dials."""
    return uuid5(NAMESPACE, f"peer:{name}")


def identities(links: Sequence[Link]) -> dict[IfIndex, UUID]:
    """Return the identity of each link; of several with one hardware address only the oldest is known by it.

    A radio's second interface and the ports of a switch chip show the permanent address of the first.
    """
    found: dict[IfIndex, UUID] = {}
    for link in sorted(links, key=lambda one: one.index):
        identity = guid(link)
        taken = identity in found.values()
        found[link.index] = guid_of_name(link.name) if taken else identity
    return found


def _ppp(link: Link) -> PppFacts:
    return link.facts.ppp or PppFacts()


def _dialled(kind: LinkClass) -> bool:
    """Tell whether a connection is its profile, as a VPN is, and not its device, as a network card is."""
    return kind.media in {MediaType.DIRECT, MediaType.ISDN, MediaType.PHONE, MediaType.TUNNEL, MediaType.PPPOE}


def _device(link: Link, kind: LinkClass) -> str:
    what = link.facts.driver or link.kind or kind.label
    return f"{what} ({link.name})"


def _status(link: Link, addresses: Sequence[Address]) -> Status:
    if link.operstate == _OPERSTATE_NOTPRESENT:
        return Status.HARDWARE_NOT_PRESENT
    ppp = _ppp(link)
    if link.index <= NOT_THERE or ppp.waiting:
        return Status.DISCONNECTED
    if ppp.peer and not link.up:  # its pppd has it from the first packet on, and sets it up when both ends agree
        return Status.CONNECTING
    if not link.up:
        return Status.HARDWARE_DISABLED if link.facts.hardware or link.facts.wireless else Status.DISCONNECTED
    if link.operstate == _OPERSTATE_DORMANT:
        return Status.CONNECTING
    connected = link.operstate == _OPERSTATE_UP or (
        link.operstate not in {_OPERSTATE_DOWN, _OPERSTATE_LOWERLAYERDOWN} and bool(link.flags & IFF_RUNNING)
    )
    if not connected:
        return Status.MEDIA_DISCONNECTED
    own = [one.interface for one in addresses if one.index == link.index and isinstance(one.interface, IPv4Interface)]
    if own and all(one.ip in _IFA_LINK_LOCAL for one in own):
        return Status.INVALID_ADDRESS
    return Status.CONNECTED


def _characteristics(
    link: Link, kind: LinkClass, master: Link | None, *, default: bool, profile: Profile | None
) -> Characteristics:
    flags = kind.flags | Characteristics.ALL_USERS
    peer = _ppp(link).peer  # whose file is its administrator's, under the name that it has
    if not link.flags & IFF_LOOPBACK and not peer:
        flags |= Characteristics.ALLOW_RENAME
    if link.kind and not link.facts.hardware and not kind.hidden and not peer:
        flags |= Characteristics.ALLOW_REMOVAL
    if profile is not None and _dialled(kind) and not peer:
        flags |= Characteristics.ALLOW_DUPLICATION | Characteristics.ALLOW_REMOVAL
    if master is not None and _is_bridge(master):
        flags |= Characteristics.BRIDGED
    if default:
        flags |= Characteristics.DEFAULT
    return flags


def _is_bridge(link: Link) -> bool:
    return link.kind in {"bridge", "openvswitch"}


def _as_role(
    link: Link,
    kind: LinkClass,
    flags: Characteristics,
    master: Link | None,
    override: LinkOverride | None,
    *,
    public: bool,
    role: Role,
) -> Verdict:
    """Tell whether a link may play a part: the rule, then what Linux adds to it."""
    if not is_interface_name(link.name):
        return Verdict(
            ok=False, reason=Reason.UNUSABLE_NAME, text=f"its name {link.name!r} cannot be written into a ruleset"
        )
    if master is not None and role is not Role.PRIVATE:
        if _is_bridge(master):
            return Verdict(
                ok=False,
                reason=Reason.BRIDGE_MEMBER,
                text=f"it is a member of bridge {master.name}; take {master.name} instead",
            )
        if link.slave_kind != "vrf":
            return Verdict(
                ok=False,
                reason=Reason.PORT_OF_MASTER,
                text=f"it is a port of {master.name}; take {master.name} instead",
            )
    insisted = override is not None and (override.public if public else override.private) is True
    verdict = sharable(kind.media, flags)
    if not verdict.ok and not insisted and (public or kind.media is not MediaType.BRIDGE):
        return verdict
    if verdict.reason is Reason.INCOMING_ONLY:
        return verdict
    if public and not kind.public:
        return Verdict(
            ok=False, reason=Reason.NOT_AS_PUBLIC, text=f"a link of the kind {kind.label} leads to no Internet"
        )
    if not public and not kind.private:
        return Verdict(
            ok=False,
            reason=Reason.NOT_AS_PRIVATE,
            text=f"a link of the kind {kind.label} cannot have clients behind it",
        )
    return YES
