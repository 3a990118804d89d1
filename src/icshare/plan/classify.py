"""What a link is and may do: its media type, its roles, whether a bridge takes it.

The inputs are asked in order of trust: the administrator's word (`LinkOverride`), what another tool knows (PPP, Wi-Fi,
tun owners), the hardware type, the kind that rtnetlink names, and at last the shape of the link. The tables are data: a
kind is a row.

Source:
    ``linux/if_arp.h`` (hardware types); the kernel's ``br_add_if()`` (what can be a bridge port); nl80211.h (interface
    types); MicrosoftDocs/sdk-api netcon, NETCON_MEDIATYPE and NETCON_CHARACTERISTIC_FLAGS.
"""

import re
from dataclasses import replace

from icshare.model.connection import Characteristics, LinkClass, LinkOverride, MediaType
from icshare.model.link import ARPHRD_ETHER, IFF_LOOPBACK, IFF_NOARP, IFF_POINTOPOINT, Link, PppFacts

ARPHRD_IEEE1394 = 24
ARPHRD_INFINIBAND = 32
ARPHRD_PPP = 512
ARPHRD_RAWIP = 519

_NONE = Characteristics.NONE
_OUT = Characteristics.OUTGOING_ONLY


def _row(
    label: str,
    media: MediaType,
    *,
    public: bool = True,
    private: bool = True,
    bridge: bool = False,
    flags: Characteristics = _NONE,
    hidden: bool = False,
) -> LinkClass:
    return LinkClass(
        media=media, public=public, private=private, bridgeable=bridge, flags=flags, label=label, hidden=hidden
    )


def _nothing(label: str, *, hidden: bool = False) -> LinkClass:
    return _row(label, MediaType.NONE, public=False, private=False, hidden=hidden)


_LAN, _TUNNEL, _DIRECT, _PHONE = MediaType.LAN, MediaType.TUNNEL, MediaType.DIRECT, MediaType.PHONE

_FALLBACK_DEVICES = frozenset(
    {"tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip6tnl0", "ip6gre0", "ip_vti0", "ip6_vti0"}
)
"""Devices that tunnel modules make in every namespace; nobody's connection."""

_BY_TYPE = {
    ARPHRD_IEEE1394: _row("FireWire", _LAN),
    ARPHRD_INFINIBAND: _row("InfiniBand", _LAN),
    ARPHRD_RAWIP: _row("mobile broadband", _PHONE, private=False, flags=_OUT),
    **dict.fromkeys((256, 257, 258, 259, 264), _row("serial line (SLIP)", _DIRECT)),
    **dict.fromkeys((801, 802, 803), _nothing("Wi-Fi monitor")),
    280: _nothing("CAN bus"),
    783: _row("infrared", _DIRECT, private=False),
    804: _nothing("IEEE 802.15.4 radio"),
    805: _nothing("IEEE 802.15.4 monitor"),
    825: _row("6LoWPAN", _LAN),
    824: _nothing("netlink monitor"),
    826: _nothing("virtual socket monitor"),
    65535: _nothing("queue over several links (teql)", hidden=True),
}
"""Hardware types that decide alone, whatever the kind."""

_BY_KIND = {
    "bridge": _row("bridge", MediaType.BRIDGE, public=False),
    "openvswitch": _row("Open vSwitch interface", _LAN),
    "bond": _row("bond", _LAN, bridge=True),
    "team": _row("team", _LAN, bridge=True),
    "vlan": _row("VLAN", _LAN, bridge=True),
    "macvlan": _row("macvlan", _LAN, bridge=True),
    "macvtap": _row("macvtap", _LAN),
    "ipvlan": _row("ipvlan", _LAN),
    "ipvtap": _row("ipvtap", _LAN),
    "veth": _row("virtual Ethernet", _LAN, bridge=True),
    "dummy": _row("dummy", _LAN, public=False, bridge=True),
    "macsec": _row("MACsec", _LAN, bridge=True),
    "hsr": _row("redundant Ethernet", _LAN, bridge=True),
    "dsa": _row("switch port", _LAN, bridge=True),
    "netdevsim": _row("simulated Ethernet", _LAN, public=False, private=False),
    "ifb": _nothing("intermediate device"),
    "nlmon": _nothing("netlink monitor"),
    "can": _nothing("CAN bus"),
    "vcan": _nothing("CAN bus"),
    "vxcan": _nothing("CAN bus"),
    "vrf": _nothing("routing domain (VRF)"),
    "ipoib": _row("InfiniBand", _LAN),
    "lowpan": _row("6LoWPAN", _LAN),
    "wwan": _row("mobile broadband", _PHONE, private=False, flags=_OUT),
    "rmnet": _row("mobile broadband", _PHONE, private=False, flags=_OUT),
    "wireguard": _row("WireGuard tunnel", _TUNNEL),
    "gre": _row("GRE tunnel", _TUNNEL),
    "ip6gre": _row("GRE tunnel", _TUNNEL),
    "gretap": _row("GRE tunnel", _TUNNEL, bridge=True),
    "ip6gretap": _row("GRE tunnel", _TUNNEL, bridge=True),
    "erspan": _row("ERSPAN tunnel", _TUNNEL, bridge=True),
    "ip6erspan": _row("ERSPAN tunnel", _TUNNEL, bridge=True),
    "vxlan": _row("VXLAN tunnel", _TUNNEL, bridge=True),
    "geneve": _row("GENEVE tunnel", _TUNNEL, bridge=True),
    "l2tpeth": _row("L2TP tunnel", _TUNNEL, bridge=True),
    "batadv": _row("B.A.T.M.A.N. mesh", _TUNNEL, bridge=True),
    "ipip": _row("IP tunnel", _TUNNEL),
    "ip6tnl": _row("IP tunnel", _TUNNEL),
    "vti": _row("IPsec tunnel", _TUNNEL),
    "vti6": _row("IPsec tunnel", _TUNNEL),
    "xfrm": _row("IPsec tunnel", _TUNNEL),
    "sit": _row("IPv6 tunnel", _TUNNEL, private=False),
}

_WIRELESS = {
    1: _row("Wi-Fi ad-hoc", _LAN),
    2: _row("Wi-Fi", _LAN),
    3: _row("Wi-Fi access point", _LAN, public=False, bridge=True, flags=Characteristics.HOSTED_NETWORK),
    4: _row("Wi-Fi access point", _LAN, public=False, bridge=True, flags=Characteristics.HOSTED_NETWORK),
    6: _nothing("Wi-Fi monitor"),
    7: _row("Wi-Fi mesh", _LAN, bridge=True),
    8: _row("Wi-Fi Direct client", _LAN, private=False, flags=Characteristics.WIFI_DIRECT),
    9: _row("Wi-Fi Direct group owner", _LAN, public=False, bridge=True, flags=Characteristics.WIFI_DIRECT),
    10: _nothing("Wi-Fi Direct device"),
    11: _nothing("Wi-Fi outside of a network"),
    12: _nothing("Wi-Fi neighbour awareness"),
}
"""By nl80211 interface type; the kernel bridges no ad-hoc link, and a station only if it sends four addresses."""

_STATION = 2

_PPP = {
    "pppoe": _row("PPPoE", MediaType.PPPOE, private=False, flags=_OUT),
    "atm": _row("PPP over ATM", MediaType.PPPOE, private=False, flags=_OUT),
    "modem": _row("modem", _PHONE, private=False, flags=_OUT),
    "isdn": _row("ISDN", MediaType.ISDN, private=False, flags=_OUT),
    "vpn": _row("VPN", _TUNNEL, private=False, flags=_OUT),
    "serial": _row("serial cable (PPP)", _DIRECT),
    "unreadable": _nothing("dial-up, of a kind that only root can read"),
}
"""By the way a PPP link came about; an unknown way counts as a modem, the oldest."""

_HYPERVISORS = frozenset(
    {
        "qemu",
        "qemu-kvm",
        "qemu-system",
        "kvm",
        "crosvm",
        "firecracker",
        "cloud-hypervisor",
        "libvirtd",
        "lxc",
        "incusd",
        "virtqemud",
        "vboxheadless",
        "virtualboxvm",
        "slirp4netns",
        "passt",
        "pasta",
    }
)
"""Beginnings of the names of programs that give tap links to virtual machines and containers."""

_COMM = 15  # the kernel cuts a process's name off after so many bytes

_DEVTYPES = {
    "wwan": _row("mobile broadband", _PHONE, private=False, flags=_OUT),
    "bluetooth": _row("Bluetooth network", _LAN, bridge=True),
    "gadget": _row("USB gadget", _LAN, bridge=True),
    "wimax": _row("WiMAX", _LAN, private=False, bridge=True),
    "l2tpeth": _row("L2TP tunnel", _TUNNEL, bridge=True),
}

_DRIVERS = {
    "rndis_host": "USB tether",
    "cdc_ether": "USB Ethernet",
    "cdc_ncm": "USB Ethernet",
    "cdc_eem": "USB Ethernet",
    "ipheth": "USB tether",
}
_MODEM_DRIVERS = frozenset(
    {"cdc_mbim", "huawei_cdc_ncm", "iosm", "mhi_net", "mhi_wwan_mbim", "mtk_t7xx", "qmi_wwan", "rmnet"}
)
"""Drivers of mobile broadband; their links say so by device type too, but only where sysfs is that of our namespace."""
_PARALLEL = re.compile(r"plip\d+")  # its driver registers no device, so the name is all there is to go by
_ISDN = re.compile(r"ippp\d+")
_L2TP = re.compile(r"l2tpeth\d+")  # without a kind up to Linux 6.1 at least; its device type is not told by rtnetlink

_USUAL = {
    MediaType.NONE: _nothing("nothing that can be shared"),
    MediaType.DIRECT: _row("direct cable", _DIRECT),
    MediaType.ISDN: _row("ISDN", MediaType.ISDN, private=False, flags=_OUT),
    MediaType.LAN: _row("local area network", _LAN, bridge=True),
    MediaType.PHONE: _row("dial-up", _PHONE, private=False, flags=_OUT),
    MediaType.TUNNEL: _row("tunnel", _TUNNEL),
    MediaType.PPPOE: _row("PPPoE", MediaType.PPPOE, private=False, flags=_OUT),
    MediaType.BRIDGE: _BY_KIND["bridge"],
}
"""What goes with a media type that the administrator has set."""


def classify(link: Link, override: LinkOverride | None = None) -> LinkClass:
    """Return what *link* is and may do.

    Args:
        link: The link, with its facts.
        override: The administrator's word about it, None without.

    Returns:
        The class by the tables above. A link of no known kind is LAN if it is like Ethernet, a tunnel if it is
        point-to-point or without ARP, else nothing.
    """
    if override is None:
        return _found(link)
    if override.incoming_only is False and link.facts.ppp is not None:
        link = replace(link, facts=replace(link.facts, ppp=replace(link.facts.ppp, server=False)))
    return _overridden(_found(link), override, link)


def _found(link: Link) -> LinkClass:
    found = _by_facts(link)
    # Whatever the kind, a bridge refuses what has no Ethernet header.
    return found if link.type == ARPHRD_ETHER else replace(found, bridgeable=False)


def _by_facts(link: Link) -> LinkClass:
    if link.flags & IFF_LOOPBACK:
        return _nothing("loopback", hidden=True)
    if link.name in _FALLBACK_DEVICES and link.kind:
        return _nothing("fallback tunnel of the kernel", hidden=True)
    facts = link.facts.ppp or PppFacts()
    if link.type == ARPHRD_PPP:
        usual = "isdn" if _ISDN.fullmatch(link.name) else "modem"
        return _answering(_PPP.get(facts.transport, _PPP[usual]), facts)
    if link.type in _BY_TYPE:
        return _answering(_BY_TYPE[link.type], facts)
    if link.facts.wireless or link.facts.wireless_type is not None:
        return _wireless(link)
    if link.kind == "tun":
        return _tun(link)
    if link.kind == "openvswitch":
        return _switch(link)
    if link.kind in _BY_KIND:
        return _BY_KIND[link.kind]
    devtype = "wwan" if link.facts.driver in _MODEM_DRIVERS else link.facts.devtype
    if devtype in _DEVTYPES:
        return _DEVTYPES[devtype]
    return _by_shape(link)


def _answering(found: LinkClass, facts: PppFacts) -> LinkClass:
    """Return what becomes of *found* if this end answers calls: it leads nowhere by itself."""
    if not facts.server:
        return found
    return replace(
        found,
        public=False,
        private=False,
        flags=(found.flags & ~_OUT) | Characteristics.INCOMING_ONLY,
        label=f"{found.label}, answering",
    )


def _wireless(link: Link) -> LinkClass:
    number = _STATION if link.facts.wireless_type is None else link.facts.wireless_type
    found = _WIRELESS.get(number, _WIRELESS[_STATION])
    if number != _STATION:
        return found
    flags = found.flags if link.facts.first_on_phy else found.flags | Characteristics.VIRTUAL_STATION
    return replace(found, flags=flags, bridgeable=link.facts.four_address)


def _tun(link: Link) -> LinkClass:
    if link.type != ARPHRD_ETHER:
        return _row("VPN (tun)", _TUNNEL)
    owner = link.facts.tun_owner.lower()
    if any(owner.startswith(name[:_COMM]) for name in _HYPERVISORS):
        return _row("virtual machine's port (tap)", _LAN, bridge=True)
    return _row("VPN (tap)", _TUNNEL, bridge=True)


def _switch(link: Link) -> LinkClass:
    if link.name == "ovs-system":
        return _nothing("Open vSwitch datapath", hidden=True)
    return _row("Open vSwitch", MediaType.BRIDGE, public=False) if link.facts.switch else _BY_KIND["openvswitch"]


def _by_shape(link: Link) -> LinkClass:
    if _PARALLEL.fullmatch(link.name) and link.flags & IFF_POINTOPOINT:
        return _row("parallel cable", _DIRECT)
    if _L2TP.fullmatch(link.name) and not link.facts.hardware:
        return _DEVTYPES["l2tpeth"]
    if link.facts.atm:
        return _row("Ethernet over ATM", _LAN, private=False, bridge=True)
    if link.type == ARPHRD_ETHER and len(link.address) == len("00:00:00:00:00:00"):
        return _row(_DRIVERS.get(link.facts.driver, "Ethernet"), _LAN, bridge=True)
    if link.flags & (IFF_POINTOPOINT | IFF_NOARP):
        return _row("point-to-point link", _TUNNEL)
    return _nothing("unknown kind of link")


def _overridden(found: LinkClass, override: LinkOverride, link: Link) -> LinkClass:
    if override.media is not None and override.media is not found.media:
        usual = _USUAL.get(override.media, _USUAL[MediaType.NONE])
        incoming = found.flags & Characteristics.INCOMING_ONLY  # whether it answers calls is another question
        bridgeable = usual.bridgeable and link.type == ARPHRD_ETHER
        found = replace(usual, bridgeable=bridgeable, label=found.label, flags=incoming or usual.flags)
    if override.incoming_only:
        found = replace(found, flags=(found.flags & ~_OUT) | Characteristics.INCOMING_ONLY)
    return replace(
        found,
        public=found.public if override.public is None else override.public,
        private=found.private if override.private is None else override.private,
        bridgeable=found.bridgeable if override.bridgeable is None else override.bridgeable,
    )
