"""Complete the names of connections and mappings, from those that are there."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from icshare.cli.session import Session
from icshare.cli.words import state
from icshare.errors import IcshareError

if TYPE_CHECKING:
    from icshare.model.connection import Connection
    from icshare.model.mapping import PortMapping


def candidates(session: Session, incomplete: str, *, public: bool) -> list[tuple[str, str]]:
    """Return the connections that may be shared, with a word on each.

    Args:
        session: The session.
        incomplete: What has been typed.
        public: As the public connection, not as a private one.
    """
    return interfaces(session, incomplete, lambda one: (one.as_public if public else one.as_private).ok)


def interfaces(session: Session, incomplete: str, accepts: "Callable[[Connection], bool]") -> list[tuple[str, str]]:
    """Return the connections that *accepts* takes, with a word on each; () when they cannot be read.

    Args:
        session: The session.
        incomplete: What has been typed.
        accepts: Tells whether a connection may be given.
    """
    try:
        return [
            (one.interface, f"{one.kind}, {state(one.status)}")
            for one in session.manager.connections()
            if one.interface.startswith(incomplete) and accepts(one)
        ]
    except (IcshareError, OSError):
        return []  # a shell that is completing has no place for an error


def mapping_names(
    session: Session, incomplete: str, accepts: "Callable[[PortMapping], bool]" = lambda _: True
) -> list[tuple[str, str]]:
    """Return the names of the mappings that *accepts* takes, with a word on each; () when they cannot be read."""
    try:
        known = session.manager.mappings.all()
    except (IcshareError, OSError):
        return []  # as above
    from icshare.cli.endpoint import endpoint_in_words, ports_in_words

    return [
        (
            one.name,
            f"{one.protocol.name.lower()} {ports_in_words(one.external, one.count)} to {endpoint_in_words(one)}",
        )
        for one in known
        if one.name.startswith(incomplete) and accepts(one)
    ]
