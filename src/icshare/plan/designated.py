"""From what is designated to what can be in force: absent connections wait, and hinder nobody."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from icshare.model.connection import Characteristics, Connection, MediaType, Reason, Role, Status, Verdict
from icshare.model.firewall import Firewall
from icshare.model.names import InterfaceName, interface_name, is_interface_name
from icshare.model.settings import Settings
from icshare.model.sharing import Segment, Sharing, Wanted
from icshare.model.snapshot import Snapshot
from icshare.model.state import Designation, State
from icshare.model.wifi import AccessPoint
from icshare.plan.connections import connections, firewallable
from icshare.plan.peers import undialled, with_dial_status

Login = Callable[[str], int | None]
"""Tells the port of the administrator's own login through a link, None when there is none."""


def wanted(state: State, connections: Sequence[Connection], settings: Settings, login: Login) -> Wanted:
    """Return what of *state* can be in force on a host with *connections* (as it would be without us).

    Sharing needs its public and at least one private connection; firewalls need theirs.
    """
    present = {one.guid: one for one in connections}
    return Wanted(
        sharing=sharing_of(state.designation, present, settings), firewalls=firewalls_of(state, present, login)
    )


def sharing_of(designation: Designation, present: Mapping[UUID, Connection], settings: Settings) -> Sharing | None:
    """Return the sharing that can be, None when a side is missing."""
    public = present.get(designation.public) if designation.public else None
    wireless = present.get(designation.wireless) if designation.wireless else None
    privates = tuple(
        interface_name(one.interface)
        for one in (present.get(guid) for guid in designation.privates)
        if one is not None and one.there and (one.as_private.ok or one is wireless)
    )
    if public is None or not public.there or not public.as_public.ok or not (privates or wireless):
        return None
    access_point = None
    if wireless is not None and designation.access_point is not None:
        access_point = replace(designation.access_point, interface=interface_name(wireless.interface))
    return make_sharing(
        interface_name(public.interface),
        privates,
        replace(
            settings,
            subnet=designation.subnet or settings.subnet,
            fast_path=designation.fast_path or settings.fast_path,
        ),
        access_point,
    )


def make_sharing(
    public: InterfaceName,
    privates: tuple[InterfaceName, ...],
    settings: Settings,
    access_point: AccessPoint | None = None,
) -> Sharing:
    """Return the sharing of *public* with *privates* and an *access_point* under the administrator's settings."""
    return Sharing(
        public=public,
        privates=privates,
        subnet=settings.subnet,
        helpers=settings.helpers,
        bridge=settings.bridge,
        dhcp=settings.dhcp,
        dns=settings.dns,
        access_point=access_point,
        fast_path=settings.fast_path,
    )


def firewalls_of(state: State, present: Mapping[UUID, Connection], login: Login) -> tuple[Firewall, ...]:
    """Return the firewalls that can be; that of a private connection rests while it is one."""
    return tuple(
        Firewall(interface=interface_name(one.interface), options=options, login_port=login(one.interface))
        for guid, options in state.firewalls.items()
        if (one := present.get(guid)) is not None
        and is_interface_name(one.interface)
        and firewallable(one, private=guid in state.designation.privates).ok
    )


def with_public(designation: Designation, guid: UUID) -> Designation:
    """Return *designation* with *guid* as its public connection; it is private no longer.

    If the one before had an access point on its radio besides, that stays, and is all that it is private by.
    """
    if guid in designation.privates:
        designation = without(designation, guid)
    beside = designation.wireless is not None and designation.wireless == designation.public != guid
    privates = (
        (*designation.privates, designation.wireless) if beside and designation.wireless else designation.privates
    )
    return replace(designation, public=guid, privates=privates)


def with_private(designation: Designation, guid: UUID) -> Designation:
    """Return *designation* with *guid* as a private connection, the last; it is public no longer."""
    return replace(
        designation,
        public=None if designation.public == guid else designation.public,
        privates=tuple(dict.fromkeys((*designation.privates, guid))),
    )


def without(designation: Designation, guid: UUID) -> Designation:
    """Return *designation* with no part for *guid*, nor for an access point on its radio."""
    kept = without_access_point(designation) if designation.wireless == guid else designation
    return replace(
        kept,
        public=None if kept.public == guid else kept.public,
        privates=tuple(one for one in kept.privates if one != guid),
    )


def without_access_point(designation: Designation) -> Designation:
    """Return *designation* without its access point, and without the private connection that it is asked of."""
    privates = tuple(one for one in designation.privates if one != designation.wireless)
    return replace(designation, privates=privates, access_point=None, wireless=None)


def made_for(segments: Iterable[Segment]) -> InterfaceName | None:
    """Return the link that was made for the access point of *segments*, None when none was."""
    placements = [one.access_point for one in segments if one.access_point is not None]
    return next((one.interface for one in placements if one.made), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of connections, by interface name.

    Attributes:
        public: The public connection, None without one.
        privates: The private connections.
        firewalled: Connections whose firewall is in force.
    """

    public: str | None = None
    privates: frozenset[str] = frozenset()
    firewalled: frozenset[str] = frozenset()

    def role(self, interface: str) -> Role:
        """Return the part in sharing of the connection that is there under *interface*."""
        if interface == self.public:
            return Role.PUBLIC
        return Role.PRIVATE if interface in self.privates else Role.NONE


NOBODY = Parts()
"""Without us nobody has a part."""


def judge(snapshot: Snapshot, settings: Settings, parts: Parts = NOBODY) -> tuple[Connection, ...]:
    """Return the connections of *snapshot* with their *parts*, under the administrator's settings."""
    found = connections(
        (*snapshot.links, *undialled(snapshot.links, snapshot.peers)),
        snapshot.addresses,
        snapshot.routes,
        public=parts.public,
        privates=parts.privates,
        firewalled=parts.firewalled,
        overrides=settings.links,
    )
    return tuple(one if one.there else with_dial_status(one, snapshot.peers) for one in found)


def parts(
    inforce: Wanted, designation: Designation, interfaces: Mapping[UUID, str], segments: Iterable[Segment] = ()
) -> Parts:
    """Return who has which part: what is in force, and what is designated and not.

    A link that was made for the access point is private in place of the connection that it was asked of.

    Args:
        inforce: What is in force.
        segments: Its segments.
        designation: What is designated.
        interfaces: Interface name of each connection that is there.
    """
    designated = frozenset(interfaces[guid] for guid in designation.privates if guid in interfaces)
    public = interfaces.get(designation.public) if designation.public else None
    firewalled = frozenset(one.interface for one in inforce.firewalls)
    if inforce.sharing is None:
        return Parts(public=public, privates=designated, firewalled=firewalled)
    sharing = inforce.sharing
    privates = designated | set(sharing.privates)
    made = made_for(segments)
    if made is not None and sharing.access_point is not None:
        privates = privates - {sharing.access_point.interface} | {made}
    return Parts(public=sharing.public, privates=privates - {sharing.public}, firewalled=firewalled)


def absent(state: State, present: Collection[UUID]) -> tuple[Connection, ...]:
    """Return the connections that have a part and are not there, under the names they were last seen with."""
    found = (absent_one(state, guid) for guid in state.interfaces if guid not in present)
    return tuple(one for one in found if one is not None)


def absent_one(state: State, guid: UUID) -> Connection | None:
    """Return a connection that is not there, None when it has no part that waits for it."""
    role = (
        Role.PUBLIC
        if guid == state.designation.public
        else Role.PRIVATE
        if guid in state.designation.privates
        else Role.NONE
    )
    waited = (
        role is not Role.NONE
        or guid in state.firewalls
        or any(one.connection == guid for one in state.mappings.values())
    )
    if not waited or guid not in state.interfaces:
        return None
    name = state.interfaces[guid]
    gone = Verdict(ok=False, reason=Reason.ABSENT, text="it is not there")
    flags = {Role.PUBLIC: Characteristics.SHARED, Role.PRIVATE: Characteristics.SHARED_PRIVATE}
    return Connection(
        guid=guid,
        name=name,
        device=name,
        interface=name,
        status=Status.HARDWARE_NOT_PRESENT,
        media=MediaType.NONE,
        characteristics=flags.get(role, Characteristics.NONE),
        role=role,
        kind="absent",
        sharable=gone,
        as_public=gone,
        as_private=gone,
        bridgeable=False,
        hidden=True,
    )
