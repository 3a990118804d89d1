"""The connection firewall: the firewalls of all connections as the text of table ``inet icshare_firewall``.

Theory of operation
-------------------
Independent of sharing (see `icshare.render.nft`), loaded in one transaction, harmless to load twice; named sets stay.

* ``redirected`` (prerouting, nat): an external port of a mapping to this host that has another number inside. Only for
  connections that are not the public one of a sharing in force; there the sharing's own table does it.
* ``input``: what comes in by a connection with a firewall goes to ``inbound``: answers pass, connections older than the
  firewall, what the link itself needs, the administrator's own login, and the holes of mappings. A hole is known by the
  port that the packet bore on the wire, so 8080 redirected to 80 opens 8080 alone. The rest is dropped in silence.
* ``requests``: the inbound ICMP options, before all that: a request is never an answer, so a ping ends when its option
  goes, though connection tracking knows it; and it calls invalid what it knows nothing of, as router requests.
* ``output``: the outbound ICMP options. Errors that this host sends about a connection with traffic both ways pass:
  without them path MTU discovery would fail, a client's as well as our own. The options rule the errors about packets
  that nobody here has answered.
* ``forward``, only where connections are logged: the log lists those of clients, too.

What is logged goes to a group of the kernel's packet log, and from there into a file (`icshare.host.firewall_log`).

Source:
    RFC 792, 950, 1256, 4443 (ICMP types); Windows Firewall API, INetFwIcmpSettings (the options).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from icshare.model.firewall import Firewall, IcmpOption
from icshare.model.names import InterfaceName
from icshare.render.logsettings import GROUP
from icshare.render.text import block, chain, drop_chains, names, rule

FIREWALL_TABLE = "icshare_firewall"
"""Name of the firewall's table in family ``inet``."""

_SNAP_BYTES = 128
_SETS = (
    ("set holes_tcp", ["type ifname . inet_service", "counter"]),
    ("set holes_udp", ["type ifname . inet_service", "counter"]),
    ("map own_ports", ["type ifname . inet_proto . inet_service : inet_service"]),
    ("set older4", ["type inet_proto . ipv4_addr . inet_service . ipv4_addr . inet_service"]),
    ("set older6", ["type inet_proto . ipv6_addr . inet_service . ipv6_addr . inet_service"]),
)
_INBOUND = {
    IcmpOption.INBOUND_ECHO_REQUEST: ("icmp type echo-request", "icmpv6 type echo-request"),
    IcmpOption.INBOUND_TIMESTAMP_REQUEST: ("icmp type timestamp-request",),
    IcmpOption.INBOUND_MASK_REQUEST: ("icmp type address-mask-request",),
    IcmpOption.INBOUND_ROUTER_REQUEST: ("icmp type router-solicitation", "icmpv6 type nd-router-solicit"),
    IcmpOption.REDIRECT: ("icmp type redirect", "icmpv6 type nd-redirect"),
}
_OUTBOUND = {
    IcmpOption.OUTBOUND_DESTINATION_UNREACHABLE: (
        "icmp type destination-unreachable icmp code != frag-needed",
        "icmpv6 type destination-unreachable",
    ),
    IcmpOption.OUTBOUND_SOURCE_QUENCH: ("icmp type source-quench",),
    IcmpOption.OUTBOUND_PARAMETER_PROBLEM: ("icmp type parameter-problem", "icmpv6 type parameter-problem"),
    IcmpOption.OUTBOUND_TIME_EXCEEDED: ("icmp type time-exceeded", "icmpv6 type time-exceeded"),
    IcmpOption.OUTBOUND_PACKET_TOO_BIG: (
        "icmp type destination-unreachable icmp code frag-needed",
        "icmpv6 type packet-too-big",
    ),
}


def firewall_ruleset(firewalls: Sequence[Firewall]) -> str:
    """Return the text of the whole table; deterministic, and harmless to load twice.

    Args:
        firewalls: At least one.
    """
    protected = names(one.interface for one in firewalls)
    opened = _where(firewalls, lambda one: one.options.log_opened)
    chains = [
        chain("redirected", "type nat hook prerouting priority dstnat; policy accept;", _redirected(protected)),
        chain("input", "type filter hook input priority filter; policy accept;", _input(protected)),
        chain("inbound", "", _inbound(firewalls)),
        chain("requests", "", _requests(firewalls)),
        chain("opened", "", _opened(opened)),
        chain("refused", "", _refused(_where(firewalls, lambda one: one.options.log_dropped))),
        chain("output", "type filter hook output priority filter; policy accept;", _output(protected, opened)),
        chain("errors", "", _errors(firewalls)),
        *(
            [chain("forward", "type filter hook forward priority filter; policy accept;", _forward(opened))]
            if opened
            else []
        ),
    ]
    head = [f"add table inet {FIREWALL_TABLE}", f"flush table inet {FIREWALL_TABLE}"]
    head += drop_chains(FIREWALL_TABLE, [] if opened else ["forward"])
    sets = "\n\n".join(block(name, body) for name, body in _SETS)
    body = "\n\n".join([sets, *chains])
    return "\n".join(head) + f"\n\ntable inet {FIREWALL_TABLE} {{\n{body}\n}}\n"


def _redirected(protected: str) -> Iterator[str]:
    to = "dnat to :iifname . meta l4proto . th dport map @own_ports"
    yield rule(
        f"iifname {protected} meta nfproto ipv4 fib daddr . iif type local meta l4proto {{ tcp, udp }} {to}",
        "mappings to this host",
    )


def _input(protected: str) -> Iterator[str]:
    yield rule(f"iifname {protected} jump inbound", "connection firewall")


def _inbound(firewalls: Sequence[Firewall]) -> Iterator[str]:
    yield rule("meta l4proto { icmp, ipv6-icmp } jump requests", "inbound ICMP options")
    yield rule("ct state established,related accept", "answers, and errors about them")
    yield rule("ct state invalid goto refused", "belongs to nothing")
    yield rule("meta l4proto . ip saddr . th sport . ip daddr . th dport @older4 accept", "older than the firewall")
    yield rule("meta l4proto . ip6 saddr . th sport . ip6 daddr . th dport @older6 accept", "older than the firewall")
    neighbour = "nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert, mld-listener-query"
    yield rule(f"icmpv6 type {{ {neighbour} }} ip6 hoplimit {{ 1, 255 }} accept", "what the link itself needs")
    yield rule("udp sport 67 udp dport 68 accept", "our own DHCP lease")
    yield rule("ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept", "our own DHCPv6 lease")
    for one in firewalls:
        if one.login_port is not None:
            yield rule(f'iifname "{one.interface}" tcp dport {one.login_port} accept', "the administrator's login")
    for protocol in ("tcp", "udp"):
        yield rule(
            f"meta nfproto ipv4 meta l4proto {protocol} iifname . ct original proto-dst @holes_{protocol} goto opened",
            "mappings to this host",
        )
    yield rule("goto refused", "nothing unasked")


def _requests(firewalls: Sequence[Firewall]) -> Iterator[str]:
    for option, messages in _INBOUND.items():
        for message in messages:
            if where := _without(firewalls, option):
                yield rule(f"iifname {where} {message} goto refused", str(option))
            if where := _with(firewalls, option):
                yield rule(f"iifname {where} {message} ct state new,untracked,invalid goto opened", str(option))


def _opened(logged: str) -> Iterator[str]:
    if logged:
        yield rule(f"iifname {logged} {_log('OPEN-INBOUND')}", "log")
    yield rule("accept", "let in")


def _refused(logged: str) -> Iterator[str]:
    if logged:
        yield rule(f"iifname {logged} {_log('DROP')}", "log")
    yield rule("counter drop", "kept out")


def _output(protected: str, logged: str) -> Iterator[str]:
    yield rule(f"oifname {protected} meta l4proto {{ icmp, ipv6-icmp }} jump errors", "outbound ICMP options")
    if logged:
        yield rule(f"oifname {logged} ct state new {_log('OPEN')}", "log")


def _forward(logged: str) -> Iterator[str]:
    yield rule(f"oifname {logged} ct state new {_log('OPEN')}", "log")


def _errors(firewalls: Sequence[Firewall]) -> Iterator[str]:
    yield rule("ct status seen-reply return", "about a connection: path MTU discovery needs them")
    for option, messages in _OUTBOUND.items():
        if where := _without(firewalls, option):
            for message in messages:
                yield rule(f"oifname {where} {message} counter drop", str(option))


def _log(action: str) -> str:
    return f'log group {GROUP} snaplen {_SNAP_BYTES} prefix "icshare {action}"'


def _with(firewalls: Iterable[Firewall], option: IcmpOption) -> str:
    return _where(firewalls, lambda one: option in one.options.icmp)


def _without(firewalls: Iterable[Firewall], option: IcmpOption) -> str:
    return _where(firewalls, lambda one: option not in one.options.icmp)


def _where(firewalls: Iterable[Firewall], wanted: Callable[[Firewall], bool]) -> str:
    """Return the interfaces of those that are *wanted*, "" without any."""
    found: list[InterfaceName] = [one.interface for one in firewalls if wanted(one)]
    return names(found) if found else ""
