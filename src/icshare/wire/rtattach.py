"""Attaching BPF programs to links: XDP by the link's own message, tc by a filter. No socket here.

A link holds its programs, and a program its maps, so what is attached lives as long as the link and needs neither a
process nor a pinned file.

Source:
    ``linux/if_link.h`` (IFLA_XDP), ``linux/pkt_sched.h``, ``linux/pkt_cls.h`` (TCA_BPF), ``net/core/dev.c`` and
    ``net/sched/cls_bpf.c`` of the kernel: with an *expected* program it has to be the one attached, or nothing changes;
    a filter with the same handle is exchanged in one go, so that no packet meets none.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct

from icshare.errors import HostError
from icshare.model.link import IfIndex
from icshare.wire.netlink import (
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    Request,
    attribute,
    attributes,
    nested,
    read_text,
    read_u8,
    read_u32,
    text,
    u32,
)
from icshare.wire.rtnetlink import (
    IFINFO,
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_MASTER,
)

RTM_SETLINK = 19
RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38
RTM_NEWTFILTER, RTM_DELTFILTER, RTM_GETTFILTER = 44, 45, 46

PRIORITY = 13700
"""Priority of our filter; lower numbers, which come before it, are left to others."""
HANDLE = 1

ARPHRD_ETHER = 1

_IFLA_XDP = 43
_IFLA_XDP_FD, _IFLA_XDP_ATTACHED, _IFLA_XDP_FLAGS, _IFLA_XDP_PROG_ID = 1, 2, 3, 4
_IFLA_XDP_DRV_PROG_ID, _IFLA_XDP_HW_PROG_ID, _IFLA_XDP_EXPECTED_FD = 5, 7, 8
_XDP_ATTACHED_DRV, _XDP_ATTACHED_HW, _XDP_ATTACHED_MULTI = 1, 3, 4
_XDP_FLAGS_UPDATE_IF_NOEXIST, _XDP_FLAGS_DRV_MODE, _XDP_FLAGS_REPLACE = 0x1, 0x4, 0x10

_TCMSG = Struct("=BxxxiIII")
"""family, index, handle, parent, info"""
_TCA_KIND, _TCA_OPTIONS, _TCA_CHAIN = 1, 2, 11
_TCA_BPF_FD, _TCA_BPF_NAME, _TCA_BPF_FLAGS, _TCA_BPF_ID = 6, 7, 8, 11
_TCA_BPF_FLAG_ACT_DIRECT = 1
_TC_H_CLSACT = 0xFFFFFFF1
_TC_H_INGRESS = 0xFFFFFFF2
_CLSACT_HANDLE = 0xFFFF0000
_SHARED_BLOCK = -1
"""In place of the link, for a filter that several links share; the parent is the number of the block then."""
_ETH_P_ALL = int.from_bytes((3).to_bytes(2, "big"), sys.byteorder)  # the kernel takes it in the order of the network
_INFO = PRIORITY << 16 | _ETH_P_ALL

_S32 = Struct("=i")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachableLink:
    """What a link says about itself that matters for attaching programs.

    Attributes:
        index: Its interface index.
        name: Its name.
        type: ARPHRD number; 1 where frames have an Ethernet header.
        address: Its hardware address, b"" without one.
        master: Index of the bridge or bond that it is a port of, 0 for none.
        xdp: Identifier of the XDP program in the driver (native mode), 0 for none.
        other_xdp: There is one in another mode, "xdpgeneric" or "xdpoffload", which keeps out any in the driver.
    """

    index: IfIndex
    name: str
    type: int
    address: bytes = b""
    master: int = 0
    xdp: int = 0
    other_xdp: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discipline:
    """A queueing discipline of a link.

    Attributes:
        index: The link.
        kind: Its kind: "mq", "fq_codel".
        filtering: It queues nothing; filters hang on it. ``clsact`` has filters of what goes out as well, the older
            ``ingress`` has not.
    """

    index: IfIndex
    kind: str
    filtering: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A tc filter on what comes in by a link, or goes out.

    Attributes:
        index: The link.
        egress: It filters what goes out.
        block: Number of the block that several links share it by, 0 for none.
        chain: Number of the chain that it is in; packets begin in 0.
        priority: Where it stands among the others, 1 to 65535.
        handle: Its number among those of this priority.
        kind: Of classifier: "bpf", "flower".
        name: What whoever made it calls it, "" for nothing.
        program: Identifier of its BPF program, 0 without one.
    """

    index: IfIndex
    egress: bool = False
    block: int = 0
    chain: int = 0
    priority: int
    handle: int
    kind: str
    name: str = ""
    program: int = 0

    @property
    def in_our_place(self) -> bool:
        """It stands where `set_filter` would put ours."""
        place = (self.egress, self.block, self.chain, self.priority, self.handle)
        return place == (False, 0, 0, PRIORITY, HANDLE)

    @property
    def late(self) -> bool:
        """It does not meet what `set_filter`'s takes: it stands in its place or behind it."""
        return not self.egress and self.priority >= PRIORITY


def parse_attachable(payload: bytes) -> AttachableLink:
    """Return the link of an RTM_NEWLINK *payload*.

    Raises:
        HostError: The payload is malformed.
    """
    _, hardware, index, _, _ = _header(IFINFO, payload)
    found = attributes(payload, IFINFO.size)
    xdp = attributes(found.get(_IFLA_XDP, b""))
    mode = read_u8(xdp[_IFLA_XDP_ATTACHED]) if _IFLA_XDP_ATTACHED in xdp else 0
    # With several modes at once (native and hardware) only the members for each mode tell.
    native = _IFLA_XDP_DRV_PROG_ID if mode == _XDP_ATTACHED_MULTI else _IFLA_XDP_PROG_ID
    return AttachableLink(
        index=IfIndex(index),
        name=read_text(found.get(IFLA_IFNAME, b"")),
        type=hardware,
        address=found.get(IFLA_ADDRESS, b""),
        master=read_u32(found[IFLA_MASTER]) if IFLA_MASTER in found else 0,
        xdp=read_u32(xdp[native]) if mode in {_XDP_ATTACHED_DRV, _XDP_ATTACHED_MULTI} and native in xdp else 0,
        other_xdp=_other_mode(mode, xdp),
    )


def _other_mode(mode: int, members: Mapping[int, bytes]) -> str:
    """Return in which mode besides the driver's a link has an XDP program, as ``ip link`` calls it."""
    if mode in {0, _XDP_ATTACHED_DRV}:
        return ""
    offloaded = mode == _XDP_ATTACHED_HW or (mode == _XDP_ATTACHED_MULTI and _IFLA_XDP_HW_PROG_ID in members)
    return "xdpoffload" if offloaded else "xdpgeneric"


def attach_xdp(index: IfIndex, program: int, *, expected: int | None = None) -> Request:
    """Have the driver of a link run a program.

    Args:
        index: The link.
        program: Its file descriptor.
        expected: File descriptor of the program that it takes the place of; None when there must be none.
    """
    return _set_xdp(index, program, expected, f"attach the fast path to link {index}")


def detach_xdp(index: IfIndex, expected: int) -> Request:
    """Take the program with the file descriptor *expected* away from a link; EEXIST if it is another by now."""
    return _set_xdp(index, -1, expected, f"take the fast path away from link {index}")


def _set_xdp(index: IfIndex, program: int, expected: int | None, purpose: str) -> Request:
    flags = _XDP_FLAGS_DRV_MODE | (_XDP_FLAGS_UPDATE_IF_NOEXIST if expected is None else _XDP_FLAGS_REPLACE)
    members = [attribute(_IFLA_XDP_FD, _S32.pack(program)), u32(_IFLA_XDP_FLAGS, flags)]
    if expected is not None:
        members.append(attribute(_IFLA_XDP_EXPECTED_FD, _S32.pack(expected)))
    payload = IFINFO.pack(0, 0, index, 0, 0) + nested(_IFLA_XDP, *members)
    return Request(type=RTM_SETLINK, payload=payload, purpose=purpose)


def add_clsact(index: IfIndex) -> Request:
    """Give a link the queueing discipline that filters of incoming packets hang on; EEXIST if it has one."""
    payload = _TCMSG.pack(0, index, _CLSACT_HANDLE, _TC_H_CLSACT, 0) + text(_TCA_KIND, "clsact")
    purpose = f"add clsact to link {index}"
    return Request(type=RTM_NEWQDISC, flags=NLM_F_CREATE | NLM_F_EXCL, payload=payload, purpose=purpose)


def delete_clsact(index: IfIndex) -> Request:
    """Take that discipline away, and all filters on it."""
    payload = _TCMSG.pack(0, index, _CLSACT_HANDLE, _TC_H_CLSACT, 0) + text(_TCA_KIND, "clsact")
    return Request(type=RTM_DELQDISC, payload=payload, purpose=f"delete clsact from link {index}")


def dump_qdiscs() -> Request:
    """Ask for the queueing disciplines of all links."""
    payload = _TCMSG.pack(0, 0, 0, 0, 0)
    return Request(type=RTM_GETQDISC, flags=NLM_F_DUMP, payload=payload, purpose="list the queueing disciplines")


def parse_discipline(payload: bytes) -> Discipline:
    """Return the discipline of an RTM_NEWQDISC *payload*.

    Raises:
        HostError: The payload is malformed.
    """
    _, index, _, parent, _ = _header(_TCMSG, payload)
    kind = read_text(attributes(payload, _TCMSG.size).get(_TCA_KIND, b""))
    filtering = parent == _TC_H_CLSACT and kind in {"clsact", "ingress"}
    return Discipline(index=IfIndex(index), kind=kind, filtering=filtering)


def set_filter(index: IfIndex, program: int, name: str, *, replace: bool) -> Request:
    """Have the packets that come in by a link run through a program, which decides about them itself.

    Args:
        index: The link; it has clsact.
        program: File descriptor of the program.
        name: Of the filter, as ``tc filter show`` prints it.
        replace: Ours may be there already.
    """
    options = nested(
        _TCA_OPTIONS,
        u32(_TCA_BPF_FD, program),
        text(_TCA_BPF_NAME, name),
        u32(_TCA_BPF_FLAGS, _TCA_BPF_FLAG_ACT_DIRECT),
    )
    payload = _TCMSG.pack(0, index, HANDLE, _TC_H_INGRESS, _INFO) + text(_TCA_KIND, "bpf") + options
    flags = NLM_F_CREATE if replace else NLM_F_CREATE | NLM_F_EXCL
    purpose = f"attach the fast path to link {index}"
    return Request(type=RTM_NEWTFILTER, flags=flags, payload=payload, purpose=purpose)


def delete_filter(index: IfIndex) -> Request:
    """Take our filter away from a link; ENOENT if it is gone, EINVAL if clsact is."""
    payload = _TCMSG.pack(0, index, HANDLE, _TC_H_INGRESS, _INFO) + text(_TCA_KIND, "bpf")
    return Request(type=RTM_DELTFILTER, payload=payload, purpose=f"take the fast path away from link {index}")


def dump_filters(index: IfIndex, *, egress: bool = False) -> Request:
    """Ask for the filters of what comes in by a link, or of what goes out."""
    payload = _TCMSG.pack(0, index, 0, _TC_H_INGRESS + egress, 0)
    purpose = f"list the filters of link {index}"
    return Request(type=RTM_GETTFILTER, flags=NLM_F_DUMP, payload=payload, purpose=purpose)


def parse_filter(payload: bytes) -> Filter | None:
    """Return the filter of an RTM_NEWTFILTER *payload*, None for the head of a priority, which is none itself.

    Raises:
        HostError: The payload is malformed.
    """
    _, index, handle, parent, info = _header(_TCMSG, payload)
    found = attributes(payload, _TCMSG.size)
    if not handle:
        return None
    kind = read_text(found.get(_TCA_KIND, b""))
    options = attributes(found.get(_TCA_OPTIONS, b"")) if kind == "bpf" else {}
    return Filter(
        index=IfIndex(index),
        block=parent if index == _SHARED_BLOCK else 0,
        chain=read_u32(found[_TCA_CHAIN]) if _TCA_CHAIN in found else 0,
        priority=info >> 16,
        handle=handle,
        kind=kind,
        name=read_text(options.get(_TCA_BPF_NAME, b"")),
        program=read_u32(options[_TCA_BPF_ID]) if _TCA_BPF_ID in options else 0,
    )


def _header(header: Struct, payload: bytes) -> tuple[int, ...]:
    if len(payload) < header.size:
        raise HostError(f"netlink message is truncated: {len(payload)} bytes instead of a header of {header.size}")
    return header.unpack_from(payload)
