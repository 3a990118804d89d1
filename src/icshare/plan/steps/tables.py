"""Steps that load and drop our tables."""

from msgspec.structs import asdict

from icshare.plan.steps.step import Step, digest


class _Ruleset(Step, frozen=True):
    """What loading and dropping our table have in common: its whole text."""

    text: str

    @property
    def key(self) -> str:
        return "ruleset"


class LoadRuleset(_Ruleset, frozen=True, tag="load-ruleset"):
    """Load table ``inet icshare`` in one transaction."""

    def describe(self) -> str:
        return f"nftables: load table inet icshare ({digest(self.text)})"

    def inverse(self) -> "DropRuleset":
        return DropRuleset(**asdict(self))


class DropRuleset(_Ruleset, frozen=True, tag="drop-ruleset"):
    """Delete table ``inet icshare``."""

    def describe(self) -> str:
        return "nftables: delete table inet icshare"

    def inverse(self) -> LoadRuleset:
        return LoadRuleset(**asdict(self))


class _FirewallRuleset(Step, frozen=True):
    """What loading and dropping the table of the connection firewall have in common: its whole text."""

    text: str

    @property
    def key(self) -> str:
        return "firewall"


class LoadFirewall(_FirewallRuleset, frozen=True, tag="load-firewall"):
    """Load table ``inet icshare_firewall`` in one transaction."""

    def describe(self) -> str:
        return f"nftables: load table inet icshare_firewall ({digest(self.text)})"

    def inverse(self) -> "DropFirewall":
        return DropFirewall(**asdict(self))


class DropFirewall(_FirewallRuleset, frozen=True, tag="drop-firewall"):
    """Delete table ``inet icshare_firewall``."""

    def describe(self) -> str:
        return "nftables: delete table inet icshare_firewall"

    def inverse(self) -> LoadFirewall:
        return LoadFirewall(**asdict(self))
