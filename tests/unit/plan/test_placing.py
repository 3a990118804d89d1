"""What becomes of mappings: who is in force, who has a slot that two want, what changes and what is cut."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

import pytest

from icshare.model.mapping import PortMapping, Protocol, parse_target
from icshare.model.names import InterfaceName
from icshare.model.sharing import Segment
from icshare.model.state import State
from icshare.plan.placing import (
    Fate,
    InForce,
    Socket,
    Swap,
    by_slot,
    exchange,
    external_slots,
    fate,
    gone_sockets,
    holders,
    rivals_of,
    slot,
    sockets,
    sockets_of,
)
from icshare.plan.statebook import Book
from icshare.plan.staterecords import Mapped
from icshare.plan.targets import Known, known
from icshare.render.mappings import Element

WAN, LTE, GONE = UUID(int=1), UUID(int=2), UUID(int=3)
TCP, UDP = Protocol.TCP, Protocol.UDP
LAN = Segment(
    interface=InterfaceName("lan0"),
    members=(InterfaceName("lan0"),),
    network=IPv4Network("192.168.137.0/24"),
    gateway=IPv4Address("192.168.137.1"),
)
THERE = InForce(
    interfaces={WAN: InterfaceName("wan0"), LTE: InterfaceName("wan1")},
    public="wan0",
    segments=(LAN,),
    firewalled=frozenset({"wan0", "wan1"}),
)
NAS = IPv4Address("192.168.137.2")


def _known(there: InForce) -> Known:
    return known(
        leases=[],
        neighbours=[],
        hosts={"nas": [NAS]},
        domain="home.arpa",
        own_names=["gw"],
        own_addresses=[LAN.gateway],
        segments=there.segments,
    )


def mapping(
    number: int = 1,
    external: int = 8080,
    internal: int = 80,
    *,
    target: str = "192.168.137.2",
    connection: UUID = WAN,
    count: int = 1,
    protocol: Protocol = TCP,
    enabled: bool = True,
) -> PortMapping:
    return PortMapping(
        number=number,
        connection=connection,
        name=f"m{number}",
        protocol=protocol,
        external=external,
        internal=internal,
        count=count,
        target=parse_target(target),
        enabled=enabled,
    )


def placed(one: PortMapping, there: InForce = THERE) -> Fate:
    return fate(one, there, _known(there))


def state(found: Iterable[PortMapping]) -> State:
    book = Book()
    book.take(Mapped(mapping=one) for one in found)
    return book.state


@pytest.mark.parametrize(
    ("one", "there", "text"),
    [
        (mapping(), THERE, ""),
        (mapping(target="nas"), THERE, ""),
        (mapping(target="gw"), THERE, ""),
        (mapping(target="gw", connection=LTE), THERE, ""),
        (mapping(connection=GONE), THERE, "its connection is not present"),
        (mapping(connection=GONE), InForce(interfaces={}), "its connection is not present"),
        (
            mapping(),
            InForce(interfaces=THERE.interfaces),
            "wan0 is neither the public connection nor protected by a firewall",
        ),
        (mapping(target="tv"), THERE, "no client with the name tv is known"),
        (
            mapping(connection=LTE),
            THERE,
            "wan1 is not shared, so packets cannot be passed on to 192.168.137.2",
        ),
    ],
)
def test_what_becomes_of_a_mapping_and_why(one: PortMapping, there: InForce, text: str) -> None:
    found = placed(one, there)
    assert found.text == text
    assert bool(found.elements) == bool(sockets(found)) == (not text)


def test_the_lower_number_has_the_slot_that_two_want() -> None:
    first, second = mapping(1, 8080), mapping(2, 8081)
    found = holders([placed(second), placed(first)])
    sources = [(number, one) for number, one in found.values() if one.name == "mapped_sources"]
    assert sources == [(1, Element("icshare", "mapped_sources", ("192.168.137.2", "tcp", 80), (8080,)))]
    assert {number for number, _ in found.values()} == {1, 2}


def test_an_exchange_leaves_alone_what_stays() -> None:
    before, after = by_slot(placed(mapping(count=2)).elements), by_slot(placed(mapping(count=3)).elements)
    swap = exchange(before, after)
    assert swap.remove == ()
    assert {one.key[1] for one in swap.add if one.name == "port_mappings"} == {8082}
    moved = exchange(before, by_slot(placed(mapping(count=2, target="192.168.137.3")).elements))
    assert len([one for one in moved.remove if one.name == "port_mappings"]) == 2
    assert not exchange(before, before)


def test_a_swap_back_brings_elements_and_no_connections() -> None:
    here, there = (Element("icshare", "mapped_ports", ("tcp", port)) for port in (1, 2))
    cut = (Socket(TCP, 1, NAS, 1),)
    assert Swap(remove=(here,), add=(there,), cut=cut).reversed == Swap(remove=(there,), add=(here,))
    assert (bool(Swap(cut=cut)), bool(Swap())) == (True, False)


def test_sockets_that_no_mapping_opens_any_more_are_cut() -> None:
    before = [placed(mapping(1, count=2)), placed(mapping(2, 53, 53, target="gw", protocol=UDP))]
    assert gone_sockets(before, []) == (
        Socket(TCP, 8080, NAS, 80),
        Socket(TCP, 8081, NAS, 81),
        Socket(UDP, 53, None, 53),
    )
    assert gone_sockets(before, before) == ()
    assert gone_sockets(before[:1], [placed(mapping(count=1))]) == (Socket(TCP, 8081, NAS, 81),)
    assert gone_sockets([placed(mapping(connection=GONE))], []) == ()


def test_rivals_may_lead_to_the_same_socket() -> None:
    one = mapping(1)
    others = [
        mapping(2, 8081),
        mapping(3, 8082, enabled=False),
        mapping(4, 8083, 81),
        mapping(5, 8084, 999, target="tv"),
        mapping(6, 8085, protocol=UDP),
        mapping(7, 8086, connection=LTE),
        mapping(8, 8087, 79, count=2),
    ]
    found = state([one, *others])
    assert [rival.number for rival in rivals_of(found, [placed(one)])] == [1, 2, 5, 8]
    assert rivals_of(found, [placed(mapping(9, connection=GONE))]) == ()


def test_a_rival_by_name_and_one_by_address_find_each_other() -> None:
    named, numbered = mapping(1, target="nas"), mapping(2, 8081)
    found = state([named, numbered])
    for one in (named, numbered):
        assert [rival.number for rival in rivals_of(found, [placed(one)])] == [1, 2]


def test_external_slots_are_those_that_every_target_has_and_those_of_this_host() -> None:
    names = {(table, name, key) for table, name, key in external_slots(placed(mapping(target="tv")))}
    assert names == {
        ("icshare", "port_mappings", ("tcp", 8080)),
        ("icshare", "mapped_ports", ("tcp", 8080)),
        ("icshare", "own_ports", ("tcp", 8080)),
        ("icshare_firewall", "holes_tcp", ("wan0", 8080)),
    }


def test_where_only_the_kernel_knows_the_sockets_of_its_elements_are_cut() -> None:
    gone = (*placed(mapping(count=2)).elements, *placed(mapping(2, 53, 54, target="gw")).elements)
    assert sockets_of(gone) == (Socket(TCP, 8080, NAS, 80), Socket(TCP, 8081, NAS, 81))
    assert slot(gone[0]) == ("icshare", "port_mappings", ("tcp", 8080))
