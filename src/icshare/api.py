"""The Python API, and the place where the parts are put together.

``SharingManager`` is what the command line, and every other face of icshare, is written on::

    from icshare.api import SharingManager

    manager = SharingManager()
    for connection in manager.connections():
        print(connection.name, connection.sharable.ok)
    manager.share("wlan0", ["eth0"])
    ...
    manager.stop()
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from icshare.control.requests import AUTO, Requests
from icshare.errors import (
    GoneError,
    IcshareError,
    InvalidRequestError,
    NotSupportedError,
)
from icshare.host import links
from icshare.host import settings as places
from icshare.host.journal import FileJournal
from icshare.host.store import StateStore
from icshare.model.connection import Characteristics, Connection, Role, Status
from icshare.model.fastpath import FastPackets, Mode
from icshare.model.firewall import FirewallOptions
from icshare.model.link import IfIndex
from icshare.model.settings import Settings
from icshare.model.sharing import Wanted
from icshare.model.snapshot import Snapshot
from icshare.model.state import Designation, State
from icshare.model.status import Health
from icshare.model.wifi import AccessPoint
from icshare.model.windowsnames import assign_names
from icshare.plan.designated import absent, absent_one, judge, parts
from icshare.plan.staterecords import Named
from icshare.plan.transition import rewind
from icshare.ports import Progress, Record, silent

if TYPE_CHECKING:  # most of what is here is not needed by `icshare list`, and imported where it is
    from icshare.control.dialling import Dialling
    from icshare.control.events import Events
    from icshare.control.keys import Keys
    from icshare.control.mappings import PortMappings
    from icshare.control.roles import Roles
    from icshare.engine import Engine, Outcome, Proposal
    from icshare.host.linux import LinuxHost
    from icshare.machine import Machine
    from icshare.model.client import Client
    from icshare.plan.dialling import OnDemand

_MAX_ALIAS = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingStatus:
    """What is shared, and how it fares.

    Attributes:
        record: What is on record, None when nothing is shared.
        health: What the checks found; without checks when nothing is shared.
        packets: What went by the fast path's programs, None while there are none, or without privilege to look.
        changing: A change was under way all the time that `SharingManager.status` waits for one: *record* is not
            complete because of it, and checks may have failed because of it.
    """

    record: Record | None
    health: Health
    packets: FastPackets | None = None
    changing: bool = False


class SharingManager:
    """Lists connections, shares them, tells how the sharing fares, takes it back."""

    def __init__(
        self,
        *,
        run_directory: Path | None = None,
        state_directory: Path | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Take the places and settings; nothing is changed yet.

        Args:
            run_directory: Where the journal lies, None for ``ICSHARE_RUN_DIR`` or /run/icshare.
            state_directory: Where lies what outlives a reboot, None for ``ICSHARE_STATE_DIR`` or /var/lib/icshare.
            settings: The administrator's settings, None to read ``ICSHARE_CONFIG`` or /etc/icshare/icshare.toml.

        Raises:
            InvalidRequestError: A path or the settings file is wrong.
        """
        self._directory = run_directory or places.run_directory()
        self._settings = places.load_settings(places.settings_file()) if settings is None else settings
        self._journal = FileJournal(self._directory)
        self._state_directory = state_directory or places.state_directory()
        self._store = StateStore(self._state_directory)

    @cached_property
    def mappings(self) -> "PortMappings":
        """The port mappings."""
        from icshare.control.mappings import PortMappings
        from icshare.host.mapping_table import KernelMappings

        return PortMappings(
            store=self._store,
            table=KernelMappings(),
            surroundings=self._machine,
            authorize=self._authorize,
        )

    @cached_property
    def keys(self) -> "Keys":
        """The passphrases of access points."""
        from icshare.control.keys import Keys
        from icshare.host.passphrases import PassphraseStore, generate

        return Keys(
            kept=PassphraseStore(self._state_directory),
            generate=generate,
            in_force=self._access_point,
            require_admin=places.require_net_admin,
        )

    def _access_point(self) -> AccessPoint | None:
        record = self._journal.load()
        return record.sharing.access_point if record and record.sharing else None

    @cached_property
    def _host(self) -> "LinuxHost":
        from icshare.host.linux import LinuxHost
        from icshare.host.passphrases import PassphraseStore

        return LinuxHost(self._directory, PassphraseStore(self._state_directory))

    @cached_property
    def _machine(self) -> "Machine":
        from icshare.machine import Machine

        return Machine(self._host, self._journal, self._settings, self._directory)

    @cached_property
    def _engine(self) -> "Engine":
        from icshare.engine import Engine

        return Engine(self._host, self._journal, self._machine.judge)

    @cached_property
    def _roles(self) -> "Roles":
        from icshare.control.roles import Roles

        return Roles(
            store=self._store,
            engine=self._engine,
            host=self._machine,
            mappings=self.mappings,
            settings=self._settings,
        )

    @cached_property
    def _requests(self) -> Requests:
        from icshare.host.regulatory import read_regulation

        return Requests(
            connections=self._machine.connections,
            baseline=lambda: self._engine.baseline(self._engine.record()),
            read_regulation=read_regulation,
            settings=self._settings,
        )

    @cached_property
    def _dialling(self) -> "Dialling":
        from icshare.control.dialling import Dialling
        from icshare.host.dialer import Dialer

        return Dialling(Dialer(self._directory), lambda: links.look(self._directory))

    def connections(self) -> tuple[Connection, ...]:
        """Return every connection of the host with its part in sharing; needs no privilege.

        A connection has its part as soon as it is designated, whether or not the sharing can be in force. One that is
        designated and absent is listed, hidden. The verdicts are those of the host as it would be without us: what is
        shared now may be shared otherwise.

        Raises:
            HostError: The host, the journal or the state file could not be read.
        """
        record, state = self._journal.load(), self._store.load()
        found = self._judged(links.look(self._directory), record, state)
        return (*found, *absent(state, {one.guid for one in found}))

    def connection(self, guid: UUID) -> Connection | None:
        """Return one connection as `connections` would, None when there is none; a fraction of the work.

        Raises:
            HostError: The host, the journal or the state file could not be read.
        """
        record, state = self._journal.load(), self._store.load()
        found = self._judged(links.look(self._directory, guid), record, state)
        return next((one for one in found if one.guid == guid), None) or absent_one(state, guid)

    def role(self, guid: UUID) -> Role | None:
        """Return the part in sharing of one connection, None when there is none; a fraction of `connection`'s work.

        Raises:
            HostError: The host, the journal or the state file could not be read.
        """
        record, state = self._journal.load(), self._store.load()
        here = links.interfaces()
        if guid not in here:
            gone = absent_one(state, guid)
            return gone.role if gone else Role.NONE if guid in links.dialable() else None
        inforce, segments = (record.wanted, record.segments) if record else (Wanted(), ())
        return parts(inforce, state.designation, here, segments).role(here[guid])

    def _judged(self, observed: Snapshot, record: Record | None, state: State) -> tuple[Connection, ...]:
        """Return the connections that are there; only those whose links have facts are as they should be."""
        baseline = rewind(observed, [entry.step for entry in record.entries]) if record else observed
        judged = {one.interface: one for one in judge(baseline, self._settings)}
        here = {one.guid: one.interface for one in judged.values()}
        inforce, segments = (record.wanted, record.segments) if record else (Wanted(), ())
        found = judge(observed, self._settings, parts(inforce, state.designation, here, segments))
        return tuple(
            replace(one, as_public=judged[one.interface].as_public, as_private=judged[one.interface].as_private)
            if one.interface in judged
            else replace(one, hidden=one.role is Role.NONE)  # the bridge is hidden, an access point's own link is not
            for one in found
        )

    def share(  # noqa: PLR0913 (all that can be asked for)
        self,
        public: str,
        privates: Iterable[str],
        *,
        subnet: IPv4Network | None = None,
        firewall: bool | None = None,
        dial_on_demand: bool | None = None,
        access_point: AccessPoint | None = None,
        fast_path: Mode | None = None,
        progress: Progress | None = None,
    ) -> "Outcome":
        """Share *public* with *privates*, in place of what is shared now, and prove that it works.

        What has to be dialled is dialled first, and hung up when the sharing ends. The firewall of a connection that
        was public before stays on, as in Windows; `stop` takes it back.

        Args:
            public: Interface name of the public connection or name of a pppd peer, or `AUTO`.
            privates: Likewise of the private connections.
            subnet: The segment's subnet, None for the setting or the first free one.
            firewall: Protect the public connection, None for the setting.
            dial_on_demand: Dial when there is traffic, None for the setting; of no consequence for what is connected.
            access_point: The access point to make on the radio of one of the connections, None to keep the one that a
                private connection has; its passphrase is in `keys`. On the radio of the public one it is a private
                connection of its own, and may be named among the others or not.
            fast_path: How the later packets of connections may go, None for the setting.
            progress: Told before each change what is about to be done.

        Raises:
            RefusedError: The sharing may not be; carries every problem; nothing was touched.
            ConflictError: It clashes with this host; nothing was touched.
            NotSupportedError: The kernel or a tool lacks a feature; nothing was touched.
            PrivilegeError: CAP_NET_ADMIN is missing, or the policy forbids it; nothing was touched.
            HostError: The machine refused a step; everything was rolled back.
            VerificationError: It was set up but does not work; everything was rolled back.
        """
        self._roles.authorize()
        progress = progress or silent
        on = self._settings.firewall if firewall is None else firewall
        needed = self._requests.usable(public, privates := tuple(privates))
        on_demand = None if public == AUTO else self._on_demand(wanted=dial_on_demand)
        with self._dialling.held(needed, on_demand, progress):
            sharing = self._requests.sharing(public, privates, subnet, access_point, fast_path)
            outcome = self._roles.share(sharing, firewall=on, progress=progress)
        self._release(progress)
        return outcome

    def propose(self, wanted: Wanted) -> "Proposal":
        """Return what bringing *wanted* into force would change, without changing it.

        Raises:
            RefusedError: The sharing may not be; carries every problem.
            ConflictError: It clashes with this host.
        """
        return self._engine.propose(wanted)

    def request(
        self,
        public: str,
        privates: Iterable[str],
        *,
        subnet: IPv4Network | None = None,
        firewall: bool | None = None,
        access_point: AccessPoint | None = None,
        fast_path: Mode | None = None,
    ) -> Wanted:
        """Return what `share` is asked for with the same arguments, settings filled in, beside other firewalls.

        Raises:
            RefusedError: Names that cannot be interface names, all of them.
            InvalidRequestError: The access point's country is unknown, or forbids its channel.
            NotSupportedError: A country is asked for, and there is no regulatory database.
            ConflictError: `AUTO`, and no link carries a default route.
        """
        on = self._settings.firewall if firewall is None else firewall
        sharing = self._requests.sharing(public, tuple(privates), subnet, access_point, fast_path)
        return self._roles.wanted(sharing, firewall=on)

    def _on_demand(self, *, wanted: bool | None = None) -> "OnDemand | None":
        from icshare.plan.dialling import OnDemand

        on = self._settings.dial.on_demand if wanted is None else wanted
        return OnDemand(idle_seconds=self._settings.dial.idle_seconds) if on else None

    def _release(self, progress: "Progress") -> int:
        """Hang up what was dialled for a sharing that does not need it any more."""
        designation = self._store.load().designation
        public = [designation.public] if designation.public else []
        return self._dialling.release([*public, *designation.privates], progress)

    def stop(self, progress: Progress | None = None) -> int:
        """Take everything back: sharing, roles and firewalls. Port mappings stay defined, for the next sharing.

        Returns:
            How many steps were taken back; 0 when nothing was shared.

        Raises:
            ExceptionGroup: Some steps could not be taken back; the others were.
            PrivilegeError: CAP_NET_ADMIN is missing.
            HostError: All were, but what was asked for could not be read or written.
        """
        try:
            state = self._store.load()
            nothing = state.designation == Designation() and not state.firewalls
        except IcshareError:  # of which `Roles.stop` tells when all is taken back
            nothing = False
        progress = progress or silent
        if nothing and self._journal.load() is None and not self._journal.is_locked_or_left():
            return self._dialling.release((), progress)
        places.require_net_admin()
        self._machine.dismiss()
        count = 0
        try:
            count = self._roles.stop(progress)
        finally:
            count += self._dialling.release((), progress)
        return count

    def set_public(self, guid: UUID) -> None:
        """Designate the public connection; see `Roles.set_public`.

        One that has to be dialled waits for `connect`, or for traffic if the settings want it dialled on demand.
        """
        self._roles.authorize()
        one = next((one for one in self._machine.connections() if one.guid == guid), None)
        on_demand = self._on_demand()
        dialled = [one] if one is not None and one.as_public.ok and on_demand is not None else []
        with self._dialling.held(dialled, on_demand, silent):
            self._roles.set_public(guid)
        self._release(silent)

    def add_private(self, guid: UUID) -> None:
        """Designate a private connection; see `Roles.add_private`."""
        self._roles.add_private(guid)
        self._release(silent)

    def unshare(self, guid: UUID) -> None:
        """Take a connection's part away; see `Roles.unshare`."""
        self._roles.unshare(guid)
        self._release(silent)

    def connect(self, guid: UUID, progress: Progress | None = None) -> None:
        """Connect a connection: dial it, or bring its link up. What waited for it comes into force.

        Returns when it is connected, and at once if it is.

        Raises:
            GoneError: There is no such connection.
            ConflictError: It is being dialled already.
            NotSupportedError: pppd is not installed.
            HostError: It cannot be connected; nothing is left of the attempt.
            PrivilegeError: CAP_NET_ADMIN is missing.
        """
        places.require_net_admin()
        one = self.connection(guid)
        if one is None or not one.peer:
            self._host.set_up(self._index(guid), up=True)
            return
        self._dialling.connect(one.peer, progress or silent)
        if one.there and one.status is Status.DISCONNECTED:  # it stood on demand, and all that needs it with it
            return
        try:
            self._roles.resume(guid)
        except IcshareError as error:
            error.add_note(f"{one.peer} is connected; what waited for it is not in force")
            raise

    def disconnect(self, guid: UUID, progress: Progress | None = None) -> None:
        """Disconnect a connection: hang it up, or bring its link down. Its part in sharing stays, and waits.

        Raises:
            GoneError: There is no such connection.
            HostError: It cannot be disconnected.
            PrivilegeError: CAP_NET_ADMIN is missing.
        """
        places.require_net_admin()
        one = self.connection(guid)
        if one is None or not one.peer:
            self._host.set_up(self._index(guid), up=False)
        else:
            self._dialling.disconnect(one.peer, progress or silent)

    def set_firewall(self, guid: UUID, options: FirewallOptions | None) -> None:
        """Switch a connection's firewall on or off; see `Roles.set_firewall`."""
        self._roles.set_firewall(guid, options)

    def firewall(self, guid: UUID) -> FirewallOptions | None:
        """Return how the firewall of a connection is set, None when it is off; needs no privilege."""
        return self._store.load().firewalls.get(guid)

    def has_lost_firewalls(self) -> bool:
        """Tell whether something else has deleted the firewalls in force; without privilege to look, they are there.

        Raises:
            HostError: The journal or the kernel's ruleset could not be read.
        """
        record = self._journal.load()
        if record is None or not record.firewalls:
            return False
        from icshare.host import ruleset
        from icshare.render.firewall import FIREWALL_TABLE

        return ruleset.may_look() and ruleset.loaded(FIREWALL_TABLE) is None

    @property
    def subnet(self) -> IPv4Network | None:
        """The subnet asked for the next sharing, None to choose one."""
        return self._store.load().designation.subnet or self._settings.subnet

    def set_subnet(self, subnet: IPv4Network | None) -> None:
        """Remember the subnet for the next sharing; see `Roles.set_subnet`."""
        self._roles.set_subnet(subnet)

    def installed(self) -> bool:
        """Tell whether this machine has what sharing takes: nftables and dnsmasq; needs no privilege."""
        from icshare.host import preflight

        return preflight.installed()

    def rename(self, guid: UUID, name: str) -> None:
        """Give a connection a name for people: its link's alias; "" takes it away. Errors as in `disconnect`.

        Raises:
            InvalidRequestError: Longer than 255 bytes, or with a control character.
        """
        if len(name.encode()) > _MAX_ALIAS or not name.isprintable():
            raise InvalidRequestError(f"{name!r:.80} is no name for a connection (up to 255 printable bytes)")
        self._refuse_peer(guid, "renamed: its name is that of its file in /etc/ppp/peers")
        self._host.set_alias(self._index(guid), name)

    def delete(self, guid: UUID) -> None:
        """Delete a virtual connection. Errors as in `disconnect`.

        Raises:
            NotSupportedError: It is hardware.
        """
        places.require_net_admin()
        self._refuse_peer(guid, "deleted: it is there as long as its file in /etc/ppp/peers is")
        connection = self.connection(guid)
        if connection is not None and not connection.characteristics & Characteristics.ALLOW_REMOVAL:
            raise NotSupportedError(f"{connection.interface} is a device, which cannot be deleted")
        self._host.delete_link(self._index(guid))

    def windows_names(self) -> Mapping[UUID, str]:
        """Return a Windows-like name for every connection: "Ethernet 2", "Wi-Fi"...; needs no privilege.

        They stay as they are until hardware is added; those that are remembered stay for ever.
        """
        return assign_names(self.connections(), self._store.load().names)

    def remember_windows_names(self) -> None:
        """Keep the Windows-like names of the connections that there are for ever.

        Raises:
            PrivilegeError: CAP_NET_ADMIN is missing.
        """
        places.require_net_admin()
        if self.windows_names().keys() <= self._store.load().names.keys():
            return
        with self._store.lock():
            given = self._store.load().names
            names = assign_names(self.connections(), given)
            self._store.append(
                *(Named(connection=guid, name=name) for guid, name in names.items() if guid not in given)
            )

    def _refuse_peer(self, guid: UUID, why: str) -> None:
        one = self.connection(guid)
        if one is not None and one.peer:
            raise NotSupportedError(f"{one.peer} cannot be {why}")

    def _authorize(self) -> None:
        """Check privilege and policy for a change of mappings."""
        self._roles.authorize()

    def _index(self, guid: UUID) -> IfIndex:
        places.require_net_admin()
        link = links.find(guid)
        if link is None:
            raise GoneError(f"there is no connection {{{str(guid).upper()}}} any more")
        return link.index

    def record(self) -> Record | None:
        """Return what is on record, None when nothing is shared.

        Raises:
            HostError: The journal could not be read.
        """
        return self._journal.load()

    def status(self) -> SharingStatus:
        """Return what is shared and how it fares; what needs a privilege to look at is left out, and says so.

        A change that is under way is waited for, ten seconds at the most.

        Raises:
            HostError: The host or the journal could not be read.
        """
        from icshare.control.stillness import look_between_changes

        found, changing = look_between_changes(self._journal, self._directory, self._status)
        return replace(found, changing=changing)

    def _status(self) -> SharingStatus:
        from icshare.host import checks

        record = self._journal.load()
        if record is None:
            return SharingStatus(record=record, health=Health())
        found = self._host.check(record.wanted, record.segments)
        observed = self._host.observe()
        more = [*checks.undone(observed, record), *checks.fast_path(observed, record)]
        if any(one.enabled for one in self._store.load().mappings.values()):
            more += checks.hairpin(record.segments)
        health = replace(found, checks=(*found.checks, *more))
        return SharingStatus(record=record, health=health, packets=self._host.fast_packets())

    def clients(self) -> "tuple[Client, ...]":
        """Return who is on the segment, by address; () when nothing is shared.

        Without privilege there are no byte counts.
        """
        record = self._journal.load()
        if record is None or record.sharing is None:
            return ()
        return self._host.clients(record.sharing, record.segments, now=time.time())

    def events(self, *, timeout: float | None = None) -> "Events":
        """Return what happens from now on, as it happens, whoever does it; needs no privilege.

        Args:
            timeout: Seconds without an event after which the iteration ends, None for never.

        Raises:
            HostError: The host, the journal or the state could not be read.
        """
        from icshare.control.events import Events
        from icshare.host.viewer import Viewer
        from icshare.host.watch import Watch

        viewer = Viewer(
            record=self._journal.load,
            state=self._store.load,
            connections=self.connections,
            clients=self.clients,
            leases=self._host.service.leases,
        )
        return Events(Watch((self._directory, self._state_directory)), viewer, timeout=timeout)

    def doctor(self) -> Health:
        """Return what on this machine stands in the way of sharing, and what mends it."""
        from icshare.control.stillness import look_between_changes
        from icshare.host import checks

        def look() -> tuple[Record | None, Health]:
            record = self._journal.load()
            return record, self._host.examine(record)

        (record, found), changing = look_between_changes(self._journal, self._directory, look)
        return replace(found, checks=(*found.checks, *checks.change(record, under_way=changing)))


__all__ = ["AUTO", "IcshareError", "SharingManager", "SharingStatus"]
