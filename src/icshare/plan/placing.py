"""What becomes of a port mapping, given what is in force and where its target is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import NamedTuple
from uuid import UUID

from icshare.model.mapping import PortMapping, Protocol
from icshare.model.names import InterfaceName
from icshare.model.sharing import Segment
from icshare.model.state import State
from icshare.plan.targets import Known, Resolution, resolve
from icshare.render.mappings import Element, Part, Placement, elements

_ANYWHERE = (IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2"))

Slot = tuple[str, str, tuple[Part, ...]]
"""Table, map or set, and key of an element: where there is room for one value only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What mappings depend on.

    Attributes:
        interfaces: Interface names of the connections that are present.
        public: Interface of the public connection of the sharing in force, None without one.
        segments: The segments in force.
        firewalled: Interfaces whose firewall is in force.
    """

    interfaces: Mapping[UUID, InterfaceName]
    public: str | None = None
    segments: tuple[Segment, ...] = ()
    firewalled: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of a mapping if it is enabled.

    Attributes:
        mapping: The mapping.
        interface: Interface of its connection, "" while that is absent.
        shared: Its connection is the public one of the sharing in force.
        firewalled: Its connection's firewall is in force.
        resolution: Where its target is.
        text: Why it cannot be in force, one sentence; "" when it can.
    """

    mapping: PortMapping
    interface: InterfaceName
    shared: bool
    firewalled: bool
    resolution: Resolution
    text: str = ""

    @property
    def elements(self) -> tuple[Element, ...]:
        """The elements that it asks for."""
        return () if self.text else elements(self.placed_at(self.resolution.address))

    def placed_at(self, target: IPv4Address | None) -> Placement:
        """Return how it would be in force with its target at an address, or this host itself."""
        return Placement(
            mapping=self.mapping,
            interface=InterfaceName(self.interface),
            target=target,
            shared=self.shared,
            firewalled=self.firewalled,
        )


class Socket(NamedTuple):
    """One port of a mapping that is in force.

    Attributes:
        protocol: TCP or UDP.
        external: External port.
        target: Host that it leads to; None for this host itself.
        internal: Port there.
    """

    protocol: Protocol
    external: int
    target: IPv4Address | None
    internal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """A change of the kernel's elements; false when there is nothing to change.

    Attributes:
        remove: Elements that go.
        add: Elements that come.
        cut: Sockets whose connections end.
    """

    remove: tuple[Element, ...] = ()
    add: tuple[Element, ...] = ()
    cut: tuple[Socket, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.remove or self.add or self.cut)

    @property
    def reversed(self) -> "Swap":
        """The change back; connections that were cut stay so."""
        return Swap(remove=self.add, add=self.remove)


def fate(mapping: PortMapping, there: InForce, known: Known) -> Fate:
    """Return what becomes of *mapping* if it is enabled."""
    interface = there.interfaces.get(mapping.connection, InterfaceName(""))
    resolution = resolve(mapping.target, known)
    shared, firewalled = interface == there.public, interface in there.firewalled
    text = ""
    if not interface:
        text = "its connection is not present"
    elif not shared and not firewalled:
        text = f"{interface} is neither the public connection nor protected by a firewall"
    elif resolution.text:
        text = resolution.text
    elif not shared and not resolution.own:
        text = f"{interface} is not shared, so packets cannot be passed on to {mapping.target}"
    return Fate(
        mapping=mapping, interface=interface, shared=shared, firewalled=firewalled, resolution=resolution, text=text
    )


def slot(element: Element) -> Slot:
    """Return where *element* stands."""
    return element.table, element.name, element.key


def holders(fates: Iterable[Fate]) -> dict[Slot, tuple[int, Element]]:
    """Return the element in each slot, with the number of its mapping: that of the lowest of those that ask for it."""
    found: dict[Slot, tuple[int, Element]] = {}
    for one in sorted(fates, key=lambda fate: fate.mapping.number):
        for element in one.elements:
            found.setdefault(slot(element), (one.mapping.number, element))
    return found


def by_slot(elements: Iterable[Element]) -> dict[Slot, Element]:
    """Return *elements* by where they stand."""
    return {slot(one): one for one in elements}


def exchange(before: Mapping[Slot, Element], after: Mapping[Slot, Element], cut: tuple[Socket, ...] = ()) -> Swap:
    """Return what makes *after* of *before*; what is in both stays, with its counter."""
    return Swap(
        remove=tuple(one for place, one in before.items() if after.get(place) != one),
        add=tuple(one for place, one in after.items() if before.get(place) != one),
        cut=cut,
    )


def sockets(one: Fate) -> frozenset[Socket]:
    """Return the sockets that a mapping opens, one for each port; none when it cannot be in force."""
    if one.text:
        return frozenset()
    mapping, target = one.mapping, one.resolution.address
    pairs = zip(mapping.externals, mapping.internals, strict=True)
    return frozenset(Socket(mapping.protocol, external, target, internal) for external, internal in pairs)


def gone_sockets(before: Iterable[Fate], after: Iterable[Fate]) -> tuple[Socket, ...]:
    """Return the sockets that *before* open and *after* do not."""
    opened = {socket for one in before for socket in sockets(one)}
    return tuple(
        sorted(opened.difference(*(sockets(one) for one in after)), key=lambda one: (one.protocol, one.external))
    )


def rivals_of(state: State, fates: Iterable[Fate]) -> tuple[PortMapping, ...]:
    """Return the enabled mappings of *state* that may want a slot that *fates* want: they may lead to one socket.

    As many are looked at as lead to the same host and port, or have targets that have to be followed.
    """
    numbers: set[int] = set()
    for one in fates:
        if one.text:
            continue
        mapping = one.mapping
        names = {mapping.target.value, str(one.resolution.address)}
        for port in mapping.internals:
            for name in names:
                numbers.update(state.by_socket.get((mapping.connection, mapping.protocol, name, port), ()))
        numbers.update(state.followed)
    return tuple(state.mappings[number] for number in sorted(numbers) if state.mappings[number].enabled)


def external_slots(one: Fate) -> frozenset[Slot]:
    """Return the slots that the external ports of a mapping have, wherever its target is."""
    here, there, own = (frozenset(by_slot(elements(one.placed_at(target)))) for target in (*_ANYWHERE, None))
    return here & there | own


def sockets_of(gone: Iterable[Element]) -> tuple[Socket, ...]:
    """Return the sockets of clients that elements open: what to cut when only the kernel knows where they led."""
    return tuple(
        Socket(Protocol[str(one.key[0]).upper()], int(one.key[1]), IPv4Address(one.value[0]), int(one.value[1]))
        for one in gone
        if one.name == "port_mappings"
    )
