"""The follower: keeps mappings to a host name or hardware address on the client that has it at the moment.

A small process, ``python -m icshare.follower RUN_DIRECTORY``, that runs only while sharing is in force and such a
mapping is enabled, and ends by itself. `icshare.host.followerservice` starts it. Of all capabilities it keeps
CAP_NET_ADMIN alone.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Final, Never, Protocol
from uuid import UUID

from icshare.errors import IcshareError
from icshare.host.followerservice import LOG_FILE
from icshare.host.privileges import keep_only
from icshare.host.processes import CAP_NET_ADMIN
from icshare.model.event import ClientChanged, ClientJoined, ClientLeft, Event, MappingChanged, SharingChanged
from icshare.model.mapping import PortMapping, TargetKind

_MAX_LOG_BYTES: Final = 64 * 1024


class Mappings(Protocol):
    """The mappings, as far as the follower needs them."""

    def all(self, connection: UUID | None = None) -> tuple[PortMapping, ...]:
        """Return the mappings."""
        ...

    def follow(self) -> tuple[int, ...]:
        """Look up targets anew."""
        ...


def follow(mappings: Mappings, events: Iterable[Event], directory: Path) -> None:
    """Follow the clients through *events* until there is nothing to follow.

    Args:
        mappings: The mappings.
        events: What happens, from before now.
        directory: The run directory; without a journal in it nothing is shared.
    """
    if not (directory / "journal").exists():
        return
    happened: Iterator[Event | None] = _patient(events, directory)
    event: Event | None = None
    while True:
        try:
            if isinstance(event, MappingChanged | None) and not _is_needed(mappings):
                return
            if isinstance(event, ClientJoined | ClientLeft | ClientChanged | None):
                mappings.follow()
        except IcshareError as error:
            _note(directory, error)
        event = next(happened, None)
        if event is None or (isinstance(event, SharingChanged) and not event.in_force):
            return


def _is_needed(mappings: Mappings) -> bool:
    return any(one.enabled and one.target.kind is not TargetKind.ADDRESS for one in mappings.all())


def _patient(events: Iterable[Event], directory: Path) -> Iterator[Event]:
    """Yield *events*; a look at the host that fails is written down, and the next change tells the rest."""
    stream = iter(events)
    while True:
        try:
            yield next(stream)
        except StopIteration:
            return
        except IcshareError as error:
            _note(directory, error)


def _note(directory: Path, error: IcshareError) -> None:
    """Write *error* into the log, which begins anew when it has become too long. One that cannot be written is lost."""
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} {error}\n"
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(directory / LOG_FILE, flags, 0o644), "a", encoding="utf-8") as log:  # noqa: PTH123 - flags
            if os.fstat(log.fileno()).st_size + len(line) > _MAX_LOG_BYTES:
                log.truncate(0)
            log.write(line)
    except OSError:
        return


def _terminated(_number: int, _frame: FrameType | None) -> Never:
    raise SystemExit(0)


def _detach() -> int:
    """Go into the background; return where to write a byte when ready. The parent ends then, or fails with us."""
    readable, writable = os.pipe()
    child = os.fork()
    if child:
        os.close(writable)
        ready = os.read(readable, 1)
        os._exit(0 if ready else 1)
    os.close(readable)
    os.setsid()
    os.chdir("/")
    return writable


def _ready(writable: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    os.write(writable, b"\n")
    os.close(writable)


def main(arguments: list[str]) -> int:
    """Run the follower of a run directory; 1 when it cannot start."""
    from icshare.api import SharingManager  # noqa: PLC0415 - `follow` does not need it

    directory = Path(arguments[0])
    writable = _detach()
    signal.signal(signal.SIGTERM, _terminated)
    try:
        keep_only({CAP_NET_ADMIN})
        manager = SharingManager(run_directory=directory)
        with manager.events() as events:
            _ready(writable)
            follow(manager.mappings, events, directory)
    except IcshareError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
