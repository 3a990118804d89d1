"""The option files of pppd, which name each other.

Which file is read is said by the command line of a process that may be anybody's, so nothing but a plain file of a
reasonable size is: no pipe that keeps us waiting, no device without an end, nor one that does something when it is
opened. And no more of them than anybody writes: files that name each other many times are soon more than there is time.

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
_MOST_FILES = 32
_MOST = 64 * 1024


def filled(words: Sequence[str], root: Path) -> list[str]:
    """Return *words*, and after ``file`` or ``call`` and its value the words of that file, none if it is unreadable."""
    return list(_filled(words, root, _NESTING, iter(range(_MOST_FILES))))


def read_options(path: Path) -> list[str] | None:
    """Return the words of one file, None if it cannot be read."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(place).st_mode):
            return None
        with Path(f"/proc/self/fd/{place}").open("rb") as file:  # the very file that was looked at
            return option_words(file.read(_MOST).decode(errors="backslashreplace"))
    except OSError:
        return None
    finally:
        os.close(place)


def _filled(words: Sequence[str], root: Path, nesting: int, allowed: Iterator[int]) -> Iterator[str]:
    for place, word in enumerate(words):
        yield word
        keyword = words[place - 1] if place else ""
        if not nesting or keyword not in {"file", "call"} or next(allowed, None) is None:
            continue
        path = word if keyword == "file" else f"{PEERS}/{word}"
        yield from _filled(read_options(root / path.lstrip("/")) or (), root, nesting - 1, allowed)
