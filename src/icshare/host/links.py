"""What connections are judged by, read from the kernel: links, addresses, routes; and what pppd could dial."""

from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from icshare.host.linkowners import LinkOwners
from icshare.host.netlink import NetlinkSocket
from icshare.host.peers import peer_names, read_peers
from icshare.host.sysfs import with_dialled, with_facts
from icshare.model.link import Link
from icshare.model.peer import Peer
from icshare.model.snapshot import Snapshot
from icshare.plan.connections import identities, peer_guid


def look(run_directory: Path, guid: UUID | None = None) -> Snapshot:
    """Read links, peers, addresses and routes; a tenth of the work of reading the whole host.

    Args:
        run_directory: Where it is noted how peers were dialled.
        guid: The only connection whose link needs its facts, None for all.

    Raises:
        HostError: They could not be read.
    """
    with NetlinkSocket() as kernel:
        bare = kernel.links()
        owners = LinkOwners(links=[one.name for one in bare])
        links = with_dialled(bare, owners)
        known = identities(links)
        chosen = [one for one in links if guid in {None, known[one.index]}]
        filled = {one.index: one for one in with_facts(chosen, owners=owners)}
        return Snapshot(
            links=tuple(filled.get(one.index, one) for one in links),
            peers=peers(run_directory, owners),
            addresses=kernel.addresses(),
            routes=kernel.routes(),
        )


def peers(run_directory: Path, owners: LinkOwners) -> tuple[Peer, ...]:
    """Return what pppd could dial."""
    return read_peers(run_directory, owners.called() if peer_names() else ())


def interfaces() -> Mapping[UUID, str]:
    """Return the interface name of every connection that has a link; a fraction of the work of `look`.

    Raises:
        HostError: The links could not be read.
    """
    return {guid: link.name for guid, link in _identified().items()}


def dialable() -> frozenset[UUID]:
    """Return the connections that pppd could dial, whether or not it has."""
    return frozenset(peer_guid(name) for name in peer_names())


def find(guid: UUID) -> Link | None:
    """Return the link of a connection, without all its facts; None when it is gone. Errors as for `interfaces`."""
    return _identified().get(guid)


def _identified() -> dict[UUID, Link]:
    with NetlinkSocket() as kernel:
        bare = kernel.links()
    links = with_dialled(bare, LinkOwners(links=[one.name for one in bare]))
    known = identities(links)
    return {known[link.index]: link for link in links}
