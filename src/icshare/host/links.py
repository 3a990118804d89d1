"""What connections are judged by, read from the kernel: links, addresses, routes."""

from uuid import UUID

from icshare.host.netlink import NetlinkSocket
from icshare.host.sysfs import with_facts
from icshare.model.link import Link
from icshare.model.snapshot import Snapshot
from icshare.plan.connections import identities


def look(guid: UUID | None = None) -> Snapshot:
    """Read links, addresses and routes; a tenth of the work of reading the whole host.

    Args:
        guid: The only connection whose link needs its facts, None for all.

    Raises:
        HostError: They could not be read.
    """
    with NetlinkSocket() as kernel:
        links = kernel.links()
        known = identities(links)
        filled = {one.index: one for one in with_facts([one for one in links if guid in {None, known[one.index]}])}
        return Snapshot(
            links=tuple(filled.get(one.index, one) for one in links),
            addresses=kernel.addresses(),
            routes=kernel.routes(),
        )


def interfaces() -> dict[UUID, str]:
    """Return the interface name of every connection; a fraction of the work of `look`.

    Raises:
        HostError: The links could not be read.
    """
    return {guid: link.name for guid, link in _identified().items()}


def find(guid: UUID) -> Link | None:
    """Return the link of a connection, without its facts; None when it is gone. Errors as for `interfaces`."""
    return _identified().get(guid)


def _identified() -> dict[UUID, Link]:
    with NetlinkSocket() as kernel:
        links = kernel.links()
    known = identities(links)
    return {known[link.index]: link for link in links}
