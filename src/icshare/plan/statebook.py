"""What the facts of the state log add up to."""

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import assert_never
from uuid import UUID

from icshare.errors import InvalidRequestError
from icshare.model.mapping import PortMapping, Protocol, TargetKind
from icshare.model.state import State
from icshare.plan.staterecords import Designated, Fact, Header, Mapped, Named, Protected, Removed, Seen, check


class Book:
    """What facts add up to.

    Attributes:
        recorded: How many facts were taken in.
    """

    def __init__(self, header: Header | None = None) -> None:
        """Begin with nothing; without a *header*, as if there were no file."""
        self.recorded = 0
        self._mappings: dict[int, PortMapping] = {}
        self._by_port: dict[tuple[UUID, Protocol, int], int] = {}
        self._by_socket: dict[tuple[UUID, Protocol, str, int], dict[int, None]] = {}
        self._followed: dict[int, None] = {}
        self._next = header.next if header else 1
        self._state = State(
            mappings=MappingProxyType(self._mappings),
            by_port=MappingProxyType(self._by_port),
            by_socket=MappingProxyType(self._by_socket),
            followed=self._followed.keys(),
            next_number=self._next,
        )

    @property
    def state(self) -> State:
        """Everything asked for; its mappings are views that follow this book."""
        if self._state.next_number != self._next:
            self._state = replace(self._state, next_number=self._next)
        return self._state

    def take(self, facts: Iterable[Fact]) -> None:
        """Take *facts* in, which follow those before; they have been checked by `check`.

        Raises:
            InvalidRequestError: Two mappings of a connection would have one external port; the book is of no use then.
        """
        for fact in facts:
            self.recorded += 1
            match fact:
                case Mapped(mapping=mapping):
                    if mapping.number in self._mappings:
                        self._release(self._mappings[mapping.number])
                    self._define(mapping)
                case Removed(number=number):
                    if number in self._mappings:
                        self._release(self._mappings.pop(number))
                    self._next = max(self._next, number + 1)
                case Designated(designation=designation):
                    self._state = replace(self._state, designation=designation)
                case Protected(connection=guid, options=options):
                    firewalls = {one: kept for one, kept in self._state.firewalls.items() if one != guid}
                    self._state = replace(self._state, firewalls=firewalls | ({guid: options} if options else {}))
                case Named(connection=guid, name=name):
                    self._state = replace(self._state, names={**self._state.names, guid: name})
                case Seen(connection=guid, interface=interface):
                    self._state = replace(self._state, interfaces={**self._state.interfaces, guid: interface})
                case never:
                    assert_never(never)

    def refuse(self, facts: Iterable[Fact]) -> None:
        """Check that *facts* may be written down next.

        Raises:
            InvalidRequestError: One of them holds what has no meaning, or two mappings would have one external port.
        """
        mapped: dict[int, PortMapping] = {}
        changed: set[int] = set()
        for fact in facts:
            check(fact)
            match fact:
                case Mapped(mapping=mapping):
                    mapped[mapping.number] = mapping
                    changed.add(mapping.number)
                case Removed(number=number):
                    mapped.pop(number, None)
                    changed.add(number)
                case _:
                    pass
        taken: dict[tuple[UUID, Protocol, int], int] = {}
        for mapping in mapped.values():
            for port in mapping.externals:
                key = (mapping.connection, mapping.protocol, port)
                holder = self._by_port.get(key)
                if key in taken or (holder is not None and holder not in changed):
                    raise _overlap(mapping)
                taken[key] = mapping.number

    @property
    def live(self) -> int:
        """How many facts would say the same."""
        state = self._state
        return 1 + len(state.firewalls) + len(state.names) + len(state.interfaces) + len(self._mappings)

    def facts(self) -> tuple[Fact, ...]:
        """Return as few facts as say the same, given the number for the next mapping."""
        state = self._state
        return (
            Designated(designation=state.designation),
            *(Protected(connection=guid, options=options) for guid, options in state.firewalls.items()),
            *(Named(connection=guid, name=name) for guid, name in state.names.items()),
            *(Seen(connection=guid, interface=interface) for guid, interface in state.interfaces.items()),
            *(Mapped(mapping=mapping) for mapping in state.mappings.values()),
        )

    def _define(self, mapping: PortMapping) -> None:
        number, connection, protocol = mapping.number, mapping.connection, mapping.protocol
        value, shift = mapping.target.value, mapping.internal - mapping.external
        for port in mapping.externals:
            if self._by_port.setdefault((connection, protocol, port), number) != number:
                raise _overlap(mapping)
            self._by_socket.setdefault((connection, protocol, value, port + shift), {})[number] = None
        if mapping.target.kind is not TargetKind.ADDRESS:
            self._followed[number] = None
        self._mappings[number] = mapping
        self._next = max(self._next, number + 1)

    def _release(self, mapping: PortMapping) -> None:
        number, connection, protocol = mapping.number, mapping.connection, mapping.protocol
        value, shift = mapping.target.value, mapping.internal - mapping.external
        for port in mapping.externals:
            del self._by_port[connection, protocol, port]
            socket = (connection, protocol, value, port + shift)
            del self._by_socket[socket][number]
            if not self._by_socket[socket]:
                del self._by_socket[socket]
        self._followed.pop(number, None)


def _overlap(mapping: PortMapping) -> InvalidRequestError:
    return InvalidRequestError(f"mapping {mapping.number} has an external port that another mapping has")
