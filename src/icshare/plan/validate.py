"""Whether a sharing may be at all: every problem at once, before anything is touched."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from icshare.errors import InvalidRequestError, RefusedError
from icshare.model.connection import Connection, Verdict
from icshare.model.leasing import leasable, lease_pool
from icshare.model.link import ARPHRD_ETHER
from icshare.model.names import MacAddress
from icshare.model.sharing import BRIDGE_NAME, Sharing
from icshare.model.snapshot import Snapshot
from icshare.model.wifi import Placement
from icshare.plan import accesspoint
from icshare.plan.accesspoint import ChannelsIn, unknown_country


class Problem(StrEnum):
    """Machine-readable problems of a request that are not those of one connection (`Reason`)."""

    UNKNOWN = "unknown-connection"
    NO_PRIVATE = "no-private"
    TWICE = "given-twice"
    NOT_DIALLED = "not-dialled"
    BRIDGE_TAKEN = "bridge-name-taken"
    POOL = "dhcp-pool"
    RESERVATION = "reservation"


def validate(
    sharing: Sharing,
    connections: Sequence[Connection],
    baseline: Snapshot,
    channels_in: ChannelsIn = unknown_country,
) -> Placement | None:
    """Check that *sharing* may be.

    Args:
        sharing: What is wanted.
        connections: The connections of the host as it would be without us.
        baseline: The host as it would be without us.
        channels_in: See `accesspoint.place`.

    Returns:
        Where its access point comes to be, None without one.

    Raises:
        RefusedError: It may not; carries every problem.
    """
    known = {connection.interface: connection for connection in connections}
    wireless = _access_point(sharing, baseline, channels_in)
    problems = [*_problems(sharing, known, baseline, wireless.placement), *wireless.problems]
    # Only what could be dialled is worth to be: with other problems it would be for nothing.
    problems = [one for one in problems if one[0] != Problem.NOT_DIALLED] or problems
    if problems:
        raise RefusedError(problems, hint="icshare list shows each connection and why it can or cannot be shared")
    return wireless.placement


def _access_point(sharing: Sharing, baseline: Snapshot, channels_in: ChannelsIn) -> accesspoint.Verdict:
    wanted = sharing.access_point
    if wanted is None:
        return accesspoint.Verdict()
    if wanted.interface not in {sharing.public, *sharing.privates}:
        text = f"the access point is to be on {wanted.interface}, which is none of the connections named"
        return accesspoint.Verdict(problems=((Problem.UNKNOWN, text),))
    if baseline.link(wanted.interface) is None:  # of which we tell as of any other that is not there
        return accesspoint.Verdict()
    return accesspoint.place(sharing, baseline, channels_in)


def _problems(
    sharing: Sharing, known: Mapping[str, Connection], baseline: Snapshot, placement: Placement | None
) -> Iterator[tuple[str, str]]:
    wireless = sharing.access_point.interface if sharing.access_point else None
    yield from _connection(sharing.public, known, "public")
    if not sharing.privates and wireless is None:
        yield (
            Problem.NO_PRIVATE,
            "no private connection was named: sharing needs one public and at least one private connection",
        )
    named = [sharing.public, *sharing.privates]
    for name in dict.fromkeys(named):
        if named.count(name) > 1:
            roles = "both public and private" if name == sharing.public else "private twice"
            yield Problem.TWICE, f"{name} was named {roles}"
    for name in dict.fromkeys(sharing.privates):
        if name != wireless or name not in known or (placement is not None and not placement.made):
            yield from _connection(name, known, "private")
    if baseline.link(BRIDGE_NAME) is not None:
        yield Problem.BRIDGE_TAKEN, f"a link called {BRIDGE_NAME} exists that icshare did not make; rename or delete it"
    if sharing.subnet is not None and sharing.dhcp.enabled and _has_ethernet(sharing, baseline):
        yield from dhcp_problems(sharing, sharing.subnet)


def _connection(name: str, known: Mapping[str, Connection], role: str) -> Iterator[tuple[str, str]]:
    connection = known.get(name)
    if connection is None:
        near = ", ".join(one.interface for one in known.values() if not one.hidden)
        yield Problem.UNKNOWN, f"there is no connection {name!r} (there are: {near or 'none'})"
        return
    verdict: Verdict = connection.as_public if role == "public" else connection.as_private
    if not verdict.ok:
        yield str(verdict.reason), f"{name} cannot be the {role} connection: {verdict.text}"
    elif not connection.there:
        yield Problem.NOT_DIALLED, f"{connection.name} has to be dialled first: icshare connect {connection.name}"


def _has_ethernet(sharing: Sharing, baseline: Snapshot) -> bool:
    """Tell whether anybody will ask our DHCP server."""
    if sharing.access_point is not None:
        return True
    links = [baseline.link(name) for name in sharing.privates]
    return any(link is not None and link.type == ARPHRD_ETHER for link in links)


def dhcp_problems(sharing: Sharing, network: IPv4Network) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with pool and reservations on *network*."""
    try:
        lease_pool(network, first=sharing.dhcp.pool_first, last=sharing.dhcp.pool_last)
    except InvalidRequestError as error:
        yield Problem.POOL, error.message
    own = leasable(network)
    seen: set[IPv4Address] = set()
    stations: set[MacAddress] = set()
    for reservation in sharing.dhcp.reservations:
        address = reservation.address
        if reservation.mac in stations:
            yield Problem.RESERVATION, f"{reservation.mac} has more than one reservation"
        stations.add(reservation.mac)
        if address is None:
            continue
        if not own.first <= address <= own.last:
            yield (
                Problem.RESERVATION,
                f"reservation {address} for {reservation.mac} is not an address of {network} for clients",
            )
        if address in seen:
            yield Problem.RESERVATION, f"address {address} is reserved twice"
        seen.add(address)
