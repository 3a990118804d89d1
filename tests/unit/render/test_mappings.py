"""Port mappings as elements, and elements as text."""

from ipaddress import IPv4Address
from uuid import UUID

import pytest

from icshare.model.mapping import PortMapping, Protocol, address_target
from icshare.model.names import InterfaceName
from icshare.render.mappings import Element, Placement, add_text, cut_text, delete_text, elements

CLIENT = IPv4Address("192.168.137.20")


def placement(
    target: IPv4Address | None,
    *,
    external: int = 555,
    internal: int = 444,
    count: int = 1,
    shared: bool = True,
    firewalled: bool = True,
) -> Placement:
    mapping = PortMapping(
        number=1,
        connection=UUID(int=1),
        name="one",
        protocol=Protocol.TCP,
        external=external,
        internal=internal,
        count=count,
        target=address_target("192.168.137.20"),
    )
    return Placement(
        mapping=mapping, interface=InterfaceName("wan0"), target=target, shared=shared, firewalled=firewalled
    )


def test_a_client_has_its_packets_its_way_in_and_its_external_port() -> None:
    assert elements(placement(CLIENT)) == (
        Element("icshare", "port_mappings", ("tcp", 555), ("192.168.137.20", 444)),
        Element("icshare", "mapped_ports", ("tcp", 555)),
        Element("icshare", "mapped_received", ("tcp", 555, "192.168.137.20", 444)),
        Element("icshare", "mapped_sent", ("tcp", 555, "192.168.137.20", 444)),
        Element("icshare", "mapped_sources", ("192.168.137.20", "tcp", 444), (555,)),
    )


def test_each_port_of_a_range_has_elements_of_its_own() -> None:
    found = [one for one in elements(placement(CLIENT, count=3)) if one.name == "port_mappings"]
    assert [(one.key[1], one.value[1]) for one in found] == [(555, 444), (556, 445), (557, 446)]


def test_without_the_sharing_no_client_is_reachable() -> None:
    assert elements(placement(CLIENT, shared=False)) == ()


HOLE = Element("icshare_firewall", "holes_tcp", ("wan0", 555))


@pytest.mark.parametrize(
    ("internal", "shared", "firewalled", "expected"),
    [
        (444, True, True, (Element("icshare", "own_ports", ("tcp", 555), (444,)), HOLE)),
        (444, True, False, (Element("icshare", "own_ports", ("tcp", 555), (444,)),)),
        (444, False, True, (Element("icshare_firewall", "own_ports", ("wan0", "tcp", 555), (444,)), HOLE)),
        (444, False, False, ()),
        (555, True, True, (HOLE,)),
        (555, False, True, (HOLE,)),
        (555, True, False, ()),
    ],
)
def test_this_host_has_another_port_and_a_hole_where_needed(
    internal: int, *, shared: bool, firewalled: bool, expected: tuple[Element, ...]
) -> None:
    assert elements(placement(None, internal=internal, shared=shared, firewalled=firewalled)) == expected


def test_elements_are_written_with_their_values_and_deleted_alike() -> None:
    found = elements(placement(None, shared=False))
    assert add_text(found) == (
        'add element inet icshare_firewall own_ports { "wan0" . tcp . 555 : 444 }\n'
        'add element inet icshare_firewall holes_tcp { "wan0" . 555 }\n'
    )
    assert delete_text(elements(placement(CLIENT))[:2]) == (
        "delete element inet icshare port_mappings { tcp . 555 : 192.168.137.20 . 444 }\n"
        "delete element inet icshare mapped_ports { tcp . 555 }\n"
    )


def test_a_cut_socket_is_known_by_address_protocol_and_port() -> None:
    assert cut_text([(CLIENT, Protocol.UDP, 444)]) == "add element inet icshare cut { 192.168.137.20 . udp . 444 }\n"
