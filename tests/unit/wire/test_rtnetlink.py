"""What the kernel says about links, addresses, routes, rules and neighbours: recorded messages and random bytes."""

import struct
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.wire import kernel
from tests.unit.wire.kernel import ADDRESSES, LINKS, NEIGHBOURS, ROUTES, RULES

from icshare.errors import HostError
from icshare.model.link import Address, IfIndex, Route
from icshare.wire import netlink as nl
from icshare.wire import rtnetlink as rt

WLAN, CARD = kernel.link("wifi_station"), kernel.link("ethernet_card")

PARSERS: list[tuple[Callable[[bytes], object], list[bytes]]] = [
    (rt.parse_link, [WLAN, CARD]),
    (rt.parse_address, list(ADDRESSES.values())),
    (rt.parse_route, list(ROUTES.values())),
    (rt.parse_rule, list(RULES.values())),
    (rt.parse_neighbour, list(NEIGHBOURS.values())),
]


def link(*parts: bytes, index: int = 7) -> bytes:
    return rt.IFINFO.pack(0, 1, index, 0, 0) + b"".join(parts)


def route(*parts: bytes, family: int = rt.AF_INET, prefix: int = 0, flags: int = 0) -> bytes:
    return rt.RTMSG.pack(family, prefix, 0, 0, 254, 3, 0, 1, flags) + b"".join(parts)


def address(family: int, prefix: int, *parts: bytes) -> bytes:
    return rt.IFADDR.pack(family, prefix, 0, 0, 7) + b"".join(parts)


def parsed_route(name: str) -> Route:
    found = rt.parse_route(ROUTES[name])
    assert found is not None
    return found


def parsed_address(name: str) -> Address:
    found = rt.parse_address(ADDRESSES[name])
    assert found is not None
    return found


def test_a_card_is_read_with_its_place_on_the_bus() -> None:
    found = rt.parse_link(CARD)
    assert (found.name, found.type, found.mtu, found.address) == ("eth0", 1, 1500, "52:54:00:12:34:56")
    assert (found.parent_bus, found.parent_device) == ("pci", "0000:00:06.0")
    assert found.permanent_address == "52:54:00:12:34:56"
    assert (found.kind, found.master, found.lower, found.carrier, found.operstate) == ("", None, None, False, 2)


def test_a_link_names_its_master_and_what_it_stands_on() -> None:
    bare = nl.text(rt.IFLA_IFNAME, "eth0.5")
    found = rt.parse_link(link(bare, nl.u32(rt.IFLA_LINK, 3), nl.u32(rt.IFLA_MASTER, 4)))
    assert (found.lower, found.master) == (3, 4)


def test_a_vlan_has_a_number() -> None:
    number = nl.attribute(rt.IFLA_VLAN_ID, struct.pack("=H", 7))
    info = nl.nested(rt.IFLA_LINKINFO, nl.text(rt.IFLA_INFO_KIND, "vlan"), nl.nested(rt.IFLA_INFO_DATA, number))
    assert rt.parse_link(link(nl.text(rt.IFLA_IFNAME, "eth0.7"), info)).vlan == 7


def test_what_a_link_stands_on_in_another_namespace_is_not_ours_to_number() -> None:
    parts = (nl.text(rt.IFLA_IFNAME, "v0"), nl.u32(rt.IFLA_LINK, 3), nl.u32(rt.IFLA_LINK_NETNSID, 0))
    assert rt.parse_link(link(*parts)).lower is None


def test_a_link_that_stands_on_itself_stands_on_nothing() -> None:
    assert rt.parse_link(link(nl.text(rt.IFLA_IFNAME, "t0"), nl.u32(rt.IFLA_LINK, 7))).lower is None


def test_a_link_without_name_or_number_is_refused() -> None:
    with pytest.raises(HostError, match="lacks a name"):
        rt.parse_link(link())
    with pytest.raises(HostError, match="index 0"):
        rt.parse_link(link(nl.text(rt.IFLA_IFNAME, "v0"), index=0))


@pytest.mark.parametrize("path", LINKS, ids=lambda path: path.parent.name)
def test_every_recorded_link_is_read_whole(path: Path) -> None:
    found = rt.parse_link(bytes.fromhex(path.read_text(encoding="ascii")))
    assert found.name
    assert found.mtu > 0 or path.parent.name == "netlink_monitor"
    assert found.type > 0


@pytest.mark.parametrize(
    ("name", "interface", "peer", "secondary"),
    [
        ("plain", IPv4Interface("192.0.2.1/24"), None, False),
        ("with a peer", IPv4Interface("10.0.0.1/32"), "10.0.0.2", False),
        ("secondary, one hour", IPv4Interface("192.0.2.2/24"), None, True),
        ("IPv6, one hour", IPv6Interface("2001:db8::1/64"), None, False),
        ("IPv6 with a peer", IPv6Interface("2001:db8:1::1/128"), "2001:db8:1::2", False),
    ],
)
def test_our_own_address_is_told_from_the_peers(
    name: str, interface: IPv4Interface | IPv6Interface, peer: str | None, secondary: bool
) -> None:
    found = parsed_address(name)
    assert (found.index, found.interface, found.secondary) == (3, interface, secondary)
    assert found.peer == (ip_address(peer) if peer else None)
    assert found.connected == (ip_network(peer) if peer else interface.network)
    assert found.raw == ADDRESSES[name]


def test_old_kernels_tell_a_secondary_address_in_the_header() -> None:
    packed = rt.IFADDR.pack(rt.AF_INET, 24, rt.IFA_F_SECONDARY, 0, 7) + nl.attribute(rt.IFA_LOCAL, bytes((10, 0, 0, 1)))
    found = rt.parse_address(packed)
    assert found is not None
    assert found.secondary


def test_routes_are_read_with_what_decides() -> None:
    default = parsed_route("default")
    assert default.destination == IPv4Network("0.0.0.0/0")
    assert default.gateway == ip_address("192.0.2.254")
    assert (default.table, default.index, default.metric, default.protocol, default.type) == (254, 3, 100, 16, 1)
    over_ipv6 = parsed_route("over IPv6")
    assert (over_ipv6.gateway, over_ipv6.table) == (ip_address("fe80::1"), 1000)
    assert default.source == ip_address("192.0.2.1")
    assert parsed_route("multipath").source is None
    nowhere = parsed_route("unreachable")
    assert (nowhere.type, nowhere.index, nowhere.gateway) == (7, None, None)
    assert parsed_route("multipath").nexthops == (3, 3)
    assert parsed_route("IPv6, ten minutes").destination == IPv6Network("2001:db8:2::/64")
    assert parsed_route("next hop object").gateway == ip_address("192.0.2.250")


def test_the_default_route_of_ipv6_has_no_destination() -> None:
    found = rt.parse_route(route(family=rt.AF_INET6))
    assert found is not None
    assert (found.destination, found.table) == (IPv6Network("::/0"), 254)


def test_a_next_hop_of_an_unknown_family_is_none_of_ours() -> None:
    found = rt.parse_route(route(nl.attribute(rt.RTA_VIA, b"\x63\x00abcdef")))
    assert found is not None
    assert found.gateway is None


@pytest.mark.parametrize(
    ("header", "attributes", "table", "selective"),
    [
        ({}, b"", 200, False),
        ({}, nl.u32(rt.FRA_TABLE, 51820), 51820, False),
        ({"source": 24}, b"", 200, True),
        ({"destination": 24}, b"", 200, True),
        ({"tos": 16}, b"", 200, True),
        ({}, nl.u32(10, 1), 200, True),
        ({"flags": 2}, nl.u32(10, 0xCA6C), 200, False),
        ({}, nl.attribute(rt.FRA_UID_RANGE, rt.UID_RANGE.pack(7, 9)), 200, True),
    ],
)
def test_a_rule_for_some_packets_only_is_told_from_one_for_all(
    header: dict[str, int], attributes: bytes, table: int, *, selective: bool
) -> None:
    """The seventh is wg-quick's: for all packets but the tunnel's own."""
    fields = [header.get(name, 0) for name in ("destination", "source", "tos")]
    payload = rt.FIB_RULE.pack(rt.AF_INET, *fields, 200, 0, 0, 1, header.get("flags", 0)) + attributes
    rule = rt.parse_rule(payload)
    assert rule is not None
    assert (rule.table, rule.selective) == (table, selective)


def test_rules_and_neighbours_are_read() -> None:
    rules = [rt.parse_rule(RULES[name]) for name in ("lookup", "unreachable", "local")]
    assert [(one.family, one.priority, one.iif) for one in rules if one] == [
        (4, 100, "v0"),
        (6, 101, "gone0"),
        (4, 0, ""),
    ]
    entries = [rt.parse_neighbour(NEIGHBOURS[name]) for name in ("permanent", "IPv6", "failed")]
    assert [(str(one.address), one.mac, one.state) for one in entries if one] == [
        ("192.0.2.9", "52:54:00:00:00:99", 0x80),
        ("2001:db8::9", "52:54:00:00:00:98", 0x4),
        ("192.0.2.10", None, 0x20),
    ]


def test_other_families_are_passed_over() -> None:
    bridge, multicast = 7, 128
    assert rt.parse_address(address(bridge, 0)) is None
    assert rt.parse_route(route(family=multicast)) is None
    assert rt.parse_rule(rt.FIB_RULE.pack(multicast, 0, 0, 0, 0, 0, 0, 1, 0)) is None
    assert rt.parse_neighbour(rt.NDMSG.pack(bridge, 7, 0, 0, 0)) is None
    assert rt.parse_route(route(flags=rt.RTM_F_CLONED)) is None


@pytest.mark.parametrize(
    ("parse", "payload", "words"),
    [
        (rt.parse_link, bytes(15), "link message is truncated"),
        (rt.parse_address, address(rt.AF_INET, 24), "address of 0 bytes"),
        (rt.parse_address, address(rt.AF_INET6, 64, nl.attribute(rt.IFA_ADDRESS, bytes(4))), "address of 4 bytes"),
        (rt.parse_address, address(rt.AF_INET, 33, nl.attribute(rt.IFA_LOCAL, bytes(4))), "prefix length of 33"),
        (rt.parse_route, route(prefix=24), "address of 0 bytes"),
        (rt.parse_route, route(nl.attribute(rt.RTA_VIA, b"\x0a")), "next hop of 1 bytes"),
        (rt.parse_route, route(nl.attribute(rt.RTA_MULTIPATH, bytes(7))), "truncated: 7 bytes left"),
        (rt.parse_route, route(nl.attribute(rt.RTA_MULTIPATH, rt.RTNEXTHOP.pack(12, 0, 0, 3))), "claims 12 bytes"),
        (rt.parse_neighbour, rt.NDMSG.pack(rt.AF_INET, 7, 0, 0, 0), "address of 0 bytes"),
    ],
)
def test_a_message_that_does_not_hold_what_it_must_is_refused(
    parse: Callable[[bytes], object], payload: bytes, words: str
) -> None:
    with pytest.raises(HostError, match=words):
        parse(payload)


@pytest.mark.parametrize(("parse", "samples"), PARSERS)
def test_a_message_cut_short_anywhere_is_read_or_refused(
    parse: Callable[[bytes], object], samples: list[bytes]
) -> None:
    refused = 0
    for sample in samples:
        for end in range(len(sample)):
            try:
                parse(sample[:end])
            except HostError:
                refused += 1
    assert refused


@pytest.mark.parametrize(("parse", "samples"), PARSERS)
@given(data=st.data())
def test_no_bytes_break_a_parser(parse: Callable[[bytes], object], samples: list[bytes], data: st.DataObject) -> None:
    sample = bytearray(data.draw(st.sampled_from(samples) | st.binary(max_size=100)))
    changes = st.lists(st.tuples(st.integers(0, max(0, len(sample) - 1)), st.integers(0, 255)), max_size=5)
    for place, value in data.draw(changes) if sample else []:
        sample[place] = value
    with suppress(HostError):
        found = parse(bytes(sample))
        assert found is None or hash(found)


def test_questions_ask_for_what_they_say() -> None:
    assert nl.attributes(rt.dump_links().payload, rt.IFINFO.size) == {rt.IFLA_EXT_MASK: b"\x08\0\0\0"}
    assert nl.attributes(rt.get_link("wan0").payload, rt.IFINFO.size)[rt.IFLA_IFNAME] == b"wan0\0"
    assert rt.IFINFO.unpack_from(rt.get_link_by_index(IfIndex(7)).payload)[2] == 7
    assert [one.type for one in (rt.dump_links(), rt.dump_addresses())] == [18, 22]
    for make, number in ((rt.dump_routes, 26), (rt.dump_rules, 34), (rt.dump_neighbours, 30)):
        request = make(rt.AF_INET6)
        assert (request.type, request.flags, request.payload[0]) == (number, nl.NLM_F_DUMP, rt.AF_INET6)
