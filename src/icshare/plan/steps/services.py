"""Steps that start and stop what serves clients and writes the log."""

from msgspec.structs import asdict

from icshare.model.names import InterfaceName
from icshare.plan.steps.step import Step, digest


class _Probe(Step, frozen=True):
    """A question to a segment, and who is on it: with other members it is another question."""

    link: InterfaceName
    members: tuple[InterfaceName, ...] = ()

    @property
    def key(self) -> str:
        return f"dhcp probe on {self.link}"


class ProbeDhcp(_Probe, frozen=True, tag="probe-dhcp"):
    """Ask the segment for foreign DHCP servers; the ruleset notes who answers. Nothing to take back."""

    def describe(self) -> str:
        return f"dhcp: ask {self.link} for other servers"

    def inverse(self) -> "ForgetProbe":
        return ForgetProbe(**asdict(self))


class ForgetProbe(_Probe, frozen=True, tag="forget-probe"):
    """The inverse of a question: nothing."""

    def describe(self) -> str:
        return "dhcp: nothing to take back"

    def inverse(self) -> ProbeDhcp:
        return ProbeDhcp(**asdict(self))


class _Service(Step, frozen=True):
    """What starting and stopping dnsmasq have in common.

    Attributes:
        text: The whole configuration; its digest names the file, so what runs can be told from what is wanted.
    """

    text: str

    @property
    def key(self) -> str:
        return "dnsmasq"


class StartService(_Service, frozen=True, tag="start-service"):
    """Start dnsmasq with a configuration, in place of the one that runs."""

    def describe(self) -> str:
        return f"dnsmasq: start ({digest(self.text)})"

    def inverse(self) -> "StopService":
        return StopService(**asdict(self))


class StopService(_Service, frozen=True, tag="stop-service"):
    """Stop dnsmasq and remove the files it made."""

    def describe(self) -> str:
        return "dnsmasq: stop"

    def inverse(self) -> StartService:
        return StartService(**asdict(self))


class _Log(Step, frozen=True):
    """What starting and stopping the writer of the firewall's log have in common.

    Attributes:
        text: Its whole configuration.
    """

    text: str

    @property
    def key(self) -> str:
        return "firewall log"


class StartLog(_Log, frozen=True, tag="start-log"):
    """Start the writer of the firewall's log, in place of the one that runs."""

    def describe(self) -> str:
        return f"firewall log: start ({digest(self.text)})"

    def inverse(self) -> "StopLog":
        return StopLog(**asdict(self))


class StopLog(_Log, frozen=True, tag="stop-log"):
    """Stop the writer of the firewall's log; the log stays."""

    def describe(self) -> str:
        return "firewall log: stop"

    def inverse(self) -> StartLog:
        return StartLog(**asdict(self))
