"""Rules of others that every forwarded packet has to come past: they limit, queue or meter, look into it or rewrite it.

A fast path carries a connection's later packets past the ruleset. That is harmless where a verdict on the connection
is the same for each of its packets, as with nearly all rules. It is not where a rule counts packets to decide by the
count, draws lots, hands them to a program, decides by what differs from one packet to the next, or changes it.

The text of the listing is read, not its JSON: only the text tells what iptables' extensions match. Rules that no
packet of an established connection comes to are passed over: those for new connections and for TCP's first segment,
those that only write a log, and what follows after the acceptance of all that is established.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from icshare.render.firewall import FIREWALL_TABLE
from icshare.render.nft import TABLE

_FAMILIES: Final = frozenset({"ip", "ip6", "inet", "netdev", "bridge"})
_HOOKS: Final = frozenset({"ingress", "prerouting", "forward", "postrouting", "egress"})
_OWN_TABLES: Final = frozenset({("inet", TABLE), ("inet", FIREWALL_TABLE)})

_TABLE: Final = re.compile(r"^table (\S+) (\S+) \{")
_CHAIN: Final = re.compile(r"^\tchain (\S+) \{")
_BASE: Final = re.compile(r"^\t\ttype (\w+) hook (\w+) (?:devices? (?:= )?(.*?) priority )?")
_DEVICE: Final = re.compile(r'[^\s{},"=]+')
_RULE_END: Final = re.compile(r" # handle \d+$")
_QUOTED: Final = re.compile(r'"[^"]*"')
_SET: Final = re.compile(r"^\t(?:set|map) (\S+) \{")
_UPDATED: Final = re.compile(r"\b(?:add|update) @(\S+)")
_JUMPS: Final = re.compile(r"\b(?:jump|goto) (\S+?)(?=[\s,}]|$)")

_METERS: Final = (
    ("limits the rate of", re.compile(r"\blimit (?:rate|name)\b|\blimit: |\bhashlimit\b")),
    ("has a quota for", re.compile(r"\bquota\b")),
    ("queues", re.compile(r"\bqueue\b|\bNFQUEUE\b")),
    ("decides by the bytes of", re.compile(r"\bct (?:original |reply )?(?:bytes|packets|avgpkt)\b|\bconnbytes\b")),
    ("meters", re.compile(r"\bmeter\b|\bct count\b|\bconnlimit\b|\brecent\b")),
    ("draws lots about", re.compile(r"\bnumgen\b|\bmeta random\b|\bstatistic\b")),
    ("copies", re.compile(r"\bdup to\b|\bTEE\b")),
    (
        "rewrites",
        re.compile(
            r"\b(?:ip6?|tcp|udp|th) (?!option\b)[\w-]+ set\b|@\w+,\d+,\d+ set\b"
            r"|\b(?:TTL|HL) (?:set|incr|decr)|\b(?:TOS|DSCP|ECN) (?:set|xset|and|or|xor|clear|remove)"
            r'|\bxt target "(?:TTL|HL|TOS|DSCP|ECN)"'
        ),
    ),
    ("sets the priority of", re.compile(r'\bmeta priority set\b|\bCLASSIFY set\b|\bxt target "CLASSIFY"')),
    (
        "looks into",
        re.compile(
            r"@(?:ll|nh|th|ih),\d+,\d+|\bmeta (?:length|priority)\b"
            r"|\bip6? (?:dscp|ecn|length|ttl|hoplimit|id|frag-off|flowlabel|hdrlength|checksum)\b"
            r"|\b(?:tcp (?:sequence|ackseq|doff|reserved|window|checksum|urgptr)|udp (?:length|checksum))\b"
            r"|\b(?:STRING|TTL|HL|DSCP|TOS|tos) match\b|\bmatch bpf\b|\bu32 |# length \d"
            r'|\bxt match "(?:string|ttl|hl|dscp|tos|ecn|length|u32|bpf)"'
        ),
    ),
)
_ONLY_NEW: Final = re.compile(
    r"\bct state (?:\{ )?(?:new|invalid|untracked)(?:,\s?(?:new|invalid|untracked))*(?: \})?(?=\s)"
    r"|\btcp flags (?:& \S+ == syn|(?:[\w,]+,)?syn(?:,[\w,]+)? / \S+)(?=\s)"
    r"|\btcp flags & \([^)]*\) == syn\b"
)
_VERDICT: Final = re.compile(r"\b(?:accept|drop|reject|queue|jump|goto|return|dup|meta mark set|ct mark set|fwd)\b")
_ACCEPTS_ESTABLISHED: Final = re.compile(
    r"^ct state (?=[\w,{ ]*\bestablished\b)(?:\{ )?(?:established|related)(?:,\s?(?:established|related))*(?: \})?"
    r"(?: counter(?: packets \d+ bytes \d+)?)? accept$"
)


@dataclass(slots=True, kw_only=True)
class _Chain:
    """A chain as listed."""

    hook: str = ""
    filters: bool = False
    devices: list[str] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Table:
    """A table as listed.

    Attributes:
        family: As nft calls it.
        name: Its name.
        chains: Its chains by name.
        meters: What sets and maps do to the packets that update them, by name; only those that need every packet.
    """

    family: str
    name: str
    chains: dict[str, _Chain] = field(default_factory=dict)
    meters: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"table {self.family} {self.name}"


def find_metering(listing: str) -> str:
    """Return the first table of somebody else that limits, queues or meters what is forwarded; "" when none does.

    Args:
        listing: ``nft -a list`` of tables.
    """
    return next(_metering(listing), "")


def find_bridging(listing: str) -> str:
    """Return the first table of somebody else that sees what bridges forward; "" when there is none.

    Args:
        listing: ``nft -a list`` of tables.
    """
    for table in _tables(listing):
        if table.family == "bridge" and any(one.hook for one in table.chains.values()):
            return str(table)
    return ""


def find_hooked(listing: str) -> Mapping[str, str]:
    """Return the tables of somebody else that have chains at links, by the names of these; some are patterns ("eth*").

    Args:
        listing: ``nft -a list`` of tables.
    """
    found: dict[str, str] = {}
    for table in _tables(listing):
        for chain in table.chains.values():
            found |= dict.fromkeys(chain.devices, str(table))
    return found


def _metering(listing: str) -> Iterator[str]:
    for table in _tables(listing):
        for base in [one for one, chain in table.chains.items() if chain.filters and chain.hook in _HOOKS]:
            for chain, rule in _met(table.chains, base, set())[0]:
                verb = _meter(rule, table.meters)
                if verb:
                    yield f"{table}, chain {chain}, {verb} what is forwarded"


def _met(chains: Mapping[str, _Chain], name: str, seen: set[str]) -> tuple[list[tuple[str, str]], bool]:
    """Return the rules that packets of established connections meet from chain *name* on, and whether all end there.

    Each chain is read once: what it holds does not depend on who has jumped to it.
    """
    found: list[tuple[str, str]] = []
    if name in seen or name not in chains:
        return found, False
    seen.add(name)
    for rule in chains[name].rules:
        if _ACCEPTS_ESTABLISHED.match(rule):
            return found, True
        found.append((name, rule))
        if _ONLY_NEW.search(rule):
            continue
        targets = _JUMPS.findall(rule)
        if " vmap @" in rule:  # where it leads is in the map
            targets += [one for one, chain in chains.items() if not chain.hook]
        for target in targets:
            met, ends = _met(chains, target, seen)
            found += met
            # A bare jump is every packet's way.
            if ends and re.fullmatch(
                rf"(?:counter(?: packets \d+ bytes \d+)? )?(?:jump|goto) {re.escape(target)}", rule
            ):
                return found, True
    return found, False


def _meter(rule: str, sets: Mapping[str, str]) -> str:
    """Return what a rule does to established connections that needs every packet, in words; "" for nothing."""
    bare = _QUOTED.sub('""', rule)
    if _ONLY_NEW.search(bare):
        return ""
    verb = _verb(bare) or next((sets[one] for one in _UPDATED.findall(bare) if one in sets), "")
    only_logs = re.search(r"\blog\b|\bLOG\b|\bNFLOG\b", bare) and not _VERDICT.search(bare)
    return "" if only_logs else verb


def _verb(text: str) -> str:
    return next((words for words, pattern in _METERS if pattern.search(text)), "")


def _tables(listing: str) -> Iterator[_Table]:
    """Yield each foreign table of a listing."""
    table = _Table(family="", name="")
    chain: _Chain | None = None
    updated = ""
    parts: list[str] = []
    for line in [*listing.splitlines(), "}"]:
        if match := _TABLE.match(line):
            table, chain, updated = _Table(family=match[1], name=match[2]), None, ""
        elif line == "}":
            if table.family in _FAMILIES and (table.family, table.name) not in _OWN_TABLES:
                yield table
            table = _Table(family="", name="")
        elif match := _CHAIN.match(line):
            chain = table.chains.setdefault(match[1], _Chain())
            parts = []
        elif match := _SET.match(line):
            updated = match[1]
        elif line == "\t}":
            chain, updated = None, ""
        elif updated and (verb := _verb(line)):
            table.meters[updated] = verb
        elif chain is not None and (match := _BASE.match(line)):
            chain.hook, chain.filters = match[2], match[1] != "nat"  # of which only first packets come by
            chain.devices = _DEVICE.findall(match[3] or "")
        elif chain is not None:
            parts.append(line.strip())  # a long set goes over several lines; the handle ends the rule
            if match := _RULE_END.search(line):
                chain.rules.append(" ".join(parts)[: -len(match[0])])
                parts = []
