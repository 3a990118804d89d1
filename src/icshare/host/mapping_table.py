"""The elements of port mappings in the kernel: read, and changed in one transaction."""

import logging
import os
import threading
import weakref
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from icshare.errors import HostError, IcshareError
from icshare.host import fastpath
from icshare.host.nft import Nftables
from icshare.model.mapping import Protocol
from icshare.plan.placing import Socket
from icshare.render.firewall import FIREWALL_TABLE
from icshare.render.mappings import COUNTED, PLAIN, RECEIVED, SENT, Element, Part, add_text, cut_text, delete_text
from icshare.render.nft import TABLE
from icshare.wire.fastpath import Account

log = logging.getLogger(__name__)

_ALL = frozenset((*COUNTED, RECEIVED, SENT, *PLAIN))


class _Kept:
    """A context that stays open as long as this object, and where it was opened: process, network namespace."""

    def __init__(self, where: tuple[int, int]) -> None:
        self.where = where
        self.nft = Nftables().__enter__()
        weakref.finalize(self, self.nft.close)


class KernelMappings:
    """The mappings of the tables that are loaded in this network namespace.

    Changes go through a context that each thread keeps: when one is closed in which something was deleted, the kernel
    makes it wait until all of that is forgotten, a hundred times as long as the change takes.
    """

    def __init__(self) -> None:
        """Nothing is opened yet."""
        self._thread = threading.local()

    def present(self) -> dict[Element, int | None]:
        """Return the elements that there are, with what they count: connections, or bytes, the fast path's among them.

        Raises:
            PrivilegeError: They may not be looked at.
            HostError: The kernel refused.
        """
        with Nftables() as nft:
            found = _present(nft)
        if any((one.table, one.name) == RECEIVED for one in found):
            _add_fast(found)
        return found

    def change(self, remove: Sequence[Element], add: Sequence[Element], cut: Sequence[Socket]) -> None:
        """Remove elements and add others, in one transaction; sockets of *cut* are reset when they go on.

        What is not there need not be removed, and what is there with another value gives way.

        Raises:
            HostError: The kernel refused; nothing was changed.
            PrivilegeError: A capability is missing; nothing was changed.
        """
        resets = cut_text((one.target, one.protocol, one.internal) for one in cut if one.target is not None)
        text = delete_text(remove) + add_text(add) + resets
        if not text:
            return
        nft = self._nft()
        try:
            nft.load(text)
        except HostError:
            found = _present(nft)
            gone = _in_the_way(found, remove, add)
            tables = {name for name in (TABLE, FIREWALL_TABLE) if nft.table_exists("inet", name)}
            again = delete_text(gone) + add_text(one for one in add if one not in found or one in gone)
            again += resets if TABLE in tables else ""
            if again == text:
                raise
            if again:
                nft.load(again)
        _forget_fast(nft, (one for one in remove if (one.table, one.name) == RECEIVED))

    def _nft(self) -> Nftables:
        """Return the context of this thread, for the network namespace in which it is now; a fork gets its own."""
        where = os.getpid(), Path("/proc/thread-self/ns/net").stat().st_ino
        kept: _Kept | None = getattr(self._thread, "kept", None)
        if kept is None or kept.where != where:
            kept = self._thread.kept = _Kept(where)
        return kept.nft


def _add_fast(found: dict[Element, int | None]) -> None:
    """Add to the bytes of mappings what went by the fast path."""
    for account, counter in fastpath.traffic().items():
        if not account.protocol:
            continue
        key = (Protocol(account.protocol).name.lower(), account.external, str(account.address), account.port)
        for place, count in ((RECEIVED, counter.received_bytes), (SENT, counter.sent_bytes)):
            element = Element(*place, key)
            if element in found:
                found[element] = (found[element] or 0) + count


def _forget_fast(nft: Nftables, removed: Iterable[Element]) -> None:
    """Have the fast path forget what it has counted for mappings: the change itself is made, and stays."""
    accounts = {_account(one) for one in removed}
    if not accounts:
        return
    try:
        fastpath.forget(accounts, nft)
    except IcshareError as error:
        log.warning("what went fast by removed port mappings is not forgotten: %s", error)


def _account(received: Element) -> Account:
    """Return where the fast path counts what goes by a mapping."""
    protocol, external, address, port = received.key
    return Account(IPv4Address(address), int(port), int(external), int(Protocol[str(protocol).upper()]))


def _in_the_way(found: Iterable[Element], remove: Iterable[Element], add: Iterable[Element]) -> list[Element]:
    """Return what has to be deleted of what was *found*: what is to go, and other values of what is to come."""
    removed = set(remove)
    wanted = {(one.table, one.name, one.key): one for one in add}
    return [one for one in found if one in removed or wanted.get((one.table, one.name, one.key), one) != one]


def _present(nft: Nftables) -> dict[Element, int | None]:
    """Read our tables; one that is not there, or lacks a map because it is somebody else's, has no mappings."""
    found: dict[Element, int | None] = {}
    for table in (TABLE, FIREWALL_TABLE):
        if not nft.table_exists("inet", table):
            continue
        for item in nft.list_json(f"table inet {table}"):
            (listed,) = item.values()
            if (table, listed.get("name")) in _ALL and "elem" in listed:
                found.update(_element(table, listed["name"], one) for one in listed["elem"])
    return found


def _element(table: str, name: str, listed: Any) -> tuple[Element, int | None]:  # noqa: ANN401 (JSON)
    key, value = listed if isinstance(listed, list) else (listed, None)
    hits: int | None = None
    if "elem" in key:
        counts = "bytes" if (table, name) in {RECEIVED, SENT} else "packets"
        hits = int(key["elem"]["counter"][counts]) if "counter" in key["elem"] else None
        key = key["elem"]["val"]
    return Element(table, name, _parts(key), () if value is None else _parts(value)), hits


def _parts(listed: Any) -> tuple[Part, ...]:  # noqa: ANN401 (JSON)
    return tuple(listed["concat"]) if isinstance(listed, dict) else (listed,)
