"""Names in dnsmasq's configuration that its own words cannot be mistaken for."""

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from icshare.model.names import InterfaceName
from icshare.model.sharing import DhcpSettings, Segment, Sharing
from icshare.render.dnsmasq import ServiceFiles, configuration

FILES = ServiceFiles(pid="/run/x/pid", leases="/run/x/leases", resolv=("/etc/resolv.conf",))
names = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,14}", fullmatch=True).map(InterfaceName)


def segment(name: InterfaceName, number: int = 0) -> Segment:
    network = IPv4Network(f"10.0.{number}.0/24")
    return Segment(interface=name, members=(name,), network=network, gateway=IPv4Address(f"10.0.{number}.1"))


def render(sharing: Sharing, segments: list[Segment]) -> str:
    return configuration(sharing, segments, FILES, user="nobody", mtus={})


@given(st.lists(names, min_size=2, max_size=4, unique=True))
def test_each_interface_has_a_tag_of_its_own_of_plain_letters(interfaces: list[InterfaceName]) -> None:
    sharing = Sharing(public=InterfaceName("wan0"), privates=tuple(interfaces))
    text = render(sharing, [segment(name, number) for number, name in enumerate(interfaces)])
    tags = [line.split(",")[0].removeprefix("dhcp-range=set:") for line in text.splitlines() if "set:" in line]
    assert len(set(tags)) == len(interfaces)
    assert all(tag.replace("_", "").isalnum() for tag in tags)


def test_pool_and_reservations_are_those_of_the_main_segment_alone() -> None:
    dhcp = DhcpSettings(pool_first=IPv4Address("10.0.0.100"), pool_last=IPv4Address("10.0.0.110"), lease_seconds=120)
    sharing = Sharing(public=InterfaceName("wan0"), privates=(), dhcp=dhcp)
    text = render(sharing, [segment(InterfaceName("lan0"), 0), segment(InterfaceName("lan1"), 1)])
    assert "dhcp-range=set:lan0,10.0.0.100,10.0.0.110,255.255.255.0,120s\n" in text
    assert "dhcp-range=set:lan1,10.0.1.2,10.0.1.254,255.255.255.0,120s\n" in text
