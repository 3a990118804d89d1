"""Which process stands behind a PPP, SLIP, tun or tap link, from procfs and the pid files of pppd.

Everything here is best effort: a process may end while it is looked at, and only root may look into other people's.
What cannot be read is left out, never an error.

Source:
    proc(5); pppd(8), "Files"; ``tun_chr_show_fdinfo()`` of the kernel.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from icshare.model.link import PppFacts
from icshare.plan.dialup import option_words, ppp_facts

_NESTING = 4  # an options file names another: deeper than this it goes in circles
_ANCESTORS = 8


class LinkOwners:
    """The processes of one moment; each question is looked up once, when it is first asked."""

    def __init__(self, root: Path = Path("/")) -> None:
        """Look below *root*, which is not ``/`` for a recorded tree."""
        self._root = root
        self._proc = root / "proc"

    def ppp(self, name: str) -> PppFacts:
        """Return how the PPP link *name* came about."""
        sessions = len(_read(self._proc / "net" / "pppoe").splitlines()) > 1
        pid = self._pppd(name)
        if pid is not None:
            return ppp_facts(self._options(pid), self._ancestors(pid), sessions=sessions)
        holders = [comm for comm in self._commands.values() if comm == "accel-pppd"]
        return ppp_facts((), holders, sessions=sessions)

    def slip(self) -> PppFacts:
        """Return how the SLIP links of this namespace came about: sliplogin answers, everything else calls."""
        return PppFacts(transport="serial", server="sliplogin" in self._commands.values())

    def tun(self, name: str) -> str:
        """Return the name of the program that holds the tun or tap link *name* open, "" if it cannot be told."""
        return self._tun_holders.get(name, "")

    @cached_property
    def _commands(self) -> dict[int, str]:
        """Command name of every process that is in our network namespace or does not let us see."""
        ours = _readlink(self._proc / "self" / "ns" / "net")
        found = {}
        for pid in _numbers(self._proc):
            theirs = _readlink(self._proc / str(pid) / "ns" / "net")
            if theirs in {ours, ""}:
                found[pid] = _read(self._proc / str(pid) / "comm").strip()
        return found

    @cached_property
    def _tun_holders(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for pid, command in self._commands.items():
            process = self._proc / str(pid)
            for number in _numbers(process / "fd"):
                if _readlink(process / "fd" / str(number)) != "/dev/net/tun":
                    continue
                for line in _read(process / "fdinfo" / str(number)).splitlines():
                    if line.startswith("iff:"):
                        found[line.removeprefix("iff:").strip()] = command
        return found

    def _pppd(self, name: str) -> int | None:
        daemons = [pid for pid, command in self._commands.items() if command == "pppd"]
        for directory in ("run", "var/run", "run/pppd"):
            text = _read(self._root / directory / f"{name}.pid").strip()
            if text.isascii() and text.isdigit() and int(text) in daemons:
                return int(text)
        for pid in daemons:
            words = self._words(pid)
            if ("ifname", name) in pairwise(words):
                return pid
        return daemons[0] if len(daemons) == 1 else None

    def _words(self, pid: int) -> list[str]:
        return _read(self._proc / str(pid) / "cmdline").rstrip("\0").split("\0")[1:]

    def _options(self, pid: int) -> list[str]:
        return list(self._filled(self._words(pid), _NESTING))

    def _filled(self, words: list[str], nesting: int) -> Iterator[str]:
        """Yield *words*, and after ``file`` or ``call`` and its value the words of that file."""
        for place, word in enumerate(words):
            yield word
            keyword = words[place - 1] if place else ""
            if not nesting or keyword not in {"file", "call"}:
                continue
            path = word if keyword == "file" else f"etc/ppp/peers/{word}"
            yield from self._filled(option_words(_read(self._root / path.lstrip("/"))), nesting - 1)

    def _ancestors(self, pid: int) -> list[str]:
        found = []
        for _ in range(_ANCESTORS):
            # The second field is the command in parentheses, which may hold spaces and parentheses itself.
            fields = _read(self._proc / str(pid) / "stat").rpartition(")")[2].split()
            if len(fields) < 2 or not fields[1].isdigit() or int(fields[1]) < 2:
                break
            pid = int(fields[1])
            found.append(_read(self._proc / str(pid) / "comm").strip())
        return found


def _numbers(directory: Path) -> list[int]:
    try:
        names = [entry.name for entry in directory.iterdir()]
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="backslashreplace")
    except (OSError, ValueError):
        return ""


def _readlink(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
