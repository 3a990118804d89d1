"""A lab that stands: run commands on its nodes, see what its servers saw, take it down."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Never, Self

from icshare.errors import InvalidRequestError, PrivilegeError
from icshare.host import command
from icshare.host.command import DEVNULL, Completed, Process, Stream
from icshare.lab import build, processes, topology
from icshare.lab.plan import DEFAULT_PREFIX, FAR, GATEWAY, INTERNET, LabName, LabPlan, NodeName, lab_name, node_name
from icshare.lab.state import LabState, Phase, load

_BASE = "/run/icshare-lab"
_OWN_DIRECTORIES = (("/run", "run"), ("/etc", "etc"), ("/var/lib", "var-lib"), ("/var/log", "var-log"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One connection, request or datagram that a server of the Internet saw.

    Attributes:
        service: ``web``, ``echo-tcp`` or ``echo-udp``.
        source: Address it came from.
        port: Port it came from.
        detail: ``GET /`` and the like for the web server, otherwise empty.
    """

    service: str
    source: IPv4Address
    port: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """A node, its network namespace, and whether that is there."""

    node: NodeName
    namespace: str
    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """A process that the lab started (``keeper`` of the nodes' namespaces, ``dns``, ``servers``), if it still runs."""

    name: str
    node: str
    pid: int
    running: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LabStatus:
    """What there is of a lab."""

    prefix: LabName
    phase: Phase
    directory: Path
    nodes: tuple[NodeStatus, ...]
    services: tuple[ServiceStatus, ...]

    @property
    def healthy(self) -> bool:
        """Whether it was built to the end and all of it is still there."""
        everything = all(node.present for node in self.nodes) and all(service.running for service in self.services)
        return self.phase is Phase.UP and everything


def base_directory() -> Path:
    """Return where labs keep their directories: ``$ICSHARE_LAB_DIR``, or ``/run/icshare-lab``."""
    return Path(os.environ.get("ICSHARE_LAB_DIR") or _BASE).absolute()


def find_labs() -> tuple[LabName, ...]:
    """Return the names of the labs on this machine, sorted; half-built ones too."""
    try:
        names = sorted(entry.name for entry in base_directory().iterdir() if entry.is_dir())
    except FileNotFoundError:
        return ()
    return tuple(lab_name(name) for name in names)


class Lab:
    """A lab that was built to the end.

    As a context manager it is taken down at the end of the block::

        with Lab.up(LabPlan(privates=2)) as lab:
            lab.run(GATEWAY, ["ping", "-c1", "www.example.net"])
    """

    def __init__(self, directory: Path, state: LabState) -> None:
        self.directory = directory
        self.plan = state.plan
        self._state = state

    @classmethod
    def up(cls, plan: LabPlan) -> Self:
        """Build the lab that *plan* describes: all of it, or nothing is left.

        Raises:
            ConflictError: There is a lab, or a namespace, of that name.
            HostError: The machine refused a part; what had been made was removed again.
            NotSupportedError: A program or a feature of the kernel is missing.
            PrivilegeError: We are not root, nor in a user namespace of our own.
        """
        need_root()
        directory = base_directory() / plan.prefix
        build.claim(directory, plan)
        try:
            return cls(directory, build.build(directory, plan))
        except BaseException as error:  # Ctrl-C must not leave half a lab either
            try:
                build.remove(directory, load(directory, plan.prefix))
            except OSError as failure:
                error.add_note(f"not removed: {failure}")
            raise

    @classmethod
    def open(cls, prefix: LabName = DEFAULT_PREFIX) -> Self:
        """Return the lab *prefix* that another process has built.

        Raises:
            InvalidRequestError: There is none, it is half-built, or its state file is unusable.
        """
        directory = base_directory() / lab_name(prefix)
        state = load(directory, prefix)
        if state is None or state.phase is not Phase.UP:
            what = "there is no lab" if state is None and not directory.exists() else "half-built is the lab"
            raise InvalidRequestError(
                f"{what} {prefix}", hint="icshare lab down removes what is left; lab up builds it"
            )
        return cls(directory, state)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def down(self) -> None:
        """Remove the lab with every process in its namespaces; one that is gone already is no error.

        Raises:
            HostError: Something of it cannot be removed.
        """
        take_down(self.plan.prefix)

    def status(self) -> LabStatus:
        """Return what is there of the lab."""
        return _status(self.directory, self._state)

    def node(self, name: str) -> NodeName:
        """Parse *name* as a node of this lab.

        Raises:
            InvalidRequestError: This lab has no such node; the message names those it has.
        """
        found = node_name(name)
        if found not in self.plan.nodes:
            nodes = ", ".join(self.plan.nodes)
            raise InvalidRequestError(f"the lab {self.plan.prefix} has no node {name}", hint=f"its nodes: {nodes}")
        return found

    def namespace(self, node: str) -> str:
        """Return the name of *node*'s network namespace, for ``ip -n``."""
        return self.plan.namespace(self.node(node))

    def argv(self, node: str, argv: Sequence[str]) -> list[str]:
        """Return the argument vector that, run as root on this host, runs *argv* on *node*.

        It runs with the node's links, ``/sys``, ``/etc/resolv.conf``, ``/run``, ``/var/lib``, ``/var/log`` and host
        name, in our working directory (in ``/`` when the node's own directories hide that).

        Raises:
            HostError: The process that keeps the nodes' namespaces has ended.
            InvalidRequestError: The lab has no such node.
        """
        return build.entry(self._state, self.node(node), argv, working_directory=Path.cwd())

    def run(
        self,
        node: str,
        argv: Sequence[str],
        *,
        input: str | None = None,  # noqa: A002 - as in host.command
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> Completed:
        """Run *argv* on *node* to its end; see `icshare.host.command.run`."""
        return command.run(self._checked(node, argv), input=input, env=env, timeout=timeout, check=check)

    def popen(
        self,
        node: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: Stream = DEVNULL,
        stdout: Stream = DEVNULL,
        stderr: Stream = DEVNULL,
    ) -> Process:
        """Start *argv* on *node* in the background; see `icshare.host.command.start`. Its pid is the program's own."""
        return command.start(self._checked(node, argv), env=env, stdin=stdin, stdout=stdout, stderr=stderr)

    def exec(self, node: str, argv: Sequence[str]) -> Never:
        """Become *argv* on *node*, with our own environment and terminal. Does not return.

        Raises:
            NotSupportedError: nsenter is not installed.
        """
        command.become(self.argv(node, argv))

    def path(self, node: str, path: str) -> Path:
        """Return where *node*'s own file *path*, below /run, /etc, /var/lib or /var/log, is on this host.

        Raises:
            InvalidRequestError: It lies elsewhere: it is the host's file, under the same name.
        """
        own = build.own_directory(self.directory, self.node(node))
        for place, directory in _OWN_DIRECTORIES:
            if Path(path).is_relative_to(place):
                return own / directory / Path(path).relative_to(place)
        raise InvalidRequestError(
            f"{path} is not a node's own file", hint="expected a path below /run, /etc, /var/lib or /var/log"
        )

    def seen(self, service: str | None = None) -> tuple[Seen, ...]:
        """Return what the Internet's servers saw so far, in order; only *service*'s when given.

        A client that has its answer is in it.
        """
        lines: list[bytes] = []
        for node in (INTERNET, FAR):
            log = build.own_directory(self.directory, node) / "run" / "seen.jsonl"
            if node in self.plan.nodes:
                lines += log.read_bytes().splitlines()
        entries = (_seen(**json.loads(line)) for line in lines)
        return tuple(entry for entry in entries if service in {None, entry.service})

    def plug_uplink(self) -> None:
        """Set ``wan0`` up and give it back its default route; it carries packets by then."""
        self._gateway_batch("".join(f"{line}\n" for line in topology.uplink_on()))
        build.settle(self.plan, {GATEWAY: ["wan0"], INTERNET: ["isp0"]})

    def unplug_uplink(self) -> None:
        """Set ``wan0`` down; the kernel takes its routes away."""
        self._gateway_batch("link set wan0 down\n")

    def _gateway_batch(self, lines: str) -> None:
        command.run(["ip", "-n", self.namespace(GATEWAY), "-batch", "-"], input=lines)

    def _checked(self, node: str, argv: Sequence[str]) -> list[str]:
        """Return `argv`, but name the package of a missing program, of which nsenter knows nothing."""
        if "/" not in argv[0]:
            command.find_program(argv[0])
        return self.argv(node, argv)


def status(prefix: LabName) -> LabStatus | None:
    """Return what there is of the lab *prefix*, half-built or not; None when there is nothing.

    Raises:
        InvalidRequestError: Its state file is unusable.
    """
    directory = base_directory() / lab_name(prefix)
    state = load(directory, prefix)
    return None if state is None else _status(directory, state)


def take_down(prefix: LabName) -> None:
    """Remove the lab *prefix*, however much there is of it, with every process in its namespaces.

    Raises:
        HostError: Something of it cannot be removed.
        InvalidRequestError: Its state file is unusable, so what is its own is not known.
        PrivilegeError: We are not root.
    """
    directory = base_directory() / lab_name(prefix)
    if directory.exists():
        need_root()
        build.remove(directory, load(directory, prefix))


def need_root() -> None:
    """Raise unless we are root, be it in a user namespace.

    Raises:
        PrivilegeError: We are not.
    """
    if os.geteuid() != 0:
        raise PrivilegeError(
            "a lab needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN)",
            hint="use sudo; icshare demo makes a lab that lasts as long as itself, without root",
        )


def _seen(*, service: str, source: str, port: int, detail: str) -> Seen:
    return Seen(service=service, source=IPv4Address(source), port=port, detail=detail)


def _status(directory: Path, state: LabState) -> LabStatus:
    keeper = () if state.keeper is None else (("keeper", INTERNET, state.keeper.pid, state.keeper.started),)
    services = ((service.name, service.node, service.pid, service.started) for service in state.services)
    return LabStatus(
        prefix=state.plan.prefix,
        phase=state.phase,
        directory=directory,
        nodes=tuple(
            NodeStatus(node=node, namespace=name, present=(build.NETNS / name).exists())
            for node, name in state.names().items()
        ),
        services=tuple(
            ServiceStatus(name=name, node=node, pid=pid, running=processes.is_running(pid, started))
            for name, node, pid, started in (*keeper, *services)
        ),
    )
