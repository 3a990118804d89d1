"""What the DHCP server may lease."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import InvalidRequestError
from icshare.model.leasing import leasable, lease_pool

networks = st.builds(
    lambda number, length: IPv4Network((number, length), strict=False), st.integers(0, 2**32 - 1), st.integers(8, 29)
)


@given(networks)
def test_the_whole_pool_is_every_host_but_the_gateway(network: IPv4Network) -> None:
    pool = lease_pool(network)
    assert int(pool.last) - int(pool.first) + 1 == network.num_addresses - 3
    assert network.network_address + 1 not in {pool.first, pool.last}
    assert pool == leasable(network)


@given(networks, st.data())
def test_a_smaller_pool_is_taken_as_it_is(network: IPv4Network, data: st.DataObject) -> None:
    whole = leasable(network)
    first, last = sorted(data.draw(st.tuples(*[st.integers(int(whole.first), int(whole.last))] * 2)))
    pool = lease_pool(network, first=IPv4Address(first), last=IPv4Address(last))
    assert (int(pool.first), int(pool.last)) == (first, last)


@pytest.mark.parametrize("outside", ["10.0.0.0", "10.0.0.1", "10.0.0.15", "10.0.0.16", "9.255.255.255"])
def test_an_end_that_no_client_can_have_is_refused(outside: str) -> None:
    network = IPv4Network("10.0.0.0/28")
    for ends in ({"first": IPv4Address(outside)}, {"last": IPv4Address(outside)}):
        with pytest.raises(InvalidRequestError, match=f"pool address {outside} is outside 10.0.0.2 to 10.0.0.14"):
            lease_pool(network, **ends)


def test_a_pool_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match=r"the pool ends \(10.0.0.3\) before it begins \(10.0.0.4\)"):
        lease_pool(IPv4Network("10.0.0.0/28"), first=IPv4Address("10.0.0.4"), last=IPv4Address("10.0.0.3"))
