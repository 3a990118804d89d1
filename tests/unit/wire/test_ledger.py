"""The ledger: what is carried over, and its sets as nft reads and lists them."""

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest

from icshare.errors import HostError
from icshare.wire.fastpath import Account, Counter
from icshare.wire.ledger import EARLIER, SETS, Books, carry_over, read_books, total, without, write_books

ONE, OTHER = Account(IPv4Address("192.168.137.9")), Account(IPv4Address("192.168.137.10"))
MAPPING = Account(IPv4Address("192.168.137.9"), 80, 8080, 6)
DATAGRAMS = Account(IPv4Address("192.168.137.9"), 53, 53, 17)
SIX = Account(IPv6Address("fd00::9"))


def counter(packets: int) -> Counter:
    """Return a counter whose parts differ."""
    return Counter(100 * packets, packets, 2000 * packets, 2 * packets)


BOOKS: Books = {
    EARLIER: {ONE: counter(1), MAPPING: counter(2)},
    7: {OTHER: counter(3), ONE: counter(4), DATAGRAMS: counter(5)},
}


def listed(name: str, *elements: Any) -> dict[str, Any]:
    return {"set": {"family": "inet", "table": "icshare", "name": name, "elem": list(elements)}}


def element(packets: int, octets: int, *key: Any) -> dict[str, Any]:
    return {"elem": {"val": {"concat": list(key)}, "counter": {"packets": packets, "bytes": octets}}}


def test_what_goes_is_kept_under_its_own_source() -> None:
    assert carry_over({}, {7: {ONE: counter(1)}}, frozenset()) == {7: {ONE: counter(1)}}


def test_what_goes_takes_the_place_of_what_was_kept_of_it_before() -> None:
    before = {7: {ONE: counter(1), OTHER: counter(1)}}
    assert carry_over(before, {7: {ONE: counter(2)}}, frozenset()) == {7: {ONE: counter(2)}}


def test_sources_that_are_gone_become_one() -> None:
    before = {EARLIER: {ONE: counter(1)}, 7: {ONE: counter(2)}, 8: {OTHER: counter(3)}}
    kept = carry_over(before, {9: {ONE: counter(4)}}, frozenset())
    assert kept == {EARLIER: {ONE: counter(3), OTHER: counter(3)}, 9: {ONE: counter(4)}}


def test_of_a_source_that_stays_nothing_is_kept() -> None:
    """Somebody was killed who was about to take it away."""
    assert carry_over({7: {ONE: counter(1)}}, {8: {OTHER: counter(1)}}, frozenset({7})) == {8: {OTHER: counter(1)}}


def test_what_has_counted_nothing_is_not_written_down() -> None:
    assert carry_over({}, {7: {ONE: Counter()}, 8: {}}, frozenset()) == {}


def test_the_sum_is_that_of_all_sources_but_the_live_ones() -> None:
    assert total(BOOKS, frozenset())[ONE] == counter(5)
    assert total(BOOKS, frozenset({7})) == {ONE: counter(1), MAPPING: counter(2)}


def test_what_is_forgotten_is_forgotten_of_all_sources() -> None:
    assert without(BOOKS, {ONE, MAPPING}) == {7: {OTHER: counter(3), DATAGRAMS: counter(5)}}
    assert without(BOOKS, {SIX}) == BOOKS


TEXT = """\
add set inet icshare fast_sent { type mark . ipv4_addr; counter; }
flush set inet icshare fast_sent
add element inet icshare fast_sent { 0 . 192.168.137.9 counter packets 1 bytes 100, \
7 . 192.168.137.9 counter packets 4 bytes 400, 7 . 192.168.137.10 counter packets 3 bytes 300 }
add set inet icshare fast_received { type mark . ipv4_addr; counter; }
flush set inet icshare fast_received
add element inet icshare fast_received { 0 . 192.168.137.9 counter packets 2 bytes 2000, \
7 . 192.168.137.9 counter packets 8 bytes 8000, 7 . 192.168.137.10 counter packets 6 bytes 6000 }
add set inet icshare fast_mapped_sent { type mark . inet_proto . inet_service . ipv4_addr . inet_service; counter; }
flush set inet icshare fast_mapped_sent
add element inet icshare fast_mapped_sent { 0 . 6 . 8080 . 192.168.137.9 . 80 counter packets 2 bytes 200, \
7 . 17 . 53 . 192.168.137.9 . 53 counter packets 5 bytes 500 }
add set inet icshare fast_mapped_received { type mark . inet_proto . inet_service . ipv4_addr . inet_service; counter; }
flush set inet icshare fast_mapped_received
add element inet icshare fast_mapped_received { 0 . 6 . 8080 . 192.168.137.9 . 80 counter packets 4 bytes 4000, \
7 . 17 . 53 . 192.168.137.9 . 53 counter packets 10 bytes 10000 }
"""


def test_the_books_as_a_transaction() -> None:
    """IPv6 is not shared, and none of it is kept."""
    assert write_books("icshare", {**BOOKS, 8: {SIX: counter(6)}}) == TEXT


def test_empty_books_empty_the_sets() -> None:
    lines = write_books("icshare", {}).splitlines()
    assert [line.split()[0] for line in lines] == ["add", "flush"] * len(SETS)


def test_the_books_as_nft_lists_them() -> None:
    found = read_books(
        [
            {"metainfo": {"version": "1.0.6"}},
            listed("sent", element(1, 1, 1, "192.0.2.1")),
            listed("fast_sent", element(1, 100, 0, "192.168.137.9"), element(4, 400, 7, "192.168.137.9")),
            listed("fast_sent", element(3, 300, 7, "192.168.137.10")),
            listed("fast_received", element(2, 2000, 0, "192.168.137.9"), element(8, 8000, 7, "192.168.137.9")),
            listed("fast_received", element(6, 6000, 7, "192.168.137.10")),
            listed("fast_mapped_sent", element(2, 200, 0, "tcp", 8080, "192.168.137.9", 80)),
            listed("fast_mapped_sent", element(5, 500, 7, "udp", 53, "192.168.137.9", 53)),
            listed("fast_mapped_received", element(4, 4000, 0, "tcp", 8080, "192.168.137.9", 80)),
            listed("fast_mapped_received", element(10, 10000, 7, "udp", 53, "192.168.137.9", 53)),
        ]
    )
    assert found == BOOKS


def test_a_set_without_elements_has_nothing() -> None:
    assert read_books([{"set": {"name": "fast_sent"}}]) == {}


@pytest.mark.parametrize(
    "one",
    [
        listed("fast_sent", "192.168.137.9"),
        listed("fast_sent", {"elem": {"val": "192.168.137.9"}}),
        listed("fast_sent", element(1, 1, 0, "192.168.137.9", 80)),
        listed("fast_sent", {"elem": {"val": {"concat": [0, "192.168.137.9"]}}}),
        listed("fast_received", element(1, 1, 0, "eth0")),
        listed("fast_mapped_sent", element(1, 1, 0, "esp", 8080, "192.168.137.9", 80)),
        listed("fast_mapped_sent", element(1, 1, 0, 6, 8080, "192.168.137.9", 80)),
    ],
)
def test_a_set_of_another_type_is_not_ours(one: dict[str, Any]) -> None:
    with pytest.raises(HostError, match="is not icshare's"):
        read_books([one])
