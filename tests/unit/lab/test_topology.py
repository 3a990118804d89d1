"""What ip and dnsmasq are told to do for a plan."""

import pytest

from icshare.lab import plan as p
from icshare.lab import topology
from icshare.lab.plan import LabPlan, NodeName, lab_name

SMALL = LabPlan(prefix=lab_name("x"), privates=1)

LARGE = LabPlan(prefix=lab_name("x"), privates=2, clients_per_private=2, second_uplink=True, far_mtu=1300, mtu=1400)


def test_a_small_lab_is_two_links_made_where_they_belong() -> None:
    assert topology.links(SMALL) == (
        "link add name wan0 index 11 mtu 1500 address 02:1c:5a:01:00:00 netns x-gw type veth"
        " peer name isp0 mtu 1500 address 02:1c:5a:00:00:00 netns x-inet\n"
        "link add name lan0 index 101 mtu 1500 address 02:1c:5a:02:00:00 netns x-gw type veth"
        " peer name eth0 mtu 1500 address 02:1c:5a:03:00:00 netns x-c0\n"
    )


def test_the_gateway_of_a_small_lab_is_configured_like_a_machine_with_one_uplink() -> None:
    assert topology.configuration(SMALL, p.GATEWAY) == (
        "link set lo up\n"
        "address add 198.51.100.2/24 dev wan0\n"
        "link set wan0 up\n"
        "route add default via 198.51.100.1 metric 100\n"
        "link set lan0 up\n"
    )


def test_a_client_gets_its_link_up_and_no_address() -> None:
    assert topology.configuration(SMALL, NodeName("c0")) == "link set lo up\nlink set eth0 up\n"


def test_a_switch_joins_each_private_with_its_clients() -> None:
    lines = topology.configuration(LARGE, p.SWITCH).splitlines()
    assert [line for line in lines if "master" in line] == [
        "link set lan0 master br0 up",
        "link set lan1 master br1 up",
        "link set port0 master br0 up",
        "link set port1 master br0 up",
        "link set port2 master br1 up",
        "link set port3 master br1 up",
    ]


def test_the_second_uplink_is_worse_than_the_first() -> None:
    gateway = topology.configuration(LARGE, p.GATEWAY)
    assert "route add default via 198.51.100.1 metric 100\n" in gateway
    assert "route add default via 192.0.2.1 metric 200\n" in gateway


def test_links_that_are_to_stay_down_are_not_set_up() -> None:
    plan = LabPlan(uplink_up=False, privates_up=False)
    assert topology.configuration(plan, p.GATEWAY) == "link set lo up\naddress add 198.51.100.2/24 dev wan0\n"


@pytest.mark.parametrize("privates", [1, 8, 64])
def test_the_number_of_commands_grows_linearly(privates: int) -> None:
    plan = LabPlan(privates=privates)
    assert len(topology.links(plan).splitlines()) == 1 + privates
    assert len(topology.configuration(plan, p.GATEWAY).splitlines()) == 4 + privates
    assert len(topology.namespaces(plan).splitlines()) == 2 + privates


def test_no_hardware_address_is_given_twice() -> None:
    plan = LabPlan(privates=64, clients_per_private=8, second_uplink=True, far_mtu=1500)
    words = topology.links(plan).split()
    addresses = [words[index + 1] for index, word in enumerate(words) if word == "address"]
    assert len(addresses) == len(set(addresses)) == 2 * (2 + 1 + 64 + 512)
    assert all(len(address) == 17 and int(address[:2], 16) & 3 == 2 for address in addresses)


def test_no_link_name_is_longer_than_the_kernel_allows() -> None:
    plan = LabPlan(prefix=lab_name("x" * 31), privates=64, clients_per_private=8)
    words = topology.links(plan).split()
    assert max(len(words[index + 1]) for index, word in enumerate(words) if word == "name") <= 15


def test_the_dns_server_binds_one_address_and_knows_every_host() -> None:
    lines = topology.dnsmasq_conf().splitlines()
    assert "listen-address=203.0.113.53" in lines
    assert "bind-interfaces" in lines
    assert "host-record=www.example.net,203.0.113.80" in lines
    assert len([line for line in lines if line.startswith("host-record=")]) == len(p.HOSTS)


def test_only_the_internet_forwards() -> None:
    forwards = {node: topology.kernel_settings(node)["net/ipv4/ip_forward"] for node in LARGE.nodes}
    assert [node for node, value in forwards.items() if value == "1"] == [p.INTERNET]
    assert set(forwards.values()) == {"0", "1"}


def test_links_carry_only_when_both_ends_are_up() -> None:
    assert topology.carriers(LARGE) == {
        "inet": ["isp0", "isp1", "far0"],
        "far": ["eth0"],
        "gw": ["wan0", "wan1", "lan0", "lan1"],
        "switch": ["lan0", "lan1", "port0", "port1", "port2", "port3"],
        **{f"c{number}": ["eth0"] for number in range(4)},
    }
    down = LabPlan(privates=1, uplink_up=False, privates_up=False)
    assert topology.carriers(down) == {"inet": [], "gw": [], "c0": []}


def test_clients_begin_without_a_resolver() -> None:
    assert topology.resolv_conf(NodeName("c0")) == ""
    assert topology.resolv_conf(p.GATEWAY) == "nameserver 203.0.113.53\n"
