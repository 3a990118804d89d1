"""Where a contender is measured: a client, a gateway and the Internet, each a network namespace.

::

    client                      gateway                       Internet
    eth0 192.168.137.2/24 ----- lan0 (192.168.137.1)
                                wan0 (203.0.113.2) ---------- eth0 203.0.113.1/24

The links are pairs of virtual Ethernet. Every rig is alike, whatever stands on its gateway: the far ends compute their
checksums themselves (a packet that XDP sends on keeps the one it has), and every link gathers segments (GRO), as the
driver of a real card does, which a virtual link does not unless told.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from icshare.host import command
from icshare.host.command import Completed, Process

CLIENT_ADDRESS: Final = "192.168.137.2"
LAN_ADDRESS: Final = "192.168.137.1"
WAN_ADDRESS: Final = "203.0.113.2"
INTERNET_ADDRESS: Final = "203.0.113.1"

SECONDS: Final = 180.0
"""Only a machine that hangs takes as long as this."""

_CLONE_NEWNET: Final = 0x40000000
_NAMESPACES: Final = Path("/run/netns")
_T = TypeVar("_T")


class CannotRunError(Exception):
    """A contender cannot run on this machine, or cannot play this part; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """A client, a gateway and the Internet.

    Attributes:
        name: Begins the names of the namespaces.
        client: Namespace of the client.
        gateway: Namespace of the gateway.
        internet: Namespace of the Internet.
    """

    name: str
    client: str
    gateway: str
    internet: str

    def run(self, node: str, argv: Sequence[str], **options: Any) -> Completed:  # noqa: ANN401 - whatever that takes
        """Run *argv* to its end in the namespace *node*; options as for `icshare.host.command.run`."""
        return command.run(_inside(node, argv), **{"timeout": SECONDS, **options})

    def popen(self, node: str, argv: Sequence[str], **options: Any) -> Process:  # noqa: ANN401 - whatever that takes
        """Start *argv* in the namespace *node*; options as for `icshare.host.command.start`."""
        return command.start(_inside(node, argv), **options)


@contextmanager
def standing(name: str) -> Iterator[Rig]:
    """Build a rig, whose gateway's links are up and have no addresses; take it down at the end."""
    rig = Rig(name=name, client=f"{name}-c", gateway=f"{name}-g", internet=f"{name}-i")
    nodes = (rig.client, rig.gateway, rig.internet)
    try:
        for node in nodes:
            command.run(["ip", "netns", "add", node])
            # Nobody measures IPv6 here, and its neighbour discovery would be heard in the middle of a measurement.
            rig.run(node, ["busybox", "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"])
            rig.run(node, ["ip", "link", "set", "lo", "up"])
        for link, node in (("lan0", rig.client), ("wan0", rig.internet)):
            far = ["peer", "name", "eth0", "netns", node]
            command.run(["ip", "link", "add", link, "netns", rig.gateway, "type", "veth", *far])
            rig.run(rig.gateway, ["ethtool", "-K", link, "gro", "on"])
            rig.run(node, ["ethtool", "-K", "eth0", "tx", "off", "gro", "on"])
            rig.run(rig.gateway, ["ip", "link", "set", link, "up"])
            rig.run(node, ["ip", "link", "set", "eth0", "up"])
        rig.run(rig.client, ["ip", "address", "add", f"{CLIENT_ADDRESS}/24", "dev", "eth0"])
        rig.run(rig.client, ["ip", "route", "add", "default", "via", LAN_ADDRESS])
        rig.run(rig.internet, ["ip", "address", "add", f"{INTERNET_ADDRESS}/24", "dev", "eth0"])
        yield rig
    finally:
        for node in nodes:
            command.run(["ip", "netns", "delete", node], check=False)


def within(node: str, act: Callable[[], _T], *, cpu: int | None = None) -> _T:
    """Return what *act* does in the namespace *node*, in a thread of its own, on the CPU *cpu* only if one is named.

    A thread has its own network namespace, and ends with it.
    """
    found: list[_T] = []
    failed: list[BaseException] = []

    def enter() -> None:
        try:
            with (_NAMESPACES / node).open("rb") as namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"cannot enter {node}")
            if cpu is not None:
                os.sched_setaffinity(0, {cpu})
            found.append(act())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits for it
            failed.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


def _inside(node: str, argv: Sequence[str]) -> list[str]:
    return ["ip", "netns", "exec", node, *argv]
