"""The machine as the control services see it: its connections without us, and what port mappings depend on."""

from collections.abc import Iterable
from pathlib import Path

from icshare.host import conntrack, fastpath, ruleset
from icshare.host import settings as places
from icshare.host.followerservice import FollowerService
from icshare.host.journal import FileJournal
from icshare.host.links import interfaces, look
from icshare.host.linux import LinuxHost
from icshare.host.targets import read_known
from icshare.model.connection import Connection
from icshare.model.names import interface_name, is_interface_name
from icshare.model.settings import Settings
from icshare.model.snapshot import Snapshot
from icshare.plan.designated import NOBODY, Parts, judge
from icshare.plan.placing import InForce, Socket
from icshare.plan.targets import Known
from icshare.plan.transition import rewind


class Machine:
    """Puts host, journal and settings together."""

    def __init__(self, host: LinuxHost, journal: FileJournal, settings: Settings, run_directory: Path) -> None:
        self._host = host
        self._journal = journal
        self._settings = settings
        self._directory = run_directory
        self._follower = FollowerService(run_directory)

    def require_admin(self) -> None:
        """Check the privilege that every change needs."""
        places.require_net_admin()

    def judge(self, snapshot: Snapshot, parts: Parts = NOBODY) -> tuple[Connection, ...]:
        """Return the connections of *snapshot* with their parts, under the administrator's settings."""
        return judge(snapshot, self._settings, parts)

    def connections(self) -> tuple[Connection, ...]:
        """Return the connections as they would be without us."""
        snapshot = look(self._directory)
        record = self._journal.load()
        return self.judge(rewind(snapshot, [one.step for one in record.entries]) if record else snapshot)

    def login(self, interface: str) -> int | None:
        """Return the port of the administrator's own login through *interface*, None when there is none."""
        return self._host.administrator_login(interface)

    def in_force(self) -> InForce:
        """Return what mappings depend on, as it is now."""
        record = self._journal.load()
        sharing = record.sharing if record else None
        return InForce(
            interfaces={guid: interface_name(name) for guid, name in interfaces().items() if is_interface_name(name)},
            public=sharing.public if sharing else None,
            segments=record.segments if record and sharing else (),
            firewalled=frozenset(one.interface for one in record.firewalls) if record else frozenset(),
        )

    def known(self, there: InForce) -> Known:
        """Return what targets can be looked up in at the moment."""
        record = self._journal.load()
        dns = record.sharing.dns if record and record.sharing else self._settings.dns
        return read_known(there.segments, self._host.service.leases, dns.domain)

    def cut(self, sockets: Iterable[Socket]) -> int:
        """Cut the connections that use the mappings of *sockets*, and return how many there were."""
        try:
            return conntrack.cut(sockets)
        finally:
            fastpath.refresh()

    def attend(self, *, follow: bool) -> None:
        """Have somebody follow the clients that mappings lead to, while sharing is in force and it is needed."""
        record = self._journal.load()
        if record is not None and record.sharing is not None:
            ruleset.learn_public_addresses(self._host.addresses_of(record.sharing.public))
            if follow:
                self._follower.ensure()

    def dismiss(self) -> None:
        """End who follows the clients."""
        self._follower.stop()
