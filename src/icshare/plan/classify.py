"""What a link is and may do: its media type, its roles, whether a bridge takes it.

The inputs are asked in order of trust: the administrator's word (`LinkOverride`), what another tool knows (PPP, Wi-Fi,
tun owners), the hardware type, the kind that rtnetlink names, and at last the shape of the link. The tables are data: a
kind is a row.

Source:
    ``linux/if_arp.h`` (hardware types); the kernel's ``br_add_if()`` (what can be a bridge port); nl80211.h (interface
    types); MicrosoftDocs/sdk-api netcon, NETCON_MEDIATYPE and NETCON_CHARACTERISTIC_FLAGS.
"""

from dataclasses import replace

from icshare.model.connection import Characteristics, LinkClass, LinkOverride, MediaType
from icshare.model.link import IFF_LOOPBACK, IFF_NOARP, IFF_POINTOPOINT, Link, PppFacts

ARPHRD_ETHER = 1
ARPHRD_IEEE1394 = 24
ARPHRD_INFINIBAND = 32
ARPHRD_PPP = 512
ARPHRD_RAWIP = 519
ARPHRD_NONE = 65534

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
    {"tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip6tnl0", "ip6gre0", "ip_vti0", "ip6_vti0", "teql0"}
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
    824: _nothing("netlink monitor", hidden=True),
}
"""Hardware types that decide alone, whatever the kind."""

_BY_KIND = {
    "bridge": _row("bridge", MediaType.BRIDGE, public=False),
    "openvswitch": _row("Open vSwitch", MediaType.BRIDGE, public=False),
    "bond": _row("bond", _LAN, bridge=True),
    "team": _row("team", _LAN, bridge=True),
    "vlan": _row("VLAN", _LAN, bridge=True),
    "macvlan": _row("macvlan", _LAN, bridge=True),
    "macvtap": _row("macvtap", _LAN, bridge=True),
    "ipvlan": _row("ipvlan", _LAN),
    "ipvtap": _row("ipvtap", _LAN),
    "veth": _row("virtual Ethernet", _LAN, bridge=True),
    "dummy": _row("dummy", _LAN, public=False, bridge=True),
    "macsec": _row("MACsec", _LAN, bridge=True),
    "hsr": _row("redundant Ethernet", _LAN, bridge=True),
    "dsa": _row("switch port", _LAN, bridge=True),
    "netdevsim": _row("simulated Ethernet", _LAN, bridge=True),
    "ifb": _nothing("intermediate device"),
    "nlmon": _nothing("netlink monitor", hidden=True),
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
}
"""By nl80211 interface type; the kernel bridges no station and no ad-hoc link."""

_PPP = {
    "pppoe": _row("PPPoE", MediaType.PPPOE, private=False, flags=_OUT),
    "atm": _row("PPP over ATM", MediaType.PPPOE, private=False, flags=_OUT),
    "modem": _row("modem", _PHONE, private=False, flags=_OUT),
    "isdn": _row("ISDN", MediaType.ISDN, private=False, flags=_OUT),
    "vpn": _row("VPN", _TUNNEL, private=False, flags=_OUT),
    "serial": _row("serial cable (PPP)", _DIRECT),
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
        "vhostmd",
    }
)

_DEVTYPES = {
    "wwan": _row("mobile broadband", _PHONE, private=False, flags=_OUT),
    "bluetooth": _row("Bluetooth network", _LAN, bridge=True),
    "gadget": _row("USB gadget", _LAN, bridge=True),
    "wimax": _row("WiMAX", _LAN, private=False, bridge=True),
}

_DRIVERS = {
    "rndis_host": "USB tether",
    "cdc_ether": "USB Ethernet",
    "cdc_ncm": "USB Ethernet",
    "cdc_eem": "USB Ethernet",
    "ipheth": "USB tether",
    "plip": "parallel cable",
}

_USUAL = {
    MediaType.NONE: _nothing("nothing that can be shared"),
    MediaType.DIRECT: _row("direct cable", _DIRECT),
    MediaType.ISDN: _row("ISDN", MediaType.ISDN, private=False),
    MediaType.LAN: _row("local area network", _LAN, bridge=True),
    MediaType.PHONE: _row("dial-up", _PHONE, private=False),
    MediaType.TUNNEL: _row("tunnel", _TUNNEL),
    MediaType.PPPOE: _row("PPPoE", MediaType.PPPOE, private=False),
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
    found = _found(link)
    return found if override is None else _overridden(found, override, link)


def _found(link: Link) -> LinkClass:
    if link.flags & IFF_LOOPBACK:
        return _nothing("loopback", hidden=True)
    if link.name in _FALLBACK_DEVICES and link.kind:
        return _nothing("fallback tunnel of the kernel", hidden=True)
    if link.type == ARPHRD_PPP:
        return _ppp(link.facts.ppp or PppFacts())
    by_type = _BY_TYPE.get(link.type)
    if by_type is not None:
        server = link.facts.ppp is not None and link.facts.ppp.server
        return replace(by_type, flags=by_type.flags | Characteristics.INCOMING_ONLY) if server else by_type
    if link.facts.wireless or link.facts.wireless_type is not None:
        return _wireless(link)
    if link.kind in {"tun", "tap"}:
        return _tun(link)
    if link.kind in _BY_KIND:
        return _BY_KIND[link.kind]
    if link.facts.devtype in _DEVTYPES:
        return _DEVTYPES[link.facts.devtype]
    return _by_shape(link)


def _ppp(facts: PppFacts) -> LinkClass:
    found = _PPP.get(facts.transport, _PPP["modem"])
    if facts.server:
        return replace(
            found,
            public=False,
            private=False,
            flags=(found.flags & ~_OUT) | Characteristics.INCOMING_ONLY,
            label=f"{found.label}, answering",
        )
    return found


def _wireless(link: Link) -> LinkClass:
    found = _WIRELESS.get(link.facts.wireless_type or 2, _WIRELESS[2])
    if not link.facts.first_on_phy and link.facts.wireless_type == 2:
        return replace(found, flags=found.flags | Characteristics.VIRTUAL_STATION)
    return found


def _tun(link: Link) -> LinkClass:
    if link.type == ARPHRD_NONE:
        return _row("VPN (tun)", _TUNNEL)
    owner = link.facts.tun_owner
    if any(owner.startswith(name) for name in _HYPERVISORS):
        return _row("virtual machine's port (tap)", _LAN, bridge=True)
    return _row("VPN (tap)", _TUNNEL, bridge=True)


def _by_shape(link: Link) -> LinkClass:
    if link.type == ARPHRD_ETHER and link.facts.driver == "plip":
        return _row(_DRIVERS["plip"], _DIRECT)
    if link.type == ARPHRD_ETHER and not link.flags & IFF_POINTOPOINT and len(link.address) == len("00:00:00:00:00:00"):
        return _row(_DRIVERS.get(link.facts.driver, "Ethernet"), _LAN, bridge=True)
    if link.flags & (IFF_POINTOPOINT | IFF_NOARP):
        return _row("point-to-point link", _TUNNEL)
    return _nothing("unknown kind of link")


def _overridden(found: LinkClass, override: LinkOverride, link: Link) -> LinkClass:
    if override.media is not None and override.media is not found.media:
        usual = _USUAL.get(override.media, _USUAL[MediaType.NONE])
        bridgeable = usual.bridgeable and link.type == ARPHRD_ETHER
        found = replace(usual, bridgeable=bridgeable, label=found.label)
    if override.incoming_only is not None:
        flag = Characteristics.INCOMING_ONLY
        found = replace(found, flags=found.flags | flag if override.incoming_only else found.flags & ~flag)
    return replace(
        found,
        public=found.public if override.public is None else override.public,
        private=found.private if override.private is None else override.private,
        bridgeable=found.bridgeable if override.bridgeable is None else override.bridgeable,
    )
