"""Looking at the host while nobody changes it: in the middle of a change, what is not there yet looks like a fault."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from icshare.errors import HostError
from icshare.host.inotify import wait_until
from icshare.host.journal import FileJournal

PATIENCE = 10.0
"""Seconds to wait for others' changes before telling what there is."""

_Found = TypeVar("_Found")


def look_between_changes(journal: FileJournal, directory: Path, look: Callable[[], _Found]) -> tuple[_Found, bool]:
    """Look once nobody changes anything, and again if somebody did meanwhile.

    Args:
        journal: Who holds its lock changes something.
        directory: Where it lies.
        look: What is to be done.

    Returns:
        What *look* has found, and whether somebody was changing something all the time.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        changing = journal.is_changing() and not _wait(journal, directory, deadline - time.monotonic())
        version = journal.version
        found = look()
        if not changing and journal.version == version and not journal.is_changing():
            return found, False
        if changing or time.monotonic() > deadline:
            return found, True


def _wait(journal: FileJournal, directory: Path, seconds: float) -> bool:
    try:
        return wait_until(lambda: not journal.is_changing(), directory, seconds)
    except HostError:  # no more inotify: what there is can be told all the same
        return False
