"""The fast path that a run of the tests forces on every gateway: ``ICSHARE_TEST_FAST_PATH=xdp pytest -m packets``.

The links of a lab are veths, where icshare chooses tc by itself. So a run without the variable is the one with tc, and
XDP is what has to be forced. It needs ends of the veths that compute the checksums of what they send, and that take
packets which another driver hands over.
"""

import os
from functools import cache

from icshare.host import fastpath
from icshare.lab import GATEWAY, Lab
from icshare.model.fastpath import Mode

VARIABLE = "ICSHARE_TEST_FAST_PATH"
_SETTINGS = "/etc/icshare/icshare.toml"


def mode() -> Mode:
    """Return the fast path that is forced; ``auto`` when none is."""
    return Mode(os.environ.get(VARIABLE, Mode.AUTO))


@cache
def why_no_programs() -> str:
    """Return why the kernel does not take the fast path's programs from this process, "" where it does."""
    if os.geteuid() != 0:
        return "programs are loaded by root only"
    return fastpath.probe(()).kernel.why_not_bpf


def prepare(lab: Lab) -> None:
    """Have whoever shares on the gateway of *lab* take the fast path that is forced."""
    if mode() is Mode.AUTO:
        return
    write_settings(lab, "")
    take_packets_of_xdp(lab)


def write_settings(lab: Lab, text: str) -> None:
    """Write *text*, a settings file that says nothing of a fast path, and the forced one, on the gateway of *lab*."""
    if mode() is not Mode.AUTO:
        line = f'fast_path = "{mode()}"'
        before, heading, rest = text.partition("[sharing]\n")
        text = f"{before}[sharing]\n{line}\n{rest}" if heading else f"[sharing]\n{line}\n\n{text}"
    lab.path(GATEWAY, _SETTINGS).write_text(text)


def take_packets_of_xdp(lab: Lab) -> None:
    """Have the far ends of the gateway's veths compute checksums, and take packets that XDP sends."""
    for node in lab.plan.nodes:
        if node != GATEWAY:
            for line in lab.run(node, ["ip", "-brief", "link", "show", "type", "veth"], timeout=10).stdout.splitlines():
                name, _, _ = line.partition("@")
                lab.run(node, ["ethtool", "-K", name, "tx", "off", "gro", "on"], timeout=10)
