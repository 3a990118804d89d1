"""Complete the names of connections, from those that are there."""

from icshare.cli.session import Session
from icshare.cli.words import state
from icshare.errors import IcshareError


def candidates(session: Session, incomplete: str, *, public: bool) -> list[tuple[str, str]]:
    """Return the connections that may be given, with a word on each; () when they cannot be read.

    Args:
        session: The session.
        incomplete: What has been typed.
        public: As the public connection, not as a private one.
    """
    try:
        known = session.manager.connections()
    except (IcshareError, OSError):
        return []  # a shell that is completing has no place for an error
    return [
        (one.interface, f"{one.kind}, {state(one.status)}")
        for one in known
        if one.interface.startswith(incomplete) and (one.as_public if public else one.as_private).ok
    ]
