"""Find the chains of other firewalls that would drop what sharing lives on, and say what mends it.

An accept in our table cannot undo a drop in another: every base chain on the way has a veto. So each of them is asked
about each kind of packet (`Packet`), by following its rules without any packet being sent. "Certain" means that no
reading of the rules lets the traffic through; a "maybe" hangs on something that cannot be seen from here.

What the JSON listing lacks, namely the content of iptables' extensions and the devices of netdev chains, is taken from
the text listing when it is given.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from icshare.model.names import InterfaceName
from icshare.plan.packets import Packet, Path, Protocol
from icshare.plan.remedies import Place, remedy
from icshare.plan.rulematch import View
from icshare.plan.rulewalk import End, Rule, Walker

OWN_TABLE: Final = ("inet", "icshare")

_PATHS: Final = {
    Path.FORWARD: ("ingress", "prerouting", "forward", "postrouting", "egress"),
    Path.INPUT: ("ingress", "prerouting", "input"),
    Path.BRIDGE: ("prerouting", "forward", "postrouting"),
}
_FAMILIES: Final = {
    Path.FORWARD: ("ip", "inet", "netdev"),
    Path.INPUT: ("ip", "inet", "netdev"),
    Path.BRIDGE: ("bridge",),
}

_TEXT_TABLE: Final = re.compile(r"^table (\S+) (\S+) \{")
_TEXT_CHAIN: Final = re.compile(r"^\tchain (\S+) \{")
_TEXT_HANDLE: Final = re.compile(r"^\t\t(?P<rule>.*) # handle (?P<handle>\d+)$")
_TEXT_DEVICES: Final = re.compile(r"\bhook (?:ingress|egress) devices?(?: =)? (?P<devices>\{[^}]*\}|\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignDrop:
    """A base chain of another table that drops traffic of one segment.

    Attributes:
        family: Family of the table.
        table: Name of the table.
        chain: Name of the base chain.
        hook: Where in a packet's way it sits.
        priority: Its place among the chains of that hook, smaller is earlier.
        certain: Nothing in the rules lets the traffic through; otherwise it hangs on what cannot be seen.
        owner: Which program made it, as far as its names tell.
        segment: The segment's link whose traffic is concerned.
        packets: The traffic concerned; if certain, only what is certainly dropped.
        remedy: The commands that mend it, one a line.
    """

    family: str
    table: str
    chain: str
    hook: str
    priority: int
    certain: bool
    owner: "Owner"
    segment: InterfaceName
    packets: tuple[Packet, ...]
    remedy: str

    def __str__(self) -> str:
        """Name the chain, what it does, and to which traffic."""
        verb = "drops" if self.certain else "may drop"
        place = f"table {self.family} {self.table}, chain {self.chain} (hook {self.hook}, priority {self.priority})"
        whose = "" if self.owner is Owner.ADMIN else f", set up by {self.owner},"
        return f"{place}{whose} {verb} {self.traffic}"

    @property
    def traffic(self) -> str:
        """The traffic concerned, in words; a protocol is named where not every one is concerned."""
        subjects: dict[str, set[str]] = {}
        for packet in self.packets:
            subjects.setdefault(packet.subject, set()).add(packet.protocol.value)
        return ", ".join(
            subject
            if subject.startswith("DHCP") or len(protocols) == len(Protocol)
            else f"{subject} ({protocols.pop()})"
            for subject, protocols in subjects.items()
        )


class Owner(StrEnum):
    """Who keeps rules on this host, besides us."""

    DOCKER = "docker"
    UFW = "ufw"
    FIREWALLD = "firewalld"
    LIBVIRT = "libvirt"
    PODMAN = "podman"
    NETWORK_MANAGER = "networkmanager"
    ADMIN = "admin"


@dataclass(slots=True, kw_only=True)
class _Table:
    """One foreign table, as listed."""

    bases: list[Mapping[str, Any]] = field(default_factory=list)
    rules: dict[str, list[Rule]] = field(default_factory=dict)
    sets: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    devices: dict[str, frozenset[str]] = field(default_factory=dict)


def find_foreign_drops(
    ruleset: Iterable[Mapping[str, Any]], packets: Sequence[Packet], *, listing: str = ""
) -> tuple[ForeignDrop, ...]:
    """Return every base chain of another table that would or might drop some of *packets*.

    Args:
        ruleset: All objects of ``nft -j list ruleset``, in its order.
        packets: The traffic that has to pass.
        listing: ``nft -a list ruleset`` of the same moment. Without it conditions that iptables made by extensions
            (``-m conntrack`` above all) are unknown, and certain drops become maybes.

    Returns:
        One value for each chain and segment, the certain ones first, then in the ruleset's order.
    """
    found: list[ForeignDrop] = []
    for (family, name), table in _tables(ruleset, listing).items():
        for base in table.bases:
            for segment in dict.fromkeys(packet.segment for packet in packets):
                concerned = [packet for packet in packets if packet.segment == segment]
                found += _judge(family, name, table, base, concerned)
    return tuple(sorted(found, key=lambda drop: not drop.certain))


def _judge(
    family: str, name: str, table: _Table, base: Mapping[str, Any], packets: Sequence[Packet]
) -> list[ForeignDrop]:
    """Ask one base chain about the packets of one segment."""
    chain, hook, priority = str(base.get("name")), str(base.get("hook")), _priority(base)
    sure: list[Packet] = []
    unsure: list[Packet] = []
    drops: set[End] = set()
    for packet in packets:
        if family not in _FAMILIES[packet.path] or hook not in _PATHS[packet.path]:
            continue
        passes = _passes_device(base, table.devices.get(chain), hook, packet)
        if passes is False:
            continue
        view = View(packet=packet, family=family, hook=hook, priority=priority, sets=table.sets)
        walker = Walker(view=view, chains=table.rules, texts=table.texts)
        ends = walker.decide(chain, policy_drops=base.get("policy") == "drop")
        dropping = {end for end in ends if end.drops}
        if dropping:
            drops |= dropping
            (sure if dropping == ends and passes else unsure).append(packet)
    if not drops:
        return []
    owner = _owner(name, table, hook, {end.chain for end in drops})
    place = Place(family=family, table=name, chain=chain, hook=hook)
    affected = tuple(sure or unsure)
    return [
        ForeignDrop(
            family=family,
            table=name,
            chain=chain,
            hook=hook,
            priority=priority,
            certain=bool(sure),
            owner=owner,
            segment=affected[0].segment,
            packets=affected,
            remedy=remedy(owner.value, place, affected),
        )
    ]


def _tables(ruleset: Iterable[Mapping[str, Any]], listing: str) -> dict[tuple[str, str], _Table]:
    """Sort the listing's objects into foreign tables."""
    tables: dict[tuple[str, str], _Table] = {}
    for entry in ruleset:
        for kind, item in entry.items():
            if kind not in {"chain", "rule", "set", "map"} or not isinstance(item, Mapping):
                continue
            key = (str(item.get("family")), str(item.get("table")))
            if key == OWN_TABLE:
                continue
            table = tables.setdefault(key, _Table())
            if kind == "rule":
                table.rules.setdefault(str(item.get("chain")), []).append(item)
            elif kind in {"set", "map"}:
                table.sets[str(item.get("name"))] = item
            else:
                table.rules.setdefault(str(item.get("name")), [])
                # Chains of type nat see the first packet of a connection, route chains only our own: no filters.
                if "hook" in item and item.get("type", "filter") == "filter":
                    table.bases.append(item)
    _add_texts(tables, listing)
    return tables


def _add_texts(tables: Mapping[tuple[str, str], _Table], listing: str) -> None:
    """Add to *tables* the text of each rule by its handle, and the devices of netdev chains."""
    table: _Table | None = None
    chain = ""
    for line in listing.splitlines():
        if match := _TEXT_TABLE.match(line):
            table = tables.get((match[1], match[2]))
        elif match := _TEXT_CHAIN.match(line):
            chain = match[1]
        elif table is not None and (match := _TEXT_HANDLE.match(line)):
            table.texts[int(match["handle"])] = match["rule"]
        elif table is not None and (match := _TEXT_DEVICES.search(line)):
            table.devices[chain] = frozenset(re.findall(r"[^\s{},\";]+", match["devices"]))


def _passes_device(base: Mapping[str, Any], listed: frozenset[str] | None, hook: str, packet: Packet) -> bool | None:
    """Tell whether *packet* meets a chain that is bound to devices; None when the devices are unknown."""
    if hook not in {"ingress", "egress"}:
        return True
    devices = base.get("dev", listed)
    if devices is None:
        return None
    return (packet.iif if hook == "ingress" else packet.oif) in ([devices] if isinstance(devices, str) else devices)


def _priority(base: Mapping[str, Any]) -> int:
    priority = base.get("prio", 0)
    return priority if isinstance(priority, int) else 0


_TABLE_OWNERS: Final = (
    ("firewalld", Owner.FIREWALLD),
    ("libvirt_network", Owner.LIBVIRT),
    ("netavark", Owner.PODMAN),
    ("docker-bridges", Owner.DOCKER),
    ("nm-shared-", Owner.NETWORK_MANAGER),
)
_CHAIN_OWNERS: Final = (
    ("DOCKER", Owner.DOCKER),
    ("ufw-", Owner.UFW),
    ("LIBVIRT_", Owner.LIBVIRT),
    ("NETAVARK", Owner.PODMAN),
)


def _owner(name: str, table: _Table, hook: str, dropping: set[str]) -> Owner:
    """Name the program behind a drop: by its table, by the chain that drops, by who else lives in the table."""
    for prefix, owner in _TABLE_OWNERS:
        if name.startswith(prefix):
            return owner
    for prefix, owner in _CHAIN_OWNERS:
        if any(chain.startswith(prefix) for chain in dropping):
            return owner
    # A policy is in the base chain of all. Docker sets that of FORWARD and never that of INPUT; ufw sets both.
    if hook == "forward" and "DOCKER-USER" in table.rules:
        return Owner.DOCKER
    if any(chain.startswith("ufw-") for chain in table.rules):
        return Owner.UFW
    return Owner.ADMIN
