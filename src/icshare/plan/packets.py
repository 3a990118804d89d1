"""Descriptions of the traffic that sharing lives on, for asking a ruleset what it would do with it.

A `Packet` stands for the ordinary packets of one kind, not for one packet on the wire: a port or address that is
None is an unremarkable one, which a rule about particular ports or addresses concerns only in part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network
from typing import Final

from icshare.model.names import InterfaceName

DHCP_SERVER_PORT: Final = 67
DHCP_CLIENT_PORT: Final = 68
DNS_PORT: Final = 53

_UNSPECIFIED: Final = IPv4Network("0.0.0.0/32")
_LIMITED_BROADCAST: Final = IPv4Network("255.255.255.255/32")


class Path(StrEnum):
    """How a packet crosses the gateway, named for the hook where it is decided."""

    FORWARD = "forward"
    INPUT = "input"
    BRIDGE = "bridge"


class Protocol(StrEnum):
    """The transport protocols that clients use, by nft's names."""

    TCP = "tcp"
    UDP = "udp"


class State(StrEnum):
    """What conntrack says of a packet, by nft's names."""

    NEW = "new"
    ESTABLISHED = "established"


class Delivery(StrEnum):
    """What kind of address the destination is to this host, by nft's names."""

    UNICAST = "unicast"
    LOCAL = "local"
    BROADCAST = "broadcast"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """The ordinary packets of one kind.

    Attributes:
        path: How they cross the gateway.
        segment: The segment's link that they come from or go to.
        public: The public connection's link, None when they do not cross it.
        iif: Link they arrive by.
        oif: Link they leave by, None when they are for this host.
        protocol: Transport protocol.
        state: What conntrack says.
        delivery: What their destination is to this host.
        source: Network that holds the source, None when it may be any public address.
        destination: Likewise for the destination.
        source_port: None when it may be any.
        destination_port: None when it may be any.
    """

    path: Path
    segment: InterfaceName
    public: InterfaceName | None = None
    iif: InterfaceName
    oif: InterfaceName | None
    protocol: Protocol
    state: State
    delivery: Delivery = Delivery.UNICAST
    source: IPv4Network | None = None
    destination: IPv4Network | None = None
    source_port: int | None = None
    destination_port: int | None = None

    @property
    def subject(self) -> str:
        """What people call this traffic; the same for each of its protocols."""
        if self.path is Path.INPUT:
            return f"{_SERVICES.get(self.destination_port or 0, 'traffic')} queries from {self.iif}"
        if self.iif == self.oif:
            return f"traffic between the clients of {self.segment}"
        if self.state is State.NEW:
            return f"connections from {self.iif} to {self.oif}"
        return f"established traffic from {self.iif} to {self.oif}"


_SERVICES: Final = {DHCP_SERVER_PORT: "DHCP", DNS_PORT: "DNS"}


def forwarded_packets(
    segment: InterfaceName, public: InterfaceName, network: IPv4Network | None = None
) -> tuple[Packet, ...]:
    """Return the traffic between the clients of *segment* and the world: out, on, and back.

    Args:
        segment: The segment's link.
        public: The public connection's link.
        network: The segment's subnet; with it rules about other private subnets are known not to concern us.
    """
    return tuple(
        Packet(
            path=Path.FORWARD,
            segment=segment,
            public=public,
            iif=segment if outward else public,
            oif=public if outward else segment,
            protocol=protocol,
            state=state,
            source=network if outward else None,
            destination=None if outward else network,
        )
        for outward, state in ((True, State.NEW), (True, State.ESTABLISHED), (False, State.ESTABLISHED))
        for protocol in Protocol
    )


def service_packets(
    segment: InterfaceName,
    network: IPv4Network | None = None,
    *,
    gateway: IPv4Network | None = None,
    dhcp: bool = True,
) -> tuple[Packet, ...]:
    """Return the traffic from the clients of *segment* to the gateway's own DHCP and DNS.

    Args:
        segment: The segment's link.
        network: The segment's subnet.
        gateway: The gateway's address where that is not in the subnet.
        dhcp: Clients ask for addresses.
    """
    discover = Packet(
        path=Path.INPUT,
        segment=segment,
        iif=segment,
        oif=None,
        protocol=Protocol.UDP,
        state=State.NEW,
        delivery=Delivery.BROADCAST,
        source=_UNSPECIFIED,
        destination=_LIMITED_BROADCAST,
        source_port=DHCP_CLIENT_PORT,
        destination_port=DHCP_SERVER_PORT,
    )
    queries = (
        Packet(
            path=Path.INPUT,
            segment=segment,
            iif=segment,
            oif=None,
            protocol=protocol,
            state=State.NEW,
            delivery=Delivery.LOCAL,
            source=network,
            destination=gateway or network,
            destination_port=DNS_PORT,
        )
        for protocol in Protocol
    )
    return (discover, *queries) if dhcp else tuple(queries)


def bridged_packets(bridge: InterfaceName, network: IPv4Network | None = None, *, ip_rules: bool) -> tuple[Packet, ...]:
    """Return the traffic between clients behind different ports of *bridge*.

    Args:
        bridge: The segment's bridge.
        network: The segment's subnet.
        ip_rules: ``net.bridge.bridge-nf-call-iptables`` is on (Docker turns it on): bridged packets then also cross
            the forward hook of ``ip``, with the bridge as both of their links.
    """
    return tuple(
        Packet(
            path=path,
            segment=bridge,
            iif=bridge,
            oif=bridge,
            protocol=protocol,
            state=State.NEW,
            source=network,
            destination=network,
        )
        for path in ((Path.BRIDGE, Path.FORWARD) if ip_rules else (Path.BRIDGE,))
        for protocol in Protocol
    )


def all_packets(
    segments: Sequence[InterfaceName], public: InterfaceName, network: IPv4Network | None = None
) -> tuple[Packet, ...]:
    """Return what every segment needs to pass: its forwarded traffic and its services."""
    return tuple(
        packet
        for segment in segments
        for packet in (*forwarded_packets(segment, public, network), *service_packets(segment, network))
    )
