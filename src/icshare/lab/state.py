"""What a lab writes down: enough to find it, use it and remove it from another process.

``<base>/<prefix>/lab.json`` is written before the first namespace is made and again when all stands, each time as a new
file that replaces the old one. So a lab without the file has nothing but its directory, and one that says ``building``
may have any part of what it names.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from icshare.errors import InvalidRequestError
from icshare.lab.plan import LabName, LabPlan, NodeName, lab_name

VERSION = 1
FILE = "lab.json"

Pid = Annotated[int, msgspec.Meta(ge=2)]


class Phase(StrEnum):
    """How far a lab has come.

    ``building``: may be incomplete; only good for removal. ``up``: everything it names was there.
    """

    BUILDING = "building"
    UP = "up"


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server process: its pid holds only together with its start time (clock ticks since boot)."""

    name: str
    node: str
    pid: Pid
    started: int


class Keeper(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The process that holds the nodes' namespaces open, and under which descriptors."""

    pid: Pid
    started: int
    mnt: dict[str, int]
    uts: dict[str, int]


class LabState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lab as it was built."""

    version: int = VERSION
    phase: Phase
    plan: LabPlan
    keeper: Keeper | None = None
    services: tuple[Service, ...] = ()

    def names(self) -> dict[NodeName, str]:
        """Return each node's network namespace."""
        return {node: self.plan.namespace(node) for node in self.plan.nodes}


class _Versioned(msgspec.Struct):
    version: int


def save(directory: Path, state: LabState) -> None:
    """Write *state* into the lab's *directory* at once or not at all."""
    new = directory / f".{FILE}.new"
    new.write_bytes(msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n")
    new.replace(directory / FILE)


def load(directory: Path, prefix: LabName) -> LabState | None:
    """Read what the lab *prefix* wrote into *directory*; None when it wrote nothing yet.

    Raises:
        InvalidRequestError: The file is damaged, of another version or another lab's.
    """
    path = directory / FILE
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        version = msgspec.json.decode(text, type=_Versioned).version
        if version != VERSION:
            raise InvalidRequestError(
                f"{path} is of version {version} (expected {VERSION})",
                hint="remove the lab with the version of icshare that made it",
            )
        state = msgspec.json.decode(text, type=LabState)
        lab_name(state.plan.prefix)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(
            f"{path} is damaged: {error}",
            hint=f"remove the namespaces {prefix}-* with ip netns del, then the directory {directory}",
        ) from error
    if state.plan.prefix != prefix:
        raise InvalidRequestError(f"{path} belongs to the lab {state.plan.prefix}, not to {prefix}")
    return state
