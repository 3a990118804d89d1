"""Steps that start and stop the fast path, and set what connection tracking has to overlook for it."""

from typing import Annotated, Literal, Self

import msgspec
from msgspec.structs import asdict, replace

from icshare.plan.steps.step import Step, digest

_Value = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,3}\Z")]


class _FastPath(Step, frozen=True):
    """What starting and stopping our programs have in common.

    Attributes:
        text: Their whole configuration.
    """

    text: str

    @property
    def key(self) -> str:
        return "fast path"


class StartFastPath(_FastPath, frozen=True, tag="start-fast-path"):
    """Attach our programs with a configuration, in place of those that run."""

    def describe(self) -> str:
        return f"fast path: start ({digest(self.text)})"

    def inverse(self) -> "StopFastPath":
        return StopFastPath(**asdict(self))


class StopFastPath(_FastPath, frozen=True, tag="stop-fast-path"):
    """Detach our programs from every link."""

    def describe(self) -> str:
        return "fast path: stop"

    def inverse(self) -> StartFastPath:
        return StartFastPath(**asdict(self))


class SetConntrack(Step, frozen=True, tag="set-conntrack"):
    """Set one setting of connection tracking in this network namespace.

    Attributes:
        setting: ``tcp_be_liberal`` stands for ``net.netfilter.nf_conntrack_tcp_be_liberal``.
    """

    setting: Literal["tcp_be_liberal", "tcp_ignore_invalid_rst"]
    value: _Value
    previous: _Value

    @property
    def key(self) -> str:
        return f"conntrack {self.setting}"

    def describe(self) -> str:
        return f"sysctl net.netfilter.nf_conntrack_{self.setting}: {self.previous} -> {self.value}"

    def inverse(self) -> Self:
        return replace(self, value=self.previous, previous=self.value)
