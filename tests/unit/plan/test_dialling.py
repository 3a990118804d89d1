"""What pppd is told, whose call it is, and what its end means."""

import pytest

from icshare.model.link import PppFacts
from icshare.model.names import interface_name
from icshare.model.peer import Peer, peer_name
from icshare.plan.dialling import (
    Behalf,
    Call,
    OnDemand,
    call_of,
    command_line,
    failure,
    failure_said,
    pid_files,
)

FIBRE = Peer(name=peer_name("fibre"), facts=PppFacts(transport="pppoe", peer="fibre"))
LINK = interface_name("ppp-fibre")

NO_SERVER = """\
Plugin rp-pppoe.so loaded.
Timeout waiting for PADO packets
Unable to complete PPPoE Discovery
"""
REFUSED = """\
Connect: ppp-fibre <--> eth0
CHAP authentication failed: Access denied
CHAP authentication failed
Connection terminated.
"""


def test_a_peer_is_dialled_until_its_link_is_up() -> None:
    assert command_line(FIBRE, LINK, Behalf.USER) == (
        *("pppd", "call", "fibre", "ifname", "ppp-fibre", "linkname", "icshare-user-fibre"),
        "updetach",
    )


def test_on_demand_the_link_stands_before_anybody_dials() -> None:
    argv = command_line(FIBRE, LINK, Behalf.SHARING, OnDemand(idle_seconds=90))
    assert argv[7:] == ("nodetach", "demand", "noipv6", "idle", "90", "active-filter", "outbound")


def test_what_the_file_says_of_traffic_that_counts_stays() -> None:
    filtering = Peer(name=FIBRE.name, facts=FIBRE.facts, filters=True)
    assert command_line(filtering, LINK, Behalf.SHARING, OnDemand(idle_seconds=0))[7:] == (
        *("nodetach", "demand", "noipv6"),
    )


@pytest.mark.parametrize("name", ["fibre", "call", "ifname", "linkname", "demand", "updetach"])
@pytest.mark.parametrize("behalf", Behalf)
@pytest.mark.parametrize("on_demand", [None, OnDemand(idle_seconds=5)])
def test_our_own_calls_are_recognised(name: str, behalf: Behalf, on_demand: OnDemand | None) -> None:
    """A peer called like an option was not found again: its name was taken for the option."""
    peer = Peer(name=peer_name(name), facts=PppFacts(peer=name))
    call = call_of(command_line(peer, LINK, behalf, on_demand))
    assert call == Call(peer=peer.name, behalf=behalf, interface=LINK, on_demand=on_demand is not None)
    assert list(pid_files(call)) == [f"ppp-{behalf}-{name}.pid", "ppp-fibre.pid"]


def test_the_calls_of_others_are_nobodys() -> None:
    call = call_of(["/usr/sbin/pppd", "call", "fibre", "linkname", "icshare-user-other"])
    assert call == Call(peer=FIBRE.name, behalf=None, interface="")
    assert list(pid_files(call)) == []


@pytest.mark.parametrize(
    "argv", [[], ["pppd"], ["pppd", "call"], ["vi", "call", "fibre"], ["pppd", "call", "../x"], ["pppd", "call", ""]]
)
def test_what_dials_no_peer_is_no_call(argv: list[str]) -> None:
    assert call_of(argv) is None


@pytest.mark.parametrize(
    ("status", "output", "text"),
    [
        (8, NO_SERVER, "no PPPoE server answers"),
        (19, REFUSED, "the other end refuses name or password"),
        (19, "", "the other end refuses name or password"),
        (11, "PAP peer authentication failed for x\n", "the other end has not proved who it is"),
        (None, "error receiving pppoe packet: Network is down\n", "the interface below it is down or gone"),
        (
            2,
            "pppd: In file /etc/ppp/peers/x: unrecognized option 'nic-eth9'\npppd version 2.4.9\n",
            "the interface that its file names is not there",
        ),
        (
            2,
            "Plugin x loaded.\npppd: unrecognized option 'frob'\npppd version 2.4.9\n",
            "pppd refuses its options: unrecognized option 'frob'",
        ),
        (2, "", "pppd refuses its options"),
        (4, "Couldn't open the /dev/ppp device: No such file or directory\n", "the kernel has no PPP"),
        (1, "Linux kernel does not support PPPoE -- are you running 2.4.x?\n", "the kernel has no PPPoE"),
        (4, "", "the kernel lacks what it takes"),
        (8, "Connect script failed\n", "nobody answers the call: its connect script failed"),
        (16, "", "the line was cut: the modem hung up"),
        (None, "Connect: ppp0 <--> /dev/ttyS0\n", "it did not come about in time"),
        (1, "fatal\n", "pppd ended with status 1: fatal"),
        (-9, "", "pppd ended with status -9"),
    ],
)
def test_an_end_has_one_reason(status: int | None, output: str, text: str) -> None:
    assert failure(status, output).text == text


def test_what_does_not_get_better_by_itself_is_final() -> None:
    said = failure_said(REFUSED)
    assert said is not None
    assert said.final
    waiting = failure_said(NO_SERVER)
    assert waiting is not None
    assert not waiting.final
    assert failure_said("Plugin rp-pppoe.so loaded.\n") is None


def test_a_refusal_is_the_same_whether_pppd_ends_or_goes_on() -> None:
    assert failure(19, "") == failure(None, REFUSED)
    assert failure(19, "").status == 19
    assert failure(8, NO_SERVER).status == 1
