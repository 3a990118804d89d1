"""A system in memory: what the object model asks of `SharingManager`, with the same rules and errors."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address
from uuid import UUID

from icshare.errors import (
    AlreadyExistsError,
    GoneError,
    HostError,
    IcshareError,
    InvalidRequestError,
    NotSupportedError,
    PrivilegeError,
    RefusedError,
)
from icshare.model.connection import YES, Characteristics, Connection, MediaType, Reason, Role, Status, Verdict
from icshare.model.firewall import FirewallOptions
from icshare.model.mapping import (
    MappingState,
    MappingStatus,
    PortMapping,
    Protocol,
    Target,
    TargetKind,
    check_mapping_name,
    check_ports,
)
from icshare.plan.connections import firewallable, sharable


def guid(number: int) -> UUID:
    """Return the GUID of the connection with this number."""
    return UUID(int=0xAB << 120 | number)


def connection(
    number: int,
    interface: str,
    *,
    media: MediaType = MediaType.LAN,
    flags: Characteristics = Characteristics.ALLOW_RENAME,
    status: Status = Status.CONNECTED,
    member: bool = False,
    hidden: bool = False,
) -> Connection:
    """Return a connection with the verdicts that belong to it."""
    rule = sharable(media, flags)
    if member:
        flags |= Characteristics.BRIDGED
        rule_as = Verdict(ok=False, reason=Reason.BRIDGE_MEMBER, text="it is a member of bridge br0; take br0 instead")
    else:
        rule_as = rule
    return Connection(
        guid=guid(number),
        name=f"name of {interface}",
        device=f"device of {interface}",
        interface=interface,
        status=status,
        media=media,
        characteristics=flags,
        role=Role.NONE,
        kind="kind",
        sharable=rule,
        as_public=rule_as,
        as_private=YES if media is MediaType.BRIDGE else rule_as,
        bridgeable=True,
        hidden=hidden,
    )


class FakeSystem:
    """The system.

    Attributes:
        links: Connections without their roles, by GUID.
        roles: Roles, by GUID.
        firewalls: Firewalls that are on, by GUID.
        error: Raised by every write, None for a system that does what it is told.
        unreadable: Reading fails.
        shared: Arguments of `share`, in order.
    """

    def __init__(self, *links: Connection) -> None:
        self.links = {link.guid: link for link in links}
        self.roles: dict[UUID, Role] = {}
        self.firewalls: dict[UUID, FirewallOptions] = {}
        self.error: Exception | None = None
        self.unreadable = False
        self.shared: list[tuple[str, tuple[str, ...], bool | None]] = []
        self.mappings = FakeMappings(self)

    def state(self) -> object:
        """Return all that a write can change, to be compared."""
        return (
            dict(self.links),
            dict(self.roles),
            dict(self.firewalls),
            dict(self.mappings.defined),
            self.mappings.last,
            tuple(self.shared),
        )

    def may_write(self, *guids: UUID) -> None:
        """Raise what stands in the way of a write about connections."""
        if self.error is not None:
            raise self.error
        if any(one not in self.links for one in guids):
            raise GoneError("the connection no longer exists")

    def may_read(self) -> None:
        """Raise if reading fails."""
        if self.unreadable:
            raise HostError("the host cannot be read")

    def connections(self) -> tuple[Connection, ...]:
        self.may_read()
        return tuple(self._present(link) for link in self.links.values())

    def connection(self, guid: UUID, /) -> Connection | None:
        return next((one for one in self.connections() if one.guid == guid), None)

    def role(self, guid: UUID, /) -> Role | None:
        found = self.connection(guid)
        return found.role if found else None

    def windows_names(self) -> Mapping[UUID, str]:
        self.may_read()
        return {one: "Ethernet" if at == 0 else f"Ethernet {at + 1}" for at, one in enumerate(self.links)}

    def installed(self) -> bool:
        self.may_read()
        return True

    def share(self, public: str, privates: Iterable[str], /, *, firewall: bool | None = None) -> object:
        self.may_write()
        names = tuple(privates)
        by_name = {link.interface: link for link in self.links.values()}
        if not names:
            raise RefusedError([("no-private", "no private connection was named")])
        if public in names:
            raise RefusedError([("given-twice", f"{public} was named both public and private")])
        verdicts = [by_name[public].as_public, *(by_name[name].as_private for name in names)]
        if refused := [(str(one.reason), one.text) for one in verdicts if not one.ok]:
            raise RefusedError(refused)
        self.roles = {by_name[public].guid: Role.PUBLIC} | {by_name[name].guid: Role.PRIVATE for name in names}
        self.shared.append((public, names, firewall))
        return None

    def set_public(self, guid: UUID, /) -> None:
        self.may_write(guid)
        self._may_be(self.links[guid].as_public)
        if self.roles.get(guid) is Role.PUBLIC:
            return
        for one in [*(other for other, role in self.roles.items() if role is Role.PUBLIC), guid]:
            if one in self.roles:
                self.unshare(one)
        self.roles[guid] = Role.PUBLIC
        self.firewalls.setdefault(guid, FirewallOptions())

    def add_private(self, guid: UUID, /) -> None:
        self.may_write(guid)
        self._may_be(self.links[guid].as_private)
        if self.roles.get(guid) is Role.PUBLIC:
            self.unshare(guid)
        self.roles[guid] = Role.PRIVATE

    def unshare(self, guid: UUID, /) -> None:
        self.may_write()
        self.roles.pop(guid, None)
        for mapping in self.mappings.all(guid):
            self.mappings.disable(mapping.number)

    def firewall(self, guid: UUID, /) -> FirewallOptions | None:
        self.may_read()
        return self.firewalls.get(guid)

    def set_firewall(self, guid: UUID, options: FirewallOptions | None, /) -> None:
        self.may_write(guid)
        if options is None:
            self.firewalls.pop(guid, None)
            return
        self._may_be(firewallable(self._present(self.links[guid]), private=self.roles.get(guid) is Role.PRIVATE))
        self.firewalls[guid] = options

    def connect(self, guid: UUID, /) -> None:
        self._set_up(guid, up=True)

    def disconnect(self, guid: UUID, /) -> None:
        self._set_up(guid, up=False)

    def _set_up(self, guid: UUID, *, up: bool) -> None:
        self.may_write(guid)
        self.links[guid] = replace(self.links[guid], status=Status.CONNECTED if up else Status.HARDWARE_DISABLED)

    def rename(self, guid: UUID, name: str, /) -> None:
        self.may_write(guid)
        if len(name.encode()) > 255:
            raise InvalidRequestError("the name is too long for the kernel")
        self.links[guid] = replace(self.links[guid], name=name)

    def delete(self, guid: UUID, /) -> None:
        self.may_write(guid)
        if Characteristics.ALLOW_REMOVAL not in self.links[guid].characteristics:
            raise NotSupportedError("hardware cannot be deleted")
        del self.links[guid]

    def _may_be(self, verdict: Verdict) -> None:
        if not verdict.ok:
            raise RefusedError([(str(verdict.reason), verdict.text)], hint="take another one")

    def _present(self, link: Connection) -> Connection:
        role = self.roles.get(link.guid, Role.NONE)
        flags = link.characteristics
        flags |= {Role.PUBLIC: Characteristics.SHARED, Role.PRIVATE: Characteristics.SHARED_PRIVATE}.get(
            role, Characteristics.NONE
        )
        flags |= Characteristics.FIREWALLED if link.guid in self.firewalls else Characteristics.NONE
        return replace(link, role=role, characteristics=flags)


class FakeMappings:
    """The port mappings of a fake system.

    Attributes:
        defined: Definitions by number.
        last: Number given last.
    """

    def __init__(self, system: FakeSystem) -> None:
        self._system = system
        self.defined: dict[int, PortMapping] = {}
        self.last = 0

    def all(self, connection: UUID | None = None, /) -> tuple[PortMapping, ...]:
        self._system.may_read()
        return tuple(one for one in self.defined.values() if connection in {None, one.connection})

    def get(self, number: int, /) -> PortMapping | None:
        self._system.may_read()
        return self.defined.get(number)

    def add(
        self,
        connection: UUID,
        /,
        *,
        name: str,
        protocol: Protocol,
        external: int,
        internal: int | None = None,
        count: int = 1,
        target: Target,
        enabled: bool = False,
    ) -> PortMapping:
        self._system.may_write(connection)
        mapping = PortMapping(
            number=self.last + 1,
            connection=connection,
            name=name,
            protocol=protocol,
            external=external,
            internal=external if internal is None else internal,
            count=count,
            target=target,
            enabled=enabled,
        )
        self._check(mapping)
        self.last += 1
        self.defined[mapping.number] = mapping
        return mapping

    def update(
        self,
        number: int,
        /,
        *,
        name: str | None = None,
        protocol: Protocol | None = None,
        external: int | None = None,
        internal: int | None = None,
        count: int | None = None,
        target: Target | None = None,
    ) -> PortMapping:
        old = self._known(number)
        new = replace(
            old,
            name=old.name if name is None else name,
            protocol=protocol or old.protocol,
            external=external or old.external,
            internal=internal or old.internal,
            count=count or old.count,
            target=target or old.target,
        )
        self._check(new)
        self.defined[number] = new
        return new

    def enable(self, number: int, /) -> None:
        self.defined[number] = replace(self._known(number), enabled=True)

    def disable(self, number: int, /) -> None:
        self.defined[number] = replace(self._known(number), enabled=False)

    def remove(self, number: int, /) -> None:
        self._known(number)
        del self.defined[number]

    def status(self, number: int, /) -> MappingStatus | None:
        return next((one for one in self.statuses() if one.mapping.number == number), None)

    def statuses(self, connection: UUID | None = None, /) -> tuple[MappingStatus, ...]:
        return tuple(
            MappingStatus(
                mapping=one,
                interface="eth0",
                state=MappingState.ACTIVE if one.enabled else MappingState.DISABLED,
                address=_HOSTS[one.target.kind](one.target.value),
            )
            for one in self.all(connection)
        )

    def _known(self, number: int) -> PortMapping:
        self._system.may_write()
        if number not in self.defined:
            raise GoneError("the mapping no longer exists")
        return self.defined[number]

    def _check(self, mapping: PortMapping) -> None:
        check_mapping_name(mapping.name)
        check_ports(mapping.external, mapping.internal, mapping.count)
        for one in self.all(mapping.connection):
            same = one.protocol is mapping.protocol and set(one.externals) & set(mapping.externals)
            if same and one.number != mapping.number:
                raise AlreadyExistsError(f"port {mapping.external} is mapped already")


NAMED = "192.168.137.77"
"""Address of every host that has a name, but of one: nobody knows where `UNKNOWN` is."""

UNKNOWN = "nowhere"

_HOSTS: Mapping[TargetKind, Callable[[str], IPv4Address | None]] = {
    TargetKind.ADDRESS: IPv4Address,
    TargetKind.NAME: lambda name: None if name == UNKNOWN else IPv4Address(NAMED),
    TargetKind.MAC: lambda _: IPv4Address(NAMED),
}

NO_PRIVILEGE: IcshareError = PrivilegeError("CAP_NET_ADMIN is missing", hint="run it as root")

ETH0, ETH1, ETH2, WLAN0, BRIDGE, MEMBER, CABLE, LOOPBACK, SERVER, VETH = range(1, 11)


def small_host() -> FakeSystem:
    """Return a system with a connection of each sort that the rules tell apart."""
    return FakeSystem(
        connection(ETH0, "eth0"),
        connection(ETH1, "eth1"),
        connection(ETH2, "eth2"),
        connection(WLAN0, "wlan0"),
        connection(BRIDGE, "br0", media=MediaType.BRIDGE),
        connection(MEMBER, "eth3", member=True),
        connection(CABLE, "irda0", media=MediaType.DIRECT),
        connection(LOOPBACK, "lo", media=MediaType.NONE, hidden=True),
        connection(SERVER, "ppp0", media=MediaType.PHONE, flags=Characteristics.INCOMING_ONLY),
        connection(VETH, "veth0", flags=Characteristics.ALLOW_REMOVAL),
    )
