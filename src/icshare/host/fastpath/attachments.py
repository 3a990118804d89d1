"""Programs of ours on the links of this network namespace: found, attached, taken away.

Ours is a program with one of our names that uses a map with the name of our configuration; nothing is remembered in a
file. Whether clsact was there before our filter is remembered in the filter's name, so that it goes with what it tells.
clsact and the filter are made by one call, as a process that is killed between them would leave clsact and no filter.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Final

from icshare.errors import ConflictError, HostError, NotSupportedError, PrivilegeError
from icshare.host.fastpath import libbpf
from icshare.host.netlink import NetlinkSocket
from icshare.model.link import IfIndex
from icshare.render.fastpath import Hook
from icshare.wire import rtattach
from icshare.wire.netlink import Request
from icshare.wire.rtattach import ARPHRD_ETHER, AttachableLink, Discipline, Filter
from icshare.wire.rtnetlink import dump_links

CONFIG_MAP: Final = ".data.config"
PROGRAMS: Final = {"icshare_xdp": Hook.XDP, "icshare_tc": Hook.TC, "icshare_tc_ip": Hook.TC}

FILTER_NAME: Final = "icshare"
FILTER_NAME_WITH_CLSACT: Final = "icshare, with clsact"
"""Name of our filter when clsact was made for it and goes with it."""

# A link that is gone, or has lost what we wanted to take away, is as we want it: the kernel says EEXIST for another
# program than the expected one, and EINVAL for a filter without its clsact.
_GONE: Final = frozenset({errno.ENODEV, errno.ENOENT, errno.EEXIST, errno.EINVAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A program of ours on a link.

    Attributes:
        index: The link.
        hook: Where.
        program: The program.
        clsact: clsact was made for it.
        fd: File descriptor of the program.
    """

    index: IfIndex
    hook: Hook
    program: libbpf.Program
    clsact: bool = False
    fd: int


@dataclass(slots=True, kw_only=True)
class Links:
    """What is attached in this namespace; holds the programs of ours open until it is closed.

    Attributes:
        present: Every link, by name.
        ours: Programs of ours.
        filters: All filters of links that have clsact or ingress, ours too.
        queues: Kinds of the queueing disciplines of links: the root's, and those below it.
    """

    present: Mapping[str, AttachableLink]
    ours: Sequence[Attachment] = ()
    filters: Mapping[IfIndex, Sequence[Filter]] = field(default_factory=dict)
    queues: Mapping[IfIndex, Sequence[str]] = field(default_factory=dict)

    def find(self, index: IfIndex, hook: Hook) -> Attachment | None:
        """Return what of ours is attached there."""
        return next((one for one in self.ours if (one.index, one.hook) == (index, hook)), None)


def look(kernel: NetlinkSocket, held: ExitStack, *, owners: bool = True) -> Links:
    """Read what is attached; *held* closes the programs' file descriptors.

    Args:
        kernel: Where to ask.
        held: What they are closed with.
        owners: Find out which programs are ours, which takes a privilege; without, none is.

    Raises:
        PrivilegeError: Programs may not be looked at.
        HostError: The kernel could not be read.
    """
    links = [rtattach.parse_attachable(one.payload) for one in kernel.dump(dump_links())]
    names = {link.index: link.name for link in links}
    known: dict[int, tuple[int, libbpf.Program] | None] = {}

    def own(identifier: int) -> tuple[int, libbpf.Program] | None:
        if identifier not in known:
            known[identifier] = _open_ours(identifier, held) if owners else None
        return known[identifier]

    ours: list[Attachment] = []
    for link in links:
        found = own(link.xdp) if link.xdp else None
        if found is not None:
            ours.append(Attachment(index=link.index, hook=Hook.XDP, program=found[1], fd=found[0]))
    filters: dict[IfIndex, Sequence[Filter]] = {}
    queues: dict[IfIndex, list[str]] = {}
    for message in kernel.dump(rtattach.dump_qdiscs()):
        one = rtattach.parse_discipline(message.payload)
        index = one.index
        if index not in names:
            continue
        if not one.filtering:
            queues.setdefault(index, []).append(one.kind)
            continue
        filters[index] = list(_filters(kernel, one))
        for each in filters[index]:
            found = own(each.program) if each.program and each.in_our_place else None
            if found is not None:
                clsact = each.name == FILTER_NAME_WITH_CLSACT
                ours.append(Attachment(index=index, hook=Hook.TC, program=found[1], clsact=clsact, fd=found[0]))
    return Links(present={link.name: link for link in links}, ours=ours, filters=filters, queues=queues)


def look_if_allowed(kernel: NetlinkSocket, held: ExitStack) -> Links:
    """Read what is attached like `look`; nothing without the privilege, or without libbpf, by which nothing came here.

    Raises:
        HostError: The kernel could not be read.
    """
    try:
        return look(kernel, held)
    except (PrivilegeError, NotSupportedError):
        return Links(present={})


def _filters(kernel: NetlinkSocket, place: Discipline) -> Iterator[Filter]:
    for egress in (False, True) if place.kind == "clsact" else (False,):
        try:
            answers = kernel.dump(rtattach.dump_filters(place.index, egress=egress))
        except HostError as error:
            if error.errno not in _GONE:  # the link or its clsact meanwhile
                raise
            return
        for answer in answers:
            one = rtattach.parse_filter(answer.payload)
            if one is not None:
                yield replace(one, egress=egress)


def _open_ours(identifier: int, held: ExitStack) -> tuple[int, libbpf.Program] | None:
    """Return the file descriptor and description of a program when it is one of ours."""
    fd = libbpf.open_program(identifier)
    if fd is None:
        return None
    held.callback(os.close, fd)
    program = libbpf.describe(fd)
    if program.name not in PROGRAMS:
        return None
    with ExitStack() as stack:
        maps = [stack.enter_context(one) for one in map(libbpf.open_map, program.maps) if one is not None]
        return (fd, program) if any(one.name == CONFIG_MAP for one in maps) else None


def open_maps(program: libbpf.Program, held: ExitStack) -> Mapping[str, libbpf.Map]:
    """Return the maps of an attached program by name; *held* closes them.

    Raises:
        PrivilegeError: They may not be looked at.
        HostError: The kernel could not be read.
    """
    maps = [held.enter_context(one) for one in map(libbpf.open_map, program.maps) if one is not None]
    return {one.name: one for one in maps}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A program that is to be attached.

    Attributes:
        link: The link.
        hook: Where.
        fd: File descriptor of the program.
    """

    link: AttachableLink
    hook: Hook
    fd: int


def refuse_foreign(links: Links, wanted: Iterable[tuple[AttachableLink, Hook]]) -> None:
    """Refuse places that somebody else's program is in.

    Raises:
        ConflictError: There is one; the message names the link.
    """
    for link, hook in wanted:
        if links.find(link.index, hook) is not None:
            continue
        if hook is Hook.XDP and (link.xdp or link.other_xdp):
            number = f" ({link.xdp})" if link.xdp else ""
            raise ConflictError(
                f"{link.name} has an XDP program that is not icshare's{number}",
                hint=f"ip link show dev {link.name} tells which; take it away, or share without XDP",
            )
        if hook is Hook.TC and any(one.in_our_place for one in links.filters.get(link.index, ())):
            raise ConflictError(
                f"{link.name} has a tc filter with priority {rtattach.PRIORITY} that is not icshare's",
                hint=f"tc filter show dev {link.name} ingress tells which; or share with --fast-path off",
            )


def attach(kernel: NetlinkSocket, links: Links, wishes: Sequence[Wish]) -> None:
    """Attach every wish, in place of what of ours is there; all or none.

    Raises:
        HostError: A driver or the kernel refused, or somebody else's program got in between; what was attached is
            taken back.
    """
    requests: list[Request] = []
    purposes: list[Wish] = []
    undo: list[Sequence[Request]] = []
    for wish in wishes:
        present = links.find(wish.link.index, wish.hook)
        does, undoes = _exchange(links, wish, present)
        requests += does
        purposes += [wish] * len(does)
        undo += undoes
    outcomes = kernel.request_all(requests)
    failed = next((number for number, error in enumerate(outcomes) if error is not None), None)
    if failed is None:
        return
    back = [one for number, error in enumerate(outcomes) if error is None for one in undo[number]]
    wish, reason = purposes[failed], outcomes[failed]
    error = HostError(f"the fast path cannot be attached to {wish.link.name} ({wish.hook}): {reason}")
    error.errno = reason.errno if reason is not None else None
    for left in kernel.request_all(back[::-1]):
        if left is not None and left.errno not in _GONE:
            error.add_note(f"not taken back: {left}")
    raise error from reason


def _exchange(links: Links, wish: Wish, present: Attachment | None) -> tuple[list[Request], list[Sequence[Request]]]:
    """Return the requests for a wish, and for each what takes it back."""
    index = wish.link.index
    if wish.hook is Hook.XDP:
        if present is None:
            return [rtattach.attach_xdp(index, wish.fd)], [(rtattach.detach_xdp(index, wish.fd),)]
        return (
            [rtattach.attach_xdp(index, wish.fd, expected=present.fd)],
            [(rtattach.attach_xdp(index, present.fd, expected=wish.fd),)],
        )
    if present is not None:
        name = _filter_name(clsact=present.clsact)
        return (
            [rtattach.set_filter(index, wish.fd, name, replace=True)],
            [(rtattach.set_filter(index, present.fd, name, replace=True),)],
        )
    if index in links.filters:
        return (
            [rtattach.set_filter(index, wish.fd, FILTER_NAME, replace=False)],
            [(rtattach.delete_filter(index),)],
        )
    return (
        [rtattach.add_clsact(index), rtattach.set_filter(index, wish.fd, FILTER_NAME_WITH_CLSACT, replace=False)],
        [(rtattach.delete_clsact(index),), (rtattach.delete_filter(index),)],
    )


def _filter_name(*, clsact: bool) -> str:
    return FILTER_NAME_WITH_CLSACT if clsact else FILTER_NAME


def refuse_held(kernel: NetlinkSocket, links: Links, attachments: Iterable[Attachment]) -> None:
    """Refuse to move XDP programs that the kernel holds fast: a link above theirs has got one of somebody else's.

    It calls that EEXIST, as it does a program that is another one by now.

    Raises:
        ConflictError: There is one; the message names the links.
        HostError: The kernel could not be read.
    """
    ours = {one.index for one in attachments if one.hook is Hook.XDP}
    below = [one for one in links.present.values() if one.index in ours]
    for link in kernel.links() if below else ():
        seen = links.present.get(link.name)
        if seen is None or not (seen.xdp or seen.other_xdp):
            continue
        for one in below:
            # A veth names its other end as the link below it.
            if link.index == one.master or (link.lower == one.index and link.kind != "veth"):
                raise ConflictError(
                    f"the kernel holds the fast path on {one.name}: {link.name} above it has an XDP program as well",
                    hint=f"take that off first: ip link set dev {link.name} {seen.other_xdp or 'xdp'} off",
                )


def detach(kernel: NetlinkSocket, links: Links, attachments: Sequence[Attachment]) -> None:
    """Take programs of ours away, and clsact where it was made for them and held nothing else when *links* were read.

    Raises:
        ConflictError: The kernel holds one fast.
        HostError: The kernel refused for one or several; the others are gone all the same.
        PrivilegeError: A capability is missing.
    """
    refuse_held(kernel, links, attachments)
    requests: list[Request] = []
    for one in attachments:
        if one.hook is Hook.XDP:
            requests.append(rtattach.detach_xdp(one.index, one.fd))
            continue
        requests.append(rtattach.delete_filter(one.index))
        if one.clsact and all(other.in_our_place for other in links.filters.get(one.index, ())):
            requests.append(rtattach.delete_clsact(one.index))
    outcomes = kernel.request_all(requests)
    if any(error is not None and error.errno == errno.EEXIST for error in outcomes):
        _refuse_left(kernel, attachments)
    errors = [error for error in outcomes if error is not None and error.errno not in _GONE]
    if not errors:
        return
    first = errors[0]
    for error in errors[1:]:
        first.add_note(str(error))
    raise first


def _refuse_left(kernel: NetlinkSocket, attachments: Iterable[Attachment]) -> None:
    """Refuse to call XDP programs gone that are there: not every link above another is known by name here."""
    present = {one.index: one for one in map(rtattach.parse_attachable, (a.payload for a in kernel.dump(dump_links())))}
    for one in attachments:
        link = present.get(one.index)
        if one.hook is Hook.XDP and link is not None and link.xdp == one.program.id:
            raise ConflictError(
                f"the kernel holds the fast path on {link.name}: a link above it has an XDP program as well",
                hint="take that off first; such links may be of other network namespaces (macvlan) or tunnels (vxlan)",
            )


def program_for(link: AttachableLink, hook: Hook) -> str:
    """Return the name of the program for a link."""
    if hook is Hook.XDP:
        return "icshare_xdp"
    return "icshare_tc" if link.type == ARPHRD_ETHER else "icshare_tc_ip"
