"""How a PPP link came about, told by the command lines that administrators and programs really use."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.model.link import PppFacts
from icshare.model.peer import Peer, peer_name
from icshare.plan.dialup import UNREADABLE, called_peer, option_words, peer_of, ppp_facts

CALLERS = {
    "rp-pppoe of Debian": ("pppd plugin rp-pppoe.so nic-eth0 user u", "pppoe"),
    "kernel PPPoE of pppd": ("pppd plugin pppoe.so eth0", "pppoe"),
    "plugin by its path": ("pppd plugin /usr/lib/pppd/2.4.9/pppoe.so eth0", "pppoe"),
    "PPPoE by a program": ("pppd pty '/usr/sbin/pppoe -I eth0 -T 80' noipdefault", "pppoe"),
    "PPPoE of NetworkManager": ("pppd nodetach plugin pppoe.so nic-eth0 plugin nm-pppd-plugin.so", "pppoe"),
    "ATM": ("pppd plugin pppoatm.so 8.48", "atm"),
    "CAPI": ("pppd plugin userpass.so capiplugin.so", "isdn"),
    "CAPI by its line": ("pppd /dev/capi/0 connect /bin/true", "isdn"),
    "isdn4linux": ("pppd /dev/ttyI0", "isdn"),
    "L2TP": ("pppd plugin pppol2tp.so pppol2tp 7", "vpn"),
    "PPTP": ("pppd pty 'pptp vpn.example.org --nolaunchpppd' name u", "vpn"),
    "PPP through ssh": ("pppd nodetach noauth pty 'ssh -t gateway pppd'", "vpn"),
    "modem with a chat script": ("pppd /dev/ttyS0 115200 modem connect 'chat -f /etc/chat'", "modem"),
    "USB modem": ("pppd ttyUSB0 460800", "modem"),
    "ACM modem": ("pppd /dev/ttyACM0", "modem"),
    "Bluetooth modem": ("pppd /dev/rfcomm0", "modem"),
    "null modem": ("pppd /dev/ttyS1 115200 local", "serial"),
    "null modem that ignores control lines of a dialling name": ("pppd /dev/ttyUSB0 115200 local connect x", "serial"),
    "null modem to Windows": ("pppd /dev/ttyS1 115200 connect 'chat \"\" CLIENT CLIENTSERVER'", "serial"),
    "plain line": ("pppd /dev/ttyS1 115200", "serial"),
    "pseudo-terminal": ("pppd /run/tty0", "serial"),
    "nothing told": ("pppd nodetach", ""),
    "a plugin that says nothing": ("pppd plugin nm-pppd-plugin.so", ""),
}

SERVERS = {
    "pppoe-server": ("pppd plugin pppoe.so nic-eth1 file /run/options", ["pppoe-server"], "pppoe"),
    "pptpd": ("pppd local file /etc/ppp/pptpd-options", ["pptpctrl", "pptpd"], "vpn"),
    "xl2tpd that names both ends": ("pppd passive nodetach 10.9.0.1:10.9.0.2", ["xl2tpd"], "vpn"),
    "mgetty": ("pppd /dev/ttyS0 auth login modem", ["mgetty"], "modem"),
    "vgetty": ("pppd /dev/ttyS0", ["vgetty"], "serial"),
    "any getty, by its accounts": ("pppd /dev/ttyS0 login", [], "modem"),
    "ISDN line with accounts": ("pppd /dev/ttyI0 login", [], "isdn"),
}


@pytest.mark.parametrize("name", CALLERS)
def test_transport_is_told_by_the_command_line(name: str) -> None:
    line, transport = CALLERS[name]
    assert ppp_facts(shlex.split(line)[1:], ["sh", "systemd"], sessions=False) == PppFacts(transport=transport)


@pytest.mark.parametrize("name", SERVERS)
def test_who_answers_calls_is_told_by_who_started_it(name: str) -> None:
    line, starters, transport = SERVERS[name]
    assert ppp_facts(shlex.split(line)[1:], starters, sessions=False) == PppFacts(transport=transport, server=True)


@pytest.mark.parametrize("starter", ["xl2tpd", "openfortivpn", "sstpc", "nm-l2tp-service", "nm-pptp-service"])
def test_what_a_vpn_program_starts_is_a_vpn_that_calls(starter: str) -> None:
    found = ppp_facts(["/dev/pts/3", "38400", "noipdefault", ":", "passive"], [starter], sessions=False)
    assert found == PppFacts(transport="vpn")


def test_a_login_is_no_answer_over_a_tunnel() -> None:
    assert not ppp_facts(["login"], ["xl2tpd"], sessions=False).server


def test_a_getty_that_dials_back_is_a_caller() -> None:
    found = ppp_facts(["/dev/ttyS0", "connect", "chat -f x"], ["mgetty"], sessions=False)
    assert found == PppFacts(transport="modem")


def test_a_server_without_pppd_is_told_by_who_holds_the_link() -> None:
    assert ppp_facts((), ["accel-pppd"], sessions=False) == PppFacts(transport="vpn", server=True)
    assert ppp_facts((), ["accel-pppd"], sessions=True) == PppFacts(transport="pppoe", server=True)


def test_without_pppd_a_session_in_the_kernel_is_pppoe() -> None:
    assert ppp_facts((), (), sessions=True) == PppFacts(transport="pppoe")
    assert ppp_facts((), (), sessions=False) == PppFacts()


def test_somebody_elses_session_makes_no_pppoe_of_a_modem() -> None:
    assert ppp_facts(["/dev/ttyUSB0"], (), sessions=True) == PppFacts(transport="modem")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("local\nnoauth", ["local", "noauth"]),
        ("# a comment\nname me # and another\n", ["name", "me"]),
        ('pty "pptp host --nolaunchpppd"', ["pty", "pptp host --nolaunchpppd"]),
        ("connect 'chat -v'", ["connect", "chat -v"]),
        ('name "unclosed\nlocal', ["name", "unclosed", "local"]),
        ("password a\\ b", ["password", "a", "b"]),
        ("", []),
    ],
)
def test_options_files_are_split_into_words(text: str, words: list[str]) -> None:
    assert option_words(text) == words


@given(st.lists(st.text(max_size=20), max_size=8), st.lists(st.text(max_size=12), max_size=4), st.booleans())
def test_any_command_line_is_told_of(words: list[str], starters: list[str], sessions: bool) -> None:
    known = {"", "pppoe", "atm", "isdn", "vpn", "modem", "serial"}
    assert ppp_facts(words, starters, sessions=sessions).transport in known


@given(st.text())
def test_any_options_file_is_split(text: str) -> None:
    assert all(isinstance(word, str) for word in option_words(text))


def test_a_link_is_known_by_whom_its_pppd_calls() -> None:
    assert called_peer(["call", "old", "call", "fibre", "updetach"]) == "fibre"
    assert called_peer(["call", "call", "ifname", "x"]) == "call"
    assert called_peer(["nodetach"]) == ""
    assert called_peer(["call"]) == ""
    assert called_peer(["call", "../../tmp/x"]) == ""


def test_a_peer_is_what_its_options_say() -> None:
    words = option_words(
        'plugin rp-pppoe.so\nnic-eth0\nuser "me"\npersist\nusepeerdns\ndemand\n'
        "ifname wan-dsl\nactive-filter 'not icmp'\n"
    )
    peer = peer_of(peer_name("fibre"), words)
    assert peer == Peer(
        name=peer_name("fibre"),
        facts=PppFacts(transport="pppoe", peer="fibre", asks_dns=True, demand=True),
        interface="wan-dsl",
        persists=True,
        filters=True,
    )


def test_no_peer_wants_a_name_that_no_rule_can_hold() -> None:
    peer = peer_of(peer_name("fibre"), ["ifname", 'a"b'])
    assert peer is not None
    assert peer.interface == ""


def test_a_template_that_nobody_has_filled_in_is_no_peer() -> None:
    assert peer_of(peer_name("provider"), ["user", "myusername@realm", "/dev/modem"]) is None
    assert peer_of(peer_name("provider"), ["user", "me", "/dev/modem"]) is not None
    assert peer_of(peer_name("dsl-provider"), ["pty", "pppoe -I eth0 -T 80", "noauth"]) is None
    assert peer_of(peer_name("dsl-provider"), ["pty", "pppoe -I eth0 -T 80", "user", "me"]) is not None
    assert peer_of(peer_name("fibre"), ["plugin", "rp-pppoe.so", "nic-eth0"]) is not None


def test_a_peer_that_cannot_be_read_is_of_no_known_kind() -> None:
    peer = peer_of(peer_name("secret"), None)
    assert peer is not None
    assert (peer.facts.transport, peer.readable) == (UNREADABLE, False)
