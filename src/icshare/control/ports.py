"""What the control services need of the outside world."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from icshare.model.connection import Connection
from icshare.model.state import State
from icshare.plan.placing import InForce, Socket
from icshare.plan.staterecords import Fact
from icshare.plan.targets import Known
from icshare.render.mappings import Element


class StateLog(Protocol):
    """What was asked for, on disk."""

    def lock(self) -> AbstractContextManager[None]:
        """Hold the one lock; who holds it may take it again.

        Raises:
            PrivilegeError: The state may not be written.
            ConflictError: Its place is not ours alone.
        """
        ...

    def load(self) -> State:
        """Return everything asked for, as it is now.

        Raises:
            HostError: The state is damaged, or of a newer version.
            PrivilegeError: It may not be read.
        """
        ...

    def append(self, *facts: Fact) -> None:
        """Write *facts* down, all or none of them; under the lock.

        Raises:
            InvalidRequestError: One of them holds what has no meaning.
            HostError: They could not be written.
        """
        ...


class Store(StateLog, Protocol):
    """The same with a mark that outlives whoever set it."""

    unfinished: bool
    """The kernel's mappings may not be those of the state; to be asked and set under the lock."""


class MappingTable(Protocol):
    """The elements of mappings in the kernel."""

    def present(self) -> Mapping[Element, int | None]:
        """Return the elements that there are, with what they count: connections, of some bytes.

        Raises:
            PrivilegeError: They may not be looked at.
            HostError: The kernel refused.
        """
        ...

    def change(self, remove: Sequence[Element], add: Sequence[Element], cut: Sequence[Socket]) -> None:
        """Remove elements and add others, in one transaction; sockets of *cut* are reset when they go on.

        Raises:
            HostError: The kernel refused; nothing was changed.
            PrivilegeError: A capability is missing; nothing was changed.
        """
        ...


class Surroundings(Protocol):
    """What mappings need to know of the machine."""

    def require_admin(self) -> None:
        """Check the privilege that every change needs.

        Raises:
            PrivilegeError: It is missing.
        """
        ...

    def connections(self) -> Sequence[Connection]:
        """Return the connections that are present.

        Raises:
            HostError: The host could not be read.
        """
        ...

    def in_force(self) -> InForce:
        """Return what mappings depend on, as it is now.

        Raises:
            HostError: The host or the journal could not be read.
        """
        ...

    def known(self, there: InForce) -> Known:
        """Return what targets can be looked up in at the moment.

        Raises:
            HostError: The host could not be read.
        """
        ...

    def attend(self, *, follow: bool) -> None:
        """Do what mappings need besides their elements, when some have come into force.

        Args:
            follow: Some have targets that move; somebody has to follow them.

        Raises:
            HostError: The machine refused.
        """
        ...

    def cut(self, sockets: Iterable[Socket]) -> int:
        """Cut the connections that use the mappings of *sockets*, and return how many there were.

        Raises:
            HostError: The kernel refused.
            NotSupportedError: It does not give access to its table of connections.
        """
        ...
