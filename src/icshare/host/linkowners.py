"""Which process stands behind a PPP, SLIP, tun or tap link, from procfs and the pid files of pppd.

Everything here is best effort: a process may end while it is looked at, and only root may look into other people's.
What cannot be read is left out, never an error. Anybody can call a program of his own pppd: only root's makes links.

Source:
    proc(5); pppd(8), "Files"; ``tun_chr_show_fdinfo()`` of the kernel.
"""

import os
from collections.abc import Collection
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from icshare.host.pppoptions import filled
from icshare.model.link import PppFacts
from icshare.plan.dialup import called_peer, option_values, ppp_facts

_ANCESTORS = 8
_PPP_DEVICE = "/dev/ppp"
_CONNECTED = 2
"""How often a pppd has `_PPP_DEVICE` open: once for the interface, once for the line that it is connected to."""


class LinkOwners:
    """The processes of one moment; each question is looked up once, when it is first asked."""

    def __init__(self, root: Path = Path("/"), links: Collection[str] = ()) -> None:
        """Look below *root*, which is not ``/`` for a recorded tree; *links* are the names of all links."""
        self._root = root
        self._links = frozenset(links)
        self._proc = root / "proc"

    def ppp(self, name: str) -> PppFacts:
        """Return how the PPP link *name* came about."""
        sessions = len(_read(self._proc / "net" / "pppoe").splitlines()) > 1
        pid = self._pppd(name)
        if pid is not None:
            words = self._words(pid)
            found = ppp_facts(filled(words, self._root), self._ancestors(pid), sessions=sessions)
            waiting = found.demand and not self._is_connected(pid, pppoe=found.transport == "pppoe", sessions=sessions)
            return replace(found, peer="" if found.server else called_peer(words), waiting=waiting)
        holders = [comm for comm in self._commands.values() if comm == "accel-pppd"]
        return ppp_facts((), holders, sessions=sessions)

    def called(self) -> frozenset[str]:
        """Return the peers that a pppd is dialling or has dialled."""
        return frozenset(called_peer(self._words(pid)) for pid in self._daemons) - {""}

    def slip(self) -> PppFacts:
        """Return how the SLIP links of this namespace came about: sliplogin answers, everything else calls."""
        return PppFacts(transport="serial", server="sliplogin" in self._commands.values())

    def tun(self, name: str) -> str:
        """Return the name of the program that holds the tun or tap link *name* open, "" if it cannot be told."""
        return self._tun_holders.get(name, "")

    @cached_property
    def _commands(self) -> dict[int, str]:
        """Command name of every process that is in our network namespace or does not let us see."""
        # Texts, not Paths: there are hundreds of processes, and to make a Path takes longer than to read the link.
        proc = str(self._proc)
        ours = _readlink(f"{proc}/self/ns/net")
        found = {}
        for pid in _numbers(proc):
            theirs = _readlink(f"{proc}/{pid}/ns/net")
            if theirs in {ours, ""}:
                found[pid] = _read(f"{proc}/{pid}/comm").strip()
        return found

    @cached_property
    def _tun_holders(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for pid, command in self._commands.items():
            process = f"{self._proc}/{pid}"
            for number in _numbers(f"{process}/fd"):
                if _readlink(f"{process}/fd/{number}") != "/dev/net/tun":
                    continue
                for line in _read(f"{process}/fdinfo/{number}").splitlines():
                    if line.startswith("iff:"):
                        found[line.removeprefix("iff:").strip()] = command
        return found

    @cached_property
    def _daemons(self) -> list[int]:
        return [pid for pid, command in self._commands.items() if command == "pppd" and self._is_roots(pid)]

    def _is_roots(self, pid: int) -> bool:
        """Tell whether a process is root's, which in a recorded tree is whoever has the tree."""
        try:
            owner = (self._proc / str(pid)).stat().st_uid
            return owner in {0, self._proc.stat().st_uid}
        except OSError:
            return False

    @cached_property
    def _claims(self) -> dict[str, int]:
        """The process of each interface that pid files tell of; those of links that are gone or renamed as well."""
        found = {}
        for directory in ("run/pppd", "var/run", "run"):
            for path in sorted((self._root / directory).glob("*.pid")):
                text = _read(path).split("\n", 1)[0].strip()
                if text.isascii() and text.isdigit() and int(text) in self._daemons:
                    found[path.stem] = int(text)
        return found

    def _pppd(self, name: str) -> int | None:
        """Return the pppd of an interface: by its pid file, by its options, or as the only one that has no other."""
        if name in self._claims:
            return self._claims[name]
        for pid in self._daemons:
            if option_values(self._words(pid)).get("ifname") == name:
                return pid
        others = {pid for interface, pid in self._claims.items() if interface in self._links}
        left = [pid for pid in self._daemons if pid not in others]
        return left[0] if len(left) == 1 else None

    def _is_connected(self, pid: int, *, pppoe: bool, sessions: bool) -> bool:
        """Tell whether a pppd whose link stands on demand is connected; who may not see into it takes it to be so."""
        descriptors = self._proc / str(pid) / "fd"
        held = [_readlink(descriptors / str(number)) for number in _numbers(descriptors)]
        if held:
            return held.count(_PPP_DEVICE) >= _CONNECTED
        return sessions or not pppoe

    def _words(self, pid: int) -> list[str]:
        return _read(self._proc / str(pid) / "cmdline").rstrip("\0").split("\0")[1:]

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


def _numbers(directory: str | Path) -> list[int]:
    try:
        names = os.listdir(directory)  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def _read(path: str | Path) -> str:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - see `LinkOwners._commands`
            return file.read().decode("utf-8", "backslashreplace")
    except OSError:
        return ""


def _readlink(path: str | Path) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - see `LinkOwners._commands`
    except OSError:
        return ""
