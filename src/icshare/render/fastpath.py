"""What the fast path's programs are started with: where they are attached, and whose addresses are where.

Links are named, and looked up when the programs are started: a link that was plugged in again is another device.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network

import msgspec

from icshare.model.names import InterfaceName

VERSION = 1


class Hook(StrEnum):
    """Where a program meets packets: in the driver, or when the kernel has made packets of its own of them."""

    XDP = "xdp"
    TC = "tc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A link that gets a program.

    Attributes:
        name: The link that the program is attached to.
        l3: The link that has the addresses: itself, its bridge, its VLAN.
        hook: Where the program is attached.
        public: It leads to the Internet.
        vlan: Tag of the frames, 0 for none.
        bridged: It is a port of the bridge *l3*.
    """

    name: InterfaceName
    l3: InterfaceName
    hook: Hook
    public: bool = False
    vlan: int = 0
    bridged: bool = False


def fast_path_configuration(
    links: Sequence[Attachment],
    networks: Iterable[tuple[IPv4Network, InterfaceName]],
    unsendable: Iterable[InterfaceName] = (),
) -> str:
    """Return the text that the fast path is started with; deterministic.

    Args:
        links: What programs are attached to.
        networks: Networks of clients, each with the link of its segment.
        unsendable: Links that XDP must not send by; what goes there is tc's.
    """
    content = {
        "version": VERSION,
        "links": links,
        "networks": [{"network": str(network), "l3": link} for network, link in networks],
        "unsendable": list(unsendable),
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"
