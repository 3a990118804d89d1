"""What the facts of the state log add up to."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import assert_never
from uuid import UUID

from icshare.errors import InvalidRequestError
from icshare.model.mapping import PortMapping, Protocol, TargetKind
from icshare.model.state import State
from icshare.plan.staterecords import Designated, Fact, Header, Mapped, Named, Protected, Removed, Seen, check


class _Ports(Mapping[tuple[UUID, Protocol, int], int]):
    """Numbers of mappings by connection, protocol and external port; a view that its book changes.

    Thousands of them are made whenever a process starts, so the keys within are plain numbers.
    """

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    def __getitem__(self, key: tuple[UUID, Protocol, int]) -> int:
        return self._numbers[_key(*key)]

    def __iter__(self) -> Iterator[tuple[UUID, Protocol, int]]:
        return (_parts(key) for key in self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def define(self, mapping: PortMapping) -> None:
        number = mapping.number
        first = _key(mapping.connection, mapping.protocol, mapping.external)
        for key in (first,) if mapping.count == 1 else range(first, first + mapping.count):
            if self._numbers.setdefault(key, number) != number:
                raise _overlap(mapping)

    def release(self, mapping: PortMapping) -> None:
        first = _key(mapping.connection, mapping.protocol, mapping.external)
        for key in range(first, first + mapping.count):
            del self._numbers[key]


class _Sockets(Mapping[tuple[UUID, Protocol, str, int], tuple[int, ...]]):
    """Numbers of mappings by connection, protocol, target and internal port; as `_Ports`, made when first asked."""

    def __init__(self, mappings: Mapping[int, PortMapping]) -> None:
        self._mappings = mappings
        self._made: dict[tuple[int, str], tuple[int, ...]] | None = None

    def __getitem__(self, key: tuple[UUID, Protocol, str, int]) -> tuple[int, ...]:
        connection, protocol, value, port = key
        return self._numbers[_key(connection, protocol, port), value]

    def __iter__(self) -> Iterator[tuple[UUID, Protocol, str, int]]:
        for key, value in self._numbers:
            connection, protocol, port = _parts(key)
            yield connection, protocol, value, port

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def _numbers(self) -> dict[tuple[int, str], tuple[int, ...]]:
        if self._made is None:
            self._made = {}
            for mapping in self._mappings.values():
                self.define(mapping)
        return self._made

    @property
    def made(self) -> bool:
        """They have been asked for; from then on they are told of every change."""
        return self._made is not None

    def define(self, mapping: PortMapping) -> None:
        for socket in _sockets(mapping):
            self._numbers[socket] = (*self._numbers.get(socket, ()), mapping.number)

    def release(self, mapping: PortMapping) -> None:
        for socket in _sockets(mapping):
            left = tuple(one for one in self._numbers[socket] if one != mapping.number)
            if left:
                self._numbers[socket] = left
            else:
                del self._numbers[socket]


class Book:
    """What facts add up to.

    Attributes:
        recorded: How many facts were taken in.
    """

    def __init__(self, header: Header | None = None) -> None:
        """Begin with nothing; without a *header*, as if there were no file."""
        self.recorded = 0
        self._mappings: dict[int, PortMapping] = {}
        self._by_port = _Ports()
        self._by_socket = _Sockets(self._mappings)
        self._followed: dict[int, None] = {}
        self._next = header.next if header else 1
        self._state = State(
            mappings=MappingProxyType(self._mappings),
            by_port=self._by_port,
            by_socket=self._by_socket,
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
        number = mapping.number
        self._by_port.define(mapping)
        if self._by_socket.made:
            self._by_socket.define(mapping)
        if mapping.target.kind is not TargetKind.ADDRESS:
            self._followed[number] = None
        self._mappings[number] = mapping
        if number >= self._next:
            self._next = number + 1

    def _release(self, mapping: PortMapping) -> None:
        self._by_port.release(mapping)
        if self._by_socket.made:
            self._by_socket.release(mapping)
        self._followed.pop(mapping.number, None)


def _key(connection: UUID, protocol: Protocol, port: int) -> int:
    return connection.int << 24 | protocol << 16 | port


def _parts(key: int) -> tuple[UUID, Protocol, int]:
    return UUID(int=key >> 24), Protocol(key >> 16 & 0xFF), key & 0xFFFF


def _sockets(mapping: PortMapping) -> Iterator[tuple[int, str]]:
    first = _key(mapping.connection, mapping.protocol, mapping.internal)
    return ((key, mapping.target.value) for key in range(first, first + mapping.count))


def _overlap(mapping: PortMapping) -> InvalidRequestError:
    return InvalidRequestError(f"mapping {mapping.number} has an external port that another mapping has")
