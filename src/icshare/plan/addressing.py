"""Choice of the private subnets."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from icshare.errors import ConflictError
from icshare.model.link import RT_LOCAL
from icshare.model.sharing import DEFAULT_SUBNET
from icshare.model.snapshot import Snapshot
from icshare.plan.wayout import is_wide

_POOLS = (
    IPv4Network("192.168.0.0/16"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("10.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),
)
"""Where a free subnet is searched, most familiar first: RFC 1918 and, last, the shared space of RFC 6598."""

_CANDIDATES_PER_POOL = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupied:
    """A network that the host already uses, and what uses it."""

    network: IPv4Network
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetChoice:
    """A subnet and why it is not the usual one.

    Attributes:
        network: The subnet.
        because: One sentence for people; "" for the usual subnet and for one asked for.
    """

    network: IPv4Network
    because: str = ""


def choose_subnet(wanted: IPv4Network | None, occupied: Sequence[Occupied]) -> SubnetChoice:
    """Choose a subnet for the segment that overlaps nothing the host knows.

    192.168.137.0/24 is taken when free, as on Windows. Else the /24s of the pools are tried in a fixed order: those
    after 192.168.137.0, those from 192.168.0.0, then the first 256 of each further pool. The same host always gets the
    same answer, after at most 1,024 tries.

    Args:
        wanted: The subnet asked for, None to choose.
        occupied: Networks of the host's routes and addresses.

    Raises:
        ConflictError: *wanted* overlaps, or nothing is free.
    """
    if wanted is not None:
        clash = _overlap(wanted, occupied)
        if clash is not None:
            raise ConflictError(
                f"subnet {wanted} overlaps {clash.network} ({clash.by})",
                hint="choose another with --subnet, or leave it away to have a free one chosen",
            )
        return SubnetChoice(network=wanted)
    first = _overlap(DEFAULT_SUBNET, occupied)
    if first is None:
        return SubnetChoice(network=DEFAULT_SUBNET)
    for candidate in _candidates():
        if _overlap(candidate, occupied) is None:
            return SubnetChoice(
                network=candidate,
                because=f"{DEFAULT_SUBNET} overlaps {first.network} ({first.by}), so {candidate} is used",
            )
    raise ConflictError(
        "no free private subnet: routes and addresses of this host cover all that were tried "
        f"(for example {first.network}, {first.by})",
        hint="name a subnet that is free with --subnet, or remove the route that covers everything",
    )


def occupied_networks(snapshot: Snapshot, *, ignore: Sequence[str] = ()) -> list[Occupied]:
    """Return the IPv4 networks that routes and addresses of the host cover, without those for the Internet at large.

    Args:
        snapshot: The host without us.
        ignore: Links whose own addresses and routes will be taken away.
    """
    names = {link.index: link.name for link in snapshot.links}
    found: dict[IPv4Network, str] = {}
    for address in snapshot.addresses:
        name = names.get(address.index, "?")
        if isinstance(address.interface, IPv4Interface) and name not in ignore:
            assert isinstance(address.connected, IPv4Network)
            found.setdefault(address.connected, f"address {address.interface} of {name}")
    for route in snapshot.routes:
        destination = route.destination
        if not isinstance(destination, IPv4Network) or is_wide(destination) or route.table == RT_LOCAL:
            continue
        name = names.get(route.index, "") if route.index else ""
        if name not in ignore or not name:
            found.setdefault(destination, f"route to {destination}" + (f" through {name}" if name else ""))
    return [Occupied(network=network, by=by) for network, by in found.items()]


def _overlap(network: IPv4Network, occupied: Iterable[Occupied]) -> Occupied | None:
    return next((one for one in occupied if one.network.overlaps(network)), None)


def _candidates() -> Iterator[IPv4Network]:
    familiar, *others = _POOLS
    subnets = list(familiar.subnets(new_prefix=24))
    start = subnets.index(DEFAULT_SUBNET)
    yield from subnets[start + 1 :]
    yield from subnets[:start]
    for pool in others:
        base = int(pool.network_address)
        for number in range(_CANDIDATES_PER_POOL):
            yield IPv4Network((base + (number << 8), 24))


def gateway_address(network: IPv4Network) -> IPv4Address:
    """Return our own address on *network*: the first host address, as on Windows."""
    return network.network_address + 1
