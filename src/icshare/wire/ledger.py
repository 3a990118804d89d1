"""The ledger: sums of fast path programs that are gone, as elements of sets in the sharing's own table.

No rule knows these sets, so no packet changes them, and they go with the table as its own counters do. An element
tells the *source* of its sums, which is the identifier that the kernel gave to the map where they were counted. For as
long as a program counts there, the map is right, and what the ledger says of that source is not looked at. So it may be
written before the programs are taken away, and once more after, and who is killed in between has counted nothing twice.

Source:
    libnftables-json(5), nft(8).
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from ipaddress import IPv4Address
from typing import Any, Final

from icshare.errors import HostError
from icshare.model.mapping import Protocol
from icshare.wire.fastpath import Account, Counter

_CLIENT: Final = "mark . ipv4_addr"
_MAPPING: Final = "mark . inet_proto . inet_service . ipv4_addr . inet_service"

SETS: Final = {
    "fast_sent": _CLIENT,
    "fast_received": _CLIENT,
    "fast_mapped_sent": _MAPPING,
    "fast_mapped_received": _MAPPING,
}
"""Names and types of the sets: as those that count what the ruleset sees, after the source."""

EARLIER: Final = 0
"""Source of all sums whose maps are long gone. The kernel gives this identifier to no map."""

Books = Mapping[int, Mapping[Account, Counter]]
"""Sums by source."""


def carry_over(books: Books, going: Books, staying: AbstractSet[int]) -> Books:
    """Return *books* with the sums of sources that are about to go, or have just gone.

    Args:
        books: What is kept.
        going: The sums of these sources as they are; what was kept of the same sources gives way.
        staying: Sources that programs go on counting in, of which nothing needs to be kept.
    """
    earlier = total({source: sums for source, sums in books.items() if source not in going}, staying)
    found = {EARLIER: earlier, **going}
    counted = {source: _without_zeros(sums) for source, sums in found.items()}
    return {source: sums for source, sums in counted.items() if sums}


def total(books: Books, live: AbstractSet[int]) -> dict[Account, Counter]:
    """Return the sums of all sources but those that are *live*."""
    found: dict[Account, Counter] = {}
    for source, sums in books.items():
        for account, counter in sums.items() if source not in live else ():
            found[account] = found.get(account, Counter()) + counter
    return found


def without(books: Books, accounts: AbstractSet[Account]) -> Books:
    """Return *books* without *accounts*."""
    kept = {
        source: {account: counter for account, counter in sums.items() if account not in accounts}
        for source, sums in books.items()
    }
    return {source: sums for source, sums in kept.items() if sums}


def write_books(table: str, books: Books) -> str:
    """Return the text of a transaction that has the sets of *table* hold *books* and nothing else.

    IPv6 is not shared, and nothing of it is kept.
    """
    lines = []
    for name, kind in SETS.items():
        lines.append(f"add set inet {table} {name} {{ type {kind}; counter; }}\n")
        lines.append(f"flush set inet {table} {name}\n")
        elements = ", ".join(_elements(name, books))
        if elements:
            lines.append(f"add element inet {table} {name} {{ {elements} }}\n")
    return "".join(lines)


def read_books(listed: Iterable[Mapping[str, Any]]) -> Books:
    """Return what nft has *listed*, as JSON objects; what is no set of the ledger's is passed over.

    Raises:
        HostError: A set has another type than ours.
    """
    books: dict[int, dict[Account, Counter]] = {}
    for one in (item["set"] for item in listed if item.get("set", {}).get("name") in SETS):
        for element in one.get("elem", []):
            try:
                source, account, counter = _decode(one["name"], element)
            except (KeyError, TypeError, ValueError) as error:
                raise HostError(f"the set {one['name']} is not icshare's: {error!r}") from error
            sums = books.setdefault(source, {})
            sums[account] = sums.get(account, Counter()) + counter
    return books


def _without_zeros(sums: Mapping[Account, Counter]) -> Mapping[Account, Counter]:
    return {account: counter for account, counter in sums.items() if counter != Counter()}


def _elements(name: str, books: Books) -> Iterator[str]:
    for source, sums in sorted(books.items()):
        for account, counter in sorted(sums.items(), key=_order):
            if not isinstance(account.address, IPv4Address) or bool(account.protocol) != (SETS[name] == _MAPPING):
                continue
            packets, octets = counter.received_packets, counter.received_bytes
            if name.endswith("sent"):
                packets, octets = counter.sent_packets, counter.sent_bytes
            whose = f"{account.address}"
            if account.protocol:
                whose = f"{account.protocol} . {account.external} . {account.address} . {account.port}"
            yield f"{source} . {whose} counter packets {packets} bytes {octets}"


def _order(item: tuple[Account, Counter]) -> tuple[bytes, int, int, int]:
    account, _ = item
    return account.address.packed, account.port, account.external, account.protocol


def _decode(name: str, element: Mapping[str, Any]) -> tuple[int, Account, Counter]:
    source, *key = element["elem"]["val"]["concat"]
    if SETS[name] == _CLIENT:
        (address,) = key
        account = Account(IPv4Address(address))
    else:
        protocol, external, address, port = key
        account = Account(IPv4Address(address), int(port), int(external), int(Protocol[str(protocol).upper()]))
    counted = element["elem"]["counter"]
    packets, octets = int(counted["packets"]), int(counted["bytes"])
    if name.endswith("sent"):
        return int(source), account, Counter(sent_bytes=octets, sent_packets=packets)
    return int(source), account, Counter(received_bytes=octets, received_packets=packets)
