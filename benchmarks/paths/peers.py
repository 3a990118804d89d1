"""Contenders that are not icshare: what else shares a connection on Linux."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Final

from benchmarks.paths import daemons, layered, scripts, usermode
from benchmarks.paths.contenders import Contender
from benchmarks.paths.rig import CannotRunError, Rig

from icshare.errors import IcshareError
from icshare.host import command

_PEERS: Final[Mapping[str, Contender]] = {
    "NetworkManager shared": daemons.networkmanager,
    "networkd IPMasquerade": daemons.networkd,
    "firewalld masquerade": daemons.firewalld,
    "linux-router rules": scripts.linux_router,
    "create_ap rules": scripts.create_ap,
    "pasta": usermode.pasta,
    "slirp4netns": usermode.slirp4netns,
}

_PACKAGES: Final[Mapping[str, str]] = {
    "NetworkManager shared": "network-manager",
    "networkd IPMasquerade": "systemd",
    "firewalld masquerade": "firewalld",
    "pasta": "passt",
    "slirp4netns": "slirp4netns",
}


def _with_reason(contender: Contender, stack: ExitStack, rig: Rig) -> None:
    try:
        contender(stack, rig)
    except IcshareError as error:  # a program that is missing or fails, or a kernel that refuses
        raise CannotRunError(error.message) from error


PEERS: Final[Mapping[str, Contender]] = {name: partial(_with_reason, one) for name, one in _PEERS.items()}
"""By name. Each returns when packets pass with the gateway's address; the stack ends whatever it started."""

USER_MODE: Final = frozenset({"pasta", "slirp4netns"})
"""Those that give the client a link of their own in place of its cable: bulk and latency only."""


def version(name: str) -> str:
    """Return which version of a peer is measured, that of its package or of the script whose rules it has; or ""."""
    if name in scripts.COMMITS:
        return scripts.COMMITS[name]
    package = _PACKAGES[name]
    if name in USER_MODE:
        query = ["dpkg-query", "--show", "--showformat=${Version}", package]
        return command.run(query, check=False).stdout
    try:
        unpacked = (layered.TREE / ".packages").read_text()
    except FileNotFoundError:
        return ""
    return dict(line.split("=", 1) for line in unpacked.splitlines()).get(package, "")
