"""The ledger in the kernel: read, written in one transaction. What it is and why, tells `icshare.wire.ledger`."""

from icshare.errors import HostError
from icshare.host.nft import Nftables
from icshare.render.nft import TABLE
from icshare.wire.ledger import SETS, Books, read_books, write_books


def read(nft: Nftables) -> Books:
    """Return what is kept; nothing without the sharing's table.

    Raises:
        PrivilegeError: It may not be read.
        HostError: It could not be read.
    """
    return read_books(item for name in sorted(_present(nft)) for item in nft.list_json(f"set inet {TABLE} {name}"))


def write(nft: Nftables, books: Books) -> None:
    """Keep *books* and nothing else; without the sharing's table there is nothing to keep, and nowhere.

    Raises:
        PrivilegeError: It may not be written.
        HostError: The kernel refused; what was kept is as before.
    """
    if not nft.table_exists("inet", TABLE):
        return
    try:
        nft.load(write_books(TABLE, books))
    except HostError:
        if nft.table_exists("inet", TABLE):  # else somebody has just taken it away
            raise


def _present(nft: Nftables) -> set[str]:
    listed = nft.list_json("ruleset inet", elements=False)
    return {one["set"]["name"] for one in listed if one.get("set", {}).get("table") == TABLE} & set(SETS)
