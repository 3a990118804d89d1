"""What the links and the kernel can do for the fast path; nothing is attached or changed to find out.

Since Linux 6.3 the kernel tells what a driver does for XDP, as it is set up now. Before, a table of drivers has to do;
what it promises wrongly is refused when a program is attached, and nothing stays behind then.

Source:
    Native XDP: kernel commits that brought it to each driver, as listed on docs.ebpf.io ("Program type
    BPF_PROG_TYPE_XDP", driver support). Sending: ``ndo_xdp_xmit`` of the drivers in Linux 6.1. veth:
    ``veth_xdp_xmit()``, which needs the other end to receive by NAPI.
"""

import errno
import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from typing import Final

from icshare.errors import HostError, IcshareError, NotSupportedError, PrivilegeError
from icshare.host import ethtool, ruleset
from icshare.host.fastpath import libbpf
from icshare.host.fastpath.attachments import Links, look
from icshare.host.fastpath.loader import prepare
from icshare.host.netlink import NetlinkSocket
from icshare.model.fastpath import Abilities, ForeignFilter, KernelAbility, LinkAbility
from icshare.model.names import InterfaceName
from icshare.render.fastpath import Hook
from icshare.wire import genetlink, netdev
from icshare.wire.rtattach import ARPHRD_ETHER, PRIORITY, AttachableLink, Filter

_SEND_TOO: Final = frozenset(
    {
        "atlantic", "bnxt_en", "cpsw", "cpsw-switch", "ena", "fsl_dpa", "fsl_dpaa2_eth", "fsl_enetc", "fsl_enetc_vf",
        "funeth", "hv_netvsc", "i40e", "ice", "igb", "igc", "ixgbe", "mlx5_core", "mtk_soc_eth", "mvneta", "mvpp2",
        "netsec", "qede", "rvu_nicpf", "sfc", "sfc_ef100", "st_gmac", "st_xgmac", "tun", "vif", "virtio_net",
    }
)  # fmt: skip
_ONLY_RUN: Final = frozenset({"bonding", "ixgbevf", "mana", "mlx4_en", "nfp", "nicvf", "veth"})
"""Drivers of Linux 6.1 that run programs; by these of `_SEND_TOO` programs may send as well, by a veth it depends."""

_PLAIN_QDISCS: Final = frozenset(
    {
        "", "noop", "noqueue", "none", "mq", "pfifo_fast", "pfifo", "bfifo", "pfifo_head_drop",
        "fq", "fq_codel", "fq_pie", "codel", "pie", "sfq",
    }
)  # fmt: skip

_WHERE: Final = re.compile(r"^line \d+, column \d+: Could not process rule: | \(in: .*\)$")
"""What nft adds to an error of the kernel's; the line is one of ours, and tells nobody anything."""

# What loads the modules that the programs call into, and tells nothing else.
_CONNTRACK: Final = "chain c {\ntype filter hook forward priority filter;\nct state established accept\n}"


def probe(names: Iterable[InterfaceName]) -> Abilities:
    """Return what the links called *names* and the kernel can do; links that are not there are left out.

    Raises:
        HostError: The kernel could not be read.
    """
    with ExitStack() as held:
        kernel = held.enter_context(NetlinkSocket())
        links = _look(kernel, held)
        features = _features()
        present = [links.present[name] for name in dict.fromkeys(names) if name in links.present]
        flowtable = _refusal(_flowtable("lo"))
        able = tuple(
            _link(
                links,
                one,
                features,
                hardware=flowtable is None and _refusal(_flowtable(one.name, offload=True)) is None,
            )
            for one in present
        )
        ours = bool(links.ours)
    return Abilities(kernel=_kernel(flowtable, attached=ours), links=able)


def occupation(names: Iterable[InterfaceName]) -> tuple[LinkAbility, ...]:
    """Return what others have on the links called *names*, and nothing else of what these can do.

    Raises:
        PrivilegeError: Programs may not be looked at, so it cannot be told whose they are.
        NotSupportedError: libbpf is missing.
        HostError: The kernel could not be read.
    """
    with ExitStack() as held:
        links = look(held.enter_context(NetlinkSocket()), held)
        return tuple(_occupied(links, links.present[name]) for name in names if name in links.present)


def _look(kernel: NetlinkSocket, held: ExitStack) -> Links:
    try:
        return look(kernel, held)
    except (PrivilegeError, NotSupportedError):
        # Whose programs they are cannot be told, so those that there are count as somebody else's.
        return look(kernel, held, owners=False)


def _link(
    links: Links, link: AttachableLink, features: Mapping[int, netdev.Features] | None, *, hardware: bool
) -> LinkAbility:
    driver = ethtool.driver_info(link.name)
    native, sendable = _abilities(link, driver.driver, features)
    return replace(
        _occupied(links, link),
        driver=driver.driver,
        ethernet=link.type == ARPHRD_ETHER,
        native_xdp=not native,
        sendable=not sendable,
        why_not_native=native,
        why_not_sendable=sendable,
        takes_vlan_tags=ethtool.takes_vlan_tags(link.name),
        hardware_flowtable=hardware,
    )


def _occupied(links: Links, link: AttachableLink) -> LinkAbility:
    ours = [hook for hook in Hook if links.find(link.index, hook) is not None]
    filters = [one for one in links.filters.get(link.index, ()) if not (Hook.TC in ours and one.in_our_place)]
    xdp = link.other_xdp or ("xdp" if link.xdp else "")
    return LinkAbility(
        name=InterfaceName(link.name),
        foreign_xdp="" if Hook.XDP in ours else xdp,
        foreign_filters=tuple(ForeignFilter(place=_place(link.name, one), late=one.late) for one in filters),
        foreign_tcx=libbpf.has_tcx(link.index),
        shaping=next((kind for kind in links.queues.get(link.index, ()) if kind not in _PLAIN_QDISCS), ""),
    )


def _place(link: str, one: Filter) -> str:
    """Return where a filter is, in the words of ``tc filter del``, which mean it and none of ours."""
    where = f"block {one.block}" if one.block else f"dev {link} {'egress' if one.egress else 'ingress'}"
    chain = f" chain {one.chain}" if one.chain else ""
    only = f" handle {one.handle:#x} {one.kind}" if one.priority == PRIORITY else ""  # of which ours is one
    return f"{where}{chain} pref {one.priority}{only}"


def _abilities(link: AttachableLink, driver: str, features: Mapping[int, netdev.Features] | None) -> tuple[str, str]:
    """Return why a link's driver cannot run XDP programs, and why none can send by it; "" where it can."""
    if link.type != ARPHRD_ETHER:
        return ("its packets have no Ethernet header",) * 2
    named = f"the driver {driver}" if driver else "its driver"
    no_xdp = f"{named} has no native XDP"
    if driver == "veth":
        no_send = "a veth takes packets from XDP only when its other end has an XDP program or GRO"
    else:
        no_send = f"{named} takes no packets from XDP programs of other links"
    if features is not None:
        found = features.get(link.index)
        runs, sends = (found.runs, found.sends) if found is not None else (False, False)
    else:
        runs, sends = driver in _SEND_TOO | _ONLY_RUN, driver in _SEND_TOO
    return "" if runs else no_xdp, "" if sends else no_send


def _features() -> Mapping[int, netdev.Features] | None:
    """Return the XDP features of all links by index, None where the kernel does not tell (before Linux 6.3)."""
    try:
        with NetlinkSocket(genetlink.NETLINK_GENERIC) as generic:
            family = genetlink.parse_family(generic.request(genetlink.get_family(netdev.FAMILY))[0].payload)
            answers = generic.dump(netdev.dump_devices(family))
    except HostError as error:
        if error.errno not in {errno.ENOENT, errno.EPROTONOSUPPORT, errno.EOPNOTSUPP}:
            raise
        return None
    found = map(netdev.parse_device, (answer.payload for answer in answers))
    return {one.index: one for one in found}


def _kernel(flowtable: str | None, *, attached: bool) -> KernelAbility:
    bpf, remedy = ("", "") if attached else _why_not_bpf()
    return KernelAbility(
        bpf=not bpf,
        why_not_bpf=bpf,
        bpf_remedy=remedy,
        flowtable=flowtable is None,
        why_not_flowtable=flowtable or "",
    )


@cache
def _why_not_bpf() -> tuple[str, str]:
    """Return why the kernel does not take the program that we ship, "" when it does, and what mends it."""
    if (missing := _refusal(_CONNTRACK)) is not None:
        return missing, ""
    try:
        prepare()  # all three programs ask the same of the kernel; one is enough to know
    except IcshareError as error:
        return error.message, error.hint or ""
    return "", ""


def _flowtable(device: str, *, offload: bool = False) -> str:
    flags = " flags offload;" if offload else ""
    return f'flowtable f {{\nhook ingress priority filter; devices = {{ "{device}" }};{flags}\n}}'


def _refusal(body: str) -> str | None:
    """Return why nftables does not take *body* in a table, None when it does; of nft's words only why."""
    try:
        words = ruleset.refusal(f"table inet icshare-probe {{\n{body}\n}}\n")
        return words and _WHERE.sub("", words)
    except (PrivilegeError, NotSupportedError) as error:
        return error.message
