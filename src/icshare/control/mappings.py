"""Port mappings: defined, changed, enabled, disabled and removed, and how they fare.

What brings them into force is in `icshare.control.opening`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from icshare.control.opening import Opening
from icshare.control.ports import MappingTable, Store, Surroundings
from icshare.errors import (
    AlreadyExistsError,
    GoneError,
    InvalidRequestError,
    PrivilegeError,
    RefusedError,
)
from icshare.model.connection import Connection
from icshare.model.mapping import (
    MappingState,
    MappingStatus,
    PortMapping,
    Protocol,
    Target,
    check_mapping_name,
    check_ports,
)
from icshare.model.names import is_interface_name
from icshare.model.state import State
from icshare.plan.placing import (
    Fate,
    Slot,
    by_slot,
    external_slots,
    fate,
    holders,
)
from icshare.plan.staterecords import Fact, Mapped, Removed, Seen
from icshare.render.mappings import RECEIVED, SENT, Element


class PortMappings:
    """The port mappings of this host."""

    def __init__(
        self,
        *,
        store: Store,
        table: MappingTable,
        surroundings: Surroundings,
        authorize: Callable[[], None] | None = None,
    ) -> None:
        """Take what it works on; nothing is changed yet.

        Args:
            store: What is written down.
            table: The kernel's elements.
            surroundings: The machine.
            authorize: Checks privilege and policy before a change that somebody asks for, None for the privilege alone.
        """
        self._store = store
        self._table = table
        self._surroundings = surroundings
        self._opening = Opening(store=store, table=table, surroundings=surroundings)
        self._authorize = authorize or surroundings.require_admin

    def all(self, connection: UUID | None = None) -> tuple[PortMapping, ...]:
        """Return the definitions, of one connection or of all, by number; needs no privilege.

        Raises:
            HostError: The state could not be read.
        """
        found = tuple(self._store.load().mappings.values())
        return found if connection is None else tuple(one for one in found if one.connection == connection)

    def get(self, number: int) -> PortMapping | None:
        """Return the definition with *number*, None when there is none.

        Raises:
            HostError: The state could not be read.
        """
        return self._store.load().mappings.get(number)

    def named(self, name: str) -> PortMapping:
        """Return the definition with *name*.

        Raises:
            InvalidRequestError: None has it, or more than one.
            HostError: The state could not be read.
        """
        found = [one for one in self.all() if one.name == name]
        if not found:
            raise InvalidRequestError(f"there is no port mapping {name!r:.80}", hint="icshare map list shows them")
        if len(found) > 1:
            numbers = ", ".join(str(one.number) for one in found)
            raise InvalidRequestError(
                f"{len(found)} port mappings have the name {name!r:.80}", hint=f"their numbers are {numbers}"
            )
        return found[0]

    def add(  # noqa: PLR0913 (the fields of a mapping)
        self,
        connection: UUID,
        *,
        name: str,
        protocol: Protocol,
        external: int,
        internal: int | None = None,
        count: int = 1,
        target: Target,
        enabled: bool = False,
    ) -> PortMapping:
        """Define a mapping.

        Args:
            connection: GUID of the connection that packets come in by.
            name: Name for people.
            protocol: TCP or UDP.
            external: First external port.
            internal: First internal port, None for the external one.
            count: How many ports follow each other.
            target: Where the packets go.
            enabled: Let it work at once.

        Raises:
            PrivilegeError: CAP_NET_ADMIN is missing, or the policy prohibits sharing.
            InvalidRequestError: A name or port that cannot be.
            GoneError: There is no such connection.
            RefusedError: The connection cannot be shared.
            AlreadyExistsError: It has a mapping of this protocol with one of these external ports.
            HostError: The machine refused; nothing was changed.
        """
        self._authorize()
        check_mapping_name(name)
        internal = external if internal is None else internal
        check_ports(external, internal, count)
        with self._store.lock():
            found = self._sharable(connection)
            state = self._opening.repaired()
            mapping = PortMapping(
                number=state.next_number,
                connection=connection,
                name=name,
                protocol=protocol,
                external=external,
                internal=internal,
                count=count,
                target=target,
                enabled=enabled,
            )
            _refuse_duplicate(state, mapping)
            facts: list[Fact] = [Mapped(mapping=mapping)]
            if is_interface_name(found.interface) and state.interfaces.get(connection) != found.interface:
                facts.append(Seen(connection=connection, interface=found.interface))
            self._opening.open(state, None, mapping, facts)
        return mapping

    def update(
        self,
        number: int,
        *,
        name: str | None = None,
        protocol: Protocol | None = None,
        external: int | None = None,
        internal: int | None = None,
        count: int | None = None,
        target: Target | None = None,
    ) -> PortMapping:
        """Change a definition in one step; None leaves a field as it is. Elements that stay the same keep their hits.

        Raises:
            PrivilegeError: CAP_NET_ADMIN is missing, or the policy prohibits sharing.
            InvalidRequestError: A name or port that cannot be.
            GoneError: There is no such mapping any more.
            AlreadyExistsError: Another mapping has one of the external ports.
            HostError: The machine refused; nothing was changed.
        """
        self._authorize()
        with self._store.lock():
            state = self._opening.repaired()
            before = _mapping(state, number)
            after = replace(
                before,
                name=before.name if name is None else name,
                protocol=before.protocol if protocol is None else protocol,
                external=before.external if external is None else external,
                internal=before.internal if internal is None else internal,
                count=before.count if count is None else count,
                target=before.target if target is None else target,
            )
            check_mapping_name(after.name)
            check_ports(after.external, after.internal, after.count)
            if after != before:
                _refuse_duplicate(state, after)
                self._opening.open(state, before, after, [Mapped(mapping=after)])
        return after

    def enable(self, number: int) -> None:
        """Let a mapping work.

        Raises:
            PrivilegeError: CAP_NET_ADMIN is missing, or the policy prohibits sharing.
            GoneError: There is no such mapping any more.
            HostError: The machine refused; nothing was changed.
        """
        self._authorize()
        with self._store.lock():
            state = self._opening.repaired()
            before = _mapping(state, number)
            if not before.enabled:
                after = replace(before, enabled=True)
                self._opening.open(state, before, after, [Mapped(mapping=after)])

    def disable(self, number: int) -> None:
        """Let a mapping rest, and cut its connections; it stays defined.

        Raises:
            PrivilegeError: CAP_NET_ADMIN is missing, or the policy prohibits sharing.
            GoneError: There is no such mapping any more.
            HostError: The machine refused; nothing was changed.
        """
        self._authorize()
        with self._store.lock():
            state = self._opening.repaired()
            before = _mapping(state, number)
            if before.enabled:
                self._opening.close(state, [before], [Mapped(mapping=replace(before, enabled=False))])

    def remove(self, number: int) -> None:
        """Forget a mapping, and cut its connections.

        Raises:
            PrivilegeError: CAP_NET_ADMIN is missing, or the policy prohibits sharing.
            GoneError: There is no such mapping any more.
            HostError: The machine refused; nothing was changed.
        """
        self._authorize()
        with self._store.lock():
            state = self._opening.repaired()
            self._opening.close(state, [_mapping(state, number)], [Removed(number=number)])

    def disable_all(self, connection: UUID) -> None:
        """Let every mapping of *connection* rest, and cut their connections.

        Raises:
            PrivilegeError: CAP_NET_ADMIN is missing.
            HostError: The machine refused; nothing was changed.
        """
        self._surroundings.require_admin()
        with self._store.lock():
            state = self._opening.repaired()
            meant = [one for one in state.mappings.values() if one.connection == connection and one.enabled]
            if meant:
                self._opening.close(state, meant, [Mapped(mapping=replace(one, enabled=False)) for one in meant])

    def statuses(self, connection: UUID | None = None) -> tuple[MappingStatus, ...]:
        """Return how the mappings fare, of one connection or all, by number.

        Without privilege there are no hits, and what is wanted counts as being in force.

        Raises:
            HostError: The state, the host or the kernel's elements could not be read.
        """
        definitions = tuple(self._store.load().mappings.values())
        there, known = self._opening.look()
        fates = [fate(one, there, known) for one in definitions]
        wanted: dict[int, list[Element]] = {}
        for number, element in holders(one for one in fates if one.mapping.enabled).values():
            wanted.setdefault(number, []).append(element)
        try:
            present = self._table.present()
        except PrivilegeError:
            present = None
        return tuple(
            _status(one, wanted.get(one.mapping.number, []), present)
            for one in fates
            if connection is None or one.mapping.connection == connection
        )

    def status(self, number: int) -> MappingStatus | None:
        """Return how one mapping fares, None when there is none with *number*; at one cost beside few and many others.

        The kernel is not asked: there are no hits, and what is wanted counts as being in force.

        Raises:
            HostError: The state or the host could not be read.
        """
        mapping = self._store.load().mappings.get(number)
        if mapping is None:
            return None
        there, known = self._opening.look()
        return _status(fate(mapping, there, known), (), None)

    def sync(self) -> None:
        """Make the kernel's elements what they should be.

        Raises:
            PrivilegeError: CAP_NET_ADMIN is missing.
            HostError: The machine refused; the next change tries again.
        """
        self._surroundings.require_admin()
        with self._store.lock():
            self._opening.equalize()

    def withdraw(self) -> None:
        """Take every mapping out of force, defined as they are, until the next `sync`.

        Raises:
            PrivilegeError: CAP_NET_ADMIN is missing.
            HostError: The machine refused; the next change brings back what can be.
        """
        self._surroundings.require_admin()
        with self._store.lock():
            self._opening.withdraw()

    def follow(self) -> tuple[int, ...]:
        """Look up anew the targets that are not named by their address.

        Returns:
            Numbers of the mappings that lead elsewhere now.

        Raises:
            PrivilegeError: CAP_NET_ADMIN is missing.
            HostError: The machine refused; the next change tries again.
        """
        self._surroundings.require_admin()
        with self._store.lock():
            state = self._opening.repaired()
            there, known = self._opening.look()
            followed = [one for one in (state.mappings[number] for number in sorted(state.followed)) if one.enabled]
            if not followed:
                return ()
            present = by_slot(self._table.present())
            moved = tuple(one.number for one in followed if _has_moved(fate(one, there, known), present))
            if moved:
                self._opening.equalize()
            return moved

    def _sharable(self, guid: UUID) -> Connection:
        found = next((one for one in self._surroundings.connections() if one.guid == guid), None)
        if found is None:
            raise GoneError(f"there is no connection {{{str(guid).upper()}}} any more")
        if not found.sharable.ok:
            text = f"{found.interface} cannot have port mappings: {found.sharable.text}"
            raise RefusedError([(str(found.sharable.reason), text)])
        return found


def _mapping(state: State, number: int) -> PortMapping:
    found = state.mappings.get(number)
    if found is None:
        raise GoneError(f"there is no port mapping {number} any more", hint="icshare map list shows them")
    return found


def _refuse_duplicate(state: State, mapping: PortMapping) -> None:
    for port in mapping.externals:
        number = state.by_port.get((mapping.connection, mapping.protocol, port), mapping.number)
        if number != mapping.number:
            raise AlreadyExistsError(
                f"{mapping.protocol.name.lower()} port {port} is mapped already, by {state.mappings[number].name!r}",
                hint="choose another external port, or change that mapping",
            )


def _has_moved(one: Fate, present: Mapping[Slot, Element]) -> bool:
    """Tell whether the elements that *present* has for the external ports of a mapping are others than it wants."""
    wanted = by_slot(one.elements)
    return any(wanted.get(place) != present.get(place) for place in external_slots(one))


def _status(one: Fate, wanted: Sequence[Element], present: Mapping[Element, int | None] | None) -> MappingStatus:
    """Put together how a mapping fares; *wanted* are the elements that it holds if all is right."""
    state, text = MappingState.ACTIVE, ""
    if not one.mapping.enabled:
        state = MappingState.DISABLED
    elif one.text:
        state, text = MappingState.INACTIVE, one.text
    elif present is not None and any(element not in present for element in wanted):
        state, text = MappingState.INACTIVE, "the kernel does not have it; share again to mend that"
    counts: dict[tuple[str, str], int] = {}
    for element in wanted:
        counted = present.get(element) if present is not None else None
        if counted is not None:
            where = element.table, element.name
            counts[where] = counts.get(where, 0) + counted
    received, sent = counts.pop(RECEIVED, None), counts.pop(SENT, None)
    return MappingStatus(
        mapping=one.mapping,
        interface=one.interface,
        state=state,
        text=text,
        address=one.resolution.address,
        own=one.resolution.own,
        hits=None if present is None else max(counts.values(), default=0),
        received=received,
        sent=sent,
    )
