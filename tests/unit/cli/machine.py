"""A command line to test: the real engine on a fake host, streams that keep what is printed, a clock that stands."""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any
from uuid import UUID

from tests.hosts import connections_of, snapshot

from icshare.api import SharingStatus
from icshare.cli.program import main
from icshare.cli.session import Session
from icshare.control.keys import Keys
from icshare.engine import Engine, Outcome, Proposal
from icshare.errors import AlreadyExistsError, GoneError, IcshareError
from icshare.model.client import Client
from icshare.model.connection import Characteristics, Connection, Role
from icshare.model.fastpath import FastPackets, Mode
from icshare.model.firewall import Firewall, FirewallOptions
from icshare.model.mapping import MappingState, MappingStatus, PortMapping, TargetKind, check_ports
from icshare.model.names import interface_name
from icshare.model.sharing import Sharing, Wanted
from icshare.model.status import Check, Grade, Health
from icshare.model.wifi import AccessPoint, Passphrase, Ssid, passphrase
from icshare.ports import Progress, Record
from icshare.testing import FakeHost, FakeJournal

NOW = 1_800_000_000.0

HOST: dict[str, Any] = {
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
class FakeMappings:
    """Port mappings in memory.

    Attributes:
        interfaces: Interface names of the connections that are present.
        known: The definitions, by number.
        why: Why a mapping is inactive, by number; all others work as soon as they are enabled.
        hits: What they have let in, by number; None for all who are not root.
        traffic: What their targets have received and sent, by number.
        addresses: Addresses of targets that are named otherwise, by name.
        own: Addresses of this host.
        before: Called before each change.
        after: Called after each change.
    """

    interfaces: Mapping[UUID, str]
    known: dict[int, PortMapping] = field(default_factory=dict)
    why: dict[int, str] = field(default_factory=dict)
    hits: dict[int, int] = field(default_factory=dict)
    traffic: dict[int, tuple[int, int]] = field(default_factory=dict)
    addresses: dict[str, IPv4Address] = field(default_factory=dict)
    own: tuple[str, ...] = ()
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None
    _last: int = 0

    def all(self) -> tuple[PortMapping, ...]:
        """Return the definitions."""
        return tuple(self.known.values())

    def add(self, connection: UUID, *, external: int, internal: int | None = None, **fields: Any) -> PortMapping:
        """Define a mapping, after the checks of the real one that the command line leaves to it."""
        self.before()
        self._last += 1
        internal = external if internal is None else internal
        made = PortMapping(number=self._last, connection=connection, external=external, internal=internal, **fields)
        return self._put(made)

    def update(self, number: int, **fields: Any) -> PortMapping:
        """Change what is not None."""
        self.before()
        return self._put(replace(self._get(number), **{key: one for key, one in fields.items() if one is not None}))

    def enable(self, number: int) -> None:
        """Enable a mapping."""
        self.before()
        self._put(replace(self._get(number), enabled=True))

    def disable(self, number: int) -> None:
        """Disable a mapping."""
        self.before()
        self._put(replace(self._get(number), enabled=False))

    def remove(self, number: int) -> None:
        """Forget a mapping."""
        self.before()
        del self.known[self._get(number).number]

    def status(self, number: int) -> MappingStatus | None:
        """Return how a mapping fares; the kernel is not asked for its hits."""
        return (
            replace(self._status(self.known[number]), hits=None, received=None, sent=None)
            if number in self.known
            else None
        )

    def statuses(self) -> tuple[MappingStatus, ...]:
        """Return how the mappings fare."""
        return tuple(self._status(one) for one in self.known.values())

    def _get(self, number: int) -> PortMapping:
        if number not in self.known:
            raise GoneError(f"there is no mapping #{number}")
        return self.known[number]

    def _put(self, mapping: PortMapping) -> PortMapping:
        check_ports(mapping.external, mapping.internal, mapping.count)
        for one in self.known.values():
            if one.number != mapping.number and (one.protocol, one.external) == (mapping.protocol, mapping.external):
                raise AlreadyExistsError(f"the mapping {one.name} has this port")
        self.known[mapping.number] = mapping
        self.after()
        return mapping

    def _status(self, mapping: PortMapping) -> MappingStatus:
        why = self.why.get(mapping.number, "") if mapping.enabled else ""
        value, own = mapping.target.value, mapping.target.value in self.own
        address = IPv4Address(value) if mapping.target.kind is TargetKind.ADDRESS else self.addresses.get(value)
        state = MappingState.INACTIVE if why else MappingState.ACTIVE if mapping.enabled else MappingState.DISABLED
        return MappingStatus(
            mapping=mapping,
            interface=self.interfaces.get(mapping.connection, ""),
            state=state,
            text=why,
            address=None if own else address,
            own=own,
            hits=self.hits.get(mapping.number),
            received=self.traffic.get(mapping.number, (None, None))[0],
            sent=self.traffic.get(mapping.number, (None, None))[1],
        )


@dataclass(kw_only=True)
class FakePassphrases:
    """Passphrases in memory.

    Attributes:
        kept: Network and passphrase, by secret.
        settled: Secrets that are in use.
        failure: What reading them raises, None for nothing.
        busy: Somebody makes a sharing with one.
    """

    kept: dict[str, tuple[Ssid, Passphrase]] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    failure: IcshareError | None = None
    busy: bool = False
    _last: int = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Refuse whoever would have to wait for ever."""
        assert not self.busy
        self.busy = True
        try:
            yield
        finally:
            self.busy = False

    def find(self, secret: str) -> Passphrase | None:
        """Return a passphrase."""
        if self.failure is not None:
            raise self.failure
        return self.kept[secret][1] if secret in self.kept else None

    def secret_of(self, name: Ssid) -> str | None:
        """Return the secret of a network."""
        if self.failure is not None:
            raise self.failure
        return next((one for one, (network, _) in self.kept.items() if network == name and one in self.settled), None)

    def keep(self, text: Passphrase, name: Ssid) -> str:
        """Keep a passphrase under the next number."""
        self._last += 1
        secret = f"{self._last:016x}"
        self.kept[secret] = name, text
        return secret

    def settle(self, secret: str) -> None:
        """Forget what the network had before."""
        network = self.kept[secret][0]
        self.kept = {key: one for key, one in self.kept.items() if one[0] != network or key == secret}
        self.settled.add(secret)

    def forget(self, secret: str) -> None:
        """Forget a passphrase."""
        del self.kept[secret]


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
        roles: Roles that are designated while nothing is shared, by interface name.
        absent: Connections that are designated and not there.
        firewalls: How the firewalls that are on are set.
        forgets_firewalls: Something else on the machine takes firewalls out of force.
        has_lost_table: Something else has deleted the firewalls' table.
        on_demand: What the last sharing said of dialling.
        dialled: What was connected and disconnected.
        passphrases: Passphrases of access points.
        packets: What went by the fast path.
        refusal: What connecting, and asking for the privilege to change anything, raises; None for nothing.
    """

    host: FakeHost = field(default_factory=lambda: FakeHost(snapshot(HOST)))
    journal: FakeJournal = field(default_factory=FakeJournal)
    failure: Exception | None = None
    listed: tuple[Client, ...] = ()
    found: Health = WELL
    since: float = NOW - 3700
    roles: dict[str, Role] = field(default_factory=dict)
    absent: tuple[Connection, ...] = ()
    firewalls: dict[UUID, FirewallOptions] = field(default_factory=dict)
    forgets_firewalls: bool = False
    has_lost_table: bool = False
    on_demand: bool | None = None
    dialled: list[tuple[str, UUID]] = field(default_factory=list)
    passphrases: FakePassphrases = field(default_factory=FakePassphrases)
    packets: FastPackets | None = None
    refusal: Exception | None = None

    def __post_init__(self) -> None:
        """Make the mappings of this machine."""
        self._mappings = FakeMappings(
            interfaces={one.guid: one.interface for one in connections_of(self.host.snapshot)}
        )

    @property
    def mappings(self) -> FakeMappings:
        """The port mappings."""
        if self.failure is not None:
            raise self.failure
        return self._mappings

    @property
    def keys(self) -> Keys:
        """The passphrases of access points, new ones all alike."""
        return Keys(
            kept=self.passphrases,
            generate=lambda: passphrase("abcd-efgh-jkmn-pqrs"),
            in_force=self._access_point,
            require_admin=self._require_admin,
        )

    def _access_point(self) -> AccessPoint | None:
        record = self.engine.record()
        return record.sharing.access_point if record and record.sharing else None

    def _require_admin(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    @property
    def engine(self) -> Engine:
        """A new engine, as each process has its own."""
        if self.failure is not None:
            raise self.failure
        return Engine(self.host, self.journal, connections_of)

    def connections(self) -> tuple[Connection, ...]:
        """Return the connections, one with a name of its own."""
        self.engine.record()
        return (*(self._dressed(one) for one in connections_of(self.host.snapshot)), *self.absent)

    def guid(self, interface: str) -> UUID:
        """Return the GUID of a connection that is there."""
        return next(one.guid for one in connections_of(self.host.snapshot) if one.interface == interface)

    def windows_names(self) -> dict[UUID, str]:
        """Return a name for each Ethernet link."""
        names = ("Ethernet", *(f"Ethernet {number}" for number in range(2, 9)))
        links = (one for one in connections_of(self.host.snapshot) if one.kind == "Ethernet")
        return {one.guid: name for one, name in zip(links, names, strict=False)}

    def firewall(self, guid: UUID) -> FirewallOptions | None:
        """Return how a firewall is set."""
        return self.firewalls.get(guid)

    def has_lost_firewalls(self) -> bool:
        """Tell whether the table is gone."""
        return self.has_lost_table

    def set_firewall(self, guid: UUID, options: FirewallOptions | None) -> None:
        """Let the engine bring the firewalls into force."""
        engine = self.engine
        self._set(guid, options)
        record = engine.record()
        wanted = Wanted(sharing=record.sharing if record else None, firewalls=self._present_firewalls())
        if wanted == Wanted():
            engine.stop()
        else:
            engine.apply(wanted)

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
        """Return what is asked for."""
        chosen = interface_name("wan0" if public == "auto" else public)
        others = tuple(one for one in self._present_firewalls() if one.interface != chosen)
        sharing = Sharing(
            public=chosen,
            privates=tuple(
                interface_name(name)
                for name in privates
                if access_point is None or name != access_point.interface or name != chosen
            ),
            subnet=subnet,
            access_point=access_point,
            fast_path=fast_path or Mode.AUTO,
        )
        own = () if firewall is False else (Firewall(interface=chosen),)
        return Wanted(sharing=sharing, firewalls=(*own, *others))

    def propose(self, wanted: Wanted) -> Proposal:
        """Ask the engine."""
        return self.engine.propose(wanted)

    def share(
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
    ) -> Outcome:
        """Let the engine share."""
        self.on_demand = dial_on_demand
        engine = self.engine
        assert progress is not None
        wanted = self.request(
            public, privates, subnet=subnet, firewall=firewall, access_point=access_point, fast_path=fast_path
        )
        outcome = engine.apply(wanted, progress)
        for one in outcome.plan.firewalls:
            self._set(self.guid(one.interface), one.options)
        return outcome

    def connect(self, guid: UUID, progress: Progress | None = None) -> None:
        """Note it."""
        self.engine.record()
        assert progress is not None
        progress("dialling")
        if self.refusal is not None:
            raise self.refusal
        self.dialled.append(("connect", guid))

    def disconnect(self, guid: UUID, progress: Progress | None = None) -> None:
        """Note it."""
        self.engine.record()
        assert progress is not None
        self.dialled.append(("disconnect", guid))

    def stop(self, progress: Progress | None = None) -> int:
        """Let the engine stop."""
        assert progress is not None
        count = self.engine.stop(progress)
        self.firewalls.clear()
        return count

    def record(self) -> Record | None:
        """Return what is on record."""
        record = self.engine.record()
        return replace(record, since=self.since) if record else None

    def status(self) -> SharingStatus:
        """Return what is on record, and the host's health."""
        record = self.record()
        if record is None:
            return SharingStatus(record=None, health=Health())
        return SharingStatus(record=record, health=self.host.health, packets=self.packets, changing=self.journal.locked)

    def clients(self) -> tuple[Client, ...]:
        """Return the clients that the test has set."""
        self.engine.record()
        return self.listed

    def doctor(self) -> Health:
        """Return the health that the test has set."""
        self.engine.record()
        return self.found

    def _set(self, guid: UUID, options: FirewallOptions | None) -> None:
        self.firewalls.pop(guid, None)
        if options is not None:
            self.firewalls[guid] = options

    def _present_firewalls(self) -> tuple[Firewall, ...]:
        return tuple(
            Firewall(interface=interface_name(one.interface), options=self.firewalls[one.guid])
            for one in connections_of(self.host.snapshot)
            if one.guid in self.firewalls
        )

    def _dressed(self, connection: Connection) -> Connection:
        wanted = self.journal.record.wanted if self.journal.record else Wanted()
        sharing = wanted.sharing
        roles = dict(self.roles)
        if sharing is not None:
            roles |= {sharing.public: Role.PUBLIC, **dict.fromkeys(sharing.privates, Role.PRIVATE)}
        firewalled = connection.interface in {one.interface for one in wanted.firewalls if not self.forgets_firewalls}
        return replace(
            connection,
            name="bench, left" if connection.interface == "lan1" else connection.name,
            role=roles.get(connection.interface, Role.NONE),
            characteristics=connection.characteristics | (Characteristics.FIREWALLED if firewalled else 0),
        )


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
    typed: str = ""

    def __call__(self, *arguments: str) -> Ran:
        """Run the command line in a new session."""
        out, err = io.StringIO(), io.StringIO()
        session = Session(
            open_manager=lambda: self.manager,
            stdout=out,
            stderr=err,
            stdin=io.StringIO(self.typed),
            terminal=self.terminal,
            interactive=self.interactive,
            now=lambda: NOW,
        )
        status = main(arguments, session)
        return Ran(status=status, out=out.getvalue(), err=err.getvalue())


def failing(error: IcshareError | ExceptionGroup[IcshareError]) -> Machine:
    """Return a machine whose manager raises *error*."""
    return Machine(manager=FakeManager(failure=error))
