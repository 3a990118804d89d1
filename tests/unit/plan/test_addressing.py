"""The choice of a subnet: free, the same every time, and explained."""

from ipaddress import IPv4Address, IPv4Network
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.hosts import snapshot

from icshare.errors import ConflictError
from icshare.model.sharing import DEFAULT_SUBNET
from icshare.plan.addressing import Occupied, choose_subnet, gateway_address, occupied_networks

PRIVATE = [IPv4Network(text) for text in ("192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "100.64.0.0/10")]

networks = st.builds(
    lambda pool, number, length: IPv4Network((int(pool.network_address) | number, length), strict=False),
    st.sampled_from(PRIVATE),
    st.integers(0, 0xFFFF),
    st.integers(9, 32),
)
occupied_lists = st.lists(st.builds(lambda network: Occupied(network=network, by="somebody"), networks), max_size=12)


def taken(*texts: str) -> list[Occupied]:
    return [Occupied(network=IPv4Network(text), by=f"route to {text}") for text in texts]


@given(occupied_lists)
def test_what_is_chosen_overlaps_nothing_and_is_private(occupied: list[Occupied]) -> None:
    try:
        choice = choose_subnet(None, occupied)
    except ConflictError:
        assert any(one.network.overlaps(DEFAULT_SUBNET) for one in occupied)
        return
    assert not any(choice.network.overlaps(one.network) for one in occupied)
    assert choice.network.prefixlen == 24
    assert any(choice.network.subnet_of(pool) for pool in PRIVATE)
    assert (choice.because == "") == (choice.network == DEFAULT_SUBNET)


@given(occupied_lists, st.randoms(use_true_random=False))
def test_the_same_host_gets_the_same_subnet_in_whatever_order_it_tells_its_routes(
    occupied: list[Occupied], random: Random
) -> None:
    def choose(networks: list[Occupied]) -> IPv4Network | None:
        try:
            return choose_subnet(None, networks).network
        except ConflictError:
            return None

    shuffled = list(occupied)
    random.shuffle(shuffled)
    assert choose(shuffled) == choose(occupied)


@given(occupied_lists, networks.filter(lambda network: network.prefixlen <= 29))
def test_a_subnet_asked_for_is_taken_or_refused_never_changed(occupied: list[Occupied], wanted: IPv4Network) -> None:
    clash = any(wanted.overlaps(one.network) for one in occupied)
    try:
        choice = choose_subnet(wanted, occupied)
    except ConflictError as error:
        assert clash
        assert str(wanted) in error.message  # noqa: PT017  # either outcome is right, each for its hosts
        assert "--subnet" in (error.hint or "")  # noqa: PT017
    else:
        assert not clash
        assert (choice.network, choice.because) == (wanted, "")


def test_the_usual_subnet_is_that_of_windows() -> None:
    assert choose_subnet(None, []).network == IPv4Network("192.168.137.0/24")


@pytest.mark.parametrize(
    ("occupied", "chosen"),
    [
        (["192.168.137.0/24"], "192.168.138.0/24"),
        (["192.168.128.0/17"], "192.168.0.0/24"),
        (["192.168.0.0/16"], "172.16.0.0/24"),
        (["192.168.0.0/16", "172.16.0.0/12"], "10.0.0.0/24"),
        (["192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8"], "100.64.0.0/24"),
    ],
)
def test_the_search_goes_from_the_familiar_to_the_rare(occupied: list[str], chosen: str) -> None:
    choice = choose_subnet(None, taken(*occupied))
    assert choice.network == IPv4Network(chosen)
    assert choice.because == f"192.168.137.0/24 overlaps {occupied[0]} (route to {occupied[0]}), so {chosen} is used"


def test_a_search_without_success_ends_and_says_what_is_in_the_way() -> None:
    with pytest.raises(ConflictError, match="no free private subnet") as caught:
        choose_subnet(None, taken("192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "100.64.0.0/10"))
    assert "192.168.0.0/16" in caught.value.message
    assert "--subnet" in (caught.value.hint or "")


def test_the_search_is_bounded() -> None:
    """Every /24 that is tried is taken, one by one: the search gives up after 1,024 of them."""
    tried = [
        Occupied(network=network, by="somebody")
        for pool in PRIVATE
        for network, _ in zip(pool.subnets(new_prefix=24), range(256), strict=False)
    ]
    assert len(tried) == 1024
    with pytest.raises(ConflictError):
        choose_subnet(None, tried)


def test_the_gateway_is_the_first_host_address() -> None:
    assert gateway_address(IPv4Network("10.20.0.0/22")) == IPv4Address("10.20.0.1")


def test_what_a_host_uses_is_told_with_its_user() -> None:
    host = snapshot(
        {
            "links": [{"name": "wan0"}, {"name": "lan0"}, {"name": "tun0", "kind": "tun"}],
            "addresses": ["wan0 198.51.100.2/24", "lan0 10.1.0.1/24", "tun0 10.8.0.2/32"],
            "routes": [
                "default via 198.51.100.1 dev wan0",
                "0.0.0.0/1 dev tun0",
                "10.8.0.0/16 dev tun0",
                "10.2.0.0/16 via 10.1.0.9 dev lan0",
                "198.51.100.2/32 dev wan0 table local",
            ],
        }
    )
    assert [(str(one.network), one.by) for one in occupied_networks(host, ignore=["lan0"])] == [
        ("198.51.100.0/24", "address 198.51.100.2/24 of wan0"),
        ("10.8.0.2/32", "address 10.8.0.2/32 of tun0"),
        ("10.8.0.0/16", "route to 10.8.0.0/16 through tun0"),
    ]
    assert len(occupied_networks(host)) == 5
