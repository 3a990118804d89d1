"""A command line to test: the real engine on a fake host, streams that keep what is printed, a clock that stands."""

import io
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network

from tests.hosts import connections_of, snapshot

from icshare.api import SharingStatus
from icshare.cli.program import main
from icshare.cli.session import Session
from icshare.engine import Engine, Outcome, Progress, Proposal
from icshare.errors import IcshareError
from icshare.model.client import Client
from icshare.model.connection import Connection, Role
from icshare.model.names import interface_name
from icshare.model.sharing import Sharing
from icshare.model.status import Check, Grade, Health
from icshare.testing import FakeHost, FakeJournal

NOW = 1_800_000_000.0

HOST = {
    "links": [
        {"name": "wan0"},
        {"name": "lan0"},
        {"name": "lan1", "carrier": False},
        {"name": "br7", "kind": "bridge"},
        {"name": "port7", "master": "br7"},
    ],
    "addresses": ["wan0 198.51.100.2/24"],
    "routes": ["default via 198.51.100.1 dev wan0 proto dhcp metric 100"],
}

WELL = Health(
    checks=(
        Check(name="rules", grade=Grade.OK, text="the rules are loaded"),
        Check(name="dns", grade=Grade.OK, text="the DNS server answers on 192.168.137.1"),
    )
)
WARNED = Health(
    checks=(
        *WELL.checks,
        Check(name="dhcp", grade=Grade.WARNING, text="another DHCP server answers", remedy="switch 192.0.2.9 off"),
    )
)
ILL = Health(
    checks=(
        *WARNED.checks,
        Check(name="forward", grade=Grade.FAILED, text="table ip filter drops it", remedy="nft add rule ip filter X"),
    )
)


@dataclass(kw_only=True)
class FakeManager:
    """The manager of a machine in memory.

    Attributes:
        host: The machine.
        journal: Its journal.
        failure: What every method raises, None for nothing.
        listed: What `clients` returns.
        found: What `doctor` returns.
        since: When a sharing began.
    """

    host: FakeHost = field(default_factory=lambda: FakeHost(snapshot(HOST)))
    journal: FakeJournal = field(default_factory=FakeJournal)
    failure: Exception | None = None
    listed: tuple[Client, ...] = ()
    found: Health = WELL
    since: float = NOW - 3700

    @property
    def engine(self) -> Engine:
        """A new engine, as each process has its own."""
        if self.failure is not None:
            raise self.failure
        return Engine(self.host, self.journal, connections_of)

    def connections(self) -> tuple[Connection, ...]:
        """Return the connections, one with a name of its own."""
        self.engine.record()
        sharing = self.journal.record.sharing if self.journal.record else None
        return tuple(_dressed(one, sharing) for one in connections_of(self.host.snapshot))

    def request(
        self, public: str, privates: Iterable[str], *, subnet: IPv4Network | None = None, firewall: bool | None = None
    ) -> Sharing:
        """Return the sharing asked for."""
        return Sharing(
            public=interface_name("wan0" if public == "auto" else public),
            privates=tuple(interface_name(name) for name in privates),
            subnet=subnet,
            firewall=firewall is not False,
        )

    def propose(self, sharing: Sharing) -> Proposal:
        """Ask the engine."""
        return self.engine.propose(sharing)

    def share(
        self,
        public: str,
        privates: Iterable[str],
        *,
        subnet: IPv4Network | None = None,
        firewall: bool | None = None,
        progress: Progress | None = None,
    ) -> Outcome:
        """Let the engine share."""
        engine = self.engine
        assert progress is not None
        return engine.share(self.request(public, privates, subnet=subnet, firewall=firewall), progress)

    def stop(self, progress: Progress | None = None) -> int:
        """Let the engine stop."""
        assert progress is not None
        return self.engine.stop(progress)

    def status(self) -> SharingStatus:
        """Return what is on record, and the host's health."""
        record = self.engine.record()
        if record is None:
            return SharingStatus(record=None, health=Health())
        return SharingStatus(record=replace(record, since=self.since), health=self.host.health)

    def clients(self) -> tuple[Client, ...]:
        """Return the clients that the test has set."""
        self.engine.record()
        return self.listed

    def doctor(self) -> Health:
        """Return the health that the test has set."""
        self.engine.record()
        return self.found


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command left behind."""

    status: int
    out: str
    err: str


@dataclass(kw_only=True)
class Machine:
    """A machine with a command line."""

    manager: FakeManager = field(default_factory=FakeManager)
    terminal: bool = False
    interactive: bool = False

    def __call__(self, *arguments: str) -> Ran:
        """Run the command line in a new session."""
        out, err = io.StringIO(), io.StringIO()
        session = Session(
            open_manager=lambda: self.manager,
            stdout=out,
            stderr=err,
            terminal=self.terminal,
            interactive=self.interactive,
            now=lambda: NOW,
        )
        status = main(arguments, session)
        return Ran(status=status, out=out.getvalue(), err=err.getvalue())


def failing(error: IcshareError | ExceptionGroup[IcshareError]) -> Machine:
    """Return a machine whose manager raises *error*."""
    return Machine(manager=FakeManager(failure=error))


def _dressed(connection: Connection, sharing: Sharing | None) -> Connection:
    roles = {sharing.public: Role.PUBLIC, **dict.fromkeys(sharing.privates, Role.PRIVATE)} if sharing else {}
    return replace(
        connection,
        name="bench, left" if connection.interface == "lan1" else connection.name,
        role=roles.get(interface_name(connection.interface), Role.NONE),
    )
