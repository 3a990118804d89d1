"""What is wanted: one public connection shared with some private ones."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from icshare.model.fastpath import Mode
from icshare.model.firewall import Firewall
from icshare.model.names import HostName, InterfaceName, MacAddress
from icshare.model.wifi import AccessPoint, Placement

DEFAULT_SUBNET = IPv4Network("192.168.137.0/24")
DEFAULT_DOMAIN = "home.arpa"
BRIDGE_NAME = InterfaceName("ics-br0")


class Helper(StrEnum):
    """Application layer gateways of the kernel that a sharing can attach.

    Source:
        nft(8), ``ct helper``; the kernel's nf_conntrack_{ftp,tftp,sip,pptp}.
    """

    FTP = "ftp"
    TFTP = "tftp"
    SIP = "sip"
    PPTP = "pptp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """An address kept for one client.

    Attributes:
        mac: The client's hardware address.
        address: Its address, inside the subnet and not the gateway's; None keeps only the name.
        name: Its host name, None to use the one the client tells.
    """

    mac: MacAddress
    address: IPv4Address | None = None
    name: HostName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpSettings:
    """The DHCP server of the segment.

    Attributes:
        enabled: Serve addresses at all.
        pool_first: First address to lease, None for the first after the gateway.
        pool_last: Last address to lease, inclusive, None for the last host address.
        lease_seconds: Lease time, 120 (the least that dnsmasq takes) to 4294967294.
        reservations: Addresses kept by hardware address.
    """

    enabled: bool = True
    pool_first: IPv4Address | None = None
    pool_last: IPv4Address | None = None
    lease_seconds: int = 43_200
    reservations: tuple[Reservation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsSettings:
    """The DNS forwarder of the segment.

    Attributes:
        domain: Domain of the clients' names (RFC 8375 reserves home.arpa for this).
        servers: Resolvers to forward to; empty means the host's own.
    """

    domain: str = DEFAULT_DOMAIN
    servers: tuple[IPv4Address, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """Which connections are shared, and how.

    Attributes:
        public: The connection towards the Internet.
        privates: The connections towards the clients, in the order given; the first lends a bridge its MAC address.
        subnet: The segment's subnet, None to choose one.
        helpers: Application layer gateways to attach.
        bridge: Make the bridge for a single private connection too, for ports that others add to it.
        access_point: The access point on the radio of one of the connections, None for none.
        fast_path: How the later packets of connections may go.
    """

    public: InterfaceName
    privates: tuple[InterfaceName, ...]
    subnet: IPv4Network | None = None
    helpers: tuple[Helper, ...] = ()
    bridge: bool = False
    dhcp: DhcpSettings = field(default_factory=DhcpSettings)
    dns: DnsSettings = field(default_factory=DnsSettings)
    access_point: AccessPoint | None = None
    fast_path: Mode = Mode.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be in force: a sharing or none, and the firewalls of connections, which are independent of it.

    Attributes:
        sharing: The sharing, None for none.
        firewalls: The firewall of each connection that has one, in the order they were switched on.
    """

    sharing: Sharing | None = None
    firewalls: tuple[Firewall, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One private segment as planned.

    Attributes:
        interface: The link that carries the gateway address: a private itself, or our bridge.
        members: The private connections of the segment, the access point's link for the one that it was asked of.
        network: Its subnet; that of a point-to-point link is its peer alone (/32).
        gateway: Our address on it, which need not be inside of a peer's network.
        beyond: Further networks of its clients: routes that the administrator made lead into the link.
        ethernet: Clients have hardware addresses: DHCP works and a bridge is possible.
        numbered: Clients have addresses already, and the link keeps its own.
        access_point: Where the access point among the members is, None without one.
    """

    interface: InterfaceName
    members: tuple[InterfaceName, ...]
    network: IPv4Network
    gateway: IPv4Address
    beyond: tuple[IPv4Network, ...] = ()
    ethernet: bool = True
    numbered: bool = False
    access_point: Placement | None = None

    @property
    def networks(self) -> tuple[IPv4Network, ...]:
        """All networks that its clients have addresses of."""
        return (self.network, *self.beyond)

    @property
    def bridged(self) -> bool:
        """The segment is a bridge made by us."""
        return self.interface not in self.members


def disjoint(networks: Iterable[IPv4Network]) -> tuple[IPv4Network, ...]:
    """Return *networks* in their order, each once, without those that lie in another one."""
    unique = tuple(dict.fromkeys(networks))
    return tuple(one for one in unique if not any(one != other and one.subnet_of(other) for other in unique))
