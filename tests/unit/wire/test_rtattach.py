"""Programs on links, as bytes: what is asked of the kernel, and what it tells."""

import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import HostError
from icshare.model.link import IfIndex
from icshare.wire import netlink as nl
from icshare.wire import rtattach
from icshare.wire.netlink import NLM_F_CREATE, NLM_F_EXCL, attribute, attributes, nested, text, u8, u32
from icshare.wire.rtattach import AttachableLink, Discipline, Filter
from icshare.wire.rtnetlink import IFINFO

LINK = IfIndex(7)
TCMSG = struct.Struct("=BxxxiIII")
INGRESS = 0xFFFFFFF2


def xdp(request: nl.Request) -> dict[int, int]:
    """Return index 0 and the members of IFLA_XDP of a request."""
    _, _, index, _, _ = IFINFO.unpack_from(request.payload)
    members = attributes(attributes(request.payload, IFINFO.size)[43])
    return {0: index, **{kind: struct.unpack("=i", value)[0] for kind, value in members.items()}}


def link(*members: bytes) -> AttachableLink:
    payload = IFINFO.pack(0, 1, LINK, 0, 0) + text(3, "lan0") + b"".join(members)
    return rtattach.parse_attachable(payload)


def test_xdp_is_attached_in_the_driver_and_only_where_nothing_is() -> None:
    request = rtattach.attach_xdp(LINK, 5)
    assert request.type == 19
    assert xdp(request) == {0: 7, 1: 5, 3: 0x4 | 0x1}


def test_xdp_takes_the_place_of_the_program_it_expects() -> None:
    assert xdp(rtattach.attach_xdp(LINK, 5, expected=4)) == {0: 7, 1: 5, 3: 0x4 | 0x10, 8: 4}


def test_xdp_is_taken_away_only_if_it_is_the_program_expected() -> None:
    assert xdp(rtattach.detach_xdp(LINK, 4)) == {0: 7, 1: -1, 3: 0x4 | 0x10, 8: 4}


def test_a_link_without_xdp_is_read() -> None:
    found = link(attribute(1, b"\x02\0\0\0\0\1"), u32(10, 3), text(6, "fq_codel"), nested(43, u8(2, 0)))
    assert found == AttachableLink(index=LINK, name="lan0", type=1, address=b"\x02\0\0\0\0\1", master=3)


@pytest.mark.parametrize(
    ("members", "identifier", "other"),
    [
        ((u8(2, 1), u32(4, 90), u32(5, 90)), 90, ""),
        ((u8(2, 2), u32(4, 91), u32(6, 91)), 0, "xdpgeneric"),
        ((u8(2, 3), u32(4, 92), u32(7, 92)), 0, "xdpoffload"),
        ((u8(2, 4), u32(5, 93), u32(7, 94)), 93, "xdpoffload"),
        ((u8(2, 4), u32(5, 93), u32(6, 94)), 93, "xdpgeneric"),
        ((u8(2, 4), u32(7, 94)), 0, "xdpoffload"),
        ((u8(2, 1),), 0, ""),
        ((), 0, ""),
    ],
    ids=[
        "driver",
        "generic",
        "hardware",
        "both",
        "driver_and_generic",
        "no_driver_among_several",
        "driver_without_number",
        "nothing",
    ],
)
def test_the_modes_of_xdp_are_told_apart(members: tuple[bytes, ...], identifier: int, other: str) -> None:
    found = link(nested(43, *members))
    assert (found.xdp, found.other_xdp) == (identifier, other)


def test_a_link_that_tells_nothing_is_read() -> None:
    assert rtattach.parse_attachable(IFINFO.pack(0, 65534, 7, 0, 0)) == AttachableLink(index=LINK, name="", type=65534)


def test_clsact_is_made_only_where_there_is_none() -> None:
    request = rtattach.add_clsact(LINK)
    assert (request.type, request.flags) == (36, NLM_F_CREATE | NLM_F_EXCL)
    assert TCMSG.unpack_from(request.payload) == (0, 7, 0xFFFF0000, 0xFFFFFFF1, 0)
    assert rtattach.delete_clsact(LINK).type == 37
    assert rtattach.parse_discipline(request.payload) == Discipline(index=LINK, kind="clsact", filtering=True)


@pytest.mark.parametrize(
    ("parent", "kind", "filtering"),
    [
        (0xFFFFFFF1, "ingress", True),
        (0xFFFFFFF1, "other", False),
        (0xFFFFFFFF, "fq_codel", False),
        (0xFFFFFFFF, "clsact", False),
    ],
)
def test_disciplines_that_filters_hang_on_are_told_from_those_that_queue(
    parent: int, kind: str, filtering: bool
) -> None:
    found = rtattach.parse_discipline(TCMSG.pack(0, 7, 0, parent, 0) + text(1, kind))
    assert found == Discipline(index=LINK, kind=kind, filtering=filtering)


def test_a_filter_in_a_chain_and_one_that_several_links_share_are_read() -> None:
    found = rtattach.parse_filter(TCMSG.pack(0, 7, 1, INGRESS, 5 << 16) + text(1, "bpf") + u32(11, 3))
    assert found == Filter(index=LINK, chain=3, priority=5, handle=1, kind="bpf")
    shared = rtattach.parse_filter(TCMSG.pack(0, -1, 1, 22, 5 << 16) + text(1, "flower"))
    assert shared == Filter(index=IfIndex(-1), block=22, priority=5, handle=1, kind="flower")


def test_filters_behind_ours_and_in_its_place_are_late() -> None:
    def late(priority: int, *, egress: bool = False) -> bool:
        return Filter(index=LINK, priority=priority, handle=1, kind="bpf", egress=egress).late

    assert [late(one) for one in (1, 13699, 13700, 13701, 49152)] == [False, False, True, True, True]
    assert not late(13701, egress=True)
    ours = Filter(index=LINK, priority=13700, handle=1, kind="bpf")
    assert ours.in_our_place
    others: list[dict[str, Any]] = [{"egress": True}, {"chain": 5}, {"block": 7}, {"handle": 2}, {"priority": 13701}]
    for other in others:
        assert not replace(ours, **other).in_our_place


def test_the_filter_decides_itself_and_has_a_place_of_its_own() -> None:
    request = rtattach.set_filter(LINK, 5, "icshare", replace=False)
    assert (request.type, request.flags) == (44, NLM_F_CREATE | NLM_F_EXCL)
    _, index, handle, parent, info = TCMSG.unpack_from(request.payload)
    assert (index, handle, parent, info >> 16) == (7, 1, INGRESS, 13700)
    assert (info & 0xFFFF).to_bytes(2, "little" if struct.pack("=H", 1)[0] else "big") == b"\0\3"
    found = attributes(request.payload, TCMSG.size)
    options = attributes(found[2])
    assert (found[1], options[6], options[7], options[8]) == (b"bpf\0", u32(6, 5)[4:], b"icshare\0", u32(8, 1)[4:])


def test_a_filter_is_exchanged_without_a_gap() -> None:
    assert rtattach.set_filter(LINK, 5, "icshare", replace=True).flags == NLM_F_CREATE


def test_only_our_filter_is_deleted() -> None:
    request = rtattach.delete_filter(LINK)
    assert request.type == 45
    _, index, handle, parent, info = TCMSG.unpack_from(request.payload)
    assert (index, handle, parent, info >> 16) == (7, 1, INGRESS, 13700)


def test_filters_of_both_directions_are_asked_for() -> None:
    parents = [TCMSG.unpack_from(rtattach.dump_filters(LINK, egress=one).payload)[3] for one in (False, True)]
    assert parents == [INGRESS, INGRESS + 1]
    assert rtattach.dump_qdiscs().type == 38


def test_a_filter_is_read() -> None:
    header = TCMSG.pack(0, 7, 1, INGRESS, 13700 << 16 | 0x300)
    options = nested(2, text(7, "icshare, with clsact"), u32(11, 90))
    found = rtattach.parse_filter(header + text(1, "bpf") + options)
    assert found == Filter(index=LINK, priority=13700, handle=1, kind="bpf", name="icshare, with clsact", program=90)
    assert found.in_our_place


def test_a_filter_of_another_kind_is_read_without_its_options() -> None:
    """Options of other kinds use the same numbers for other things."""
    found = rtattach.parse_filter(TCMSG.pack(0, 7, 1, INGRESS, 1 << 16) + text(1, "flower") + nested(2, u32(11, 90)))
    assert found == Filter(index=LINK, priority=1, handle=1, kind="flower")
    assert not found.in_our_place


def test_a_filter_of_bytecode_has_no_program() -> None:
    found = rtattach.parse_filter(TCMSG.pack(0, 7, 1, INGRESS, 13700 << 16) + text(1, "bpf"))
    assert found is not None
    assert found.program == 0


def test_the_head_of_a_priority_is_no_filter() -> None:
    assert rtattach.parse_filter(TCMSG.pack(0, 7, 0, INGRESS, 13700 << 16) + text(1, "bpf")) is None


@given(st.binary(max_size=80))
def test_random_bytes_are_read_or_refused(data: bytes) -> None:
    for parse in (rtattach.parse_attachable, rtattach.parse_discipline, rtattach.parse_filter):
        try:
            parse(data)
        except HostError:
            continue
