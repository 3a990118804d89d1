"""A lab as input for ``ip -batch`` and dnsmasq. Pure: plan in, text out.

All links are made in one batch, each directly in its two namespaces, so the root namespace never sees them. Then one
batch per namespace gives addresses and routes. Hardware addresses are fixed: they make captures and leases readable,
and no two labs share a wire.
"""

from collections.abc import Iterator

from icshare.lab import plan as p
from icshare.lab.plan import LabPlan, NodeName

UPLINK_METRIC = 100
SECOND_UPLINK_METRIC = 200


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
    return {"net/ipv4/ip_forward": "1" if node == p.INTERNET else "0"}


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


def _links(plan: LabPlan) -> Iterator[str]:
    inet, gateway = plan.namespace(p.INTERNET), plan.namespace(p.GATEWAY)
    yield _veth(gateway, "wan0", hardware_address(1, 0), inet, "isp0", hardware_address(0, 0), plan.mtu)
    if plan.second_uplink:
        yield _veth(gateway, "wan1", hardware_address(1, 1), inet, "isp1", hardware_address(0, 1), plan.mtu)
    if plan.far_mtu is not None:
        far = plan.namespace(p.FAR)
        yield _veth(inet, "far0", hardware_address(0, 2), far, "eth0", hardware_address(4, 0), plan.far_mtu)
    switched = plan.clients_per_private > 1
    switch = plan.namespace(p.SWITCH)
    for number in range(plan.privates):
        if switched:
            yield f"link add br{number} netns {switch} type bridge forward_delay 0 mcast_snooping 0"
            far_end = (switch, f"lan{number}", hardware_address(5, number))
        else:
            far_end = (plan.namespace(plan.clients[number]), "eth0", hardware_address(3, number))
        yield _veth(gateway, private_link(number), hardware_address(2, number), *far_end, 1500)
    if switched:
        for number, client in enumerate(plan.clients):
            port = (switch, f"port{number}", hardware_address(6, number))
            yield _veth(plan.namespace(client), "eth0", hardware_address(3, number), *port, 1500)


def _veth(space: str, name: str, mac: str, peer_space: str, peer: str, peer_mac: str, mtu: int) -> str:
    return (
        f"link add name {name} mtu {mtu} address {mac} netns {space} type veth"
        f" peer name {peer} mtu {mtu} address {peer_mac} netns {peer_space}"
    )


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
