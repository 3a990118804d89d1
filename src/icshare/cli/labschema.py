"""The documents that ``icshare demo --json`` and ``icshare lab ... --json`` print."""

from typing import Annotated

from msgspec import Meta

from icshare.cli.schema import Document


class RanDocument(Document, frozen=True):
    """One command of a demonstration."""

    node: Annotated[
        str, Meta(description="The node of the lab where it ran; empty for the machine that holds the lab.")
    ]
    line: Annotated[str, Meta(description="The command line, to be typed into a shell there.")]
    exit_status: Annotated[int, Meta(description="Its exit status; -N when signal N ended it.")]
    output: Annotated[str, Meta(description="What it printed, standard error first.")]
    seconds: Annotated[float, Meta(description="How long it took.")]


class FindingDocument(Document, frozen=True):
    """One fact that was looked at."""

    ok: Annotated[bool, Meta(description="It is as it should be.")]
    text: Annotated[str, Meta(description="What was found, a sentence for people.")]


class StepDocument(Document, frozen=True):
    """One step of a demonstration."""

    name: Annotated[str, Meta(description="What it is about; stable.")]
    title: Annotated[str, Meta(description="What it shows, for people.")]
    ok: Annotated[bool, Meta(description="Everything that was found is as it should be.")]
    commands: Annotated[tuple[RanDocument, ...], Meta(description="Its commands, in order of their ends.")]
    observations: Annotated[tuple[FindingDocument, ...], Meta(description="What was found.")]
    seconds: Annotated[float, Meta(description="How long it took.")]


class DemoDocument(Document, frozen=True):
    """Printed by `icshare demo --json`."""

    ok: Annotated[bool, Meta(description="Every step found everything as it should be.")]
    topology: Annotated[str, Meta(description="A picture of the lab in box characters.")]
    steps: Annotated[tuple[StepDocument, ...], Meta(description="The steps, in order; after a failure fewer.")]
    seconds: Annotated[float, Meta(description="How long it took.")]


class NodeDocument(Document, frozen=True):
    """A node of a lab."""

    name: Annotated[str, Meta(description="`inet`, `gw`, `c0`, `c1` and so on.")]
    namespace: Annotated[str, Meta(description="Its network namespace, for `ip -n`.")]
    present: Annotated[bool, Meta(description="The namespace is there.")]


class ServiceDocument(Document, frozen=True):
    """A process of a lab."""

    name: Annotated[str, Meta(description="What it is.")]
    node: Annotated[str, Meta(description="Where it runs.")]
    pid: Annotated[int, Meta(description="Its process.")]
    running: Annotated[bool, Meta(description="It still runs.")]


class LabDocument(Document, frozen=True):
    """One lab. Printed by `icshare lab up --json`."""

    prefix: Annotated[str, Meta(description="Its name, with which the names of its namespaces begin.")]
    healthy: Annotated[bool, Meta(description="It was built to the end, and all of it is still there.")]
    directory: Annotated[str, Meta(description="Where it keeps its files.")]
    nodes: Annotated[tuple[NodeDocument, ...], Meta(description="Its nodes.")]
    services: Annotated[tuple[ServiceDocument, ...], Meta(description="Its processes.")]


class LabStatusDocument(Document, frozen=True):
    """Printed by `icshare lab status --json`."""

    labs: Annotated[tuple[LabDocument, ...], Meta(description="The labs, by name.")]


class LabDownDocument(Document, frozen=True):
    """Printed by `icshare lab down --json`."""

    prefix: Annotated[str, Meta(description="The name that was asked for.")]
    removed: Annotated[bool, Meta(description="There was something to remove.")]


class LabExecDocument(Document, frozen=True):
    """Printed by `icshare lab exec --json`."""

    node: Annotated[str, Meta(description="Where it ran.")]
    command: Annotated[tuple[str, ...], Meta(description="What ran.")]
    exit_status: Annotated[int, Meta(description="Its exit status; -N when signal N ended it.")]
    stdout: Annotated[str, Meta(description="What it printed.")]
    stderr: Annotated[str, Meta(description="What it printed on standard error.")]
