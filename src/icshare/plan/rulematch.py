"""Decide whether a foreign rule's conditions hold for a kind of packet, as far as that can be known.

The answer is one of four. A condition on something a `Packet` fixes is YES or NO. One on something it leaves open on
purpose (a port, a remote address, a rate) is SOME: it holds for part of the traffic, by somebody's decision. One on
something we cannot see (marks, users, sets of the old ipset, extensions without a translation) is MAYBE.

Source: libnftables-json(5); the forms that nft 1.0.6 really prints.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Final

from icshare.plan.packets import Delivery, Packet, Path


class Match(IntEnum):
    """How sure it is that conditions hold. A conjunction is the least, an alternative the greatest."""

    NO = 0
    SOME = 1
    MAYBE = 2
    YES = 3

    def negated(self) -> "Match":
        """Return the answer to the opposite; the opposite of a part may be nearly all."""
        return {Match.NO: Match.YES, Match.YES: Match.NO}.get(self, Match.MAYBE)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A packet as one base chain sees it.

    Attributes:
        packet: What passes.
        family: The chain's family.
        hook: The chain's hook.
        priority: The chain's priority; connection tracking starts at -200.
        sets: Named sets and maps of the chain's table, as nft lists them.
    """

    packet: Packet
    family: str
    hook: str
    priority: int = 0
    sets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def tracked(self) -> bool:
        """Whether conntrack has seen the packet when it comes here."""
        return self.hook not in {"ingress", "egress"} and not (self.hook == "prerouting" and self.priority <= -200)


class _Open:
    """A value that we know nothing of."""


class _Chosen:
    """A value left open on purpose: a rule that names some of them concerns part of the traffic."""


class _Absent:
    """A value that such a packet does not have: the rule ends there, whatever it compares with."""


_OPEN: Final = _Open()
_CHOSEN: Final = _Chosen()
_ABSENT: Final = _Absent()

_Value = str | int | IPv4Network | _Open | _Chosen | _Absent | tuple[Any, ...]

_STATUS: Final = {"ct": {"key": "status"}}
_PROTOCOL_NUMBERS: Final = {"tcp": 6, "udp": 17, "icmp": 1}
# Matches of iptables that hold for part of the traffic, by design.
_PARTIAL_EXTENSIONS: Final = frozenset(
    {
        *("bpf", "connbytes", "connlimit", "dscp", "ecn", "hashlimit", "iprange", "length", "limit", "quota", "quota2"),
        *("recent", "statistic", "string", "tcpmss", "tos", "ttl", "u32"),
    }
)
_TEXT_STATE: Final = re.compile(r"\bct state (?!vmap)(?P<negation>!=? )?\{? ?(?P<states>[a-z]+(?:, ?[a-z]+)*)")
_TEXT_QUOTED: Final = re.compile(r'"[^"]*"')
_TEXT_CONNTRACK: Final = re.compile(r"\bct (?!state\b)\w+")
_TEXT_ADDRESS_TYPE: Final = re.compile(r"\bfib (?P<side>[sd])addr type (?P<negation>!= )?(?P<type>[a-z]+)")
_TEXT_PORTS: Final = re.compile(
    r"\b(?:tcp|udp|th) (?P<side>[sd])port (?P<negation>!= )?\{? ?(?P<ports>\d[\d-]*(?:, ?\d[\d-]*)*)"
)


def match_condition(condition: Mapping[str, Any], view: View) -> Match:
    """Say whether the ``match`` statement *condition* (``op``, ``left``, ``right``) holds."""
    operator, right = condition.get("op"), condition.get("right")
    left = condition.get("left")
    if isinstance(left, Mapping) and "&" in left:
        return _match_masked(left["&"], operator, right, view)
    if left == _STATUS and right == "dnat":  # it holds for mapped ports alone
        return Match.NO if operator in {"==", "in"} else Match.YES
    value = read(left, view)
    if isinstance(value, _Absent):
        return Match.NO
    if operator in {"==", "in"}:
        return equals(value, right, view)
    if operator in {"!=", "!"}:
        if isinstance(right, Mapping) and "|" in right:  # a state is one flag, never several at once
            return Match.YES if isinstance(value, str) else Match.MAYBE
        return equals(value, right, view).negated()
    if operator in {"<", ">", "<=", ">="}:
        return _match_order(value, operator, right)
    return Match.MAYBE


def equals(value: _Value, right: Any, view: View) -> Match:  # noqa: ANN401, C901, PLR0911 - as wide as nft's JSON
    """Compare a packet's *value* with the right-hand side of a condition, or with a key of a verdict map."""
    if isinstance(value, _Absent):
        return Match.NO
    if right == "*":
        return Match.YES
    if isinstance(right, str) and right.startswith("@"):
        return _in_named_set(value, right[1:], view)
    if isinstance(right, Sequence) and not isinstance(right, str):
        return max((equals(value, each, view) for each in right), default=Match.NO)
    if isinstance(right, Mapping):
        if "set" in right:
            return equals(value, _as_list(right["set"]), view)
        if "elem" in right and isinstance(right["elem"], Mapping):
            return equals(value, right["elem"].get("val"), view)
        if "concat" in right:
            return _equals_parts(value, _as_list(right["concat"]), view)
        if "|" in right:
            return Match.NO if isinstance(value, str) else Match.MAYBE
    if isinstance(value, _Open):
        return Match.MAYBE
    if isinstance(value, _Chosen):
        return Match.YES if _is_everything(right) else Match.SOME
    if isinstance(value, tuple):
        return Match.MAYBE
    if isinstance(value, IPv4Network):
        return _equals_network(value, right)
    if isinstance(value, int):
        return _equals_number(value, right)
    return _equals_name(value, right)


def read(operand: Any, view: View) -> _Value:  # noqa: ANN401 - as wide as nft's JSON
    """Read the value that *operand*, the left-hand side of a condition, has for the packet."""
    if not isinstance(operand, Mapping):
        return _OPEN
    if "concat" in operand:
        return tuple(read(part, view) for part in _as_list(operand["concat"]))
    for kind, reader in (("meta", _read_meta), ("payload", _read_payload), ("ct", _read_conntrack), ("fib", _read_fib)):
        if isinstance(details := operand.get(kind), Mapping):
            return reader(details, view)
    if "exthdr" in operand:
        return _ABSENT
    if "tcp option" in operand:
        return _CHOSEN if view.packet.protocol == "tcp" else _ABSENT
    if "numgen" in operand or "jhash" in operand or "symhash" in operand:
        return _CHOSEN
    return _OPEN


def match_extension(name: str, view: View, text: str) -> Match:
    """Say whether the iptables match *name* holds, of which the JSON tells nothing but the name.

    Args:
        name: For example ``conntrack``.
        view: The packet.
        text: The whole rule as ``nft list`` prints it, translated where it can be; empty when unknown.
    """
    text = _TEXT_QUOTED.sub('""', text)  # what a comment says is no condition
    if name == "comment":
        return Match.YES
    if name in {"icmp", "icmp6"}:
        return Match.NO
    if name in {"conntrack", "state"}:
        found = [_match_text_state(clause, view) for clause in _TEXT_STATE.finditer(text)]
        rest = Match.MAYBE if _TEXT_CONNTRACK.search(text) else Match.YES
        return min([*found, rest]) if found else Match.MAYBE
    if name == "addrtype":
        found = [_match_text_address_type(clause, view) for clause in _TEXT_ADDRESS_TYPE.finditer(text)]
        return min(found, default=Match.MAYBE)
    if name == "multiport":
        found = [_match_text_ports(clause, view) for clause in _TEXT_PORTS.finditer(text)]
        return min(found, default=Match.MAYBE)
    return Match.SOME if name in _PARTIAL_EXTENSIONS else Match.MAYBE


def _read_meta(details: Mapping[str, Any], view: View) -> _Value:
    packet = view.packet
    match details.get("key"):
        case "iifname" | "iif":
            # In a bridge's own chains the links are its ports.
            return _OPEN if view.family == "bridge" else packet.iif
        case "oifname" | "oif":
            if view.family == "bridge":
                return _OPEN
            return _ABSENT if packet.oif is None or view.hook in {"ingress", "prerouting"} else packet.oif
        case "ibrname" | "obrname":
            return packet.segment if view.family == "bridge" else _ABSENT
        case "l4proto":
            return packet.protocol.value
        case "nfproto":
            return "ipv4"
        case "protocol":
            return "ip"
        case "pkttype":
            return "broadcast" if packet.delivery is Delivery.BROADCAST else "host"
        case "length" | "random" | "time" | "hour" | "day" | "cpu":
            return _CHOSEN
        case _:
            return _OPEN


def _read_payload(details: Mapping[str, Any], view: View) -> _Value:
    packet = view.packet
    match details.get("protocol"), details.get("field"):
        case "ip", "saddr":
            return packet.source or _CHOSEN
        case "ip", "daddr":
            return packet.destination or _CHOSEN
        case "ip", "protocol":
            return packet.protocol.value
        case "ip", _:
            return _CHOSEN
        case ("tcp" | "udp" | "th") as protocol, port:
            if protocol not in {"th", packet.protocol}:
                return _ABSENT
            known = {"sport": packet.source_port, "dport": packet.destination_port}.get(str(port))
            return _CHOSEN if known is None else known
        case (("ip6" | "icmp" | "icmpv6" | "igmp" | "arp" | "sctp" | "dccp" | "udplite" | "esp" | "ah" | "comp"), _):
            return _ABSENT
        case "ether", "type":
            return "ip"
        case _:
            return _OPEN


def _read_conntrack(details: Mapping[str, Any], view: View) -> _Value:
    packet = view.packet
    if not view.tracked:
        return _OPEN
    if details.get("key") == "state":
        return packet.state.value
    if details.get("key") == "direction":
        return "reply" if packet.path is Path.FORWARD and packet.oif == packet.segment else "original"
    return _OPEN


def _read_fib(details: Mapping[str, Any], view: View) -> _Value:
    flags = _as_list(details.get("flags"))
    if details.get("result") == "type" and "daddr" in flags:
        return view.packet.delivery.value
    if details.get("result") == "type" and "saddr" in flags and view.packet.path is not Path.INPUT:
        return "unicast"
    if details.get("result") == "oif" and "saddr" in flags:
        return 1  # the way back exists, or nothing could be shared: "missing" is false
    return _OPEN


def _match_masked(parts: Any, operator: Any, right: Any, view: View) -> Match:  # noqa: ANN401 - nft's JSON
    """Judge ``left & mask``: the flags of TCP concern some packets, and no mapped port is asked about."""
    left, mask = [*_as_list(parts), None, None][:2]
    value = read(left, view)
    if isinstance(value, _Absent):
        return Match.NO
    if left == _STATUS and mask == "dnat":
        holds = Match.YES if right == 0 else Match.NO
        return holds if operator == "==" else holds.negated()
    return Match.SOME if isinstance(value, _Chosen) and operator == "==" else Match.MAYBE


def _match_order(value: _Value, operator: str, right: Any) -> Match:  # noqa: ANN401 - nft's JSON
    if isinstance(value, _Chosen):
        return Match.SOME
    if not isinstance(value, int) or not isinstance(right, int):
        return Match.MAYBE
    holds = {"<": value < right, ">": value > right, "<=": value <= right, ">=": value >= right}[operator]
    return Match.YES if holds else Match.NO


def _in_named_set(value: _Value, name: str, view: View) -> Match:
    named = view.sets.get(name)
    if named is None:
        return Match.MAYBE
    found = equals(value, _as_list(named.get("elem")), view)
    # What is not in a set that rules fill may be there at the next packet.
    changing = (
        "timeout" in named or "size" in named or not {"dynamic", "timeout"}.isdisjoint(_as_list(named.get("flags")))
    )
    return max(found, Match.SOME) if changing else found


def _equals_parts(value: _Value, parts: Sequence[Any], view: View) -> Match:
    if not isinstance(value, tuple) or len(value) != len(parts):
        return Match.MAYBE
    return min((equals(left, right, view) for left, right in zip(value, parts, strict=True)), default=Match.MAYBE)


def _equals_network(value: IPv4Network, right: Any) -> Match:  # noqa: ANN401 - nft's JSON
    bounds = _address_range(right)
    if bounds is None:
        return Match.MAYBE
    first, last = bounds
    if first <= value.network_address and value.broadcast_address <= last:
        return Match.YES
    return Match.NO if value.broadcast_address < first or last < value.network_address else Match.SOME


def _address_range(right: Any) -> tuple[IPv4Address, IPv4Address] | None:  # noqa: ANN401 - nft's JSON
    """Read one address, a prefix or a range; None for anything else."""
    try:
        match right:
            case str():
                return IPv4Address(right), IPv4Address(right)
            case {"prefix": {"addr": str(address), "len": int(length)}}:
                network = IPv4Network((address, length), strict=False)
                return network.network_address, network.broadcast_address
            case {"range": [str(first), str(last)]}:
                return IPv4Address(first), IPv4Address(last)
            case _:
                return None
    except ValueError:
        return None


def _is_everything(right: Any) -> bool:  # noqa: ANN401 - nft's JSON
    bounds = _address_range(right)
    return bounds is not None and int(bounds[0]) == 0 and int(bounds[1]) == 2**32 - 1


def _equals_number(value: int, right: Any) -> Match:  # noqa: ANN401 - nft's JSON
    match right:
        case bool():
            return Match.YES if right == bool(value) else Match.NO
        case int():
            return Match.YES if value == right else Match.NO
        case {"range": [int(first), int(last)]}:
            return Match.YES if first <= value <= last else Match.NO
        case _:
            return Match.MAYBE


def _equals_name(value: str, right: Any) -> Match:  # noqa: ANN401 - nft's JSON
    if isinstance(right, int):
        return Match.YES if _PROTOCOL_NUMBERS.get(value) == right else Match.NO
    if not isinstance(right, str):
        return Match.MAYBE
    if right.endswith("*"):
        return Match.YES if value.startswith(right[:-1]) else Match.NO
    return Match.YES if value == right else Match.NO


def _match_text_state(clause: re.Match[str], view: View) -> Match:
    if not view.tracked:
        return Match.MAYBE
    holds = Match.YES if view.packet.state in re.split(r", ?", clause["states"]) else Match.NO
    return holds.negated() if clause["negation"] else holds


def _match_text_address_type(clause: re.Match[str], view: View) -> Match:
    value = _read_fib({"result": "type", "flags": [f"{clause['side']}addr"]}, view)
    holds = equals(value, clause["type"], view)
    return holds.negated() if clause["negation"] else holds


def _match_text_ports(clause: re.Match[str], view: View) -> Match:
    value = _read_payload({"protocol": "th", "field": f"{clause['side']}port"}, view)
    ports: list[Any] = []
    for word in re.split(r", ?", clause["ports"]):
        numbers = [int(number) for number in word.split("-") if number]
        ports.append(numbers[0] if len(numbers) == 1 else {"range": numbers})
    holds = equals(value, ports, view)
    return holds.negated() if clause["negation"] else holds


def _as_list(value: Any) -> list[Any]:  # noqa: ANN401 - nft's JSON
    """Return *value* as the list that nft shortens to its only element."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
