"""What the fast path has counted: read, kept when its maps go, forgotten with mappings that are gone."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, contextmanager

from icshare.errors import IcshareError, NotSupportedError, PrivilegeError
from icshare.host.fastpath import ledger, libbpf
from icshare.host.fastpath.attachments import Links, look_if_allowed
from icshare.host.fastpath.state import begin_generation, sets_of_maps
from icshare.host.netlink import NetlinkSocket
from icshare.host.nft import Nftables
from icshare.wire import fastpath as wire
from icshare.wire.fastpath import Account, Counter, Reason
from icshare.wire.ledger import Books, carry_over, total, without

log = logging.getLogger(__name__)


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
        counted = _sums(counting_maps(look_if_allowed(kernel, held), held))
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
        links = look_if_allowed(kernel, held)
        for maps in sets_of_maps(links, held, "reasons"):
            values = maps["reasons"].items()
            for reason in Reason:
                found[reason] += wire.sum_reasons(values.get(wire.key(reason), b""))
            among, counted = _counters(maps)
            clients = [counter for account, counter in counted.items() if not account.protocol]
            found[Reason.FAST] += sum(one.sent_packets + one.received_packets for one in (among, *clients))
        return found


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
        links = look_if_allowed(kernel, held)
        closed = [(maps, _close(maps["accounts"], accounts)) for maps in counting_maps(links, held).values()]
        if any(slots for _, slots in closed):
            # Flows remember their places for as long as this generation goes on, and programs until they have ended.
            begin_generation(links, held)
            libbpf.wait_for_readers()
        for maps, slots in closed:
            _clear(maps, slots)
    before = ledger.read(nft)
    after = without(before, accounts)
    if after != before:
        ledger.write(nft, after)


@contextmanager
def keeping(counting: Mapping[int, Mapping[str, libbpf.Map]], *staying: int) -> Iterator[None]:
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


def counting_maps(links: Links, held: ExitStack) -> Mapping[int, Mapping[str, libbpf.Map]]:
    """Return the maps in which programs of ours count for clients, as far as this version can read them."""
    sizes = {"accounts": (wire.ACCOUNT.size, wire.INDEX.size), "counters": (wire.INDEX.size, wire.COUNTER.size)}
    return {
        maps["accounts"].id: maps
        for maps in sets_of_maps(links, held, "accounts")
        if all(name in maps and maps[name].layout.sizes == size for name, size in sizes.items())
    }


def _sums(counting: Mapping[int, Mapping[str, libbpf.Map]]) -> Books:
    return {source: _counters(maps)[1] for source, maps in counting.items()}


def _counters(maps: Mapping[str, libbpf.Map]) -> tuple[Counter, Mapping[Account, Counter]]:
    """Return what went between clients, and what was counted for each account."""
    slots = {wire.decode_account(key): wire.slot(value) for key, value in maps["accounts"].items().items()}
    found = maps["counters"].items(limit=max(slots.values(), default=0) + 1)
    sums = {account: wire.sum_counters(found[wire.key(slot)]) for account, slot in slots.items()}
    return wire.sum_counters(found[wire.key(0)]), sums


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
