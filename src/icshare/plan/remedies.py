"""The commands that make another firewall let our traffic through, in the words of whoever keeps that firewall."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from icshare.plan.packets import DNS_PORT, Packet, Path, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A base chain of another table."""

    family: str
    table: str
    chain: str
    hook: str

    @property
    def by_iptables(self) -> bool:
        """Whether iptables made the chain: it has its own five names, and warns of rules that nft puts there."""
        return self.family == "ip" and self.chain == self.hook.upper()


def remedy(owner: str, place: Place, packets: Sequence[Packet]) -> str:
    """Return the commands, one a line, that let *packets* pass the base chain at *place*.

    Args:
        owner: Who keeps the chain: ``docker``, ``ufw``, ``firewalld``, or anybody else.
        place: The chain.
        packets: The traffic of one segment that it drops, at least one.
    """
    if owner == "firewalld":
        return f"firewall-cmd --zone=trusted --change-interface={packets[0].segment}"
    if owner == "ufw" and place.hook in {"forward", "input"}:
        commands = [_ufw(packet) for packet in packets]
    elif owner == "docker" and place.hook == "forward":
        commands = [f"iptables -I DOCKER-USER {rule}" for rule in _accepts(packets, place.hook, _iptables)]
    elif place.by_iptables:
        table = "" if place.table == "filter" else f"-t {_word(place.table)} "
        commands = [f"iptables {table}-I {place.chain} {rule}" for rule in _accepts(packets, place.hook, _iptables)]
    elif place.family == "netdev":
        # Before routing nothing tells wanted from unwanted traffic of the public side: people have to look.
        commands = [f"nft list chain netdev {_word(place.table)} {_word(place.chain)}"]
    else:
        chain = f"{place.family} {_word(place.table)} {_word(place.chain)}"
        spell = _bridge if place.family == "bridge" else _nft
        commands = [f"nft 'insert rule {chain} {rule}'" for rule in _accepts(packets, place.hook, spell)]
    return "\n".join(dict.fromkeys(commands))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Accept:
    """What a rule is to let through."""

    iif: str
    oif: str | None = None
    answers: bool = False
    service: tuple[Protocol, int] | None = None


def _accepts(packets: Sequence[Packet], hook: str, spell: Callable[[_Accept], str]) -> list[str]:
    """Return the rules that accept *packets*; an answer is of no use without its question, so both ways come."""
    accepts: list[_Accept] = []
    for packet in packets:
        if packet.path is Path.INPUT and packet.destination_port is not None:
            accepts.append(_Accept(iif=packet.iif, service=(packet.protocol, packet.destination_port)))
            continue
        public = packet.iif if packet.iif == packet.oif else packet.public or packet.iif
        # Which link a packet leaves by is not known before it is routed.
        inner, outer = (None, None) if hook == "prerouting" else (packet.segment, public)
        accepts.append(_Accept(iif=packet.segment, oif=outer))
        if public != packet.segment:
            accepts.append(_Accept(iif=public, oif=inner, answers=True))
    return [spell(accept) for accept in accepts]


def _iptables(accept: _Accept) -> str:
    words = [f"-i {accept.iif}"]
    if accept.oif:
        words.append(f"-o {accept.oif}")
    if accept.service:
        words.append("-p {} --dport {}".format(*accept.service))
    if accept.answers:
        words.append("-m conntrack --ctstate RELATED,ESTABLISHED")
    return " ".join([*words, "-j ACCEPT"])


def _nft(accept: _Accept) -> str:
    words = [f'iifname "{accept.iif}"']
    if accept.oif:
        words.append(f'oifname "{accept.oif}"')
    if accept.service:
        words.append("{} dport {}".format(*accept.service))
    if accept.answers:
        words.append("ct state established,related")
    return " ".join([*words, "accept"])


def _bridge(accept: _Accept) -> str:
    return f'meta ibrname "{accept.iif}" accept'


def _ufw(packet: Packet) -> str:
    if packet.path is Path.FORWARD:
        # Answers need no rule: ufw accepts what belongs to an established connection first of all.
        out = packet.segment if packet.iif == packet.oif else packet.public
        return f"ufw route allow in on {packet.segment} out on {out}"
    protocol = "" if packet.destination_port == DNS_PORT else f" proto {packet.protocol}"
    return f"ufw allow in on {packet.iif} to any port {packet.destination_port}{protocol}"


def _word(name: str) -> str:
    """Return a foreign *name* fit for a terminal and a shell; the kernel allows it any bytes."""
    return re.sub(r"[^A-Za-z0-9_./-]", "?", name)
