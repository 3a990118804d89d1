"""Starting, changing, reading and stopping the fast path of the network namespace that this process is in."""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from typing import Final

from icshare.errors import HostError, IcshareError, NotSupportedError, PrivilegeError
from icshare.host.fastpath import ledger, libbpf, refusal
from icshare.host.fastpath.attachments import (
    CONFIG_MAP,
    PROGRAMS,
    Links,
    Wish,
    attach,
    detach,
    look,
    open_maps,
    program_for,
    refuse_foreign,
)
from icshare.host.netlink import NetlinkSocket
from icshare.host.nft import Nftables
from icshare.plan.steps import digest
from icshare.wire import fastpath as wire
from icshare.wire.fastpath import Account, Config, Counter, Reason, Tables
from icshare.wire.ledger import Books, carry_over, total, without

log = logging.getLogger(__name__)

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
_FIRST: Final = bytes(4)
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
        ConflictError: A link has a program of somebody else; nothing was changed.
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
        if _in_force(links, held) == digest(text) and _holds(links, held, wanted):
            _set_timeouts(links, held, settings)
            return
        hooks = [(links.present[one.name], one.hook) for one in configuration.links]
        hooks = list(dict.fromkeys(hooks))
        refuse_foreign(links, hooks)
        if not hooks:
            with _keeping(_counting(links, held)):
                detach(kernel, links, links.ours)
            return
        names = {program_for(*hook) for hook in hooks}
        loaded = held.enter_context(_load(links, held, names))
        _fill(loaded, wanted, digest(text), len(hooks), settings)
        wishes = [Wish(link=link, hook=hook, fd=loaded.program(program_for(link, hook))) for link, hook in hooks]
        places = {(link.index, hook) for link, hook in hooks}
        with loaded.map("accounts") as staying, _keeping(_counting(links, held), staying.id):
            attach(kernel, links, wishes)
            detach(kernel, links, [one for one in links.ours if (one.index, one.hook) not in places])


def stop() -> None:
    """Take the fast path away from every link of this network namespace; packets go through the kernel at once.

    Raises:
        PrivilegeError: A capability is missing.
        HostError: The kernel refused.
    """
    with ExitStack() as held:
        kernel = held.enter_context(NetlinkSocket())
        try:
            links = look(kernel, held)
        except NotSupportedError:  # without the library nothing of ours can have been loaded
            return
        with _keeping(_counting(links, held)):
            detach(kernel, links, links.ours)


def running() -> str | None:
    """Return the digest of the configuration in force; None unless it is in force as a whole on the links as they are.

    None as well without the privilege to look.

    Raises:
        HostError: The kernel could not be read.
    """
    with ExitStack() as held:
        kernel = held.enter_context(NetlinkSocket())
        try:
            return _in_force(look(kernel, held), held)
        except (PrivilegeError, NotSupportedError):
            return None


def refresh() -> None:
    """Have every flow prove itself anew, after the ruleset, routes or marks have changed.

    When this returns, no packet is sent on by a decision from before the change. One process at a time may call it.
    A process that may not look at programs (without CAP_SYS_ADMIN) leaves it to them: that a ruleset has changed they
    notice by themselves within a second.

    Raises:
        HostError: The kernel refused.
    """
    with ExitStack() as held:
        kernel = held.enter_context(NetlinkSocket())
        try:
            links = look(kernel, held)
        except (PrivilegeError, NotSupportedError):
            return
        if links.ours:
            libbpf.wait_for_readers()
            _begin_generation(links, held)


def forget(accounts: AbstractSet[Account], nft: Nftables) -> None:
    """Forget what was counted for mappings that are gone, and have others counted in their places.

    A process that may not look at programs (without CAP_SYS_ADMIN) can only have the ledger forget.

    Args:
        accounts: The mappings' accounts.
        nft: Where the mappings were removed. To close another one now takes as long as the kernel needs for that.

    Raises:
        HostError: The kernel refused.
        PrivilegeError: The ledger may not be changed.
    """
    with ExitStack() as held:
        kernel = held.enter_context(NetlinkSocket())
        try:
            links = look(kernel, held)
        except (PrivilegeError, NotSupportedError):
            links = Links(present={})
        closed = [(maps, _close(maps["accounts"], accounts)) for maps in _counting(links, held).values()]
        if any(slots for _, slots in closed):
            # Flows remember their places for as long as this generation goes on, and programs until they have ended.
            _begin_generation(links, held)
            libbpf.wait_for_readers()
        for maps, slots in closed:
            _clear(maps, slots)
    before = ledger.read(nft)
    after = without(before, accounts)
    if after != before:
        ledger.write(nft, after)


def _close(opened: libbpf.Map, accounts: AbstractSet[Account]) -> list[int]:
    """Close accounts as far as they are open, and return their places."""
    found = {key: wire.slot(value) for key, value in opened.items().items() if wire.decode_account(key) in accounts}
    for key in found:
        opened.delete(key)
    return list(found.values())


def _clear(maps: Mapping[str, libbpf.Map], slots: Sequence[int]) -> None:
    """Give places in `counters` that nobody counts in any more to whoever comes next."""
    for slot in slots if "spare" in maps else ():
        maps["counters"].update(wire.key(slot), wire.COUNTER.pack(0, 0, 0, 0) * libbpf.possible_cpus())
        maps["spare"].push(wire.key(slot))


def _begin_generation(links: Links, held: ExitStack) -> None:
    for one in _maps(links, held, CONFIG_MAP):
        present = wire.decode_config(one.lookup(_FIRST) or b"")
        one.update(_FIRST, wire.next_generation(present).encode())


def traffic() -> Mapping[Account, Counter]:
    """Return what each client and mapping has exchanged by the fast path since the sharing's table was loaded.

    Also when the fast path was stopped since, or has begun with new maps. Without the privilege to look at programs,
    only what those have counted that are gone; {} without any privilege.

    While programs are taken away, which takes some milliseconds, the answer may lack what they have counted in these.

    Raises:
        HostError: The kernel could not be read.
    """
    # Programs first: who has seen one knows what to leave out of a ledger that was written meanwhile.
    with ExitStack() as held:
        kernel = held.enter_context(NetlinkSocket())
        try:
            counted = _sums(_counting(look(kernel, held), held))
        except (PrivilegeError, NotSupportedError):
            counted = {}
    try:
        with Nftables() as nft:
            kept = ledger.read(nft)
    except (PrivilegeError, NotSupportedError):
        kept = {}
    return total({**kept, **counted}, frozenset())


def reasons() -> Mapping[Reason, int]:
    """Return for how many packets the fast path had each reason to leave them to the kernel, or none.

    Those without a reason are not counted once more on their way: they are the sum of what was counted for clients, and
    of what went between clients. No reason had any without the privilege to look.

    Raises:
        HostError: The kernel could not be read.
    """
    with ExitStack() as held:
        found = dict.fromkeys(Reason, 0)
        kernel = held.enter_context(NetlinkSocket())
        try:
            links = look(kernel, held)
        except (PrivilegeError, NotSupportedError):
            return found
        for maps in _sets_of_maps(links, held, "reasons"):
            values = maps["reasons"].items()
            for reason in Reason:
                found[reason] += wire.sum_reasons(values.get(wire.key(reason), b""))
            among, counted = _counters(maps)
            clients = [counter for account, counter in counted.items() if not account.protocol]
            found[Reason.FAST] += sum(one.sent_packets + one.received_packets for one in (among, *clients))
        return found


def _counting(links: Links, held: ExitStack) -> Mapping[int, Mapping[str, libbpf.Map]]:
    """Return the maps in which programs of ours count for clients, as far as this version can read them."""
    sizes = {"accounts": (wire.ACCOUNT.size, wire.INDEX.size), "counters": (wire.INDEX.size, wire.COUNTER.size)}
    return {
        maps["accounts"].id: maps
        for maps in _sets_of_maps(links, held, "accounts")
        if all(name in maps and maps[name].layout.sizes == size for name, size in sizes.items())
    }


def _sums(counting: Mapping[int, Mapping[str, libbpf.Map]]) -> Books:
    return {source: _counters(maps)[1] for source, maps in counting.items()}


@contextmanager
def _keeping(counting: Mapping[int, Mapping[str, libbpf.Map]], *staying: int) -> Iterator[None]:
    """Keep what is counted in maps, but in those that stay, while programs are taken away within.

    It is written before, for who is killed, and after, when no packet is counted any more.
    """
    going = {source: maps for source, maps in counting.items() if source not in staying}
    if not going:
        yield
        return
    _keep(going, frozenset(staying))
    try:
        yield
    finally:
        _keep(going, frozenset(staying), wait=True)


def _keep(going: Mapping[int, Mapping[str, libbpf.Map]], staying: AbstractSet[int], *, wait: bool = False) -> None:
    """Write the ledger. That it cannot be written is no reason to let programs run that are to be stopped."""
    try:
        if wait:
            libbpf.wait_for_readers()
        with Nftables() as nft:
            before = ledger.read(nft)
            after = carry_over(before, _sums(going), staying)
            if after != before:
                ledger.write(nft, after)
    except IcshareError as error:
        log.warning("what clients have exchanged by the fast path until now is not kept: %s", error)


def _counters(maps: Mapping[str, libbpf.Map]) -> tuple[Counter, Mapping[Account, Counter]]:
    """Return what went between clients, and what was counted for each account."""
    slots = {wire.decode_account(key): wire.slot(value) for key, value in maps["accounts"].items().items()}
    found = maps["counters"].items(limit=max(slots.values(), default=0) + 1)
    sums = {account: wire.sum_counters(found[wire.key(slot)]) for account, slot in slots.items()}
    return wire.sum_counters(found[wire.key(0)]), sums


def _maps(links: Links, held: ExitStack, name: str) -> list[libbpf.Map]:
    """Return the maps of one name of all programs of ours, each once."""
    return [maps[name] for maps in _sets_of_maps(links, held, name)]


def _sets_of_maps(links: Links, held: ExitStack, distinct: str) -> list[Mapping[str, libbpf.Map]]:
    """Return the maps of each program of ours; of those that share the map called *distinct*, one program's."""
    found: dict[int, Mapping[str, libbpf.Map]] = {}
    for program in {one.program for one in links.ours}:
        maps = open_maps(program, held)
        if distinct in maps:
            found[maps[distinct].id] = maps
    return list(found.values())


def _in_force(links: Links, held: ExitStack) -> str | None:
    """Return the digest of the configuration that all programs share, None when they share none or one is missing."""
    configs = _maps(links, held, CONFIG_MAP)
    if len(configs) != 1 or configs[0].layout.value_size != wire.CONFIG.size:
        return None
    config = wire.decode_config(configs[0].lookup(_FIRST) or b"")
    if config.attachments != len(links.ours):
        return None
    noted = _maps(links, held, "links")
    by_index = {int(link.index): link for link in links.present.values()}
    if len(noted) != 1 or not wire.links_are_as_noted(noted[0].items(), by_index):
        return None
    return config.digest


def _holds(links: Links, held: ExitStack, wanted: Tables) -> bool:
    """Tell whether the maps hold what they would be filled with now."""
    for name, content in wanted.by_map().items():
        maps = _maps(links, held, name)
        if len(maps) != 1 or maps[0].items() != content:
            return False
    return True


def _set_timeouts(links: Links, held: ExitStack, settings: tuple[int, int]) -> None:
    for one in _maps(links, held, CONFIG_MAP):
        present = wire.decode_config(one.lookup(_FIRST) or b"")
        wanted = wire.with_timeouts(present, *settings)
        if wanted != present:
            one.update(_FIRST, wanted.encode())


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
        one.update(_FIRST, config.encode())


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
