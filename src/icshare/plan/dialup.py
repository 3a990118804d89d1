"""How a PPP link came about, judged by the command line of its pppd and who started it; and what a peer's file says.

Neither rtnetlink nor sysfs tells PPP over Ethernet from a null-modem cable, or a caller from the called.

Source:
    pppd(8), pppoe-server(8), xl2tpd(8), pptpd(8), openfortivpn(1), mgetty(8); ``start_pppd()`` of xl2tpd.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from icshare.model.link import PppFacts
from icshare.model.names import is_interface_name
from icshare.model.peer import Peer, PeerName, is_peer_name

_SERVERS = {
    "pppoe-server": "pppoe",
    "pptpctrl": "vpn",
    "pptpd": "vpn",
    "accel-pppd": "vpn",
    "sstpd": "vpn",
    "poptop": "vpn",
}
_ANSWERING = frozenset({"mgetty", "vgetty"})  # agetty and sshd also stand above an administrator who dials out
_VPN_STARTERS = frozenset(
    {"xl2tpd", "openfortivpn", "pptp", "sstpc", "nm-l2tp-service", "nm-pptp-service", "nm-sstp-service"}
)
_PLUGINS = {
    "pppoe.so": "pppoe",
    "rp-pppoe.so": "pppoe",
    "pppoatm.so": "atm",
    "capiplugin.so": "isdn",
    "userpass.so": "isdn",
    "pppol2tp.so": "vpn",
    "openl2tp.so": "vpn",
    "pptp.so": "vpn",
    "sstp-pppd-plugin.so": "vpn",
    "nm-pptp-pppd-plugin.so": "vpn",
    "nm-l2tp-pppd-plugin.so": "vpn",
    "nm-sstp-pppd-plugin.so": "vpn",
}
_PTY_PROGRAMS = {"pppoe": "pppoe", "pptp": "vpn", "sstpc": "vpn", "openfortivpn": "vpn", "ssh": "vpn", "stunnel": "vpn"}
_MODEM_TTY = re.compile(r"tty(USB|ACM|HS|XRUSB)\d+|rfcomm\d+|cdc-wdm\d+|wwan\d+at\d+")
_ISDN_TTY = re.compile(r"ttyI\d+|capi(/\d+|\d+)?")
_TTY = re.compile(r"/dev/\S+|tty\S+|/run/\S+|/tmp/\S+")
# Debian ships peers to begin from; whoever has not put his own name in has no such connection.
_TEMPLATES = {"provider": "myusername@realm", "dsl-provider": ""}
UNREADABLE = "unreadable"
"""Transport of a peer whose options we may not read."""

_VALUED = frozenset({"active-filter", "call", "connect", "file", "ifname", "linkname", "plugin", "pty", "user"})
_BOTH_ENDS = re.compile(r"\d+\.\d+\.\d+\.\d+:\d+\.\d+\.\d+\.\d+")


def ppp_facts(words: Sequence[str], starters: Sequence[str], *, sessions: bool) -> PppFacts:
    """Return how a PPP link came about.

    Args:
        words: Command line of its pppd with the options of its files filled in; empty if there is no pppd.
        starters: Names of the processes that started it, nearest first; without a pppd, of the one that holds the link.
        sessions: ``/proc/net/pppoe`` lists a session.
    """
    for name in starters:
        if name in _SERVERS:
            transport = "pppoe" if name == "accel-pppd" and sessions else _SERVERS[name]
            return PppFacts(transport=transport, server=True)
    if not words:
        return PppFacts(transport="pppoe" if sessions else "")
    transport = _transport(words, starters)
    # xl2tpd hands pppd the addresses of both ends when it answers a call, and lets them be negotiated when it calls.
    called = "xl2tpd" in starters and any(_BOTH_ENDS.fullmatch(word) for word in words)
    # getty programs turn into pppd; what remains of them is that callers log in with accounts of the host.
    answered = "login" in words or (bool(_ANSWERING.intersection(starters)) and "connect" not in words)
    return PppFacts(
        transport=transport,
        server=called or (answered and transport in {"modem", "serial", "isdn"}),
        asks_dns="usepeerdns" in words,
        demand="demand" in words,
    )


def called_peer(words: Sequence[str]) -> str:
    """Return the peer that the command line *words* of a pppd dials, "" for none."""
    name = option_values(words).get("call", "")
    return name if is_peer_name(name) else ""


def option_values(words: Sequence[str]) -> dict[str, str]:
    """Return the options among *words*, each with its value, "" for all that have none or tell us nothing by it.

    A value is never taken for the next option: a peer may well be called ``call``. The last of several counts.
    """
    found: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        found[word] = next(rest, "") if word in _VALUED else ""
    return found


def peer_of(name: PeerName, words: Sequence[str] | None) -> Peer | None:
    """Return the peer *name* by the options of its file, None if that is a template that nobody has filled in.

    Args:
        name: Its name.
        words: The options, those of other files filled in; None if they cannot be read.
    """
    if words is None:
        return Peer(name=name, facts=PppFacts(transport=UNREADABLE, peer=name), readable=False)
    values = option_values(words)
    if values.get("user", "") == _TEMPLATES.get(name) and "name" not in values:
        return None
    wanted = values.get("ifname", "")
    return Peer(
        name=name,
        facts=replace(ppp_facts(words, (), sessions=False), peer=name),
        interface=wanted if is_interface_name(wanted) else "",
        persists="persist" in values,
        filters="active-filter" in values,
    )


def _transport(words: Sequence[str], starters: Sequence[str]) -> str:
    if _VPN_STARTERS.intersection(starters):
        return "vpn"
    values = dict(pairwise(words))
    for word in words:  # several plugins are usual; NetworkManager's own says nothing
        plugin = _PLUGINS.get(word.rsplit("/", 1)[-1])
        if plugin:
            return plugin
    program = values.get("pty", "").split(" ", 1)[0].rsplit("/", 1)[-1]
    if program in _PTY_PROGRAMS:
        return _PTY_PROGRAMS[program]
    terminals = [word.removeprefix("/dev/") for word in words if _TTY.fullmatch(word)]
    if any(_ISDN_TTY.fullmatch(name) for name in terminals):
        return "isdn"
    if "local" in words:  # the modem control lines are ignored: there is no modem, only a cable
        return "serial"
    if "login" in words or any(_MODEM_TTY.fullmatch(name) for name in terminals):
        return "modem"
    dialer = values.get("connect", "")
    if dialer and "CLIENTSERVER" not in dialer:  # Windows' direct cable connection says CLIENT and CLIENTSERVER
        return "modem"
    return "serial" if terminals or dialer else ""


def option_words(text: str) -> list[str]:
    """Split the contents of a pppd options file into words.

    Quotes group words, ``#`` starts a comment, and an unclosed quote ends with its line.

    Source:
        pppd(8), "Options files".
    """
    return [
        (double or single or plain).replace("\\", "")
        for line in text.splitlines()
        for double, single, plain in re.findall(
            r'"([^"]*)"?|\'([^\']*)\'?|([^\s"\'#]+)', re.sub(r"(^|\s)#.*", "", line)
        )
    ]
