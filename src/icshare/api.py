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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path

from icshare.engine import Engine, Outcome, Progress, Proposal
from icshare.errors import ConflictError, IcshareError, RefusedError
from icshare.host import settings as places
from icshare.host.journal import FileJournal
from icshare.host.linux import LinuxHost
from icshare.model.client import Client
from icshare.model.connection import Connection, Reason
from icshare.model.names import InterfaceName, interface_name, is_interface_name
from icshare.model.settings import Settings
from icshare.model.sharing import Sharing
from icshare.model.snapshot import Snapshot
from icshare.model.status import Check, Grade, Health
from icshare.plan.connections import best_default, connections
from icshare.plan.steps import AddRoute, AddRule, RemoveAddress, RemoveRoute
from icshare.plan.transition import in_force, rewind
from icshare.ports import Record

AUTO = "auto"
"""As public connection: the link that carries the best default route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingStatus:
    """What is shared, and how it fares.

    Attributes:
        record: What is on record, None when nothing is shared.
        health: What the checks found; without checks when nothing is shared.
    """

    record: Record | None
    health: Health


class SharingManager:
    """Lists connections, shares them, tells how the sharing fares, takes it back."""

    def __init__(self, *, run_directory: Path | None = None, settings: Settings | None = None) -> None:
        """Take the places and settings; nothing is changed yet.

        Args:
            run_directory: Where the journal lies, None for ``ICSHARE_RUN_DIR`` or /run/icshare.
            settings: The administrator's settings, None to read ``ICSHARE_CONFIG`` or /etc/icshare/icshare.toml.

        Raises:
            InvalidRequestError: A path or the settings file is wrong.
        """
        directory = run_directory or places.run_directory()
        self._settings = places.load_settings(places.settings_file()) if settings is None else settings
        self._host = LinuxHost(directory)
        self._journal = FileJournal(directory)
        self._engine = Engine(self._host, self._journal, self._inspect)

    def connections(self) -> tuple[Connection, ...]:
        """Return every connection of the host with its part in the present sharing; needs no privilege.

        The verdicts are those of the host as it would be without us: what is shared now may be shared otherwise.

        Raises:
            HostError: The host or the journal could not be read.
        """
        record = self._engine.record()
        sharing = record.sharing if record else None
        observed = self._host.observe()
        found = self._connections(observed, sharing)
        if record is None:
            return found
        baseline = rewind(observed, [entry.step for entry in record.entries])
        judged = {one.interface: one for one in self._connections(baseline, None)}
        return tuple(
            replace(one, as_public=judged[one.interface].as_public, as_private=judged[one.interface].as_private)
            if one.interface in judged
            else replace(one, hidden=True)
            for one in found
        )

    def share(
        self,
        public: str,
        privates: Iterable[str],
        *,
        subnet: IPv4Network | None = None,
        firewall: bool | None = None,
        progress: Progress | None = None,
    ) -> Outcome:
        """Share *public* with *privates*, in place of what is shared now, and prove that it works.

        Args:
            public: Interface name of the public connection, or `AUTO`.
            privates: Interface names of the private connections.
            subnet: The segment's subnet, None for the setting or the first free one.
            firewall: Protect the public connection, None for the setting.
            progress: Told before each change what is about to be done.

        Raises:
            RefusedError: The sharing may not be; carries every problem; nothing was touched.
            ConflictError: It clashes with this host; nothing was touched.
            NotSupportedError: The kernel or a tool lacks a feature; nothing was touched.
            PrivilegeError: CAP_NET_ADMIN is missing; nothing was touched.
            HostError: The machine refused a step; everything was rolled back.
            VerificationError: It was set up but does not work; everything was rolled back.
        """
        places.require_net_admin()
        sharing = self.request(public, privates, subnet=subnet, firewall=firewall)
        return self._engine.share(sharing, progress) if progress else self._engine.share(sharing)

    def propose(self, sharing: Sharing) -> Proposal:
        """Return what sharing *sharing* would change, without changing it.

        Raises:
            RefusedError: The sharing may not be; carries every problem.
            ConflictError: It clashes with this host.
        """
        return self._engine.propose(sharing)

    def request(
        self, public: str, privates: Iterable[str], *, subnet: IPv4Network | None = None, firewall: bool | None = None
    ) -> Sharing:
        """Return the sharing that `share` is asked for with the same arguments, settings filled in.

        Raises:
            RefusedError: Names that cannot be interface names, all of them.
            ConflictError: `AUTO`, and no link carries a default route.
        """
        privates = tuple(privates)
        unusable = [name for name in dict.fromkeys((public, *privates)) if not is_interface_name(name)]
        if unusable:
            raise RefusedError(
                [(Reason.UNUSABLE_NAME, f"{name!r} is not a usable interface name") for name in unusable],
                hint="1 to 15 characters of A-Z a-z 0-9 _ . @ -; icshare list shows the names of this host",
            )
        names = tuple(interface_name(name) for name in privates)
        chosen = self._default_connection(names) if public == AUTO else interface_name(public)
        settings = self._settings
        login = self._host.administrator_login(chosen)
        return Sharing(
            public=chosen,
            privates=names,
            subnet=subnet if subnet is not None else settings.subnet,
            firewall=settings.firewall if firewall is None else firewall,
            helpers=settings.helpers,
            dhcp=settings.dhcp,
            dns=settings.dns,
            ssh_port=login,
        )

    def stop(self, progress: Progress | None = None) -> int:
        """Take everything back.

        Returns:
            How many steps were taken back; 0 when nothing was shared.

        Raises:
            ExceptionGroup: Some steps could not be taken back; the others were.
            PrivilegeError: CAP_NET_ADMIN is missing.
        """
        if self._engine.record() is None and not self._journal.is_locked_or_left():
            return 0
        places.require_net_admin()
        return self._engine.stop(progress) if progress else self._engine.stop()

    def status(self) -> SharingStatus:
        """Return what is shared and how it fares; what needs a privilege to look at is left out, and says so.

        Raises:
            HostError: The host or the journal could not be read.
        """
        record = self._engine.record()
        if record is None or record.sharing is None:
            return SharingStatus(record=record, health=Health())
        found = self._host.check(record.sharing, record.segments)
        return SharingStatus(record=record, health=replace(found, checks=(*found.checks, *self._undone(record))))

    def clients(self) -> tuple[Client, ...]:
        """Return who is on the segment, by address; () when nothing is shared.

        Without privilege there are no byte counts.
        """
        record = self._engine.record()
        if record is None or record.sharing is None:
            return ()
        return self._host.clients(record.sharing, record.segments, now=time.time())

    def doctor(self) -> Health:
        """Return what on this machine stands in the way of sharing, and what mends it."""
        record = self._engine.record()
        return self._host.examine(record)

    def _undone(self, record: Record) -> Iterator[Check]:
        """Look for steps on record that something else has undone, of the kinds that no other check looks at."""
        observed = self._host.observe()
        undone = [
            entry.step.describe()
            for entry in record.entries
            if isinstance(entry.step, AddRule | AddRoute | RemoveAddress | RemoveRoute)
            and not in_force(observed, entry.step)
        ]
        if undone:
            text = f"something has undone what sharing needs: {'; '.join(undone)}"
            yield Check(name="routing", grade=Grade.FAILED, text=text, remedy="share again: it repairs what is missing")

    def _default_connection(self, privates: Sequence[str]) -> InterfaceName:
        baseline = self._engine.baseline(self._engine.record())
        kept = replace(baseline, links=tuple(link for link in baseline.links if link.name not in privates))
        index = best_default(kept.routes, kept.links)
        link = kept.link_by_index(index) if index is not None else None
        if link is None:
            raise ConflictError(
                "no connection carries a default route, so there is none to choose as public",
                hint="name the public connection, or connect one to the Internet first",
            )
        return interface_name(link.name)

    def _inspect(self, baseline: Snapshot) -> Sequence[Connection]:
        return self._connections(baseline, None)

    def _connections(self, snapshot: Snapshot, sharing: Sharing | None) -> tuple[Connection, ...]:
        return connections(
            snapshot.links,
            snapshot.addresses,
            snapshot.routes,
            public=sharing.public if sharing else None,
            privates=frozenset(sharing.privates) if sharing else frozenset(),
            firewalled=frozenset({sharing.public}) if sharing and sharing.firewall else frozenset(),
            overrides=self._settings.links,
        )


__all__ = ["AUTO", "IcshareError", "SharingManager", "SharingStatus"]
