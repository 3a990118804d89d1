"""Contenders that translate in a program of the user's, as containers without privileges do: pasta and slirp4netns.

Neither forwards between two links. Each puts a TAP link into the client's namespace and opens a socket on the gateway
for every connection that comes out of it; so the client's cable is not used, and packets that no socket of the client
has sent (a generator's) do not reach it. They can be measured by bulk and latency.
"""

from contextlib import ExitStack
from typing import Final

from benchmarks.paths.addresses import set_addresses
from benchmarks.paths.background import Daemon
from benchmarks.paths.passage import prove
from benchmarks.paths.rig import LAN_ADDRESS, Rig

from icshare.host import command

_TAP: Final = "tap0"


def pasta(stack: ExitStack, rig: Rig) -> None:
    """Give the client a link by pasta, with the addresses and routes of the gateway's."""
    # It becomes "nobody" unless told, who may not enter the client's namespace. And the client's router is the Internet
    # itself here, which it would take for another name of the gateway.
    options = ["--foreground", "--stderr", "--quiet", "--runas", "0:0", "--config-net", "--no-map-gw"]
    closed = [word for option in ("-t", "-u", "-T", "-U") for word in (option, "none")]
    _share(stack, rig, ["pasta", *options, *closed, "--ns-ifname", _TAP, "--netns", _path(rig)])


def slirp4netns(stack: ExitStack, rig: Rig) -> None:
    """Give the client a link by slirp4netns, with the largest packets that it knows."""
    options = ["--configure", "--mtu=65520", "--disable-dns", "--netns-type=path"]
    _share(stack, rig, ["slirp4netns", *options, _path(rig), _TAP])


def _share(stack: ExitStack, rig: Rig, argv: list[str]) -> None:
    command.find_program(argv[0])
    set_addresses(rig)
    default = ["default", "via", LAN_ADDRESS]
    rig.run(rig.client, ["ip", "route", "delete", *default])
    stack.callback(rig.run, rig.client, ["ip", "route", "replace", *default])
    prove(rig, Daemon(stack, ["ip", "netns", "exec", rig.gateway, *argv], name=argv[0]))


def _path(rig: Rig) -> str:
    return f"/run/netns/{rig.client}"
