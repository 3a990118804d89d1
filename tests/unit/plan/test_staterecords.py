"""The lines of the state log: there and back, and what is not believed."""

from dataclasses import replace
from ipaddress import IPv4Network
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import HostError, InvalidRequestError
from icshare.model.firewall import FirewallOptions, IcmpOption
from icshare.model.mapping import PortMapping, Protocol, Target, TargetKind, parse_target
from icshare.model.names import InterfaceName
from icshare.model.state import Designation
from icshare.model.wifi import AccessPoint, Country, Ssid
from icshare.plan.staterecords import (
    Designated,
    Fact,
    Header,
    Mapped,
    Named,
    Protected,
    Removed,
    Seen,
    check,
    decode,
    decode_header,
    encode,
    encode_header,
)

ONE, TWO = UUID(int=1), UUID(int=2)
WEB = PortMapping(
    number=1,
    connection=ONE,
    name="Web",
    protocol=Protocol.TCP,
    external=8080,
    internal=80,
    target=parse_target("192.168.137.5"),
    enabled=True,
)
WIFI = AccessPoint(
    interface=InterfaceName("wlan0"), ssid=Ssid("café"), secret="0123456789abcdef", country=Country("DE"), channel=36
)
FACTS: tuple[Fact, ...] = (
    Designated(designation=Designation()),
    Designated(designation=Designation(public=ONE, access_point=WIFI, wireless=ONE)),
    Designated(designation=Designation(public=ONE, privates=(TWO,), access_point=WIFI, wireless=TWO)),
    Designated(designation=Designation(public=ONE, privates=(TWO,), subnet=IPv4Network("10.0.0.0/24"))),
    Protected(connection=ONE, options=None),
    Protected(connection=ONE, options=FirewallOptions(icmp=(IcmpOption.REDIRECT,), log_dropped=True)),
    Mapped(mapping=WEB),
    Mapped(mapping=replace(WEB, target=parse_target("xbox.home.arpa"), count=3, protocol=Protocol.UDP)),
    Mapped(mapping=replace(WEB, target=parse_target("52:54:00:00:00:01"))),
    Removed(number=1),
    Named(connection=ONE, name="Local Area Connection* 1"),
    Seen(connection=ONE, interface="eth0"),
)


def test_roles_that_were_written_down_before_there_were_access_points_are_read() -> None:
    line = f'{{"fact":"designated","designation":{{"public":"{ONE}","privates":["{TWO}"],"subnet":null}}}}\n'
    assert decode(line.encode(), "state") == [Designated(designation=Designation(public=ONE, privates=(TWO,)))]


@pytest.mark.parametrize("fact", FACTS, ids=str)
def test_a_fact_comes_back_as_it_was(fact: Fact) -> None:
    assert decode(encode([fact]), "state") == [fact]


def test_facts_of_one_line_come_back_in_order() -> None:
    line = encode(FACTS)
    assert line.count(b"\n") == 1
    assert decode(line + encode([FACTS[0]]), "state") == [*FACTS, FACTS[0]]


def test_the_header_comes_back_as_it_was() -> None:
    header = Header(log="0af9", next=7)
    assert decode_header(encode_header(header), "state") == header


def test_a_newer_version_is_refused_by_its_number() -> None:
    with pytest.raises(HostError, match="version 2, this icshare reads version 1"):
        decode_header(b'{"state":2,"log":{"of":"the future"}}', "state")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b'{"journal":1}',
        b'{"state":"1"}',
        b'{"state":1}',
        b'{"state":1,"log":"no hex","next":1}',
        b'{"state":1,"log":"00","next":0}',
        b"\xff",
    ],
)
def test_a_header_that_is_none_is_damage(line: bytes) -> None:
    with pytest.raises(HostError, match="damaged at line 1"):
        decode_header(line, "state")


GOOD = encode([Mapped(mapping=WEB)])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"fact":"mapped"', b'"fact":"moved"'),
        (b'"fact":"mapped",', b""),
        (b'"number":1', b'"number":0'),
        (b'"number":1', b'"number":9007199254740993'),
        (b'"external":8080', b'"external":0'),
        (b'"external":8080', b'"external":65536'),
        (b'"external":8080', b'"external":"8080"'),
        (b'"count":1', b'"count":0'),
        (b'"count":1', b'"count":65500'),
        (b'"protocol":6', b'"protocol":47'),
        (b'"name":"Web"', b'"name":" "'),
        (b'"name":"Web"', b'"name":"\\u0007"'),
        (b'"name":"Web"', b'"name":"' + b"x" * 256 + b'"'),
        (b"192.168.137.5", b"192.168.137.005"),
        (b"192.168.137.5", b"224.0.0.1"),
        (b"192.168.137.5", b"0.0.0.0"),
        (b'"kind":"address"', b'"kind":"mac"'),
        (b'"kind":"address"', b'"kind":"name"'),
        (b'"kind":"address"', b'"kind":"other"'),
        (b'"connection":"0000', b'"connection":"zzzz'),
        (b"}}\n", b'},"more":1}\n'),
        (b"}\n", b"\n"),
        (b'"Web"', b'"\xff"'),
    ],
)
def test_a_mapping_that_we_would_not_write_is_damage(old: bytes, new: bytes) -> None:
    assert old in GOOD
    with pytest.raises(HostError, match="state is damaged at line 3") as caught:
        decode(GOOD + GOOD.replace(old, new), "state")
    assert caught.value.hint is not None


@pytest.mark.parametrize(
    "line",
    [
        b'{"fact":"designated","designation":{"subnet":"10.0.0.1/24"}}',
        b'{"fact":"designated","designation":{"subnet":"224.0.0.0/24"}}',
        b'{"fact":"designated","designation":{"subnet":24}}',
        encode([Designated(designation=Designation(public=ONE, privates=(ONE,)))])[:-1],
        encode([Designated(designation=Designation(privates=(TWO, TWO)))])[:-1],
        encode([Designated(designation=Designation(privates=(TWO,), access_point=WIFI))])[:-1],
        encode([Designated(designation=Designation(privates=(TWO,), wireless=TWO))])[:-1],
        encode([Designated(designation=Designation(privates=(TWO,), access_point=WIFI, wireless=ONE))])[:-1],
        encode(
            [Designated(designation=Designation(public=ONE, access_point=replace(WIFI, secret="no"), wireless=ONE))]
        )[:-1],
        encode([Seen(connection=ONE, interface="eth0 "), FACTS[0]])[:-1],
        encode([Seen(connection=ONE, interface="../eth0")])[:-1],
        encode([Named(connection=ONE, name="")])[:-1],
        encode([Removed(number=0)])[:-1],
        b'{"fact":"protected","connection":"00000000-0000-0000-0000-000000000001","options":{"icmp":["ping"]}}',
        b"[" * 100_000,
        b"1",
        b"null",
    ],
)
def test_other_facts_that_we_would_not_write_are_damage(line: bytes) -> None:
    with pytest.raises(HostError, match="state is damaged at line 2"):
        decode(line + b"\n", "state")


def test_what_cannot_be_read_again_is_not_written() -> None:
    with pytest.raises(InvalidRequestError):
        check(Mapped(mapping=replace(WEB, target=Target(kind=TargetKind.MAC, value="52-54-00-00-00-01"))))


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_be_refused(content: bytes) -> None:
    try:
        facts = decode(content, "state")
    except HostError:
        return
    for fact in facts:
        check(fact)


@pytest.mark.parametrize("fact", FACTS, ids=str)
def test_what_we_write_may_be_written(fact: Fact) -> None:
    check(fact)
