"""Port mappings as elements of the rulesets' sets and maps: one for each port, and no rule.

Source:
    nft(8), maps; the rules that use them are in `icshare.render.nft` and `icshare.render.firewall`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import NamedTuple

from icshare.model.mapping import PortMapping, Protocol
from icshare.model.names import InterfaceName
from icshare.render.firewall import FIREWALL_TABLE
from icshare.render.nft import TABLE

COUNTED = ((TABLE, "port_mappings"), (TABLE, "own_ports"), (FIREWALL_TABLE, "holes_tcp"), (FIREWALL_TABLE, "holes_udp"))
"""Tables and their sets and maps whose elements count connections."""

RECEIVED, SENT = (TABLE, "mapped_received"), (TABLE, "mapped_sent")
"""Those whose elements count the bytes that the target of a mapping has received and sent."""

PLAIN = (
    (TABLE, "mapped_ports"),
    (TABLE, "mapped_sources"),
    (FIREWALL_TABLE, "own_ports"),
)
"""Those whose elements count nothing."""

Part = str | int
"""A protocol, address or interface name, or a port."""


class Element(NamedTuple):
    """One element.

    Attributes:
        table: Table in family ``inet``.
        name: Set or map.
        key: The parts of its key.
        value: The parts of its value, () in a set.
    """

    table: str
    name: str
    key: tuple[Part, ...]
    value: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A mapping in its place.

    Attributes:
        mapping: The mapping.
        interface: Interface of its connection.
        target: The target's address, None for this host itself.
        shared: Its connection is the public one of the sharing in force.
        firewalled: The firewall of its connection is in force.
    """

    mapping: PortMapping
    interface: InterfaceName
    target: IPv4Address | None
    shared: bool
    firewalled: bool


def elements(placement: Placement) -> tuple[Element, ...]:
    """Return the elements that bring a mapping into force.

    To another host, only with the sharing: where packets go, and the external port that the mapped socket keeps for
    what it sends. To this host: another internal port, and the hole in the firewall if there is one.
    """
    if placement.target is not None:
        return tuple(_to_client(placement, placement.target)) if placement.shared else ()
    return tuple(_to_this_host(placement))


def _to_client(placement: Placement, target: IPv4Address) -> Iterator[Element]:
    mapping = placement.mapping
    protocol, address = mapping.protocol.name.lower(), str(target)
    for external, internal in zip(mapping.externals, mapping.internals, strict=True):
        yield Element(TABLE, "port_mappings", (protocol, external), (address, internal))
        yield Element(TABLE, "mapped_ports", (protocol, external))
        yield Element(*RECEIVED, (protocol, external, address, internal))
        yield Element(*SENT, (protocol, external, address, internal))
        yield Element(TABLE, "mapped_sources", (address, protocol, internal), (external,))


def _to_this_host(placement: Placement) -> Iterator[Element]:
    mapping = placement.mapping
    protocol = mapping.protocol.name.lower()
    for external, internal in zip(mapping.externals, mapping.internals, strict=True):
        if external != internal and placement.shared:
            yield Element(TABLE, "own_ports", (protocol, external), (internal,))
        elif external != internal and placement.firewalled:
            yield Element(FIREWALL_TABLE, "own_ports", (placement.interface, protocol, external), (internal,))
        if placement.firewalled:
            yield Element(FIREWALL_TABLE, f"holes_{protocol}", (placement.interface, external))


def add_text(added: Iterable[Element]) -> str:
    """Return the lines that add elements."""
    return "".join(f"add element inet {one.table} {one.name} {{ {_whole(one)} }}\n" for one in added)


def delete_text(removed: Iterable[Element]) -> str:
    """Return the lines that delete elements; one that is not there is an error."""
    return "".join(f"delete element inet {one.table} {one.name} {{ {_whole(one)} }}\n" for one in removed)


def cut_text(sockets: Iterable[tuple[IPv4Address, Protocol, int]]) -> str:
    """Return the lines that have the open TCP connections of sockets (address, protocol, port) reset."""
    return add_text(
        Element(TABLE, "cut", (str(address), protocol.name.lower(), port)) for address, protocol, port in sockets
    )


def _whole(element: Element) -> str:
    words = [str(part) for part in element.key]
    if element.table == FIREWALL_TABLE:  # its keys begin with an interface
        words[0] = f'"{words[0]}"'
    key = " . ".join(words)
    return f"{key} : {' . '.join(map(str, element.value))}" if element.value else key
