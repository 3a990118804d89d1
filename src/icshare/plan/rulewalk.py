"""Follow a kind of packet through a foreign base chain, to every end that it may come to.

Theory of operation: a chain is read once from top to bottom, collecting the ends that its rules may lead to and
whether its own end may be reached. A rule that surely matches ends the reading; one that may match adds its ends and
the reading goes on. A rule that holds for *part* of the traffic (`Match.SOME`) adds its accepts, since what it does
not name still goes on, but not its drops: to block a port or an address is somebody's decision and not in our way.
Since an outcome does not depend on how a chain was reached, each is computed once, however many jumps lead there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from icshare.plan.rulematch import Match, View, equals, match_condition, match_extension, read

Rule = Mapping[str, Any]

# Targets of iptables after which the packet goes on to the next rule.
_PASSING_TARGETS: Final = frozenset(
    {
        *("AUDIT", "CHECKSUM", "CLASSIFY", "CONNMARK", "CONNSECMARK", "CT", "DSCP", "ECN", "HL", "HMARK", "IDLETIMER"),
        *(
            "LED",
            "LOG",
            "MARK",
            "NFLOG",
            "NOTRACK",
            "RATEEST",
            "SECMARK",
            "SET",
            "TCPMSS",
            "TCPOPTSTRIP",
            "TOS",
            "TRACE",
        ),
        *("TTL", "ULOG"),
    }
)
# Statements that end a rule's way for the packet, or send it elsewhere.
_VERDICTS: Final = frozenset({"accept", "drop", "reject", "queue", "return", "continue", "jump", "goto"})
# They give the packet to something that may never give it back.
_DIVERSIONS: Final = frozenset({"fwd", "synproxy"})
_TRANSLATIONS: Final = frozenset({"snat", "dnat", "masquerade", "redirect"})
_PARTIAL: Final = frozenset({"limit", "quota", "ct count", "meter"})


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end of a packet's way: let through or not, decided in which chain."""

    drops: bool
    chain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a chain may do: the ends it may come to, and whether the packet may leave it undecided."""

    ends: frozenset[End]
    falls: bool


@dataclass(slots=True, kw_only=True)
class Walker:
    """Walks one packet through the chains of one table.

    Attributes:
        view: The packet as the base chain sees it.
        chains: Rules of every chain of the table, in order.
        texts: Each rule by its handle as ``nft list`` prints it, for what the JSON does not tell.
    """

    view: View
    chains: Mapping[str, Sequence[Rule]]
    texts: Mapping[int, str] = field(default_factory=dict)
    _known: dict[str, Outcome] = field(default_factory=dict)
    _open: set[str] = field(default_factory=set)

    def decide(self, chain: str, *, policy_drops: bool) -> frozenset[End]:
        """Return every end that the packet may come to in the base chain *chain*."""
        outcome = self._walk(chain)
        policy = {End(drops=policy_drops, chain=chain)} if outcome.falls else set()
        return outcome.ends | policy

    def _walk(self, chain: str) -> Outcome:
        if chain in self._known:
            return self._known[chain]
        if chain in self._open:  # the kernel allows no loop; text that shows one tells nothing
            return Outcome(ends=frozenset(), falls=True)
        self._open.add(chain)
        outcome = self._read_chain(chain)
        self._open.remove(chain)
        self._known[chain] = outcome
        return outcome

    def _read_chain(self, chain: str) -> Outcome:
        ends: set[End] = set()
        falls = False
        for rule in self.chains.get(chain, ()):
            for match, name, target in self._alternatives(rule):
                if match is Match.NO:
                    continue
                reached = self._follow(chain, name, target)
                ends |= {end for end in reached.ends if match is not Match.SOME or not end.drops}
                leaves = name in {"return", "goto"}
                if match is not Match.YES:
                    falls = falls or (leaves and reached.falls)
                    continue
                if leaves:
                    return Outcome(ends=frozenset(ends), falls=falls or reached.falls)
                if not reached.falls:
                    return Outcome(ends=frozenset(ends), falls=falls)
                break  # it came back from a jump, and goes on with the next rule
        return Outcome(ends=frozenset(ends), falls=True)

    def _follow(self, chain: str, verdict: str, target: str) -> Outcome:
        """Return what *verdict* in *chain* leads to."""
        if verdict in {"jump", "goto"}:
            return self._walk(target)
        if verdict in {"return", "continue"}:
            return Outcome(ends=frozenset(), falls=True)
        accepted, dropped = End(drops=False, chain=chain), End(drops=True, chain=chain)
        # Behind a queue sits a program that may decide either way.
        ends = {"accept": {accepted}, "queue": {accepted, dropped}}.get(verdict, {dropped})
        return Outcome(ends=frozenset(ends), falls=False)

    def _alternatives(self, rule: Rule) -> Iterator[tuple[Match, str, str]]:
        """Yield the verdicts of *rule*, each with how surely it is reached and the chain it names or ""."""
        expressions = rule.get("expr")
        text = self.texts.get(rule.get("handle", -1), "")
        match = Match.YES
        for statement in expressions if isinstance(expressions, list) else ():
            if not isinstance(statement, Mapping) or not statement:
                match = min(match, Match.MAYBE)
                continue
            name, details = next(iter(statement.items()))
            if name in _VERDICTS:
                yield match, name, _target(details)
                return
            if name in _TRANSLATIONS:
                yield match, "accept", ""
                return
            if name in _DIVERSIONS:
                yield match, "queue", ""
                return
            if name == "vmap":
                yield from self._verdict_map(match, details)
            elif name == "xt":
                match, verdict = self._extension(match, details, text)
                if verdict:
                    yield match, verdict, ""
                    return
            else:
                match = min(match, self._condition(name, details))

    def _condition(self, name: str, details: Any) -> Match:  # noqa: ANN401 - nft's JSON
        if name == "match" and isinstance(details, Mapping):
            return match_condition(details, self.view)
        if name in _PARTIAL or (name == "set" and isinstance(details, Mapping) and "stmt" in details):
            return Match.SOME
        return Match.YES  # counters, logs, marks: no conditions

    def _extension(self, match: Match, details: Any, text: str) -> tuple[Match, str]:  # noqa: ANN401 - nft's JSON
        """Judge an expression of iptables that nft passes through: the conditions so far, and a verdict or ""."""
        if not isinstance(details, Mapping):  # older nft says that something is there, and not what
            known = match_extension("conntrack", self.view, text)
            return min(match, known, Match.MAYBE), "reject" if " reject" in text else ""
        name = str(details.get("name"))
        if details.get("type") == "match":
            return min(match, match_extension(name, self.view, text)), ""
        if name in _PASSING_TARGETS:
            return match, ""
        if name == "REJECT":
            return match, "reject"
        return match, "queue"  # NFQUEUE, or a target that we know nothing of

    def _verdict_map(self, match: Match, details: Any) -> Iterator[tuple[Match, str, str]]:  # noqa: ANN401 - nft's JSON
        if not isinstance(details, Mapping):
            return
        key, data = read(details.get("key"), self.view), details.get("data")
        if isinstance(data, str):
            data = {"set": self.view.sets.get(data.removeprefix("@"), {}).get("elem")}
        elements = data.get("set") if isinstance(data, Mapping) else None
        # The catch-all element is tried last, wherever it is listed.
        pairs = [pair for pair in elements or () if isinstance(pair, list) and len(pair) == 2]
        for left, verdict in sorted(pairs, key=lambda pair: pair[0] == "*"):
            if isinstance(verdict, Mapping) and verdict:
                name, target = next(iter(verdict.items()))
                yield min(match, equals(key, left, self.view)), name, _target(target)


def _target(details: Any) -> str:  # noqa: ANN401 - nft's JSON
    return str(details.get("target", "")) if isinstance(details, Mapping) else ""
