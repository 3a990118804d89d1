"""The fast path: what is asked for, what links and the kernel can do, what was chosen for each pair of links.

Conntrack is the only truth and the ruleset grants; the fast path repeats for a connection's later packets what the
kernel has just allowed, without walking through all of it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from icshare.errors import InvalidRequestError
from icshare.model.names import InterfaceName


class Mode(StrEnum):
    """What is asked for.

    ``auto`` is the fastest path that this machine can be trusted with, ``xdp`` is XDP where links can and tc where they
    cannot; the others are that path or an error.
    """

    AUTO = "auto"
    XDP = "xdp"
    TC = "tc"
    FLOWTABLE = "flowtable"
    OFF = "off"


class Path(StrEnum):
    """How the later packets of a connection go."""

    XDP = "xdp"
    TC = "tc"
    FLOWTABLE = "flowtable"
    KERNEL = "kernel"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPath:
    """The path between the public connection and a private one.

    Attributes:
        public: Interface of the public connection.
        private: Interface of the private one.
        path: What was chosen.
        reason: Why, in words; if it is less than XDP, what stands in the way of that.
        remedy: The command or act that would bring more; "" when there is none.
    """

    public: InterfaceName
    private: InterfaceName
    path: Path
    reason: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FastPackets:
    """What our programs have seen since the fast path was first started.

    Attributes:
        fast: Packets that they have sent on.
        kernel: Packets that they have left to the kernel, by reason; reasons without any are left out.
    """

    fast: int = 0
    kernel: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignFilter:
    """A tc filter of somebody else.

    Attributes:
        place: Where it is, in the words that ``tc filter del`` takes.
        late: It does not meet what a program of ours at tc takes, being behind it or in its place.
    """

    place: str
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkAbility:
    """What one link can do.

    Attributes:
        name: The link.
        driver: Its driver as ethtool tells it, "" if it tells none.
        ethernet: Its frames have an Ethernet header.
        native_xdp: Its driver runs XDP programs that send packets on.
        sendable: XDP programs of other links may send by it, as it is now.
        why_not_native: Why `native_xdp` is False, "" if it is True.
        why_not_sendable: Why `sendable` is False, "" if it is True.
        foreign_xdp: In which mode it has an XDP program that is not ours, as ``ip link`` calls it: "xdp",
            "xdpgeneric", "xdpoffload"; "" without one.
        foreign_filters: Its tc filters that are not ours.
        foreign_tcx: It has programs of tc's newer kind (tcx, Linux 6.6), which are not ours: ours are filters.
        shaping: Kind of a queueing discipline on it that does more than queue, "" without one: XDP passes it by.
        takes_vlan_tags: Its hardware takes VLAN tags off, so that XDP does not see them.
        hardware_flowtable: The kernel accepts a flowtable with the flag offload for it.
    """

    name: InterfaceName
    driver: str = ""
    ethernet: bool = True
    native_xdp: bool = False
    sendable: bool = False
    why_not_native: str = ""
    why_not_sendable: str = ""
    foreign_xdp: str = ""
    foreign_filters: tuple[ForeignFilter, ...] = ()
    foreign_tcx: bool = False
    shaping: str = ""
    takes_vlan_tags: bool = False
    hardware_flowtable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelAbility:
    """What the kernel can do.

    Attributes:
        bpf: It takes the fast path's program from this process.
        why_not_bpf: Why not, "" if it does.
        bpf_remedy: What mends that, "" when it is not known.
        flowtable: It has nftables' flowtables.
        why_not_flowtable: Why not, "" if it has.
    """

    bpf: bool
    why_not_bpf: str = ""
    bpf_remedy: str = ""
    flowtable: bool
    why_not_flowtable: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What this machine can do.

    Attributes:
        kernel: The kernel.
        links: The links that were asked about and are there.
        metering: What others' rulesets limit, queue or meter of what is forwarded, so that every packet has to pass
            them; "" for nothing.
        bridging: A table of somebody else that sees what bridges forward, so that XDP would go past it; "" for none.
        hooked: By the name of a link, or a pattern, the table of somebody else that sees what comes in or goes out by
            it: any fast path would go past that.
    """

    kernel: KernelAbility
    links: tuple[LinkAbility, ...] = ()
    metering: str = ""
    bridging: str = ""
    hooked: Mapping[str, str] = field(default_factory=dict)

    def link(self, name: str) -> LinkAbility | None:
        """Return what the link called *name* can do, None if it was not there."""
        return next((one for one in self.links if one.name == name), None)


def parse_mode(text: str) -> Mode:
    """Parse the name of a mode.

    Raises:
        InvalidRequestError: It is none.
    """
    try:
        return Mode(text)
    except ValueError:
        raise InvalidRequestError(f"{text!r:.80} is no fast path (expected {', '.join(Mode)})") from None
