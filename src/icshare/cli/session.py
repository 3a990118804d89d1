"""What every command is given: a way to the manager, the two streams, the time."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Protocol, TextIO, cast
from uuid import UUID

import typer

from icshare.cli.output import Printer

if TYPE_CHECKING:  # importing these takes longer than parsing a command line
    from icshare.api import SharingStatus
    from icshare.control.keys import Key
    from icshare.engine import Outcome, Proposal
    from icshare.model.client import Client
    from icshare.model.connection import Connection
    from icshare.model.fastpath import Mode
    from icshare.model.firewall import FirewallOptions
    from icshare.model.mapping import MappingStatus, PortMapping, Target
    from icshare.model.mapping import Protocol as TransportProtocol
    from icshare.model.sharing import Wanted
    from icshare.model.status import Health
    from icshare.model.wifi import AccessPoint, Passphrase, Ssid
    from icshare.ports import Progress, Record


class Mappings(Protocol):
    """What the command line needs of `icshare.control.mappings.PortMappings`."""

    def all(self) -> "Sequence[PortMapping]":
        """Return the definitions."""
        ...

    def add(
        self,
        connection: UUID,
        *,
        name: str,
        protocol: "TransportProtocol",
        external: int,
        internal: int | None = None,
        count: int = 1,
        target: "Target",
        enabled: bool = False,
    ) -> "PortMapping":
        """Define a mapping."""
        ...

    def update(
        self,
        number: int,
        *,
        name: str | None = None,
        protocol: "TransportProtocol | None" = None,
        external: int | None = None,
        internal: int | None = None,
        count: int | None = None,
        target: "Target | None" = None,
    ) -> "PortMapping":
        """Change what is given of a mapping."""
        ...

    def enable(self, number: int) -> None:
        """Let a mapping work."""
        ...

    def disable(self, number: int) -> None:
        """Keep a mapping from working, and cut what came through it."""
        ...

    def remove(self, number: int) -> None:
        """Forget a mapping."""
        ...

    def status(self, number: int) -> "MappingStatus | None":
        """Return a mapping and how it fares, without hits; None when there is none."""
        ...

    def statuses(self) -> "Sequence[MappingStatus]":
        """Return the mappings and how they fare."""
        ...


class Keys(Protocol):
    """What the command line needs of `icshare.control.keys.Keys`."""

    def taken(self, name: "Ssid", given: "Passphrase | None" = None) -> "AbstractContextManager[Key]":
        """Give the passphrase of a network for a sharing that is made meanwhile."""
        ...

    def known(self, name: "Ssid", given: "Passphrase | None" = None) -> str:
        """Return the secret that `taken` would give."""
        ...

    def present(self) -> "tuple[AccessPoint, Passphrase]":
        """Return the access point in force and its passphrase."""
        ...


class Manager(Protocol):
    """What the command line needs of `icshare.api.SharingManager`."""

    def connections(self) -> "Sequence[Connection]":
        """Return every connection of the host."""
        ...

    def request(
        self,
        public: str,
        privates: Iterable[str],
        *,
        subnet: IPv4Network | None = None,
        firewall: bool | None = None,
        access_point: "AccessPoint | None" = None,
        fast_path: "Mode | None" = None,
    ) -> "Wanted":
        """Return what `share` is asked for with the same arguments."""
        ...

    def propose(self, wanted: "Wanted") -> "Proposal":
        """Return what bringing *wanted* into force would change."""
        ...

    def share(
        self,
        public: str,
        privates: Iterable[str],
        *,
        subnet: IPv4Network | None = None,
        firewall: bool | None = None,
        dial_on_demand: bool | None = None,
        access_point: "AccessPoint | None" = None,
        fast_path: "Mode | None" = None,
        progress: "Progress | None" = None,
    ) -> "Outcome":
        """Share, and prove that it works."""
        ...

    def connect(self, guid: UUID, progress: "Progress | None" = None) -> None:
        """Dial a connection, or set its link up."""
        ...

    def disconnect(self, guid: UUID, progress: "Progress | None" = None) -> None:
        """Hang a connection up, or set its link down."""
        ...

    def stop(self, progress: "Progress | None" = None) -> int:
        """Take everything back and return the number of steps."""
        ...

    def record(self) -> "Record | None":
        """Return what is on record, None when nothing is shared."""
        ...

    def status(self) -> "SharingStatus":
        """Return what is shared and how it fares."""
        ...

    def clients(self) -> "Sequence[Client]":
        """Return who is on the segment."""
        ...

    def windows_names(self) -> Mapping[UUID, str]:
        """Return the names that programs for Windows know connections by."""
        ...

    def firewall(self, guid: UUID) -> "FirewallOptions | None":
        """Return how the firewall of a connection is set, None if it is off."""
        ...

    def has_lost_firewalls(self) -> bool:
        """Tell whether something else has deleted the firewalls in force."""
        ...

    def set_firewall(self, guid: UUID, options: "FirewallOptions | None") -> None:
        """Switch the firewall of a connection on, or off for None."""
        ...

    @property
    def mappings(self) -> Mappings:
        """The port mappings."""
        ...

    @property
    def keys(self) -> Keys:
        """The passphrases of access points."""
        ...

    def doctor(self) -> "Health":
        """Return what stands in the way of sharing."""
        ...


def open_manager() -> Manager:
    """Return the manager of this machine."""
    from icshare.api import SharingManager

    return SharingManager()


@dataclass(kw_only=True)
class Session:
    """One run of the command line.

    Attributes:
        open_manager: Opens the manager; called by the commands that need one, when they need it.
        stdout: Where results go.
        stderr: Where progress and errors go.
        stdin: Where a passphrase may come from.
        terminal: The results are read by a person on a terminal.
        interactive: So are progress and errors.
        verbose: 1 to tell every step, 2 to tell every command as well.
        now: The clock, seconds since the epoch.
    """

    open_manager: Callable[[], Manager] = open_manager
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    stdin: TextIO = field(default_factory=lambda: sys.stdin)
    terminal: bool = False
    interactive: bool = False
    verbose: int = 0
    now: Callable[[], float] = time.time

    @cached_property
    def manager(self) -> Manager:
        """The manager of this machine, opened on first use."""
        return self.open_manager()

    @cached_property
    def out(self) -> Printer:
        """Prints results."""
        return Printer(self.stdout, terminal=self.terminal)

    @cached_property
    def err(self) -> Printer:
        """Prints progress and errors."""
        return Printer(self.stderr, terminal=self.interactive)

    @contextmanager
    def progress(self, text: str, *, quiet: bool) -> "Iterator[Progress]":
        """Give a function that shows what is being done, on a terminal and in one place; elsewhere it shows nothing.

        Args:
            text: What is being done at first.
            quiet: Show nothing at all.
        """
        if quiet or self.verbose or not self.interactive:
            yield _show_nothing
            return
        with self.err.busy(text) as show:
            yield show


def _show_nothing(_: str) -> None:
    """Show nothing."""


def session_of(context: typer.Context) -> Session:
    """Return the session that *context* belongs to."""
    return cast("Session", context.obj)
