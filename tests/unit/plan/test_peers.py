"""What can be dialled is a connection before it is."""

from dataclasses import replace

import pytest
from tests.hosts import snapshot

from icshare.model.connection import Characteristics, Connection, LinkOverride, MediaType, Status
from icshare.model.link import PppFacts
from icshare.model.peer import Peer, peer_name
from icshare.model.settings import Settings
from icshare.model.snapshot import Snapshot
from icshare.plan.connections import peer_guid
from icshare.plan.designated import Parts, judge
from icshare.plan.peers import interface_of

HOST = {"links": [{"name": "wan0"}, {"name": "ppp-taken"}]}


def peer(name: str, transport: str = "pppoe", **fields: object) -> Peer:
    facts = PppFacts(transport=transport, peer=name, server=fields.pop("server", False) is True)
    return Peer(name=peer_name(name), facts=facts, **fields)  # type: ignore[arg-type]


def host(*peers: Peer) -> Snapshot:
    return replace(snapshot(HOST), peers=peers)


def judged(*peers: Peer, settings: Settings = Settings(), parts: Parts = Parts()) -> dict[str, Connection]:  # noqa: B008
    return {one.name: one for one in judge(host(*peers), settings, parts)}


def test_a_peer_is_a_connection_that_has_no_link() -> None:
    found = judged(peer("fibre"), peer("call", "modem"), peer("cable", "serial"))
    fibre = found["fibre"]
    assert (fibre.guid, fibre.interface, fibre.peer, fibre.there) == (peer_guid("fibre"), "ppp-fibre", "fibre", False)
    assert (fibre.media, fibre.status) == (MediaType.PPPOE, Status.DISCONNECTED)
    assert fibre.as_public.ok
    assert not fibre.as_private.ok
    assert Characteristics.OUTGOING_ONLY in fibre.characteristics
    assert not (Characteristics.ALLOW_REMOVAL | Characteristics.ALLOW_RENAME) & fibre.characteristics
    assert found["call"].media is MediaType.PHONE
    assert found["cable"].media is MediaType.DIRECT
    assert found["cable"].as_private.ok
    assert found["wan0"].there


def test_what_answers_calls_is_incoming_only() -> None:
    server = judged(peer("answer", "modem", server=True))["answer"]
    assert Characteristics.INCOMING_ONLY in server.characteristics
    assert not server.sharable.ok


def test_what_cannot_be_read_cannot_be_judged() -> None:
    hidden = judged(peer("secret", "unreadable", readable=False))["secret"]
    assert hidden.media is MediaType.NONE
    assert not hidden.as_public.ok


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"dialling": True, "failure": 19}, Status.CONNECTING),
        ({"failure": 19}, Status.AUTHENTICATION_FAILED),
        ({"failure": 8}, Status.CONNECT_FAILED),
        ({}, Status.DISCONNECTED),
    ],
)
def test_the_status_tells_how_the_last_call_went(fields: dict[str, object], status: Status) -> None:
    assert judged(peer("fibre", **fields))["fibre"].status is status  # type: ignore[arg-type]


def test_a_role_waits_under_the_future_name() -> None:
    found = judged(peer("fibre"), parts=Parts(public="ppp-fibre"))
    assert Characteristics.SHARED in found["fibre"].characteristics


def test_the_administrators_word_counts_for_peers_too() -> None:
    settings = Settings(links={"ppp-fibre": LinkOverride(name="Office", public=False)})
    found = judged(peer("fibre"), settings=settings)
    assert not found["Office"].as_public.ok


def test_no_peer_takes_the_name_of_a_link_or_of_another_peer() -> None:
    found = judged(peer("taken"), peer("one", interface="ppp9"), peer("two", interface="ppp9"))
    assert found["taken"].interface == f"ppp-{peer_guid('taken').hex[:8]}"
    assert found["one"].interface == "ppp9"
    assert found["two"].interface == "ppp-two"


def test_a_long_name_makes_a_short_one() -> None:
    name = interface_of(peer("a-provider-with-a-long-name"))
    assert len(name) == 12
    assert name == interface_of(peer("a-provider-with-a-long-name"))
    assert name != interface_of(peer("a-provider-with-a-longer-name"))


def test_a_peer_with_a_link_is_that_link_whatever_it_is_called() -> None:
    there = snapshot({"links": [{"name": "ppp-wan", "kind": "ppp"}]})
    facts = PppFacts(transport="pppoe", peer="fibre")
    dialled = tuple(
        replace(link, facts=replace(link.facts, ppp=facts)) if link.name == "ppp-wan" else link for link in there.links
    )
    found = [one for one in judge(replace(there, links=dialled, peers=(peer("fibre"),)), Settings()) if one.peer]
    (one,) = found
    assert (one.guid, one.name, one.interface, one.there) == (peer_guid("fibre"), "fibre", "ppp-wan", True)
    assert one.status is Status.CONNECTED


@pytest.mark.parametrize(
    ("facts", "up", "status"),
    [
        (PppFacts(transport="pppoe", peer="fibre"), False, Status.CONNECTING),
        (PppFacts(transport="pppoe", peer="fibre", demand=True, waiting=True), True, Status.DISCONNECTED),
        (PppFacts(transport="pppoe", peer="fibre", demand=True), True, Status.CONNECTED),
    ],
)
def test_a_link_tells_whether_it_is_connected(facts: PppFacts, up: bool, status: Status) -> None:
    there = snapshot({"links": [{"name": "ppp0", "kind": "ppp", "up": up}]})
    links = tuple(
        replace(one, facts=replace(one.facts, ppp=facts)) if one.name == "ppp0" else one for one in there.links
    )
    (found,) = [one for one in judge(replace(there, links=links), Settings()) if one.peer]
    assert found.status is status
