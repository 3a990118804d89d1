"""The manual pages: ``python -m icshare.cli.man`` prints icshare(1), with ``icshare.toml`` that of the settings file.

What icshare(1) says of commands and options is what ``--help`` says; the rest is written here.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import typer

from icshare import __version__
from icshare.cli.program import make_group
from icshare.cli.session import Session

_DESCRIPTION = """\
icshare shares the Internet connection of this machine with the networks behind its other connections: what Windows
calls Internet Connection Sharing, done by the Linux kernel. Clients get addresses by DHCP, names by DNS, and access
through NAT; nothing of theirs can be reached from the outside, and the public connection itself is protected as well.

The public connection can be of any kind: Ethernet, Wi-Fi, a modem, a VPN. One private connection keeps its link; two or
more are joined by a bridge into one network. Private connections that cannot be ports of a bridge become networks of
their own.

A Wi-Fi connection becomes an access point by 'icshare share --ssid'. Its passphrase is kept for the next time.

Port mappings let ports of the public connection lead to a client, or to this machine itself. They are kept until they
are removed: 'icshare stop' takes them out of force, the next sharing of the same connection brings them back. The
firewall of a connection does without sharing as well.

The first packets of a connection go through every rule of the kernel. The later ones may go a faster path, which
'icshare share --fast-path' chooses: 'xdp' is in the drivers of the links where they can, and tc elsewhere; 'tc' comes
after the drivers, and does for every link; 'flowtable' is the kernel's own, for kernels that run no eBPF; 'off' is
none. 'auto' takes the best of them that goes past nothing that others have set up. 'icshare status' tells which it is
and why. 'xdp' and 'tc' need Linux 6.1 or newer, libbpf1 and CAP_SYS_ADMIN; without these 'auto' takes a flowtable or
none.

No process stays resident but a DHCP and DNS server for the clients, and where it is wanted what writes the firewall's
log and what follows a mapping's host to its next address. All that was changed is on record, and 'icshare stop' gives
the machine back as it was, also after a crash. What was asked for is remembered over a reboot, but nothing of it is in
force again by itself.

A connection is called by the name of its interface, as 'icshare list' shows it. What pppd can dial, the files in
/etc/ppp/peers, are connections too: PPPoE, modem or cable, as their options say. They can be called by their own names;
'icshare connect' dials one and 'icshare disconnect' hangs it up. Sharing one that is not connected dials it, or lets
the first packet of a client do that.
"""

_EXIT = (
    ("0", "Done. 'status', when nothing is shared, and 'stop', when nothing was, are done too."),
    ("1", "The machine refused, or a check failed. What was begun has been rolled back."),
    ("2", "The request is wrong. Nothing was touched."),
    ("3", "A privilege is missing: run it with sudo. Nothing was touched."),
    ("128+N", "Signal N ended it, as 130 for Ctrl-C. What 'share' had begun has been rolled back."),
)

_FILES = (
    ("/etc/icshare/icshare.toml", "Settings; see icshare.toml(5). Need not exist."),
    (
        "/var/lib/icshare/",
        "What was asked for, also after a reboot: who is public and who private, firewalls, port mappings, names.",
    ),
    ("/etc/ppp/peers/", "What pppd can dial."),
    ("/var/lib/icshare/passphrases", "The passphrases of access points, for root only."),
    ("/run/icshare/", "The record of what was changed, and the files of the DHCP and DNS server."),
    (
        "/var/log/icshare/pfirewall.log",
        "What firewalls dropped or let through, if 'firewall set' has switched that on; the one before ends in .old.",
    ),
)

_ENVIRONMENT = (
    ("ICSHARE_CONFIG", "The settings file, in place of /etc/icshare/icshare.toml."),
    ("ICSHARE_RUN_DIR", "The run directory, in place of /run/icshare: one for each gateway on a host."),
    ("ICSHARE_STATE_DIR", "The state directory, in place of /var/lib/icshare; one for each run directory."),
    ("NO_COLOR", "When set, colours are not used on a terminal."),
)

_EXAMPLES = (
    ("icshare list", "Show the connections, and what each can be."),
    ("sudo icshare share wlan0 eth0", "Share the Wi-Fi connection with what is plugged into eth0."),
    ("sudo icshare connect provider", "Dial the pppd peer of that name."),
    (
        "sudo icshare share --dial-on-demand provider eth0",
        "Share it with eth0; the first packet of a client dials it, and it is hung up when nobody needs it.",
    ),
    (
        "sudo icshare share auto eth0 eth1",
        "Share the one with the best default route; eth0 and eth1 are bridged.",
    ),
    ("sudo icshare share --dry-run wlan0 eth0", "Show every change and the ruleset, and do nothing."),
    ("sudo icshare share eth0 wlan0 --ssid home", "Make a Wi-Fi access point, with a new passphrase and its QR code."),
    (
        "sudo icshare map add web tcp 80 192.168.137.9:8080",
        "Let port 80 of the public connection lead to port 8080 of a client.",
    ),
    (
        "sudo icshare map add games udp 27000-27010 console",
        "Let eleven ports lead to the client that calls itself console, whatever its address is.",
    ),
    (
        "sudo icshare map add ssh tcp 22 [52:54:00:00:00:01]:2222",
        "Let a port lead to the client with a hardware address.",
    ),
    ("sudo icshare map disable web", "Stop a mapping, and cut its connections; 'map enable' brings it back."),
    ("sudo icshare firewall on eth2", "Protect a connection, shared or not."),
    (
        "sudo icshare firewall set eth2 --icmp inbound-echo-request --log-dropped",
        "Let it answer to ping, and write down what is dropped.",
    ),
    ("icshare clients --json | jq -r '.clients[].address'", "Print the addresses of the clients."),
    ("sudo icshare stop", "Take everything back."),
)

_PAGES = ("icshare.toml (5)", "nft (8)", "dnsmasq (8)", "ip (8)", "tc (8)", "ethtool (8)")
_DOCUMENTS = """\
With the source come docs/fast-path.md, which has the rules, needs and limits of the fast path, and docs/json.md, which
has what --json prints.
"""

_SETTINGS_DESCRIPTION = """\
The administrator's settings, in TOML. Everything is optional, and options of the command line overrule it. A key that
is not listed here is an error, and so is a value that has no meaning: nothing is shared until the file is right.
"""

SETTINGS: dict[str, tuple[str, str]] = {
    "version": ("1", "Version of this format."),
    "sharing.subnet": ("CIDR", "Subnet of the private network. Default: 192.168.137.0/24, or the first that is free."),
    "sharing.firewall": ("boolean", "Protect the public connection itself. Default: true."),
    "sharing.helpers": ("list", "Protocols to help through NAT: any of ftp, tftp, sip and pptp. Default: none."),
    "sharing.bridge": (
        "boolean",
        (
            "Make the bridge ics-br0 for a single private connection too, for ports that others add to it: Bluetooth, "
            "hypervisors, containers. Default: false."
        ),
    ),
    "sharing.fast_path": (
        "word",
        (
            "How the later packets of connections go: xdp, tc, flowtable, off, or auto for the fastest that goes past "
            "nothing that others have set up; see icshare(1). Default: auto."
        ),
    ),
    "sharing.dial_on_demand": (
        "boolean",
        "Dial a pppd peer that is shared when a client needs it, and hang up when it is idle. Default: false.",
    ),
    "sharing.idle_seconds": (
        "integer",
        "On demand, hang up after so many seconds in which nothing left; 0 never does. Default: 600.",
    ),
    "dhcp.enabled": ("boolean", "Give clients their settings by DHCP. Default: true."),
    "dhcp.first": ("address", "First address to lease. Default: the first after the gateway's."),
    "dhcp.last": ("address", "Last address to lease, inclusive. Default: the last of the subnet."),
    "dhcp.lease_seconds": ("integer", "Lease time in seconds, at least 120. Default: 43200, which is 12 hours."),
    "dhcp.reservations.mac": ("address", "Hardware address of the client that the reservation is for. Required."),
    "dhcp.reservations.address": ("address", "The address that it always gets."),
    "dhcp.reservations.name": ("name", "Its host name, whatever it calls itself."),
    "dns.domain": ("domain", "Domain of the clients' names. Default: home.arpa."),
    "dns.servers": ("list", "Addresses of resolvers to ask. Default: those that the host itself asks."),
    "policy.allow_sharing": ("boolean", "Connections may be shared at all. Default: true."),
    "policy.allow_bridge": ("boolean", "Two or more private connections may be bridged. Default: true."),
    "policy.allow_firewall": ("boolean", "Firewalls may be switched on and off. Default: true."),
    "link.NAME.media": (
        "word",
        "What the link is: none, direct, isdn, lan, phone, tunnel or pppoe. Brings the roles that are usual for it.",
    ),
    "link.NAME.incoming_only": ("boolean", "It only answers calls, so it cannot be shared."),
    "link.NAME.public": ("boolean", "It may be the public connection."),
    "link.NAME.private": ("boolean", "It may be a private connection."),
    "link.NAME.bridgeable": ("boolean", "It can be a port of a bridge; if not, it becomes a network of its own."),
    "link.NAME.name": ("text", "Its name for people."),
}
"""Keys of the settings file: what they take, what they mean."""

_SETTINGS_EXAMPLE = """\
[sharing]
subnet = "10.7.0.0/24"

[dhcp]
first = "10.7.0.100"

[[dhcp.reservations]]
mac = "52:54:00:12:34:56"
address = "10.7.0.10"
name = "printer"

[link.eth2]
name = "bench, left"
"""


def command_page() -> str:
    """Return the page icshare(1)."""
    group = make_group()
    context = group.make_context("icshare", [], obj=Session(), resilient_parsing=True)
    commands = tuple(_commands(group, context))
    return _page(
        "icshare",
        "1",
        "share one Internet connection with a whole network",
        (
            ("SYNOPSIS", _synopsis([*commands, (context, group)])),
            ("DESCRIPTION", _paragraphs(_DESCRIPTION)),
            ("COMMANDS", [line for where, command in commands for line in _command(where, command)]),
            ("OPTIONS", _options(group, context)),
            ("EXIT STATUS", _terms(_EXIT)),
            ("FILES", _terms(_FILES)),
            ("ENVIRONMENT", _terms(_ENVIRONMENT)),
            ("EXAMPLES", _terms(_EXAMPLES)),
            ("SEE ALSO", [*(f".BR {page}," for page in _PAGES[:-1]), f".BR {_PAGES[-1]}", *_paragraphs(_DOCUMENTS)]),
        ),
    )


def settings_page() -> str:
    """Return the page icshare.toml(5)."""
    tables: dict[str, list[str]] = {}
    for key, (takes, meaning) in SETTINGS.items():
        table, _, name = key.rpartition(".")
        tables.setdefault(table, []).extend([".TP", rf"\fB{name}\fR = \fI{takes}\fR", meaning])
    sections = [(_heading(table), lines) for table, lines in tables.items()]
    return _page(
        "icshare.toml",
        "5",
        "settings of icshare",
        (
            ("DESCRIPTION", _paragraphs(_SETTINGS_DESCRIPTION)),
            ("KEYS", [line for heading, lines in sections for line in (*heading, *lines)]),
            ("FILES", _terms(_FILES[:1])),
            ("EXAMPLE", [".nf", *(_roff(line) for line in _SETTINGS_EXAMPLE.splitlines()), ".fi"]),
            ("SEE ALSO", [".BR icshare (1)"]),
        ),
    )


def _page(name: str, section: str, purpose: str, sections: Iterable[tuple[str, Sequence[str]]]) -> str:
    lines = [
        '.\\" Made by python -m icshare.cli.man; changes are lost.',
        f'.TH {name.upper()} {section} "" "icshare {__version__}"',
        ".SH NAME",
        rf"{_roff(name)} \- {purpose}",
    ]
    for title, content in sections:
        lines += [f".SH {title}", *content]
    return "\n".join(lines) + "\n"


def _heading(table: str) -> tuple[str, ...]:
    if not table:
        return ()
    return (f".SS [[{table}]]",) if table == "dhcp.reservations" else (f".SS [{table}]",)


def _commands(group: Any, context: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 (typer's commands are private to it)
    """Yield every command with its context, those of a command's own after it."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = command.make_context(name, [], parent=context, resilient_parsing=True)
        if hasattr(command, "list_commands"):
            yield from _commands(command, inner)
        elif not command.hidden:
            yield inner, command


def _synopsis(commands: Iterable[tuple[Any, Any]]) -> list[str]:
    lines: list[str] = []
    for context, command in commands:
        pieces = " ".join(piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]")
        lines += [*([".br"] if lines else []), rf"\fB{_roff(context.command_path)}\fR [\fIOPTIONS\fR] {_roff(pieces)}"]
    return lines


def _command(context: Any, command: Any) -> Iterator[str]:  # noqa: ANN401 (typer's commands are private to it)
    path = context.command_path.removeprefix("icshare ")
    pieces = " ".join(piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]")
    yield f".SS {_roff(path)} {_roff(pieces)}".rstrip()
    yield from _paragraphs(command.help or "")
    for one in command.get_params(context):
        if one.param_type_name == "argument" and one.help:
            yield from (".TP", rf"\fI{_roff(one.metavar)}\fR", _roff(one.help))
    yield from _options(command, context, without={"--help", "--verbose"})


def _options(command: Any, context: Any, without: Iterable[str] = ()) -> list[str]:  # noqa: ANN401 (as above)
    lines: list[str] = []
    for one in command.get_params(context):
        if one.param_type_name == "option" and not one.hidden and not set(one.opts) & set(without):
            names, text = one.get_help_record(context)
            lines += [".TP", rf"\fB{_roff(names)}\fR", _roff(" ".join(text.split()))]
    return lines


def _terms(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [line for term, text in pairs for line in (".TP", rf"\fB{_roff(term)}\fR", _roff(text))]


def _paragraphs(text: str) -> list[str]:
    paragraphs = text.strip().split("\n\n")
    return [line for one in paragraphs for line in (".PP", _roff(" ".join(one.split())))]


def _roff(text: str) -> str:
    """Return *text* for roff: hyphens stay hyphens that can be pasted, and no line is taken for a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


def main(arguments: Sequence[str]) -> None:
    """Print a page."""
    typer.echo(settings_page() if list(arguments) == ["icshare.toml"] else command_page(), nl=False)


if __name__ == "__main__":
    main(sys.argv[1:])
