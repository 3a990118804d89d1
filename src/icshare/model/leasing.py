"""What the DHCP server may lease."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from icshare.errors import InvalidRequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRange:
    """Addresses from *first* to *last*, inclusive."""

    first: IPv4Address
    last: IPv4Address


def leasable(network: IPv4Network) -> AddressRange:
    """Return the client addresses of *network*: all of its hosts but the first, which is the gateway."""
    return AddressRange(first=network.network_address + 2, last=network.broadcast_address - 1)


def lease_pool(
    network: IPv4Network, *, first: IPv4Address | None = None, last: IPv4Address | None = None
) -> AddressRange:
    """Return the addresses that the DHCP server may lease on *network*.

    Args:
        network: The segment's subnet; its first host address is the gateway and is never leased.
        first: First address to lease, None for the one after the gateway.
        last: Last address to lease, None for the last host address.

    Returns:
        Inclusive range, first <= last.

    Raises:
        InvalidRequestError: An end lies outside the subnet's leasable addresses, or first is after last.

    Source:
        RFC 2131 section 3.1; dnsmasq(8) ``--dhcp-range``.
    """
    whole = leasable(network)
    pool = AddressRange(first=first or whole.first, last=last or whole.last)
    for end in dict.fromkeys((pool.first, pool.last)):
        if not whole.first <= end <= whole.last:
            raise InvalidRequestError(
                f"pool address {end} is outside {whole.first} to {whole.last}, what {network} can lease"
            )
    if pool.first > pool.last:
        raise InvalidRequestError(f"the pool ends ({pool.last}) before it begins ({pool.first})")
    return pool
