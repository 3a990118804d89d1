"""What links and the kernel can do for the fast path."""

from dataclasses import dataclass

from icshare.model.names import InterfaceName


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
        foreign_xdp: It has an XDP program that is not ours.
        foreign_filters: It has tc filters that are not ours; what the fast path takes meets only those before it.
        foreign_in_our_place: One of these stands where ours would, so that none of ours can be attached.
        qdisc: Kind of its root queueing discipline.
        shaping: That discipline does more than queue: what XDP sends would pass it by.
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
    foreign_xdp: bool = False
    foreign_filters: bool = False
    foreign_in_our_place: bool = False
    qdisc: str = ""
    shaping: bool = False
    takes_vlan_tags: bool = False
    hardware_flowtable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelAbility:
    """What the kernel can do.

    Attributes:
        bpf: It takes the fast path's program from this process.
        why_not_bpf: Why not, "" if it does.
        flowtable: It has nftables' flowtables.
        why_not_flowtable: Why not, "" if it has.
    """

    bpf: bool
    why_not_bpf: str = ""
    flowtable: bool
    why_not_flowtable: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """What this machine can do.

    Attributes:
        kernel: The kernel.
        links: The links that were asked about and are there.
    """

    kernel: KernelAbility
    links: tuple[LinkAbility, ...] = ()
