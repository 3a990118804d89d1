"""Requests that change the host, read back by the readers; and what the kernel showed, given back to it."""

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.unit.wire import kernel
from tests.unit.wire.kernel import ADDRESSES, NEIGHBOURS, ROUTES, RULES

from icshare.errors import HostError
from icshare.model.link import Address, IfIndex, Route
from icshare.model.names import InterfaceName, MacAddress
from icshare.wire import netlink as nl
from icshare.wire import rtchange, rtreplay
from icshare.wire import rtnetlink as rt

SEVEN = IfIndex(7)
BRIDGE = InterfaceName("ics-br0")
CREATE = nl.NLM_F_CREATE | nl.NLM_F_EXCL


def addresses() -> dict[str, Address]:
    return {name: one for name, raw in ADDRESSES.items() if (one := rt.parse_address(raw)) is not None}


def routes() -> dict[str, Route]:
    return {name: one for name, raw in ROUTES.items() if (one := rt.parse_route(raw)) is not None}


def attributes(payload: bytes, header: struct.Struct) -> dict[int, bytes]:
    return nl.attributes(payload, header.size)


def with_attribute(raw: bytes, kind: int, value: bytes, header: struct.Struct) -> bytes:
    """Return *raw* with its attribute *kind* replaced."""
    found = nl.attribute_list(raw, header.size)
    return raw[: header.size] + b"".join(nl.attribute(one, value if one == kind else old) for one, old in found)


# ---------------------------------------------------------------------------------------------------------- links


@pytest.mark.parametrize("up", [True, False])
def test_a_bridge_is_made_with_all_it_needs_at_once(up: bool) -> None:
    request = rtchange.create_bridge(BRIDGE, mac=MacAddress("52:54:00:00:00:01"), mtu=1400, up=up)
    assert (request.type, request.flags) == (rt.RTM_NEWLINK, CREATE)
    # The kernel gives the number; everything else is as in its own message of the new link.
    made = rt.parse_link(rt.IFINFO.pack(0, 1, 7, 0, 0) + request.payload[rt.IFINFO.size :])
    assert (made.name, made.kind, made.mtu, made.address) == (BRIDGE, "bridge", 1400, "52:54:00:00:00:01")
    assert rt.IFINFO.unpack_from(request.payload)[3:] == ((1, 1) if up else (0, 0))
    info = nl.attributes(attributes(request.payload, rt.IFINFO)[rt.IFLA_LINKINFO])
    assert nl.attributes(info[rt.IFLA_INFO_DATA]) == {1: bytes(4), 5: bytes(4), 23: b"\x01"}


def test_a_bridge_without_wishes_follows_its_ports() -> None:
    found = attributes(rtchange.create_bridge(BRIDGE, mac=None).payload, rt.IFINFO)
    assert set(found) == {rt.IFLA_IFNAME, rt.IFLA_LINKINFO}


def test_a_link_is_changed_in_one_thing_only() -> None:
    for up in (True, False):
        request = rtchange.set_up(SEVEN, up=up)
        assert (request.type, request.payload) == (rt.RTM_NEWLINK, rt.IFINFO.pack(0, 0, 7, int(up), 1))
        assert request.purpose.endswith("up" if up else "down")
    assert attributes(rtchange.set_mtu(SEVEN, 1400).payload, rt.IFINFO) == {rt.IFLA_MTU: struct.pack("=I", 1400)}
    assert attributes(rtchange.set_alias(SEVEN, "Büro").payload, rt.IFINFO) == {rt.IFLA_IFALIAS: "Büro".encode()}
    joined = rtchange.set_master(SEVEN, IfIndex(9))
    assert attributes(joined.payload, rt.IFINFO) == {rt.IFLA_MASTER: struct.pack("=I", 9)}
    released = rtchange.set_master(SEVEN, None)
    assert attributes(released.payload, rt.IFINFO) == {rt.IFLA_MASTER: bytes(4)}
    assert "release" in released.purpose
    assert rtchange.delete_link(SEVEN).type == rt.RTM_DELLINK


# ------------------------------------------------------------------------------------------------------ addresses

interfaces = st.one_of(
    st.builds(lambda number, length: IPv4Interface((number, length)), st.integers(1, 2**32 - 1), st.integers(0, 32)),
    st.builds(lambda number, length: IPv6Interface((number, length)), st.integers(1, 2**128 - 1), st.integers(0, 128)),
)


@given(interfaces)
def test_an_address_is_added_as_it_will_be_shown(interface: IPv4Interface | IPv6Interface) -> None:
    request = rtchange.add_address(SEVEN, interface)
    assert (request.type, request.flags) == (rt.RTM_NEWADDR, CREATE)
    shown = rt.parse_address(request.payload)
    assert shown == Address(index=SEVEN, interface=interface)
    broadcast = attributes(request.payload, rt.IFADDR).get(rt.IFA_BROADCAST)
    wanted = interface.version == 4 and interface.network.prefixlen < 31
    assert broadcast == (interface.network.broadcast_address.packed if wanted else None)
    deleted = rtchange.delete_address(Address(index=SEVEN, interface=interface))
    assert rt.parse_address(deleted.payload) == shown
    assert deleted.type == rt.RTM_DELADDR


def test_the_scope_of_an_address_is_its_own() -> None:
    for text, scope in (("169.254.1.1/16", 253), ("192.0.2.1/24", 0), ("fe80::1/64", 253), ("2001:db8::1/64", 0)):
        assert rtchange.add_address(SEVEN, ip_interface(text)).payload[3] == scope


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_comes_back_as_it_was_shown(name: str) -> None:
    shown = addresses()[name]
    request = rtchange.restore_address(shown)
    assert request is not None
    assert rt.parse_address(request.payload) == shown
    before, after = (attributes(one, rt.IFADDR) for one in (shown.raw, request.payload))
    assert {kind for kind, value in before.items() if value != after[kind]} <= {rt.IFA_CACHEINFO}
    assert before[rt.IFA_CACHEINFO][:8] == after[rt.IFA_CACHEINFO][:8]


@pytest.mark.parametrize("name", ["with a peer", "IPv6 with a peer"])
def test_an_address_with_a_peer_is_deleted_by_both_ends(name: str) -> None:
    shown = addresses()[name]
    found = attributes(rtchange.delete_address(shown).payload, rt.IFADDR)
    assert found[rt.IFA_LOCAL] == shown.interface.ip.packed
    assert found[rt.IFA_ADDRESS] != shown.interface.ip.packed


def test_what_is_left_of_an_addresses_life_counts() -> None:
    shown = addresses()["IPv6, one hour"]  # 3600 seconds, preferred for 600
    request = rtchange.restore_address(shown, elapsed_seconds=100)
    assert request is not None
    assert struct.unpack_from("=II", attributes(request.payload, rt.IFADDR)[rt.IFA_CACHEINFO]) == (500, 3500)
    deprecated = rtchange.restore_address(shown, elapsed_seconds=3599)
    assert deprecated is not None
    assert struct.unpack_from("=II", attributes(deprecated.payload, rt.IFADDR)[rt.IFA_CACHEINFO]) == (0, 1)
    assert rtchange.restore_address(shown, elapsed_seconds=3600) is None
    assert rtchange.restore_address(addresses()["plain"], elapsed_seconds=10**9) is not None


# --------------------------------------------------------------------------------------------------------- routes

gateways = st.sampled_from([None, ip_address("192.0.2.1"), ip_address("fe80::1")])


@given(
    st.sampled_from(["0.0.0.0/0", "10.0.0.0/8", "192.0.2.1/32", "::/0", "2001:db8::/32"]).map(ip_network),
    gateways,
    st.sampled_from([1, 254, 255, 256, 13700, 2**32 - 1]),
    st.sampled_from([None, SEVEN]),
    st.sampled_from([0, 1, 1024]),
    st.sampled_from([(1, 3), (2, 4), (7, 16)]),
)
def test_a_route_is_added_as_it_will_be_shown(
    destination: IPv4Network | IPv6Network,
    gateway: IPv4Address | IPv6Address | None,
    table: int,
    index: IfIndex | None,
    metric: int,
    kind_and_protocol: tuple[int, int],
) -> None:
    # The kernel knows no IPv6 route over an IPv4 next hop.
    assume(gateway is None or destination.version == 4 or gateway.version == 6)
    kind, protocol = kind_and_protocol
    wanted = Route(
        table=table,
        destination=destination,
        gateway=gateway,
        index=index,
        metric=metric,
        protocol=protocol,
        type=kind,
    )
    request = rtchange.add_route(wanted)
    assert (request.type, request.flags) == (rt.RTM_NEWROUTE, nl.NLM_F_CREATE | nl.NLM_F_REPLACE)
    assert rt.parse_route(request.payload) == wanted
    assert rtchange.delete_route(wanted).payload == request.payload
    assert rtchange.delete_route(wanted).type == rt.RTM_DELROUTE


def test_the_scope_of_a_route_is_how_far_it_leads() -> None:
    near = Route(destination=ip_network("192.0.2.0/24"), index=SEVEN)
    for one, scope in (
        (near, 253),
        (replace(near, gateway=ip_address("192.0.2.1")), 0),
        (replace(near, type=2), 254),
        (replace(near, destination=ip_network("2001:db8::/64")), 0),
    ):
        assert rt.RTMSG.unpack_from(rtchange.add_route(one).payload)[6] == scope


@pytest.mark.parametrize("name", ROUTES)
def test_a_route_comes_back_as_it_was_shown(name: str) -> None:
    shown = routes()[name]
    request = rtchange.restore_route(shown)
    assert request is not None
    again = rt.parse_route(request.payload)
    assert again == (replace(shown, gateway=None, index=None) if name == "next hop object" else shown)
    assert rtchange.delete_route(shown).payload == request.payload


def test_a_next_hop_object_is_named_without_what_it_resolves_to() -> None:
    request = rtchange.restore_route(routes()["next hop object"])
    assert request is not None
    found = attributes(request.payload, rt.RTMSG)
    assert found[rtreplay.RTA_NH_ID] == struct.pack("=I", 7)
    assert not {rt.RTA_GATEWAY, rt.RTA_OIF} & set(found)


def test_what_is_left_of_a_routes_life_counts_in_seconds() -> None:
    shown = routes()["IPv6, ten minutes"]
    request = rtchange.restore_route(shown, elapsed_seconds=100)
    assert request is not None
    found = attributes(request.payload, rt.RTMSG)
    assert 490 <= nl.read_u32(found[rtreplay.RTA_EXPIRES]) <= 500
    assert rtreplay.RTA_CACHEINFO not in found
    assert rtchange.restore_route(shown, elapsed_seconds=600) is None
    for_ever = with_attribute(shown.raw, rtreplay.RTA_CACHEINFO, bytes(32), rt.RTMSG)
    kept = rtreplay.route_payload(for_ever, elapsed_seconds=10**9)
    assert kept is not None
    assert not {rtreplay.RTA_CACHEINFO, rtreplay.RTA_EXPIRES} & set(attributes(kept, rt.RTMSG))
    assert rtreplay.route_payload(with_attribute(shown.raw, 12, b"short", rt.RTMSG), elapsed_seconds=0) == kept


def test_what_the_kernel_found_out_itself_is_not_told_back() -> None:
    hop = rt.RTNEXTHOP.pack(8, 0x1 | 0x4 | 0x10, 0, 3)  # dead, onlink, link down
    header = rt.RTMSG.pack(rt.AF_INET, 0, 0, 0, 254, 3, 0, 1, 0x4000 | 0x1000)  # offloaded, looked up by the table
    payload = rtreplay.route_payload(header + nl.attribute(rt.RTA_MULTIPATH, hop), elapsed_seconds=0)
    assert payload is not None
    assert rt.RTMSG.unpack_from(payload)[8] == 0x1000
    assert rt.RTNEXTHOP.unpack(attributes(payload, rt.RTMSG)[rt.RTA_MULTIPATH])[1] == 0x4


def test_multipath_routes_are_only_restored() -> None:
    with pytest.raises(AssertionError, match="only ever restored"):
        rtchange.add_route(routes()["multipath"])


# ------------------------------------------------------------------------------------------- rules and neighbours


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("table", [None, 254, 13700])
@pytest.mark.parametrize("iif", [None, InterfaceName("lan0")])
@pytest.mark.parametrize("account", [None, 65_527])
@pytest.mark.parametrize("suppressed", [None, 0])
def test_a_rule_is_added_and_deleted_by_the_same_words(
    family: int, table: int | None, iif: InterfaceName | None, account: int | None, suppressed: int | None
) -> None:
    added, deleted = (
        build(family, priority=13700, iif=iif, account=account, table=table, suppress_prefixlength=suppressed)
        for build in (rtchange.add_rule, rtchange.delete_rule)
    )
    assert (added.type, added.flags, deleted.type) == (rt.RTM_NEWRULE, CREATE, rt.RTM_DELRULE)
    assert added.payload == deleted.payload
    shown = rt.parse_rule(added.payload)
    assert shown is not None
    assert (shown.family, shown.priority, shown.iif) == (family, 13700, iif or "")
    assert shown.accounts == (None if account is None else (account, account))
    found = attributes(added.payload, rt.FIB_RULE)
    assert found.get(rt.FRA_TABLE) == (None if table is None else struct.pack("=I", table))
    assert found.get(rt.FRA_SUPPRESS_PREFIXLEN) == (None if suppressed is None else bytes(4))
    assert rt.FIB_RULE.unpack_from(added.payload)[7] == (7 if table is None else 1)
    assert rt.FIB_RULE.unpack_from(added.payload)[4] == (254 if table == 254 else 0)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_comes_back_as_it_was_shown(name: str) -> None:
    shown = rt.parse_rule(RULES[name])
    assert shown is not None
    restored, removed = rtchange.restore_rule(shown), rtchange.remove_rule(shown)
    assert rt.parse_rule(restored.payload) == shown
    assert restored.payload == removed.payload
    assert (restored.type, removed.type) == (rt.RTM_NEWRULE, rt.RTM_DELRULE)
    # "unreachable" was asked for a link that does not exist: "detached" is the kernel's remark, not a part of the rule.
    assert rt.FIB_RULE.unpack_from(restored.payload)[8] == 0


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_a_neighbour_comes_back_as_it_was_shown(name: str) -> None:
    shown = rt.parse_neighbour(NEIGHBOURS[name])
    assert shown is not None
    restored, deleted = rtchange.restore_neighbour(shown), rtchange.delete_neighbour(shown)
    assert rt.parse_neighbour(restored.payload) == shown
    assert set(attributes(restored.payload, rt.NDMSG)) <= {rt.NDA_DST, rt.NDA_LLADDR}
    gone = rt.parse_neighbour(deleted.payload)
    assert gone is not None
    assert (deleted.type, gone.index, gone.address) == (rt.RTM_DELNEIGH, shown.index, shown.address)


# -------------------------------------------------------------------------------------------------- what is broken

REPLAYS: list[tuple[Callable[[bytes], object], list[bytes]]] = [
    (lambda raw: rtreplay.address_payload(raw, elapsed_seconds=1), list(ADDRESSES.values())),
    (rtreplay.address_key, list(ADDRESSES.values())),
    (lambda raw: rtreplay.route_payload(raw, elapsed_seconds=1), list(ROUTES.values())),
    (rtreplay.rule_payload, list(RULES.values())),
    (rtreplay.neighbour_payload, list(NEIGHBOURS.values())),
]


@pytest.mark.parametrize(("replay", "samples"), REPLAYS)
@given(data=st.data())
def test_no_bytes_break_a_replay(replay: Callable[[bytes], object], samples: list[bytes], data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(samples) | st.binary(max_size=80))
    end = data.draw(st.integers(0, len(sample)))
    with suppress(HostError):
        found = replay(sample[:end])
        assert found is None or isinstance(found, bytes)


@pytest.mark.parametrize(
    ("replay", "raw", "words"),
    [
        (REPLAYS[0][0], bytes(3), "truncated: 3 bytes"),
        (REPLAYS[0][0], bytes(8) + nl.attribute(rt.IFA_CACHEINFO, bytes(4)), "lifetimes of 4 bytes"),
        (REPLAYS[2][0], bytes(12) + nl.attribute(rt.RTA_MULTIPATH, bytes(3)), "truncated: 3 bytes left"),
        (REPLAYS[2][0], bytes(12) + nl.attribute(rt.RTA_MULTIPATH, bytes(8)), "claims 0 bytes where 8"),
    ],
)
def test_a_recorded_message_that_is_broken_is_refused(
    replay: Callable[[bytes], object], raw: bytes, words: str
) -> None:
    with pytest.raises(HostError, match=words):
        replay(raw)


def test_recorded_links_are_there() -> None:
    assert len(kernel.LINKS) > 70
