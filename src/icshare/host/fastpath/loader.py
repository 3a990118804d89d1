"""Starting, changing and stopping the fast path of the network namespace that this process is in."""

import os
import time
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import Final

from icshare.errors import HostError, NotSupportedError
from icshare.host.fastpath import libbpf, refusal
from icshare.host.fastpath.attachments import (
    CONFIG_MAP,
    PROGRAMS,
    Links,
    Wish,
    attach,
    detach,
    look,
    look_if_allowed,
    open_maps,
    program_for,
    refuse_foreign,
    refuse_held,
)
from icshare.host.fastpath.counting import counting_maps, keeping
from icshare.host.fastpath.state import FIRST, in_force, maps_named
from icshare.host.netlink import NetlinkSocket
from icshare.plan.steps import digest
from icshare.wire import fastpath as wire
from icshare.wire.fastpath import Config, Tables

OBJECT: Final = "fastpath.bpf.o"
OBJECT_NAME: Final = "fastpath"

KEPT_MAPS: Final = ("stations", "accounts", "counters", "spare", "reasons", f"{OBJECT_NAME}.bss")
"""Maps that the next program takes over from the one before: what was counted and learnt. All of them or none, as
numbers in one of them are places in another."""

_FLOWS_PER_ELEMENT: Final = {"flows": 1, "flows6": 1, "notes": 1, "buckets": 4, "hops": 16}
"""Maps with a part for each CPU, sized by the flows that it remembers: for how many of these an element is."""
_SETTINGS: Final = Path("/proc/sys/net/netfilter")
# The kernel's own, in seconds, for as long as conntrack is not loaded.
_UDP_STREAM_SECONDS, _TCP_ESTABLISHED_SECONDS = 120, 432000
_MOST_MS: Final = 0x7FFFFFFF
_USUAL: Final = frozenset({"icshare_tc"})
_prepared: Final[list[libbpf.Object]] = []
"""At most one, by `prepare`: to verify a program takes longer than all the rest of `start`."""
_CLOCK_MONOTONIC_COARSE: Final = 6  # linux/time.h; its resolution is a jiffy


def shipped_object() -> bytes:
    """Return the object that is part of this package."""
    return resources.files(__package__).joinpath(OBJECT).read_bytes()


def start(text: str) -> None:
    """Have the fast path run by the configuration *text*, on all of its links and on no other.

    To start what runs already changes nothing but conntrack's timeouts, when they were changed. May be repeated at any
    time, also after a process that was killed in the middle.

    Raises:
        ConflictError: A link has a program of somebody else, or the kernel holds ours; nothing was changed.
        NotSupportedError: The kernel does not take the programs; nothing was changed.
        PrivilegeError: CAP_NET_ADMIN is missing; nothing was changed.
        HostError: A link is missing, or its driver refused; what was attached for it is taken back.
    """
    configuration = wire.read_configuration(text)
    refusal.require_privilege()
    with ExitStack() as held:
        kernel = held.enter_context(NetlinkSocket())
        links = look(kernel, held)
        wanted = wire.tables(configuration, links.present)
        settings = _settings()
        if in_force(links, held) == digest(text) and _holds(links, held, wanted):
            _set_timeouts(links, held, settings)
            return
        hooks = [(links.present[one.name], one.hook) for one in configuration.links]
        hooks = list(dict.fromkeys(hooks))
        refuse_foreign(links, hooks)
        refuse_held(kernel, links, links.ours)
        if not hooks:
            with keeping(counting_maps(links, held)):
                detach(kernel, links, links.ours)
            return
        names = {program_for(*hook) for hook in hooks}
        loaded = held.enter_context(_load(links, held, names))
        _fill(loaded, wanted, digest(text), len(hooks), settings)
        wishes = [Wish(link=link, hook=hook, fd=loaded.program(program_for(link, hook))) for link, hook in hooks]
        places = {(link.index, hook) for link, hook in hooks}
        with loaded.map("accounts") as staying, keeping(counting_maps(links, held), staying.id):
            attach(kernel, links, wishes)
            detach(kernel, links, [one for one in links.ours if (one.index, one.hook) not in places])


def preflight(text: str) -> None:
    """Check that what runs can be exchanged for the configuration *text*, "" for none.

    Raises:
        ConflictError: The kernel holds the programs of ours.
        HostError: The kernel could not be read.
    """
    with ExitStack() as held:
        kernel = held.enter_context(NetlinkSocket())
        links = look_if_allowed(kernel, held)
        if in_force(links, held) != digest(text):
            refuse_held(kernel, links, links.ours)


def stop() -> None:
    """Take the fast path away from every link of this network namespace; packets go through the kernel at once.

    Raises:
        ConflictError: The kernel holds a program, as somebody's is on a link above.
        PrivilegeError: A capability is missing.
        HostError: The kernel refused.
    """
    with ExitStack() as held:
        kernel = held.enter_context(NetlinkSocket())
        try:
            links = look(kernel, held)
        except NotSupportedError:  # without the library nothing of ours can have been loaded
            return
        with keeping(counting_maps(links, held)):
            detach(kernel, links, links.ours)


def _holds(links: Links, held: ExitStack, wanted: Tables) -> bool:
    """Tell whether the maps hold what they would be filled with now."""
    for name, content in wanted.by_map().items():
        maps = maps_named(links, held, name)
        if len(maps) != 1 or maps[0].items() != content:
            return False
    return True


def _set_timeouts(links: Links, held: ExitStack, settings: tuple[int, int]) -> None:
    for one in maps_named(links, held, CONFIG_MAP):
        present = wire.decode_config(one.lookup(FIRST) or b"")
        wanted = wire.with_timeouts(present, *settings)
        if wanted != present:
            one.update(FIRST, wanted.encode())


def prepare() -> None:
    """Have the kernel verify what most machines need. `start` takes it when it is all that it needs.

    Nothing is attached, and all of it goes with this process. A child that is forked does not have it.

    Raises:
        NotSupportedError: The kernel does not take the program.
        PrivilegeError: A capability is missing.
    """
    refusal.require_privilege()
    if not _prepared:
        with ExitStack() as held:
            _prepared.append(_load(Links(present={}), held, _USUAL))


def _leave_to_parent() -> None:
    """Close what was prepared before a fork: parent and child would both fill the same maps, with links of either."""
    while _prepared:
        _prepared.pop().close()


os.register_at_fork(after_in_child=_leave_to_parent)


def _load(links: Links, held: ExitStack, names: AbstractSet[str]) -> libbpf.Object:
    """Load the programs called *names*, with the maps of a running one as far as they are to be kept."""
    if _prepared and names == _USUAL and not links.ours:
        return _prepared.pop()
    loaded = libbpf.Object(shipped_object(), OBJECT_NAME)
    try:
        for name in PROGRAMS:
            if name not in names:
                loaded.leave_out(name)
        layouts = loaded.layouts()
        cpus = libbpf.possible_cpus()
        element = sum(layouts[name].value_size // share for name, share in _FLOWS_PER_ELEMENT.items())
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        flows = wire.flows_per_cpu(cpus=cpus, memory=memory, element=element)
        for name, share in _FLOWS_PER_ELEMENT.items():
            loaded.resize(name, flows // share * cpus)
        for name, one in _kept(links, held, layouts).items():
            loaded.reuse(name, one)
        loaded.load()
    except BaseException:
        loaded.close()
        raise
    return loaded


def _kept(links: Links, held: ExitStack, layouts: Mapping[str, libbpf.Layout]) -> Mapping[str, libbpf.Map]:
    """Return the maps that are taken over: all of `KEPT_MAPS`, or none.

    None when one of them has another layout, or when there is little room for other accounts left: the ledger keeps the
    sums of those that are in use no more.
    """
    for program in {one.program for one in links.ours}:
        maps = open_maps(program, held)
        if all(name in maps and maps[name].layout == layouts[name] for name in KEPT_MAPS):
            full = len(maps["accounts"].items()) > layouts["accounts"].max_entries // 2
            return {} if full else {name: maps[name] for name in KEPT_MAPS}
    return {}


def _fill(loaded: libbpf.Object, wanted: Tables, name: str, attachments: int, settings: tuple[int, int]) -> None:
    for table, content in wanted.by_map().items():
        with loaded.map(table) as one:
            for key, value in content.items():
                one.update(key, value)
    with loaded.map("flows") as one:
        flows = one.layout.max_entries // libbpf.possible_cpus()
    config = Config(
        udp_stream_ms=settings[0],
        tcp_established_ms=settings[1],
        hz=round(1 / time.clock_getres(_CLOCK_MONOTONIC_COARSE)),
        flows=flows,
        digest=name,
        attachments=attachments,
    )
    with loaded.map(CONFIG_MAP) as one:
        one.update(FIRST, config.encode())


def _settings() -> tuple[int, int]:
    """Return conntrack's timeouts of this namespace for UDP streams and established TCP connections, in ms."""
    return (
        _milliseconds("nf_conntrack_udp_timeout_stream", _UDP_STREAM_SECONDS),
        _milliseconds("nf_conntrack_tcp_timeout_established", _TCP_ESTABLISHED_SECONDS),
    )


def _milliseconds(setting: str, otherwise: int) -> int:
    try:
        seconds = int((_SETTINGS / setting).read_text(encoding="ascii"))
    except FileNotFoundError:
        seconds = otherwise
    except (OSError, ValueError) as error:
        raise HostError(f"net.netfilter.{setting} cannot be read: {error}") from error
    return min(seconds * 1000, _MOST_MS)
