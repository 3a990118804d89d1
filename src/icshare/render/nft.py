"""The ruleset: a sharing as the text of table ``inet icshare``.

Theory of operation
-------------------
One table, loaded in one transaction, so that the kernel never shows half a firewall. The text may be loaded again at
any time: it empties the rules of the table and writes them anew, but leaves the named sets as they are, so that what
the kernel has learnt (traffic of clients, foreign DHCP servers) and the port mappings survive a change.

Chains in packet order:

* ``guard`` (prerouting, before connection tracking): nobody but a segment's own clients may use a segment's addresses,
  and clients may use no others, so nobody can speak for a connection that is not his; router advertisements from
  clients are dropped; answers of foreign DHCP servers are noted.
* ``dstnat`` (prerouting) and ``dstnat_local`` (output, for the gateway itself) lead to ``mapped``: packets to a public
  address of ours go where the port mappings say. There is a rule or two, whatever the number of mappings; each is an
  element of ``port_mappings``, or of ``own_ports`` when it leads to another port of this host. From the segment and
  from the gateway the public addresses count that the kernel has seen in use on the public link, as long as they are
  the host's (hairpin).
* ``helpers`` (prerouting, after connection tracking): application layer gateways, when asked for.
* ``forward`` and ``replies`` let through what nearly all packets are: those of a connection that a known client has
  opened to the Internet and that lasts. ``decide`` would let the same ones through, and everything else goes there.
* ``decide``: packets that neither come from a segment nor go to one are none of our business and return.
  From a segment (``from_segment``) clients reach the public connection (``outwards``) and other segments and nothing
  else, whatever the routing table says (the kill switch): with the public connection gone they get an ICMP error at
  once. Towards a segment (``inwards``) only answers pass, and what was mapped: by an element that is still there, to
  the target that it names; so do errors about what goes by it. Neither a mapping taken away nor another program's DNAT
  opens the segment. A TCP connection whose mapping was taken away is reset, instead of being picked up in its middle.
  TCP's maximum segment size is lowered to the path's MTU, both ways, so that a smaller uplink (PPPoE, VPN) never turns
  into a hanging page; the packets that bear it come before their connection is one that lasts.
* ``questions`` (output): what our name server asks, told by the account that nobody else has, leaves by the public
  connection or to a segment, and else by nothing: the kill switch for names. Through a tunnel it may not ask a program
  on this host either, because that would ask in its place, by any way that the host has.
* ``input``: the segment reaches the gateway, and nobody else by a segment's address (``input_borrowed``), but with
  answers to what the gateway itself has sent from there; while a foreign DHCP server is about, ours is not asked.
* ``srcnat``: the segments' addresses become the public connection's, there and nowhere else. What a mapped socket sends
  keeps the external port (endpoint-independent mapping, RFC 4787), and whoever else happens to send from that port gets
  another one. What a client sends to a mapped port of the public address, and so to its own segment, comes from the
  gateway, or the answer would go past it.
* ``egress`` (postrouting): a packet that still bears a segment's address, as source or destination, does not
  leave through anything but a segment. Of a connection that is translated, packets out do not bear one any more, and
  the way of those back was looked at before; what this host writes about it (errors) was not.
* ``fast`` (postrouting) and ``into_flowtable`` (forward), each the very last there is, with a fast path:
  `icshare.render.grants`.

Sets and maps, which outlive a change of the rules. Chains write those of clients and DHCP, mappings change the others
one element at a time (`icshare.render.mappings`):

* ``sent``, ``received``: bytes by client. How long a client has been known is what is left of its timeout in ``sent``.
* ``dhcp_window`` has the client's port of DHCP while we probe for foreign servers, ``dhcp_foreign`` from an answer in
  that time on; ``dhcp_servers`` are all that were heard in the last hour.
* ``public_addresses``: seen in use on the public link in the last day.
* ``port_mappings``, ``own_ports``: where an external port leads to; ``mapped_ports``: those that lead to clients.
* ``mapped_sources``: the external port that a mapped socket keeps. ``mapped_received``, ``mapped_sent``: its bytes, and
  whom a mapping opens the segment to.
* ``cut``: sockets whose mapping was taken away.

A public connection that is dialled on demand stands, with an address, before it is dialled, and has another after.
What set the dialling off was translated to the address before, and the kernel forgets that translation too late: it
looks for it by the address of the other end (``masq_inet_event()``), which is not the one on a point-to-point link. So
connections that nobody has answered yet are forgotten after a second or three, in which no client gives up; its own
next try is translated anew. And nothing leaves by such a link with an address that is not the host's any more.

Every packet is asked about its links whatever its connection's state, so the kill switch is for established ones too: a
connection whose route moved away from the public link is rejected, not carried on elsewhere. What speaks for the other
end on another link of a host that forwards everywhere, as beside containers or a VPN, reaches nobody.

What a packet pays, in nanoseconds on one machine: 30 for a chain with a hook, 37 for a link's name, 45 for an address
in a network, 13 for a state or a status, 5 for a jump, 60 more for an anonymous set, 110 for an element that counts it.
So chains ask first what settles most packets, by a comparison where that will do, and for a link's name but once.

Addresses of IPv6 are not shared yet: clients get no route to other links through us, so that a VPN for IPv4 alone does
not leak.

Interfaces are matched by name: links come and go. The public connection's own firewall is another table
(`icshare.render.firewall`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from icshare.model.names import InterfaceName
from icshare.model.sharing import Helper, Segment, Sharing, disjoint
from icshare.render.grants import GRANTING, INTO_FLOWTABLE, FastPath, fast_chains, flowtables
from icshare.render.text import block, chain, drop_chains, names, one_of, rule

TABLE = "icshare"
"""Name of the sharing's table in family ``inet``."""

DHCP_WINDOW_SECONDS = 30
"""How long after a probe an answering foreign DHCP server still silences ours (as the allocator of Windows CE)."""

MAX_CLIENTS = 65_535

CUT_SECONDS = 86_400
"""How long a socket whose mapping was taken away has its open TCP connections reset."""

CLIENT_DAYS = 3_650
"""How long the kernel remembers a client. Never refreshed: what is left of it tells when the client was first seen."""

_PATIENCE = (("tcp", "syn_sent", 1), ("udp", "unreplied", 3))
"""Seconds after which connections that nobody has answered are forgotten, on demand. A client's second try at TCP comes
after one second and the third after two more (RFC 6298), one at DNS after five."""

_HELPER_PORTS = {
    Helper.FTP: ("tcp", 21),
    Helper.TFTP: ("udp", 69),
    Helper.SIP: ("udp", 5060),
    Helper.PPTP: ("tcp", 1723),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """How to know our name server's own questions, and whom they may go to.

    Attributes:
        account: User id of our name server, and of nobody else.
        here: They may go to a program on this host.
        wireguard: The public connection is WireGuard. The kernel counts its own packets, which bear ours in them, as
            sent by whoever sent what is in them.
    """

    account: int
    here: bool
    wireguard: bool = False


def ruleset(
    sharing: Sharing,
    segments: Sequence[Segment],
    questions: Questions | None = None,
    *,
    on_demand: bool = False,
    fast: FastPath | None = None,
) -> str:
    """Return the text of the whole table for *sharing* on *segments*; deterministic, and harmless to load twice.

    Args:
        sharing: What is wanted.
        segments: Its segments.
        questions: Keep our name server's questions on the public connection; None when nothing tells them from others.
        on_demand: The public connection is dialled by traffic, and has another address each time.
        fast: What may go fast, None for nothing.
    """
    former = _former_addresses(sharing, segments) if on_demand else ()
    chains = [
        chain("guard", "type filter hook prerouting priority raw; policy accept;", _guard(segments)),
        chain("guard_inside", "", _guard_inside(segments)),
        chain("guard_borrowed", "", _guard_borrowed()),
        chain("dstnat", "type nat hook prerouting priority dstnat; policy accept;", _dstnat(sharing, segments)),
        chain("dstnat_public", "", _dstnat_public()),
        chain("dstnat_local", "type nat hook output priority -100; policy accept;", _dstnat_local()),
        chain("mapped", "", _mapped()),
        *_with_helpers(sharing, segments),
        chain("forward", "type filter hook forward priority filter; policy accept;", _forward(sharing)),
        chain("replies", "", _replies(sharing, segments)),
        chain("decide", "", _decide(sharing, segments)),
        chain("from_segment", "", _from_segment(sharing, segments)),
        chain("outwards", "", _outwards(segments, on_demand=on_demand)),
        chain("mapped_replies", "", _mapped_replies()),
        chain("inwards", "", _inwards(sharing)),
        *([chain("questions", _QUESTIONS_HOOK, _questions(questions, sharing, segments))] if questions else []),
        chain("input", "type filter hook input priority filter; policy accept;", _input(segments)),
        chain("input_segment", "", _input_segment()),
        chain("input_borrowed", "", _input_borrowed()),
        chain("srcnat", "type nat hook postrouting priority srcnat; policy accept;", _srcnat(sharing, segments)),
        chain("srcnat_public", "", _srcnat_public(segments)),
        chain("translate", "", _translate()),
        chain(
            "egress",
            "type filter hook postrouting priority srcnat + 10; policy accept;",
            [*former, *_egress(sharing, segments)],
        ),
        *(fast_chains(fast) if fast else ()),
    ]
    objects = [*_sets(sharing), *(_patience() if on_demand else ()), *(flowtables(fast) if fast else ())]
    sets = "\n\n".join(block(head, body) for head, body in objects)
    body = "\n\n".join([sets, *chains])
    head = [f"add table inet {TABLE}", f"flush table inet {TABLE}"]
    unused = {"helpers": not sharing.helpers, "questions": questions is None}
    unused |= dict.fromkeys(GRANTING, fast is None)
    unused[INTO_FLOWTABLE] = fast is None or not fast.devices
    head += drop_chains(TABLE, [name for name, without in unused.items() if without])
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
    yield "map port_mappings", ["type inet_proto . inet_service : ipv4_addr . inet_service", "counter"]
    yield "map own_ports", ["type inet_proto . inet_service : inet_service", "counter"]
    yield "set mapped_ports", ["type inet_proto . inet_service"]
    yield "set mapped_received", ["type inet_proto . inet_service . ipv4_addr . inet_service", "counter"]
    yield "set mapped_sent", ["type inet_proto . inet_service . ipv4_addr . inet_service", "counter"]
    yield "map mapped_sources", ["type ipv4_addr . inet_proto . inet_service : inet_service"]
    yield "set public_addresses", ["type ipv4_addr", "size 64", "flags dynamic,timeout", "timeout 1d"]
    yield "set cut", ["type ipv4_addr . inet_proto . inet_service", "flags timeout", f"timeout {CUT_SECONDS}s"]
    for helper in sharing.helpers:
        yield f"ct helper {helper}", [f'type "{helper}" protocol {_HELPER_PORTS[helper][0]}']


def _networks(segments: Iterable[Segment]) -> str:
    """Return the addresses of all clients; those of a peer may lie in the network of another segment."""
    return one_of(map(str, disjoint(network for segment in segments for network in segment.networks)))


def _patience() -> Iterator[tuple[str, list[str]]]:
    for protocol, state, seconds in _PATIENCE:
        yield (
            f"ct timeout unanswered_{protocol}",
            [
                f"protocol {protocol}",
                "l3proto ip",
                f"policy = {{ {state} : {seconds} }}",
            ],
        )


def _guard(segments: Sequence[Segment]) -> Iterator[str]:
    yield rule(f"iifname {_inside(segments)} goto guard_inside", "from a segment")
    # While a change is under way, a link that is to become a port is still a link of its own, with clients that may
    # bear addresses of the subnet before.
    ports = [name for segment in segments if segment.bridged for name in segment.members]
    if ports:
        yield rule(f"iifname {names(ports)} counter drop", "a port speaks through its bridge")
    yield rule(f"ip saddr {_networks(segments)} goto guard_borrowed", "a segment's address from elsewhere")


def _guard_inside(segments: Sequence[Segment]) -> Iterator[str]:
    ethernet = [(_from(segment, segments), segment) for segment in segments if segment.ethernet]
    for segment in segments:
        own = f"{_from(segment, segments)}ip saddr {one_of(map(str, segment.networks))}"
        yield rule(f"{own} th sport != 67 accept", "a client's own address")
    for where, segment in ethernet:
        watch = f"{where}ip saddr != {segment.gateway} udp sport 67 udp dport 68"
        yield rule(f"{watch} update @dhcp_servers {{ ip saddr . ether saddr }}", "a foreign DHCP server speaks")
        yield rule(f"{watch} udp dport @dhcp_window add @dhcp_foreign {{ udp dport }}", "... in time: ours stays off")
    for where, _ in ethernet:
        yield rule(f"{where}ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept", "a client without address")
    for segment in segments:
        other = f"{_from(segment, segments)}ip saddr != {one_of(map(str, segment.networks))}"
        yield rule(f"{other} counter drop", "spoofed source from a client")
    yield rule("icmpv6 type nd-router-advert counter drop", "clients are no routers")


def _guard_borrowed() -> Iterator[str]:
    yield rule('iifname "lo" return', "this host")
    yield rule("counter drop", "segment's address from elsewhere")


def _from(segment: Segment, segments: Sequence[Segment]) -> str:
    """Return the condition that a packet from any segment comes from this one, "" where there is no other."""
    return f'iifname "{segment.interface}" ' if len(segments) > 1 else ""


def _inside(segments: Sequence[Segment]) -> str:
    return names(segment.interface for segment in segments)


def _dstnat(sharing: Sharing, segments: Sequence[Segment]) -> Iterator[str]:
    here = f'iifname "{sharing.public}" meta nfproto ipv4 fib daddr . iif type local'
    yield rule(f"{here} goto dstnat_public", "from the Internet")
    mapped = f"ip daddr @public_addresses iifname {_inside(segments)} fib daddr type local"
    yield rule(f"{mapped} jump mapped", "from clients")


def _dstnat_public() -> Iterator[str]:
    yield rule("update @public_addresses { ip daddr }", "an address of the public link")
    yield rule("goto mapped", "as port mappings say")


def _dstnat_local() -> Iterator[str]:
    yield rule("ip daddr @public_addresses fib daddr type local jump mapped", "from the gateway itself")


def _mapped() -> Iterator[str]:
    ports = "meta nfproto ipv4 meta l4proto { tcp, udp }"
    yield rule(f"{ports} dnat ip to meta l4proto . th dport map @port_mappings", "port mappings")
    yield rule(f"{ports} dnat to :meta l4proto . th dport map @own_ports", "port mappings to this host")


def _with_helpers(sharing: Sharing, segments: Sequence[Segment]) -> list[str]:
    if not sharing.helpers:
        return []
    inside = _inside(segments)
    rules = [
        rule(f'iifname {inside} {protocol} dport {port} ct helper set "{helper}"', f"ALG {helper}")
        for helper in sharing.helpers
        for protocol, port in [_HELPER_PORTS[helper]]
    ]
    return [chain("helpers", "type filter hook prerouting priority mangle; policy accept;", rules)]


_CLAMP = "tcp flags syn / syn,rst tcp option maxseg size set rt mtu"
_TRANSLATED = "ct status & (assured | snat | dnat) == (assured | snat)"
"""A connection that a client has opened to the Internet and that lasts: TCP with its handshake done, UDP after 2 s."""


def _forward(sharing: Sharing) -> Iterator[str]:
    yield rule("ct direction reply goto replies", "the other way")
    yield rule(f'{_TRANSLATED} oifname "{sharing.public}" ip saddr @sent accept', "more of what was let out")
    yield rule("goto decide", "anything else")


def _replies(sharing: Sharing, segments: Sequence[Segment]) -> Iterator[str]:
    way = f'iifname "{sharing.public}" oifname {_inside(segments)}'
    yield rule(f"{_TRANSLATED} {way} ip daddr @received accept", "answers to it")
    yield rule("goto decide", "anything else")


def _decide(sharing: Sharing, segments: Sequence[Segment]) -> Iterator[str]:
    inside = _inside(segments)
    yield rule(f"iifname {inside} goto from_segment", "from clients")
    yield rule(f"oifname {inside} goto inwards", "to clients")
    # Answers under way when a stop takes the segment's route away would go by the default route: back, un-translated.
    yield rule(f"ip daddr {_networks(segments)} counter drop", "to clients, but not where they are")
    # So would those to an address that a client had in the subnet before: only the connection knows it any more.
    back = f'ct direction reply ct status & (snat | dnat) == snat oifname "{sharing.public}"'
    yield rule(f"{back} ip daddr @received counter drop", "to a client that has another address now")


def _from_segment(sharing: Sharing, segments: Sequence[Segment]) -> Iterator[str]:
    inside = _inside(segments)
    yield rule(f'oifname "{sharing.public}" goto outwards', "to the Internet")
    yield from _isolation(sharing, segments)
    if len(segments) > 1:  # a tunnel's MTU is smaller than a cable's, and that of a serial line smaller yet
        yield rule(f"oifname {inside} {_CLAMP}", "MSS between segments")
    yield rule(f"oifname {inside} accept", "between clients")
    yield rule("counter reject with icmpx no-route", "kill switch")


def _outwards(segments: Sequence[Segment], *, on_demand: bool) -> Iterator[str]:
    yield rule("meta nfproto ipv6 reject with icmpx no-route", "IPv6 is not shared")
    yield rule("ct state invalid counter drop", "never un-translated")
    yield rule(f"ip daddr {_networks(segments)} counter drop", "to clients, but not where they are")
    stray = "tcp flags & (fin | syn | rst | ack) != syn ct state new ip saddr . meta l4proto . th sport @cut"
    yield rule(f"{stray} reject with tcp reset", "its mapping was taken away")
    for protocol, _, _ in _PATIENCE if on_demand else ():
        yield rule(
            f'ct state new meta l4proto {protocol} ct timeout set "unanswered_{protocol}"', "it may have to dial first"
        )
    yield rule(_CLAMP, "MSS towards the Internet")
    yield rule("ct direction reply jump mapped_replies", "from mapped ports")
    yield rule("add @sent { ip saddr } accept", "to the Internet")


def _inwards(sharing: Sharing) -> Iterator[str]:
    # Whoever is on another link of a host that forwards could speak for a server of the Internet.
    yield rule(f'iifname != "{sharing.public}" counter drop', "only the public connection leads to clients")
    yield rule("ct state invalid counter drop", "never un-translated")
    yield rule("ct status & (snat | dnat) == 0 counter drop", "nothing goes by a client's own address")
    yield rule(_CLAMP, "MSS towards the segment")
    answers = "ct state established,related ct direction reply update @received { ip daddr } accept"
    yield rule(answers, "answers")
    mapped = "ct direction original ct status dnat"
    for protocol in ("tcp", "udp"):
        target = f"meta l4proto {protocol} meta l4proto . ct original proto-dst . ip daddr . th dport @mapped_received"
        yield rule(f"{mapped} {target} update @received {{ ip daddr }} accept", "port mappings")
    about = "ct original protocol . ct original proto-dst . ct reply ip saddr . ct reply proto-src @mapped_received"
    errors = f"{mapped} ct state related meta l4proto icmp {about} update @received {{ ip daddr }} accept"
    yield rule(errors, "errors about what goes by port mappings")
    gone = "ct direction original ct status & (dnat | expected) == dnat"
    yield rule(f"{gone} counter drop", "mapped no more, or by others")
    yield rule("ct state established,related update @received { ip daddr } accept", "more of what was let in")
    yield rule("counter drop", "nothing else gets in")


def _mapped_replies() -> Iterator[str]:
    for protocol in ("tcp", "udp"):
        source = f"meta l4proto {protocol} meta l4proto . ct original proto-dst . ip saddr . th sport @mapped_sent"
        yield rule(f"{source} return", "counted")


def _isolation(sharing: Sharing, segments: Sequence[Segment]) -> Iterator[str]:
    """Keep stations that the radio keeps apart from reaching each other by way of us, but for port mappings.

    Where the access point is a bridge's port the radio alone does it: with ``bridge-nf-call-iptables`` what the bridge
    passes on between its other ports would come by here as well.
    """
    for segment in segments if sharing.access_point and sharing.access_point.isolated else ():
        if segment.access_point is not None and not segment.bridged:
            among = f'iifname "{segment.interface}" oifname "{segment.interface}"'
            yield rule(f"{among} ct status dnat accept", "to each other's mapped ports")
            yield rule(f"{among} counter reject with icmpx admin-prohibited", "stations are kept apart")


_QUESTIONS_HOOK = "type filter hook output priority filter; policy accept;"


def _questions(questions: Questions, sharing: Sharing, segments: Sequence[Segment]) -> Iterator[str]:
    allowed = names([sharing.public, *(segment.interface for segment in segments), InterfaceName("lo")])
    reject = "counter reject with icmpx admin-prohibited"
    yield rule(f"meta skuid != {questions.account} return", "not our name server")
    # Only questions: a tunnel of the kernel's sends its own packets in the name of whoever sent what is in them.
    yield rule("meta l4proto != { tcp, udp } return", "no question")
    yield rule("th dport != 53 return", "no question")
    if questions.wireguard:  # some servers listen on port 53; type 1 to 4 and three bytes of zero are no query's header
        yield rule("meta l4proto udp @th,64,8 1-4 @th,72,24 0 return", "the tunnel's own")
    if not questions.here:
        yield rule(f'oifname "lo" {reject}', "who knows by which way that asks")
    yield rule(f"oifname != {allowed} {reject}", "kill switch for names")


def _input(segments: Sequence[Segment]) -> Iterator[str]:
    yield rule(f"iifname {_inside(segments)} goto input_segment", "from clients")
    yield rule(f'ip daddr {_networks(segments)} iifname != "lo" goto input_borrowed', "to a segment's address")


def _input_segment() -> Iterator[str]:
    yield rule("udp sport 68 udp dport 67 udp sport @dhcp_foreign counter drop", "another DHCP server serves")
    yield rule("accept", "clients may use the gateway")


def _input_borrowed() -> Iterator[str]:
    yield rule("ct status & (snat | dnat) != 0 return", "it was sent to another one")
    yield rule("counter drop", "only a segment reaches its address")


def _srcnat(sharing: Sharing, segments: Sequence[Segment]) -> Iterator[str]:
    yield rule(f'oifname "{sharing.public}" goto srcnat_public', "to the Internet")
    hairpin = f"ct status dnat oifname {_inside(segments)} ip saddr {_networks(segments)}"
    yield rule(f"{hairpin} masquerade", "to a mapped port of our own")


def _srcnat_public(segments: Sequence[Segment]) -> Iterator[str]:
    yield rule(f"ip saddr {_networks(segments)} goto translate", "from a segment")
    learnt = "meta nfproto ipv4 fib saddr . oif type local update @public_addresses { ip saddr }"
    yield rule(learnt, "an address of the public link")


def _translate() -> Iterator[str]:
    mapped = "meta l4proto { tcp, udp } masquerade to :ip saddr . meta l4proto . th sport map @mapped_sources"
    yield rule(mapped, "a mapped socket keeps its port")
    taken = "meta l4proto . th sport @mapped_ports masquerade to :1024-65535 fully-random"
    yield rule(f"meta l4proto {{ tcp, udp }} {taken}", "a mapped port is kept free")
    yield rule("masquerade", "the one public address")


def _egress(sharing: Sharing, segments: Sequence[Segment]) -> Iterator[str]:
    networks = _networks(segments)
    # Related is what this host writes itself about such a connection, and that may bear a client's address.
    yield rule("ct state established ct status & (snat | dnat) == snat return", "translated")
    yield rule(f"oifname {_inside(segments)} return", "to a segment")
    yield rule('oifname "lo" return', "to this host")
    yield rule(f"ip saddr {networks} counter drop", "a segment's address never leaves")
    yield rule(f"ip daddr {networks} counter drop", "neither does what is for one")
    # An answer of a name server that comes too late finds its socket closed. The host's ICMP error quotes it, name and
    # all, and takes the host's own way out instead of the tunnel.
    late = f'icmp type destination-unreachable oifname != "{sharing.public}" ip saddr @public_addresses'
    yield rule(f"{late} counter drop", "nor do errors about what came by the public connection")


def _former_addresses(sharing: Sharing, segments: Sequence[Segment]) -> Iterator[str]:
    networks = _networks(segments)
    former = f'oifname "{sharing.public}" ct original ip saddr {networks} fib saddr type != local'
    yield rule(f"{former} counter drop", "of the last call: no answer would come")
