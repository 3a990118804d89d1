"""The ruleset: a sharing as the text of table ``inet icshare``.

Theory of operation
-------------------
One table, loaded in one transaction, so that the kernel never shows half a firewall. The text may be loaded again at
any time: it empties the rules of the table and writes them anew, but leaves the named sets as they are, so that what
the kernel has learnt (traffic of clients, foreign DHCP servers, connections older than the firewall) survives a change.

Chains in packet order:

* ``guard`` (prerouting, before connection tracking): nobody but a segment's own clients may use a segment's addresses,
  and clients may use no others; router advertisements from clients are dropped; answers of foreign DHCP servers are
  noted.
* ``helpers`` (prerouting, after connection tracking): application layer gateways, when asked for.
* ``mss`` (forward, mangle): TCP's maximum segment size is lowered to the path's MTU, both ways, so that a smaller
  uplink (PPPoE, VPN) never turns into a hanging page.
* ``forward``: packets that neither come from a segment nor go to one are none of our business and return at once.
  Clients reach the public connection and other segments and nothing else, whatever the routing table says (the kill
  switch): with the public connection gone they get an ICMP error at once. Towards a segment only answers pass.
* ``input``: the segment reaches the gateway; while a foreign DHCP server is about, ours is not asked. On the public
  connection, with the firewall on, only answers, what the link itself needs, and the administrator's own login.
* ``srcnat``: the segments' addresses become the public connection's, there and nowhere else.
* ``egress`` (postrouting, last): a packet that still bears a segment's address, as source or destination, does not
  leave through anything but a segment.

The kill switch comes before the acceptance of established connections: a connection whose route moved away from the
public link is rejected too, not carried on elsewhere.

Addresses of IPv6 are not shared yet: clients get no route to other links through us, so that a VPN for IPv4 alone does
not leak.

Interfaces are matched by name: links come and go.
"""

from collections.abc import Iterable, Iterator, Sequence

from icshare.model.names import InterfaceName
from icshare.model.sharing import Helper, Segment, Sharing

TABLE = "icshare"
"""Name of our table in family ``inet``; the only one we own."""

DHCP_WINDOW_SECONDS = 30
"""How long after a probe an answering foreign DHCP server still silences ours (as the allocator of Windows CE)."""

MAX_CLIENTS = 65_535

CLIENT_DAYS = 3_650
"""How long the kernel remembers a client. Never refreshed: what is left of it tells when the client was first seen."""

_HELPER_PORTS = {
    Helper.FTP: ("tcp", 21),
    Helper.TFTP: ("udp", 69),
    Helper.SIP: ("udp", 5060),
    Helper.PPTP: ("tcp", 1723),
}


def ruleset(sharing: Sharing, segments: Sequence[Segment]) -> str:
    """Return the text of the whole table for *sharing* on *segments*; deterministic, and harmless to load twice."""
    chains = [
        _chain("guard", "type filter hook prerouting priority raw; policy accept;", _guard(segments)),
        *_helper_chain(sharing, segments),
        _chain("mss", "type filter hook forward priority mangle; policy accept;", _mss(sharing, segments)),
        _chain("forward", "type filter hook forward priority filter; policy accept;", _forward(sharing, segments)),
        _chain("input", "type filter hook input priority filter; policy accept;", _input(sharing, segments)),
        _chain("input_segment", "", _input_segment()),
        *([_chain("input_public", "", _input_public(sharing))] if sharing.firewall else []),
        _chain("srcnat", "type nat hook postrouting priority srcnat; policy accept;", _srcnat(sharing, segments)),
        _chain("egress", "type filter hook postrouting priority srcnat + 10; policy accept;", _egress(segments)),
    ]
    sets = "\n\n".join(_block(head, body) for head, body in _sets(sharing))
    body = "\n\n".join([sets, *chains])
    head = [f"add table inet {TABLE}", f"flush table inet {TABLE}"]
    for chain in [*(["helpers"] if not sharing.helpers else []), *(["input_public"] if not sharing.firewall else [])]:
        # A flush leaves chains: an earlier sharing's goes. Adding it first makes that no error where there is none.
        head += [f"add chain inet {TABLE} {chain}", f"delete chain inet {TABLE} {chain}"]
    return "\n".join(head) + f"\n\ntable inet {TABLE} {{\n{body}\n}}\n"


def _sets(sharing: Sharing) -> Iterator[tuple[str, list[str]]]:
    yield (
        "set sent",
        ["type ipv4_addr", f"size {MAX_CLIENTS}", "flags dynamic,timeout", f"timeout {CLIENT_DAYS}d", "counter"],
    )
    yield "set received", ["type ipv4_addr", f"size {MAX_CLIENTS}", "flags dynamic", "counter"]
    yield "set dhcp_window", ["type inet_service", "flags timeout"]
    yield "set dhcp_foreign", ["type inet_service", "size 16", "flags dynamic"]
    yield "set dhcp_servers", ["type ipv4_addr . ether_addr", "size 64", "flags dynamic,timeout", "timeout 1h"]
    yield "set older4", ["type inet_proto . ipv4_addr . inet_service . ipv4_addr . inet_service"]
    yield "set older6", ["type inet_proto . ipv6_addr . inet_service . ipv6_addr . inet_service"]
    for helper in sharing.helpers:
        yield f"ct helper {helper}", [f'type "{helper}" protocol {_HELPER_PORTS[helper][0]}']


def _guard(segments: Sequence[Segment]) -> Iterator[str]:
    inside = _names(segment.interface for segment in segments)
    outside = _names([*(segment.interface for segment in segments), InterfaceName("lo")])
    networks = _set(str(segment.network) for segment in segments)
    ethernet = [segment for segment in segments if segment.ethernet]
    # While a change is under way, a link that is to become a port is still a link of its own, with clients that may
    # bear addresses of the subnet before.
    ports = [name for segment in segments if segment.bridged for name in segment.members]
    if ports:
        yield _rule(f"iifname {_names(ports)} counter drop", "a port speaks through its bridge")
    for segment in ethernet:
        watch = f'iifname "{segment.interface}" ip saddr != {segment.gateway} udp sport 67 udp dport 68'
        yield _rule(f"{watch} update @dhcp_servers {{ ip saddr . ether saddr }}", "a foreign DHCP server speaks")
        yield _rule(f"{watch} udp dport @dhcp_window add @dhcp_foreign {{ udp dport }}", "... in time: ours stays off")
    for segment in ethernet:
        yield _rule(
            f'iifname "{segment.interface}" ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept',
            "a client without address",
        )
    for segment in segments:
        yield _rule(
            f'iifname "{segment.interface}" ip saddr != {segment.network} counter drop', "spoofed source from a client"
        )
    yield _rule(f"iifname {inside} icmpv6 type nd-router-advert counter drop", "clients are no routers")
    yield _rule(f"iifname != {outside} ip saddr {networks} counter drop", "segment's address from elsewhere")
    yield _rule(f"iifname != {outside} ip daddr {networks} counter drop", "un-translated towards the segment")


def _helper_chain(sharing: Sharing, segments: Sequence[Segment]) -> list[str]:
    if not sharing.helpers:
        return []
    inside = _names(segment.interface for segment in segments)
    rules = [
        _rule(f'iifname {inside} {protocol} dport {port} ct helper set "{helper}"', f"ALG {helper}")
        for helper in sharing.helpers
        for protocol, port in [_HELPER_PORTS[helper]]
    ]
    return [_chain("helpers", "type filter hook prerouting priority mangle; policy accept;", rules)]


def _mss(sharing: Sharing, segments: Sequence[Segment]) -> Iterator[str]:
    inside = _names(segment.interface for segment in segments)
    public = f'"{sharing.public}"'
    clamp = "tcp flags syn / syn,rst tcp option maxseg size set rt mtu"
    yield _rule(f"iifname {inside} oifname {public} {clamp}", "MSS towards the Internet")
    yield _rule(f"iifname {public} oifname {inside} {clamp}", "MSS towards the segment")


def _forward(sharing: Sharing, segments: Sequence[Segment]) -> Iterator[str]:
    inside = _names(segment.interface for segment in segments)
    allowed = _names([sharing.public, *(segment.interface for segment in segments)])
    public = f'"{sharing.public}"'
    yield _rule(f"iifname != {inside} oifname != {inside} return", "not ours")
    yield _rule(f"iifname {inside} oifname {inside} accept", "between clients")
    yield _rule(f"iifname {inside} oifname != {allowed} counter reject with icmpx no-route", "kill switch")
    yield _rule(f"iifname {inside} oifname {public} meta nfproto ipv6 reject with icmpx no-route", "IPv6 is not shared")
    yield _rule("ct state invalid counter drop", "never un-translated")
    yield _rule(f"iifname {inside} oifname {public} add @sent {{ ip saddr }} accept", "to the Internet")
    yield _rule("ct state established,related update @received { ip daddr } accept", "answers")
    yield _rule("counter drop", "nothing else gets in")


def _input(sharing: Sharing, segments: Sequence[Segment]) -> Iterator[str]:
    inside = _names(segment.interface for segment in segments)
    yield _rule(f"iifname {inside} jump input_segment", "from clients")
    if sharing.firewall:
        yield _rule(f'iifname "{sharing.public}" jump input_public', "connection firewall")


def _input_segment() -> Iterator[str]:
    yield _rule("udp sport 68 udp dport 67 udp sport @dhcp_foreign counter drop", "another DHCP server serves")
    yield _rule("accept", "clients may use the gateway")


def _input_public(sharing: Sharing) -> Iterator[str]:
    yield _rule("ct state established,related accept", "answers, and errors about them")
    yield _rule("ct state invalid counter drop", "belongs to nothing")
    yield _rule("meta l4proto . ip saddr . th sport . ip daddr . th dport @older4 accept", "older than the firewall")
    yield _rule("meta l4proto . ip6 saddr . th sport . ip6 daddr . th dport @older6 accept", "older than the firewall")
    neighbour = "nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert, nd-redirect, mld-listener-query"
    yield _rule(f"icmpv6 type {{ {neighbour} }} ip6 hoplimit {{ 1, 255 }} accept", "what the link itself needs")
    yield _rule("udp sport 67 udp dport 68 accept", "our own DHCP lease")
    yield _rule("ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept", "our own DHCPv6 lease")
    if sharing.ssh_port is not None:
        yield _rule(f"tcp dport {sharing.ssh_port} accept", "the administrator's login")
    yield _rule("counter drop", "nothing unasked")


def _srcnat(sharing: Sharing, segments: Sequence[Segment]) -> Iterator[str]:
    networks = _set(str(segment.network) for segment in segments)
    yield _rule(f'oifname "{sharing.public}" ip saddr {networks} masquerade', "the one public address")


def _egress(segments: Sequence[Segment]) -> Iterator[str]:
    outside = _names([*(segment.interface for segment in segments), InterfaceName("lo")])
    networks = _set(str(segment.network) for segment in segments)
    yield _rule(f"oifname != {outside} ip saddr {networks} counter drop", "a segment's address never leaves")
    # Answers under way when a stop takes the segment's route away would go by the default route: back, un-translated.
    yield _rule(f"oifname != {outside} ip daddr {networks} counter drop", "neither do answers to it")


def _rule(text: str, why: str) -> str:
    return f'{text} comment "icshare: {why}"'


def _chain(name: str, hook: str, rules: Iterable[str]) -> str:
    lines = [*([hook] if hook else []), *rules]
    return f"\tchain {name} {{\n" + "".join(f"\t\t{line}\n" for line in lines) + "\t}"


def _block(head: str, body: Iterable[str]) -> str:
    return f"\t{head} {{\n" + "".join(f"\t\t{line};\n" for line in body) + "\t}"


def _names(names: Iterable[InterfaceName]) -> str:
    return _set(f'"{name}"' for name in names)


def _set(items: Iterable[str]) -> str:
    unique = list(dict.fromkeys(items))
    return unique[0] if len(unique) == 1 else "{ " + ", ".join(unique) + " }"
