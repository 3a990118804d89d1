"""A lab whose gateway shares by a fast path that was asked for, and what this process does inside its namespaces."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.netns.gateway import document, icshare_command, laboratory, output, udhcpc

from icshare.host import fastpath
from icshare.lab import GATEWAY, WEB_ADDRESS, Lab

MODES = ("xdp", "tc")
ASSURED = 2.1
"""Seconds after its first packet when conntrack calls a UDP flow assured that goes both ways."""
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def fast_laboratory(name: str, mode: str, *privates: str, **plan: Any) -> Iterator[Lab]:
    """Build a lab that shares by the fast path *mode*, with an address for the first client."""
    with laboratory(f"{name}-{mode}", **{"privates": len(privates), **plan}) as lab:
        compute_checksums(lab)
        document(lab, "share", "wan0", *privates, "--fast-path", mode)
        udhcpc(lab, "c0")
        yield lab
        assert icshare_command(lab, "stop").returncode == 0


def compute_checksums(lab: Lab) -> None:
    """Have every link send complete packets, and those beside the gateway take what XDP sends.

    XDP on a veth sees what the sender has left to hardware that is not there, and sends only to where NAPI is on. What
    that merges is taken apart by the next link, so that behind a switch or the Internet's router each packet is seen.
    """
    ends = {"inet": ["isp0"]}
    others = {} if lab.plan.far_mtu is None else {"inet": ["far0"], "far": ["eth0"]}
    clients = {str(node): ["eth0"] for node in lab.plan.clients}
    if lab.plan.clients_per_private > 1:
        ends["switch"] = [f"lan{number}" for number in range(lab.plan.privates)]
        others |= clients | {"switch": [f"port{number}" for number in range(len(clients))]}
    else:
        ends |= clients
    for nodes, merge in ((ends, "on"), (others, "off")):
        for node, links in nodes.items():
            for link in links:
                output(lab, node, "ethtool", "-K", link, "tx", "off", "gro", merge)


@contextmanager
def standing_in(lab: Lab, node: str) -> Iterator[None]:
    """Have this thread be in the network namespace of *node*; sockets that are made there stay there."""
    with Path("/proc/thread-self/ns/net").open("rb") as home:
        with Path("/run/netns", lab.namespace(node)).open("rb") as there:
            _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def fast_packets() -> int:
    """Return how many packets of clients have gone fast so far, on the node where this thread is."""
    return sum(one.sent_packets + one.received_packets for to, one in fastpath.traffic().items() if not to.protocol)


def fast_packets_of(lab: Lab) -> int:
    """Return how many packets of clients have gone fast so far, on the gateway of *lab*."""
    with standing_in(lab, GATEWAY):
        return fast_packets()


def fetch(lab: Lab, node: str, size: int, *, seconds: float = 1.0) -> None:
    """Have curl fetch *size* bytes in about that time.

    The rules grant within some milliseconds; by then a fast machine may have had all of it.
    """
    say = ["-o", "/dev/null", "-w", "%{size_download}"]
    pace = ["--limit-rate", str(round(size / seconds)), "--max-time", "60"]
    assert output(lab, node, "curl", "-sS", *say, *pace, f"http://{WEB_ADDRESS}/bytes/{size}") == str(size)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
