"""What the kernel says about links, addresses, routes, rules and neighbours.

Each value holds the fields that decisions need. Routes, rules and addresses also hold the kernel's own message
(``raw``, the payload of the RTM_NEW* message), so that giving one back restores every attribute exactly, known to us or
not.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network, ip_network
from typing import NewType

from icshare.model.names import MacAddress

IfIndex = NewType("IfIndex", int)

ARPHRD_ETHER = 1

NUD_PERMANENT = 0x80

RT_DEFAULT, RT_MAIN, RT_LOCAL = 253, 254, 255
"""Routing tables that every host has."""

RTN_UNICAST, RTN_LOCAL = 1, 2
RTPROT_KERNEL = 2
"""Origin of the routes that come and go with addresses."""

IFF_UP = 0x1
IFF_LOOPBACK = 0x8
IFF_POINTOPOINT = 0x10
IFF_RUNNING = 0x40
IFF_NOARP = 0x80
IFF_SLAVE = 0x800
IFF_LOWER_UP = 0x10000
IFF_DORMANT = 0x20000


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts:
    """What only sysfs, procfs or another tool tells about a link; all optional.

    Attributes:
        devtype: ``DEVTYPE`` of the uevent file: wlan, wwan, bluetooth, gadget, bridge, vlan, ppp, ...; "" if none.
        driver: Name of the device's driver; "" for a virtual link.
        wireless: The link has a ``phy80211`` directory.
        wireless_type: nl80211 interface type (2 station, 3 AP, 6 monitor, ...), None if unknown.
        four_address: The Wi-Fi link sends frames with four addresses, so a station can be a bridge port.
        first_on_phy: False for a second station on one radio.
        radio: Number of the Wi-Fi link's radio ("phy"), None if unknown.
        frequency: Centre in MHz of the channel that the Wi-Fi link is on, None while it is on none: not connected, not
            serving.
        ssid: Network that the Wi-Fi link is connected to or serves, "" if none.
        tun_flags: IFF_TUN 1 or IFF_TAP 2 and others for tun/tap links, None for others.
        tun_owner: Program that holds the tun/tap device, "" if unknown.
        ppp: How a PPP or SLIP link came about, None for others.
        hardware: A device stands behind the link (sysfs ``device``), so it can be absent or broken.
        atm: The link is an ATM virtual circuit carrying Ethernet (``/proc/net/atm/br2684``).
        switch: The link is the local port of an Open vSwitch bridge, and so the bridge to everybody else.
    """

    devtype: str = ""
    driver: str = ""
    wireless: bool = False
    wireless_type: int | None = None
    four_address: bool = False
    first_on_phy: bool = True
    radio: int | None = None
    frequency: int | None = None
    ssid: str = ""
    tun_flags: int | None = None
    tun_owner: str = ""
    ppp: "PppFacts | None" = None
    hardware: bool = False
    atm: bool = False
    switch: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PppFacts:
    """How a PPP link came about.

    Attributes:
        transport: ``pppoe``, ``modem`` (a chat script dials), ``serial`` (local cable), ``isdn``, ``vpn``, ``atm`` or
            ``""``.
        server: This end answers calls (pppoe-server, xl2tpd LNS, mgetty, ...).
        peer: Name of the file in ``/etc/ppp/peers`` that it was dialled by, "" for none.
        asks_dns: pppd asks the other end for name servers (``usepeerdns``).
        demand: The link stands, and dials when there is traffic (``demand``).
        waiting: It stands on demand and is hung up at the moment.
    """

    transport: str = ""
    server: bool = False
    peer: str = ""
    asks_dns: bool = False
    demand: bool = False
    waiting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One network interface as RTM_NEWLINK shows it, with the facts of sysfs.

    Attributes:
        index: Interface index, from 1.
        name: Interface name as the kernel gives it; may be one that `names.interface_name` refuses.
        type: ARPHRD number of ``linux/if_arp.h``.
        flags: IFF_* bits.
        kind: ``IFLA_INFO_KIND``: bridge, veth, tun, ...; "" for hardware.
        slave_kind: ``IFLA_INFO_SLAVE_KIND``: the kind of the master; "" without one.
        mtu: Bytes.
        address: Hardware address in colon notation; "" if none.
        permanent_address: Address burnt into the device; "" if none.
        master: Index of the link that this one is a port of, None without.
        lower: Index of the link this one stands on (``IFLA_LINK``), None without or in another namespace.
        vlan: Number of a VLAN, 0 for a link of another kind.
        operstate: RFC 2863 state as in ``if.h``: 0 unknown, 1 notpresent, 2 down, 3 lowerlayerdown, 4 testing,
            5 dormant, 6 up.
        carrier: Physical carrier.
        alias: ``IFLA_IFALIAS``; "" if none.
        parent_bus: ``IFLA_PARENT_DEV_BUS_NAME``: pci, usb, virtio, ...; "" if none.
        parent_device: ``IFLA_PARENT_DEV_NAME``; "" if none.
    """

    index: IfIndex
    name: str
    type: int = 1
    flags: int = 0
    kind: str = ""
    slave_kind: str = ""
    mtu: int = 1500
    address: str = ""
    permanent_address: str = ""
    master: IfIndex | None = None
    lower: IfIndex | None = None
    vlan: int = 0
    operstate: int = 0
    carrier: bool = False
    alias: str = ""
    parent_bus: str = ""
    parent_device: str = ""
    facts: LinkFacts = field(default_factory=LinkFacts)

    @property
    def up(self) -> bool:
        """Administratively up (IFF_UP)."""
        return bool(self.flags & IFF_UP)

    @property
    def on_demand(self) -> bool:
        """It stands, and dials when there is traffic."""
        return self.facts.ppp is not None and self.facts.ppp.demand


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One address of a link.

    Attributes:
        index: Interface index of the link.
        interface: Our address, with the prefix length that the kernel keeps with it.
        peer: Address of the other end of a point-to-point link, which the prefix length then belongs to; None without.
        secondary: The kernel deletes it with its primary (IFA_F_SECONDARY, IPv4 only).
        raw: Payload of the RTM_NEWADDR message, for exact replay; b"" for an address that we are about to add.
    """

    index: IfIndex
    interface: IPv4Interface | IPv6Interface
    peer: IPv4Address | IPv6Address | None = None
    secondary: bool = False
    raw: bytes = field(default=b"", compare=False)

    @property
    def connected(self) -> IPv4Network | IPv6Network:
        """The network that the kernel reaches by this address: the peer's if there is one."""
        if self.peer is None:
            return self.interface.network
        return ip_network((self.peer, self.interface.network.prefixlen), strict=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route of any table.

    Attributes:
        table: Routing table number; 254 is main, 255 local.
        destination: Destination network; 0.0.0.0/0 or ::/0 is the default.
        gateway: Next hop, None for a directly connected network or a multipath route.
        index: Outgoing interface, None for unreachable, blackhole and multipath routes.
        metric: Priority, smaller is better.
        protocol: RTPROT number: 2 kernel, 3 boot, 4 static, 16 dhcp, ...
        type: RTN number: 1 unicast, 2 local, 3 broadcast, 7 unreachable, ...
        nexthops: Outgoing interfaces of a multipath route.
        source: Address of the host that its own packets bear, None for the kernel's choice. The route goes with it.
        raw: Payload of the RTM_NEWROUTE message, for exact replay; b"" for a route that we are about to add.
    """

    table: int = 254
    destination: IPv4Network | IPv6Network
    gateway: IPv4Address | IPv6Address | None = None
    index: IfIndex | None = None
    metric: int = 0
    protocol: int = 3
    type: int = 1
    nexthops: tuple[IfIndex, ...] = ()
    source: IPv4Address | IPv6Address | None = field(default=None, compare=False)
    raw: bytes = field(default=b"", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One policy routing rule (ip-rule(8)).

    Attributes:
        family: 4 or 6.
        priority: Smaller is asked first.
        iif: Name of the incoming link that it is for, "" for any.
        accounts: First and last of the users whose sockets it is for, None for all.
        table: Routing table that it leads to, 0 for none.
        selective: It is for some packets only, whatever link they come by: of some sources, users, marks, ports.
        raw: Payload of the RTM_NEWRULE message.
    """

    family: int
    priority: int
    iif: str = ""
    accounts: tuple[int, int] | None = None
    table: int = field(default=0, compare=False)
    selective: bool = field(default=False, compare=False)
    raw: bytes = field(default=b"", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """One neighbour table entry.

    Attributes:
        index: Interface index.
        address: Its IP address.
        mac: Its hardware address, None while unresolved.
        state: NUD_* bits; 0x80 permanent, 0x40 noarp, 0x2 reachable, 0x4 stale.
        raw: Payload of the RTM_NEWNEIGH message, for exact replay; b"" for an entry that we are about to add.
    """

    index: IfIndex
    address: IPv4Address | IPv6Address
    mac: MacAddress | None
    state: int
    raw: bytes = field(default=b"", compare=False)
