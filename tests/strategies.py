"""Hosts and steps made by hypothesis: small, but with everything in them that steps can meet."""

from functools import reduce
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from hypothesis import strategies as st

from icshare.model.link import IFF_UP, IfIndex, Link
from icshare.model.names import InterfaceName
from icshare.model.sharing import BRIDGE_NAME
from icshare.model.snapshot import Snapshot
from icshare.model.wifi import ap_link
from icshare.plan import steps as s
from icshare.plan.steps import AnyStep, LinkRef
from icshare.plan.transition import after, sysctl_key

NAMES = [InterfaceName(name) for name in ("wan0", "lan0", "lan1")]
AP_LINK = ap_link(0)
SETTINGS = ["ipv4/forwarding", "ipv4/rp_filter"]

names = st.sampled_from([*NAMES, BRIDGE_NAME])
members = st.lists(names, max_size=2).map(tuple)
refs = st.builds(LinkRef, names) | st.sampled_from([LinkRef(name, index) for index, name in enumerate(NAMES, start=2)])
texts = st.sampled_from(["one", "two\n", "três"])
networks = st.builds(
    lambda number, length: IPv4Network((number, length), strict=False),
    st.sampled_from([0, 0x0A000000, 0x0A000010]),
    st.sampled_from([0, 24, 28, 32]),
)
interfaces = st.builds(
    lambda number, length: IPv4Interface((number, length)),
    st.integers(0x0A000001, 0x0A000012),
    st.sampled_from([24, 28, 32]),
)
gateways = st.none() | st.sampled_from([IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")])
macs = st.sampled_from(["52:54:00:00:00:01", "52:54:00:00:00:02"])
mtus = st.sampled_from([68, 1280, 1500, 65_535])
settings_of_links = st.sampled_from(SETTINGS)
values = st.sampled_from(["0", "1", "2"])
peers = st.sampled_from([None, IPv4Address("10.1.0.2"), IPv4Address("10.1.0.3")])
raws = st.sampled_from([b"", b"\x00raw"])
times = st.sampled_from([0.0, 1000.5])
priorities = st.integers(13_700, 13_702)
tables = st.sampled_from([254, 13_700])
masters = st.none() | st.sampled_from([BRIDGE_NAME, InterfaceName("br7")])

countries = st.sampled_from(["00", "DE", "US"])
kinds = st.sampled_from([2, 3])

_serving = {
    "link": st.sampled_from([*NAMES, AP_LINK]),
    "text": texts,
    "secret": st.sampled_from(["0" * 16, "0123456789abcdef"]),
    "networkmanager": st.booleans(),
}
_address = {"link": refs, "address": interfaces, "peer": peers, "raw": raws, "taken": times, "served": st.booleans()}
route = {
    "link": refs,
    "destination": networks,
    "gateway": gateways,
    "table": tables,
    "metric": st.sampled_from([0, 100]),
    "protocol": st.sampled_from([4, 16]),
    "raw": raws,
}
_rule = {
    "link": names,
    "priority": priorities,
    "table": st.none() | tables,
    "suppress_prefixlength": st.sampled_from([None, 0, 7]),
}

steps: st.SearchStrategy[AnyStep] = st.one_of(
    st.builds(s.StartFastPath, text=st.text(max_size=40)),
    st.builds(
        s.SetConntrack,
        setting=st.sampled_from(["tcp_be_liberal", "tcp_ignore_invalid_rst"]),
        value=st.sampled_from("01"),
        previous=st.sampled_from("01"),
    ),
    st.builds(s.LoadRuleset, text=texts),
    st.builds(s.DropRuleset, text=texts),
    st.builds(s.LoadFirewall, text=texts),
    st.builds(s.DropFirewall, text=texts),
    st.builds(s.StartLog, text=texts),
    st.builds(s.StopLog, text=texts),
    st.builds(s.CreateBridge, name=st.just(BRIDGE_NAME), mac=macs, mtu=mtus),
    st.builds(s.DeleteBridge, name=st.just(BRIDGE_NAME), mac=macs, mtu=mtus),
    st.builds(s.SetMaster, link=refs, master=masters, previous=masters),
    st.builds(s.SetUp, link=refs, up=st.booleans(), previous=st.booleans()),
    st.builds(s.SetSysctl, link=refs, setting=settings_of_links, value=values, previous=values),
    st.builds(s.AddAddress, **_address),
    st.builds(s.RemoveAddress, **_address),
    st.builds(s.AddRoute, **route),
    st.builds(s.RemoveRoute, **route),
    st.builds(s.AddNeighbour, link=refs, address=st.ip_addresses(v=4), mac=macs, raw=st.binary(max_size=4)),
    st.builds(s.RemoveNeighbour, link=refs, address=st.ip_addresses(v=4), mac=macs, raw=st.binary(max_size=4)),
    st.builds(s.AddRule, **_rule),
    st.builds(s.RemoveRule, **_rule),
    st.builds(s.ProbeDhcp, link=names, members=members),
    st.builds(s.ForgetProbe, link=names, members=members),
    st.builds(s.StartService, text=texts),
    st.builds(s.StopService, text=texts),
    st.builds(s.SetCountry, country=countries, previous=countries),
    st.builds(s.CreateAccessPointLink, name=st.just(AP_LINK), radio=st.just(0)),
    st.builds(s.DeleteAccessPointLink, name=st.just(AP_LINK), radio=st.just(0)),
    st.builds(s.SetInterfaceType, link=refs, type=kinds, previous=kinds, up=st.booleans()),
    st.builds(s.StartAccessPoint, **_serving),
    st.builds(s.StopAccessPoint, **_serving),
)
"""Every kind of step."""


@st.composite
def _bare_hosts(draw: st.DrawFn) -> Snapshot:
    present = draw(st.sets(st.sampled_from(NAMES)))
    links = tuple(
        Link(index=IfIndex(index), name=name, flags=draw(st.sampled_from([0, IFF_UP])), mtu=draw(mtus))
        for index, name in enumerate(NAMES, start=2)
        if name in present
    )
    sysctls = {sysctl_key(link.name, setting): draw(values) for link in links for setting in SETTINGS}
    return Snapshot(links=links, sysctls=sysctls)


snapshots: st.SearchStrategy[Snapshot] = st.builds(
    lambda host, done: reduce(after, done, host), _bare_hosts(), st.lists(steps, max_size=12)
)
"""Hosts to which something has been done already."""
