"""The sharing's table as text: what it must say about port mappings; the whole text is in the golden files."""

from ipaddress import IPv4Address, IPv4Network

from icshare.model.names import InterfaceName
from icshare.model.sharing import Helper, Segment, Sharing
from icshare.render.nft import Questions, ruleset

WAN, LAN, BRIDGE = InterfaceName("wan0"), InterfaceName("lan0"), InterfaceName("ics-br0")


def text(*, bridged: bool = False, ethernet: bool = True, helpers: tuple[Helper, ...] = ()) -> str:
    segment = Segment(
        interface=BRIDGE if bridged else LAN,
        members=(LAN,),
        network=IPv4Network("192.168.137.0/24"),
        gateway=IPv4Address("192.168.137.1"),
        ethernet=ethernet,
    )
    return ruleset(Sharing(public=WAN, privates=(LAN,), helpers=helpers), [segment])


def test_packets_of_wireguard_itself_are_no_questions() -> None:
    """They were rejected: the kernel sends them in the name of who sent what is in them, here our name server."""
    segment = Segment(
        interface=LAN, members=(LAN,), network=IPv4Network("192.168.137.0/24"), gateway=IPv4Address("192.168.137.1")
    )
    sharing = Sharing(public=WAN, privates=(LAN,))
    for wireguard in (False, True):
        whole = ruleset(sharing, [segment], Questions(account=7, here=False, wireguard=wireguard))
        questions = chain(whole, "questions")
        assert questions.index("th dport != 53 return") < questions.index("reject")
        assert ("the tunnel's own" in questions) is wireguard


def chain(whole: str, name: str) -> str:
    return whole.partition(f"\tchain {name} {{\n")[2].partition("\n\t}")[0]


def test_dnat_opens_the_segment_only_to_targets_that_are_mapped_now_and_before_the_rest_passes() -> None:
    inwards = chain(text(), "inwards")
    mapped = inwards.index("@mapped_received")
    foreign = inwards.index("ct status & (dnat | expected) == dnat counter drop")
    established = [line for line in inwards.splitlines() if "ct state established" in line]
    assert ["ct direction reply" in line for line in established] == [True, False]
    assert inwards.index(established[1]) > foreign > mapped


def test_what_passes_before_that_was_opened_by_a_client() -> None:
    for name in ("forward", "replies"):
        accepting = [line for line in chain(text(), name).splitlines() if " accept " in line]
        assert len(accepting) == 1
        assert "ct status & (assured | snat | dnat) == (assured | snat)" in accepting[0]


def test_a_mapped_socket_keeps_its_port_before_others_lose_theirs() -> None:
    translate = chain(text(), "translate")
    order = [
        translate.index(word) for word in ("map @mapped_sources", "@mapped_ports masquerade", "the one public address")
    ]
    assert order == sorted(order)


def test_a_bridges_ports_helpers_and_dhcp_have_rules_only_where_they_are() -> None:
    assert "a port speaks through its bridge" in text(bridged=True)
    assert "a port speaks through its bridge" not in text()
    assert "a client without address" not in text(ethernet=False)
    assert 'ct helper set "ftp"' in text(helpers=(Helper.FTP,))
    assert "delete chain inet icshare helpers" in text()
