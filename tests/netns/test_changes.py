"""Changing and ending a sharing: who stays notices nothing, and a private link gets back what it had."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.netns.gateway import (
    NETWORK_GATEWAY,
    address,
    assert_unchanged,
    document,
    icshare_command,
    json_of,
    neighbour,
    output,
    page,
    settled,
    share,
    start_icshare,
    udhcpc,
)

from icshare.host import command
from icshare.host.command import Process
from icshare.lab import ECHO_ADDRESS, GATEWAY, UPLINK, Lab

pytestmark = pytest.mark.netns

MakeLab = Callable[..., Lab]

PORT = "9000"


class Session:
    """One TCP connection between netcat on a client and netcat on the Internet, held open."""

    def __init__(self, lab: Lab, node: str) -> None:
        self._server = self._netcat(lab, "inet", "-l", "-v", "-s", str(ECHO_ADDRESS), "-p", PORT)
        assert self._server.stderr is not None
        assert b"Listening" in self._server.stderr.readline()
        self._client = self._netcat(lab, node, str(ECHO_ADDRESS), PORT)
        self.peer = self._server.stderr.readline().decode()

    def exchange(self, text: str) -> None:
        """Send a line from the client to the Internet, then one back; each must arrive."""
        for source, target in ((self._client, self._server), (self._server, self._client)):
            assert source.stdin is not None
            assert target.stdout is not None
            source.stdin.write(f"{text}\n".encode())
            source.stdin.flush()
            assert target.stdout.readline().decode() == f"{text}\n"

    def end(self) -> None:
        command.end(self._client)
        command.end(self._server)

    @staticmethod
    def _netcat(lab: Lab, node: str, *arguments: str) -> Process:
        pipe = command.PIPE
        return lab.popen(node, ["nc", "-n", *arguments], stdin=pipe, stdout=pipe, stderr=pipe)


def change(lab: Lab, session: Session, *arguments: str) -> int:
    """Run ``icshare`` while lines go to and fro over *session*; return how often they did."""
    process = start_icshare(lab, *arguments)
    count = 0
    while process.poll() is None:
        session.exchange(f"{' '.join(arguments)} {count}")
        count += 1
    assert process.stderr is not None
    assert (process.returncode, process.stderr.read()) == (0, b"")
    process.stderr.close()
    return count


def router(lab: Lab, node: str) -> str:
    """Return the gateway's hardware address as *node* has it in its ARP table, without asking anew."""
    return neighbour(lab, node, NETWORK_GATEWAY)


def test_a_connection_through_an_unchanged_private_survives_others_coming_and_going(make_lab: MakeLab) -> None:
    """From one link to a bridge, to a larger and a smaller one and back to one link, with no pause to look again."""
    lab = make_lab(privates=3)
    share(lab, "wan0", "lan0")
    udhcpc(lab, "c0")
    held, gateway = address(lab, "c0"), json_of(lab, "gw", "ip", "-json", "link", "show", "dev", "lan0")[0]["address"]
    session = Session(lab, "c0")
    assert str(UPLINK.ip) in session.peer
    session.exchange("hello")
    assert router(lab, "c0") == gateway
    for privates in (["lan0", "lan1"], ["lan0", "lan1", "lan2"], ["lan2", "lan0"], ["lan0"], ["lan1", "lan0"]):
        assert change(lab, session, "share", "wan0", *privates) > 1
        session.exchange("after the change")
        assert router(lab, "c0") == gateway
        told = document(lab, "status")
        assert (told["healthy"], set(told["privates"])) == (True, set(privates))
    # Who came last is a full member, with the same router.
    udhcpc(lab, "c1")
    assert page(lab, "c1") == str(UPLINK.ip)
    output(lab, "c1", "ping", "-c", "1", "-W", "10", "c0")
    assert router(lab, "c1") == gateway
    udhcpc(lab, "c0")
    assert address(lab, "c0") == held
    session.exchange("goodbye")
    session.end()


def test_a_bridged_sharing_can_be_changed_after_others_switched_forwarding_on(make_lab: MakeLab) -> None:
    """Docker and libvirt do so: from then on each change of a sharing with a bridge failed, until a stop."""
    lab = make_lab(privates=2)
    share(lab, "wan0", "lan0", "lan1")
    output(lab, GATEWAY, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    assert document(lab, "share", "wan0", "lan0", "lan1")["changes"] == []
    document(lab, "share", "wan0", "lan0", "lan1", "--fast-path", "off")
    document(lab, "share", "wan0", "lan0")
    document(lab, "share", "wan0", "lan0", "lan1")
    assert document(lab, "status")["healthy"]


def test_a_link_that_is_no_longer_private_is_cut_off(make_lab: MakeLab) -> None:
    lab = make_lab()
    share(lab, "wan0", "lan0", "lan1")
    for node in ("c0", "c1"):
        udhcpc(lab, node)
    share(lab, "wan0", "lan0")
    for target in (str(ECHO_ADDRESS), NETWORK_GATEWAY, address(lab, "c0")):
        assert lab.run("c1", ["ping", "-c", "1", "-W", "1", target], check=False).returncode != 0
    assert page(lab, "c0") == str(UPLINK.ip)


def test_connections_of_the_gateway_itself_survive_sharing_with_the_firewall_on(make_lab: MakeLab) -> None:
    """Opened before sharing, so no rule of ours has seen how it began."""
    lab = make_lab(privates=1)
    session = Session(lab, "gw")
    session.exchange("before")
    assert change(lab, session, "share", "wan0", "lan0") > 1
    session.exchange("while")
    assert change(lab, session, "stop") > 1
    session.exchange("after")
    session.end()


CONFIGURED = """
link set lan0 up
address add 10.9.0.1/24 broadcast 10.9.0.255 dev lan0
address add 10.9.0.2/24 dev lan0 label lan0:two
address add 10.9.1.1/24 dev lan0 valid_lft 7200 preferred_lft 3600
address add 10.9.2.1 peer 10.9.2.2 dev lan0 scope link
route add 10.50.0.0/16 via 10.9.0.9 metric 77
route add 10.51.0.0/16 via 10.9.0.9 dev lan0 metric 78 src 10.9.0.2 mtu 1300
route add 10.52.0.0/16 dev lan0 proto static scope link
route add 10.53.0.0/16 via 10.9.0.9 table 100
"""


def addresses(lab: Lab) -> list[dict[str, Any]]:
    (link,) = json_of(lab, "gw", "ip", "-json", "-4", "address", "show", "dev", "lan0")
    found: list[dict[str, Any]] = link["addr_info"]
    return found


@pytest.mark.check(22)
@pytest.mark.parametrize("privates", [["lan0"], ["lan0", "lan1"]], ids=["alone", "bridged"])
def test_stop_gives_a_private_link_back_its_addresses_routes_and_state(make_lab: MakeLab, privates: list[str]) -> None:
    """``lan0`` has everything that a link can have, ``lan1`` is down."""
    lab = make_lab()
    output(lab, "gw", "ip", "-batch", "-", input=CONFIGURED)
    output(lab, "gw", "ip", "link", "set", "lan1", "down")
    page(lab, "gw")  # it has its router in its ARP table then, as it will after what clients do
    document(lab, "status")  # makes our directories
    before, own = settled(lab), addresses(lab)
    assert len(own) == 4
    for _ in range(2):
        share(lab, "wan0", *privates)
        held = output(lab, "gw", "ip", "-o", "-4", "address")
        assert re.findall(r"10\.9\.[0-9.]+", held) == [], "the segment is the only network there"
        udhcpc(lab, "c0")
        assert page(lab, "c0") == str(UPLINK.ip)
        assert icshare_command(lab, "stop").returncode == 0
        assert_unchanged(lab, before)
    again = addresses(lab)
    assert [one["local"] for one in again] == [one["local"] for one in own], "primary and secondary are what they were"
    for one, two in zip(own, again, strict=True):
        for kind in ("valid_life_time", "preferred_life_time"):
            assert two[kind] <= one[kind]
            assert two[kind] > one[kind] - 300 or one[kind] == 0
