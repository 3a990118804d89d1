"""The option files of pppd, which name each other.

Which file is read is said by the command line of a process that may be anybody's, so nothing but a plain file of a
reasonable size is: no pipe that keeps us waiting, no device without an end.

Source:
    pppd(8), "Options files".
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from icshare.plan.dialup import option_words

PEERS = "etc/ppp/peers"
"""Where the peers are, below the root."""

_NESTING = 4  # an options file names another: deeper than this it goes in circles
_MOST = 64 * 1024


def filled(words: Sequence[str], root: Path) -> list[str]:
    """Return *words*, and after ``file`` or ``call`` and its value the words of that file, none if it is unreadable."""
    return list(_filled(words, root, _NESTING))


def read_options(path: Path) -> list[str] | None:
    """Return the words of one file, None if it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return option_words(file.read(_MOST).decode(errors="backslashreplace"))


def _filled(words: Sequence[str], root: Path, nesting: int) -> Iterator[str]:
    for place, word in enumerate(words):
        yield word
        keyword = words[place - 1] if place else ""
        if not nesting or keyword not in {"file", "call"}:
            continue
        path = word if keyword == "file" else f"{PEERS}/{word}"
        yield from _filled(read_options(root / path.lstrip("/")) or (), root, nesting - 1)
