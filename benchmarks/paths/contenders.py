"""What stands on a gateway to be measured: icshare by each of its paths, and what it is measured by."""

import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.figures import ENVIRONMENT
from benchmarks.paths import frames
from benchmarks.paths.rig import INTERNET_ADDRESS, LAN_ADDRESS, WAN_ADDRESS, CannotRunError, Rig, within

from icshare.host.command import CommandError
from icshare.host.fastpath import attachments
from icshare.host.netlink import NetlinkSocket
from icshare.wire import fastpath as wire

Contender = Callable[[ExitStack, Rig], None]
"""Configures the gateway of a rig, until the stack ends. Raises CannotRunError."""

PLAIN: Final = "plain routing"
BARE: Final = "bare XDP redirect"
OFF: Final = "icshare off"
TC: Final = "icshare tc"
XDP: Final = "icshare xdp"
XDP_CONNTRACK: Final = "icshare xdp, no cache"
FLOWTABLE: Final = "icshare flowtable"

_FIRST: Final = bytes(4)


def plain(stack: ExitStack, rig: Rig) -> None:
    """Forward without NAT and without any ruleset; the Internet knows the way back to the client."""
    _wan(rig)
    rig.run(rig.gateway, ["ip", "address", "add", f"{LAN_ADDRESS}/24", "dev", "lan0"])
    rig.run(rig.gateway, ["busybox", "sysctl", "-qw", "net.ipv4.ip_forward=1"])
    rig.run(rig.internet, ["ip", "route", "add", f"{LAN_ADDRESS.rpartition('.')[0]}.0/24", "via", WAN_ADDRESS])
    del stack  # it all goes with the namespaces


def bare(stack: ExitStack, rig: Rig) -> None:
    """Send every frame on as it is, whatever it is: the most that XDP can do, and no gateway."""
    frames.redirect(stack, rig.gateway, "lan0", "wan0")
    frames.redirect(stack, rig.gateway, "wan0", "lan0")


def icshare(stack: ExitStack, rig: Rig, *, mode: str) -> None:
    """Share by ``icshare share``, with the fast path *mode*."""
    _wan(rig)
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{rig.name}-")))
    environment = {
        **ENVIRONMENT,
        "ICSHARE_RUN_DIR": str(directory / "run"),
        "ICSHARE_STATE_DIR": str(directory / "state"),
    }
    argv = [sys.executable, "-m", "icshare.cli.main"]
    stack.callback(rig.run, rig.gateway, [*argv, "stop"], env=environment, check=False)
    try:
        rig.run(rig.gateway, [*argv, "share", "wan0", "lan0", "--fast-path", mode], env=environment)
    except CommandError as error:
        raise CannotRunError(_reason(error)) from error


def conntrack_only(stack: ExitStack, rig: Rig) -> None:
    """Share by XDP, which asks conntrack and the routing table about every packet."""
    icshare(stack, rig, mode="xdp")
    within(rig.gateway, _forget_cache)


CONTENDERS: Final[Mapping[str, Contender]] = {
    PLAIN: plain,
    BARE: bare,
    OFF: partial(icshare, mode="off"),
    TC: partial(icshare, mode="tc"),
    XDP: partial(icshare, mode="xdp"),
    XDP_CONNTRACK: conntrack_only,
    FLOWTABLE: partial(icshare, mode="flowtable"),
}


def _wan(rig: Rig) -> None:
    rig.run(rig.gateway, ["ip", "address", "add", f"{WAN_ADDRESS}/24", "dev", "wan0"])
    rig.run(rig.gateway, ["ip", "route", "add", "default", "via", INTERNET_ADDRESS])


def _forget_cache() -> None:
    """Tell the program on the links of this network namespace to do without its cache."""
    with ExitStack() as held:
        kernel = held.enter_context(NetlinkSocket())
        links = attachments.look(kernel, held)
        for program in {one.program for one in links.ours}:
            config = attachments.open_maps(program, held)[attachments.CONFIG_MAP]
            present = wire.decode_config(config.lookup(_FIRST) or b"")
            config.update(_FIRST, replace(present, cache=False).encode())


def _reason(error: CommandError) -> str:
    lines = [line.strip() for line in error.output.splitlines() if line.strip()]
    return lines[0].removeprefix("icshare: ") if lines else str(error)
