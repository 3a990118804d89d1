"""What facts add up to."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.plan.test_staterecords import FACTS, ONE, TWO, WEB

from icshare.errors import InvalidRequestError
from icshare.model.firewall import FirewallOptions
from icshare.model.mapping import Protocol, parse_target
from icshare.model.state import Designation, State
from icshare.plan.statebook import Book
from icshare.plan.staterecords import Designated, Fact, Header, Mapped, Named, Protected, Removed, Seen

TCP = Protocol.TCP


def _book(*facts: Fact) -> Book:
    book = Book()
    book.take(facts)
    return book


def test_nothing_was_asked_for_at_first() -> None:
    state = Book().state
    assert state.designation == Designation()
    assert (*state.firewalls, *state.mappings, *state.names, *state.interfaces) == ()
    assert state.next_number == 1
    assert Book(Header(log="00", next=9)).state.next_number == 9


def test_the_last_fact_about_a_thing_counts() -> None:
    options = FirewallOptions(log_dropped=True)
    state = _book(
        *FACTS,
        Designated(designation=Designation(public=TWO)),
        Protected(connection=TWO, options=FirewallOptions()),
        Protected(connection=ONE, options=options),
        Protected(connection=TWO, options=None),
        Named(connection=ONE, name="Ethernet"),
        Seen(connection=ONE, interface="eth1"),
        Mapped(mapping=WEB),
    ).state
    assert state.designation == Designation(public=TWO)
    assert state.firewalls == {ONE: options}
    assert state.names == {ONE: "Ethernet"}
    assert state.interfaces == {ONE: "eth1"}
    assert state.mappings == {1: WEB}


def test_mappings_are_found_by_port_and_by_socket() -> None:
    named = replace(WEB, number=2, external=90, internal=90, count=2, target=parse_target("xbox"))
    book = _book(Mapped(mapping=WEB), Mapped(mapping=named))
    state = book.state
    assert state.by_port == {(ONE, TCP, 8080): 1, (ONE, TCP, 90): 2, (ONE, TCP, 91): 2}
    assert (len(state.by_port), len(state.by_socket)) == (3, 3)
    assert state.by_port.get((TWO, TCP, 8080)) is None
    assert {key: (*numbers,) for key, numbers in state.by_socket.items()} == {
        (ONE, TCP, "192.168.137.5", 80): (1,),
        (ONE, TCP, "xbox", 90): (2,),
        (ONE, TCP, "xbox", 91): (2,),
    }
    assert (*state.followed,) == (2,)
    book.take([Mapped(mapping=replace(named, count=1)), Mapped(mapping=replace(WEB, number=3, external=8081))])
    assert state.by_port == {(ONE, TCP, 8080): 1, (ONE, TCP, 90): 2, (ONE, TCP, 8081): 3}
    assert (*state.by_socket[ONE, TCP, "192.168.137.5", 80],) == (1, 3)
    book.take([Removed(number=1), Removed(number=2), Removed(number=1)])
    assert (*state.mappings,) == (3,)
    assert state.by_port == {(ONE, TCP, 8081): 3}
    assert (*state.by_socket[ONE, TCP, "192.168.137.5", 80],) == (3,)
    assert (*state.followed,) == ()


def test_sockets_are_the_same_whenever_they_are_asked_for_first() -> None:
    other = replace(WEB, number=2, external=8081)
    facts: list[Fact] = [
        Mapped(mapping=WEB),
        Mapped(mapping=other),
        Mapped(mapping=replace(WEB, internal=90)),
        Removed(number=2),
    ]
    late, early = Book(), Book()
    for fact in facts:
        late.take([fact])
        early.take([fact])
        assert early.state.by_socket
    assert late.state.by_socket == early.state.by_socket == {(ONE, TCP, "192.168.137.5", 90): (1,)}


def test_a_mapping_keeps_its_place_when_it_changes() -> None:
    book = _book(Mapped(mapping=WEB), Mapped(mapping=replace(WEB, number=2, external=1)))
    book.take([Mapped(mapping=replace(WEB, enabled=False))])
    assert (*book.state.mappings,) == (1, 2)


def test_numbers_are_not_used_again() -> None:
    book = _book(Mapped(mapping=replace(WEB, number=5)), Removed(number=5))
    assert book.state.next_number == 6
    assert _book(Removed(number=7)).state.next_number == 8


def test_two_mappings_of_one_port_contradict_each_other() -> None:
    other = Mapped(mapping=replace(WEB, number=2, external=8079, count=2))
    with pytest.raises(InvalidRequestError, match="mapping 2 has an external port that another"):
        _book(Mapped(mapping=WEB), other)
    with pytest.raises(InvalidRequestError, match="mapping 2"):
        _book(Mapped(mapping=WEB)).refuse([other])
    with pytest.raises(InvalidRequestError, match="mapping 2"):
        Book().refuse([Mapped(mapping=WEB), other])


def test_facts_together_may_give_a_port_to_another_mapping() -> None:
    book = _book(Mapped(mapping=WEB))
    facts: list[Fact] = [
        Removed(number=1),
        Mapped(mapping=replace(WEB, number=2)),
        Named(connection=ONE, name="Ethernet"),
    ]
    book.refuse(facts)
    book.take(facts)
    assert (*book.state.mappings,) == (2,)
    book.refuse([Mapped(mapping=replace(WEB, number=3)), Removed(number=3)])


def test_what_has_no_meaning_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        Book().refuse([Seen(connection=ONE, interface="")])


facts = st.one_of(
    st.builds(Removed, number=st.integers(1, 5)),
    st.builds(
        lambda number, external, target: Mapped(
            mapping=replace(WEB, number=number, external=external, target=parse_target(target))
        ),
        st.integers(1, 5),
        st.integers(1, 4),
        st.sampled_from(["xbox", "192.168.137.2"]),
    ),
    st.builds(Protected, connection=st.sampled_from([ONE, TWO]), options=st.sampled_from([None, FirewallOptions()])),
    st.builds(Named, connection=st.sampled_from([ONE, TWO]), name=st.sampled_from(["Ethernet", "Wi-Fi"])),
    st.just(Designated(designation=Designation(public=ONE, subnet=IPv4Network("10.0.0.0/24")))),
)


def _whole(state: State) -> tuple[object, ...]:
    sockets = {key: {*numbers} for key, numbers in state.by_socket.items()}
    found = state.designation, state.firewalls, dict(state.mappings), dict(state.by_port), sockets, {*state.followed}
    return *found, state.names, state.interfaces


@given(st.lists(facts, max_size=30))
def test_the_fewest_facts_say_the_same(history: list[Fact]) -> None:
    book = Book()
    for fact in history:
        try:
            book.refuse([fact])
        except InvalidRequestError:
            continue
        book.take([fact])
    again = Book(Header(log="00", next=book.state.next_number))
    again.take(book.facts())
    assert _whole(again.state) == _whole(book.state)
    assert again.state.next_number == book.state.next_number
    assert again.recorded == book.live == len(book.facts())
