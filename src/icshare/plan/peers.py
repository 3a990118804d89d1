"""Peers of pppd that have no link at the moment, as the links they will have."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from icshare.model.connection import Connection, Status
from icshare.model.link import IFF_NOARP, IFF_POINTOPOINT, IfIndex, Link, LinkFacts
from icshare.model.names import InterfaceName, interface_name, is_interface_name
from icshare.model.peer import AUTHENTICATION_FAILED, Peer
from icshare.plan.connections import NOT_THERE, peer_guid

_ARPHRD_PPP = 512


def undialled(links: Sequence[Link], peers: Sequence[Peer]) -> Iterator[Link]:
    """Yield a link for each of *peers* that has none among *links*: with its facts and future name, and no index."""
    dialled = {link.facts.ppp.peer for link in links if link.facts.ppp is not None}
    taken = {link.name for link in links}
    for number, peer in enumerate(one for one in peers if one.name not in dialled):
        name = interface_of(peer, taken)
        taken.add(name)
        yield Link(
            index=IfIndex(NOT_THERE - number),
            name=name,
            type=_ARPHRD_PPP,
            kind="ppp",
            flags=IFF_POINTOPOINT | IFF_NOARP,
            facts=LinkFacts(ppp=peer.facts),
        )


def interface_of(peer: Peer, taken: Collection[str] = ()) -> InterfaceName:
    """Return the name of the interface that *peer* is dialled with: the same each time, so that rules can wait for it.

    Args:
        peer: The peer.
        taken: Names of links of others; whatever a file says, a peer gets none of them.
    """
    for name in (peer.interface, f"ppp-{peer.name}"):
        if is_interface_name(name) and name not in taken:
            return interface_name(name)
    return interface_name(f"ppp-{peer_guid(peer.name).hex[:8]}")


def with_dial_status(found: Connection, peers: Sequence[Peer]) -> Connection:
    """Return *found*, which has no link, with the status that its peer's pppd has or had."""
    peer = next((one for one in peers if one.name == found.peer), None)
    return found if peer is None else replace(found, status=_status(peer))


def _status(peer: Peer) -> Status:
    if peer.dialling:
        return Status.CONNECTING
    if peer.failure is None:
        return Status.DISCONNECTED
    return Status.AUTHENTICATION_FAILED if peer.failure == AUTHENTICATION_FAILED else Status.CONNECT_FAILED
