"""A lab as input for ``ip -batch`` and dnsmasq. Pure: plan in, text out.

All links are made in one batch, each directly in its two namespaces, so the root namespace never sees them. Then one
batch per namespace gives addresses and routes. Hardware addresses are fixed: they make captures and leases readable,
and no two labs share a wire.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from icshare.lab import plan as p
from icshare.lab.plan import LabPlan, NodeName

UPLINK_METRIC = 100
SECOND_UPLINK_METRIC = 200

# Interface indexes of the gateway's links. Never those of the other ends, which count from 2: the kernel takes a veth
# whose ends have the same index for a wire without news, and acts on its carrier up to a second late (see settle.py).
UPLINK_INDEX = 11
PRIVATE_INDEX = 101


def namespaces(plan: LabPlan) -> str:
    """Return the batch that makes the network namespaces."""
    return _lines(f"netns add {plan.namespace(node)}" for node in plan.nodes)


def removal(names: tuple[str, ...]) -> str:
    """Return the batch that removes the network namespaces *names*, and with them every link in them."""
    return _lines(f"netns del {name}" for name in names)


def links(plan: LabPlan) -> str:
    """Return the batch that makes the links, all down and without addresses."""
    return _lines(_links(plan))


def configuration(plan: LabPlan, node: NodeName) -> str:
    """Return the batch, to be run in *node*'s namespace, that gives it addresses and routes."""
    return _lines(_configuration(plan, node))


def kernel_settings(node: NodeName) -> dict[str, str]:
    """Return *node*'s sysctls as path below ``/proc/sys`` and value.

    A new namespace copies the host's IPv4 settings. A host that already forwards (Docker's) would give us a
    gateway that forwards before anything was shared, so this is said and not left to chance.
    """
    settings = {"net/ipv4/ip_forward": "1" if node == p.INTERNET else "0"}
    if node in {p.INTERNET, p.FAR}:
        # All clients are one address to the Internet: its servers' limit on ICMP errors for each address would
        # make every second traceroute wait.
        settings["net/ipv4/icmp_ratelimit"] = "0"
    return settings


def carriers(plan: LabPlan) -> dict[NodeName, list[str]]:
    """Return the links of each node that have a carrier once all is configured."""
    uplinks = [0] * plan.uplink_up + [1] * plan.second_uplink
    privates = [private_link(number) for number in range(plan.privates)] if plan.privates_up else []
    switched = plan.clients_per_private > 1
    found = {
        p.INTERNET: [f"isp{number}" for number in uplinks] + ([] if plan.far_mtu is None else ["far0"]),
        p.FAR: ["eth0"],
        p.GATEWAY: [f"wan{number}" for number in uplinks] + privates,
        p.SWITCH: privates + [f"port{number}" for number in range(len(plan.clients))],
        **{client: ["eth0"] if switched or plan.privates_up else [] for client in plan.clients},
    }
    return {node: found[node] for node in plan.nodes}


def resolv_conf(node: NodeName) -> str:
    """Return *node*'s ``/etc/resolv.conf``. Clients begin without a resolver: DHCP gives them one."""
    return f"nameserver {p.DNS_ADDRESS}\n" if node in {p.INTERNET, p.FAR, p.GATEWAY} else ""


def dnsmasq_conf() -> str:
    """Return the configuration of the Internet's DNS server.

    It knows the names of the zone, forward and reverse, and says NXDOMAIN to everything else. It stays root: in
    a user namespace of one user there is nobody else to become.
    """
    return _lines(
        [
            "user=root",
            "pid-file=/run/dnsmasq.pid",
            "log-facility=/run/dnsmasq.log",
            "log-queries",
            "no-resolv",
            "no-hosts",
            "no-poll",
            "bind-interfaces",
            f"listen-address={p.DNS_ADDRESS}",
            "address=/#/",
            *(f"host-record={name},{address}" for name, address in p.HOSTS.items()),
        ]
    )


def private_link(number: int) -> str:
    """Return the name of the gateway's private link *number*, from 0."""
    return f"lan{number}"


def hardware_address(group: int, number: int) -> str:
    """Return a locally administered unicast hardware address: *group* tells the kind of link."""
    return f"02:1c:5a:{group:02x}:{number >> 8:02x}:{number & 255:02x}"


@dataclass(frozen=True, slots=True)
class _End:
    """One end of a link; the kernel chooses its index when that is 0."""

    namespace: str
    name: str
    address: str
    index: int = 0

    def words(self, mtu: int) -> str:
        index = f" index {self.index}" if self.index else ""
        return f"name {self.name}{index} mtu {mtu} address {self.address} netns {self.namespace}"


def _links(plan: LabPlan) -> Iterator[str]:
    inet, gateway = plan.namespace(p.INTERNET), plan.namespace(p.GATEWAY)
    for number in range(1 + plan.second_uplink):
        uplink = _End(gateway, f"wan{number}", hardware_address(1, number), UPLINK_INDEX + number)
        yield _veth(uplink, _End(inet, f"isp{number}", hardware_address(0, number)), plan.mtu)
    if plan.far_mtu is not None:
        far = _End(plan.namespace(p.FAR), "eth0", hardware_address(4, 0))
        yield _veth(_End(inet, "far0", hardware_address(0, 2)), far, plan.far_mtu)
    clients = [
        _End(plan.namespace(client), "eth0", hardware_address(3, number)) for number, client in enumerate(plan.clients)
    ]
    switched = plan.clients_per_private > 1
    switch = plan.namespace(p.SWITCH)
    for number in range(plan.privates):
        if switched:
            yield f"link add br{number} netns {switch} type bridge forward_delay 0 mcast_snooping 0"
        private = _End(gateway, private_link(number), hardware_address(2, number), PRIVATE_INDEX + number)
        other = _End(switch, private_link(number), hardware_address(5, number)) if switched else clients[number]
        yield _veth(private, other, 1500)
    if switched:
        for number, client in enumerate(clients):
            yield _veth(client, _End(switch, f"port{number}", hardware_address(6, number)), 1500)


def _veth(end: _End, other: _End, mtu: int) -> str:
    return f"link add {end.words(mtu)} type veth peer {other.words(mtu)}"


def _configuration(plan: LabPlan, node: NodeName) -> Iterator[str]:
    yield "link set lo up"
    if node == p.INTERNET:
        yield from _internet(plan)
    elif node == p.FAR:
        yield f"address add {p.FAR_LINK} dev eth0"
        yield "link set eth0 up"
        yield f"route add default via {p.FAR_LINK_ROUTER.ip}"
    elif node == p.GATEWAY:
        yield from _gateway(plan)
    elif node == p.SWITCH:
        yield from _switch(plan)
    else:
        yield "link set eth0 up"


def _internet(plan: LabPlan) -> Iterator[str]:
    # No route to RFC 1918 space, as on the real Internet: a packet that leaks un-NATed gets no answer.
    for address in dict.fromkeys(p.HOSTS.values()):
        if address != p.FAR_ADDRESS:
            yield f"address add {address}/32 dev lo"
    yield f"address add {p.UPLINK_ROUTER}/{p.UPLINK.network.prefixlen} dev isp0"
    yield "link set isp0 up"
    if plan.second_uplink:
        yield f"address add {p.SECOND_UPLINK_ROUTER}/{p.SECOND_UPLINK.network.prefixlen} dev isp1"
        yield "link set isp1 up"
    if plan.far_mtu is not None:
        yield f"address add {p.FAR_LINK_ROUTER} dev far0"
        yield "link set far0 up"


def _gateway(plan: LabPlan) -> Iterator[str]:
    yield f"address add {p.UPLINK} dev wan0"
    if plan.uplink_up:
        yield from uplink_on()
    if plan.second_uplink:
        yield f"address add {p.SECOND_UPLINK} dev wan1"
        yield "link set wan1 up"
        yield f"route add default via {p.SECOND_UPLINK_ROUTER} metric {SECOND_UPLINK_METRIC}"
    if plan.privates_up:
        for number in range(plan.privates):
            yield f"link set {private_link(number)} up"


def uplink_on() -> tuple[str, ...]:
    """Return the batch lines, for the gateway, that plug ``wan0`` in."""
    return ("link set wan0 up", f"route add default via {p.UPLINK_ROUTER} metric {UPLINK_METRIC}")


def _switch(plan: LabPlan) -> Iterator[str]:
    for number in range(plan.privates):
        yield f"link set br{number} up"
        yield f"link set lan{number} master br{number} up"
    for number in range(len(plan.clients)):
        yield f"link set port{number} master br{number // plan.clients_per_private} up"


def _lines(lines: Iterator[str] | list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
