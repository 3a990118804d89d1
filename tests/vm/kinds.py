"""Every kind of link that this kernel can make, and what icshare has to say of it.

`KINDS` is the table, `made` makes them all: in two namespaces, ``kinds``, which is looked at, and ``far``, where the
other ends are. What stands for hardware is made in the machine's first namespace and moved, as an administrator would;
what cannot be moved (IEEE 802.15.4, the port of a Bluetooth server's bridge) is looked at there.
"""

import contextlib
import fcntl
import os
import signal
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.vm import hardware
from tests.vm.nodes import Node, connect

from icshare.host import command
from icshare.host.netlink import NetlinkSocket
from icshare.host.sysfs import wireless_interfaces
from icshare.lab import settle

FIRST = "first"
"""Where the kernel puts hardware: the machine's first namespace."""

_IN = "INCOMING_ONLY"
_OUT = "OUTGOING_ONLY"
_OWN = "ALLOW_REMOVAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One link as it has to be seen.

    Attributes:
        link: Its name.
        label: The kind in words.
        media: NETCON_MEDIATYPE.
        status: NETCON_STATUS.
        flags: Characteristics without those that every link has; HOMENET_CAPABLE goes with ``private``.
        public: Why it may not be public, "" if it may.
        private: Why it may not be private, "" if it may.
        bridge: A bridge takes it as a port.
        hidden: It is listed only on request.
        where: The namespace it is looked at in.
    """

    link: str
    label: str
    media: str = "LAN"
    status: str = "CONNECTED"
    flags: tuple[str, ...] = ()
    public: str = ""
    private: str = ""
    bridge: bool = False
    hidden: bool = False
    where: str = "kinds"


def _software(link: str, label: str, media: str = "LAN", *flags: str, **rest: str | bool) -> Kind:
    return Kind(link=link, label=label, media=media, flags=(_OWN, *flags), **rest)  # type: ignore[arg-type]


def _nothing(link: str, label: str, *flags: str, **rest: str | bool) -> Kind:
    no = {"public": "media-type", "private": "media-type"}
    return Kind(link=link, label=label, media="NONE", flags=flags, **{**no, **rest})  # type: ignore[arg-type]


def _tunnel(link: str, label: str, **rest: str | bool) -> Kind:
    return _software(link, label, "TUNNEL", **rest)


def _port(link: str, reason: str, *flags: str) -> Kind:
    return _software(link, "virtual Ethernet", "LAN", *flags, public=reason, private=reason, bridge=True)


_VIRTUAL = (
    _nothing("lo", "loopback", hidden=True),
    _software("pair7", "virtual Ethernet", bridge=True),
    _software("pair8", "virtual Ethernet", bridge=True, status="MEDIA_DISCONNECTED"),
    _software("pair9", "virtual Ethernet", bridge=True, status="DISCONNECTED"),
    _software("pair7.5", "VLAN", bridge=True),
    _software("bond7", "bond", bridge=True),
    _port("bond7p", "port-of-master"),
    _software("team7", "team", bridge=True),
    _port("team7p", "port-of-master"),
    _software("br7", "bridge", "BRIDGE", public="media-type"),
    _port("br7p", "bridge-member", "BRIDGED"),
    _nothing("vrf7", "routing domain (VRF)", _OWN),
    _software("vrf7p", "virtual Ethernet", bridge=True),
    _software("macvlan7", "macvlan", bridge=True),
    _software("macvtap7", "macvtap"),
    _software("ipvlan7", "ipvlan"),
    _software("ipvtap7", "ipvtap"),
    _software("macsec7", "MACsec", bridge=True),
    _software("dummy7", "dummy", public="not-as-public", bridge=True),
    _nothing("ifb7", "intermediate device", _OWN),
    _nothing("nlmon7", "netlink monitor", _OWN),
    _nothing("vsockmon7", "virtual socket monitor", _OWN),
    _nothing("vcan7", "CAN bus", _OWN),
    _nothing("vxcan7", "CAN bus", _OWN),
    _tunnel("vxlan7", "VXLAN tunnel", bridge=True),
    _tunnel("geneve7", "GENEVE tunnel", bridge=True),
    _tunnel("gre7", "GRE tunnel"),
    _tunnel("gretap7", "GRE tunnel", bridge=True),
    _tunnel("ip6gre7", "GRE tunnel"),
    _tunnel("ip6gretap7", "GRE tunnel", bridge=True),
    _tunnel("erspan7", "ERSPAN tunnel", bridge=True),
    _tunnel("ip6erspan7", "ERSPAN tunnel", bridge=True),
    _tunnel("ipip7", "IP tunnel"),
    _tunnel("fou7", "IP tunnel"),
    _tunnel("ip6tnl7", "IP tunnel"),
    _tunnel("sit7", "IPv6 tunnel", private="not-as-private"),
    _tunnel("vti7", "IPsec tunnel"),
    _tunnel("ip6vti7", "IPsec tunnel"),
    _tunnel("xfrm7", "IPsec tunnel"),
    Kind(link="l2tpeth7", label="L2TP tunnel", media="TUNNEL", bridge=True),
    _tunnel("bat7", "B.A.T.M.A.N. mesh", bridge=True),
    _port("bat7p", "port-of-master"),
    _tunnel("wg7", "WireGuard tunnel"),
    *(
        _nothing(link, "fallback tunnel of the kernel", hidden=True, status="DISCONNECTED")
        for link in ("tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip6tnl0", "ip6gre0", "ip_vti0", "ip6_vti0")
    ),
    _nothing("teql0", "queue over several links (teql)", hidden=True, status="DISCONNECTED", where=FIRST),
)

_BY_PROCESS = (
    _tunnel("tun7", "VPN (tun)"),
    _tunnel("tap7", "VPN (tap)", bridge=True),
    _software("tap8", "virtual machine's port (tap)", bridge=True),
    _tunnel("tap9", "VPN (tap)", bridge=True, status="DISCONNECTED"),
    _software("type24", "FireWire"),
    _software("type32", "InfiniBand"),
    _software("type519", "mobile broadband", "PHONE", _OUT, private="not-as-private"),
    _software("type256", "serial line (SLIP)", "DIRECT"),
    _software("type783", "infrared", "DIRECT", private="not-as-private"),
    _nothing("type280", "CAN bus", _OWN),
    _nothing("type805", "IEEE 802.15.4 monitor", _OWN),
    _software("ppp-wan", "PPPoE", "PPPOE", _OUT, private="not-as-private"),
    _software("ppp7", "PPPoE, answering", "PPPOE", _IN, public="incoming-only", private="incoming-only"),
    _software("ppp-modem", "modem", "PHONE", _OUT, private="not-as-private"),
    _software("ppp-callers", "modem, answering", "PHONE", _IN, public="incoming-only", private="incoming-only"),
    _software("ppp-cable", "serial cable (PPP)", "DIRECT"),
    Kind(link="sl0", label="serial line (SLIP)", media="DIRECT"),
)

_DOWN = "HARDWARE_DISABLED"
_HARDWARE = (
    Kind(link="station", label="Wi-Fi"),
    Kind(link="station2", label="Wi-Fi", status=_DOWN, flags=("VIRTUAL_STATION",)),
    Kind(link="station4", label="Wi-Fi", status=_DOWN, flags=("VIRTUAL_STATION",), bridge=True),
    Kind(link="ap", label="Wi-Fi access point", flags=("HOSTED_NETWORK",), public="not-as-public", bridge=True),
    Kind(link="mesh", label="Wi-Fi mesh", bridge=True),
    Kind(link="adhoc", label="Wi-Fi ad-hoc"),
    _nothing("monitor", "Wi-Fi monitor"),
    Kind(
        link="p2pgo",
        label="Wi-Fi Direct group owner",
        status=_DOWN,
        flags=("WIFI_DIRECT",),
        public="not-as-public",
        bridge=True,
    ),
    Kind(link="p2pcl", label="Wi-Fi Direct client", status=_DOWN, flags=("WIFI_DIRECT",), private="not-as-private"),
    Kind(link="rndis-host", label="USB tether", bridge=True),
    Kind(link="rndis-gadget", label="USB gadget", bridge=True),
    Kind(link="ncm-host", label="USB Ethernet", bridge=True),
    Kind(link="ncm-gadget", label="USB gadget", bridge=True),
    Kind(link="ecm-host", label="USB Ethernet", bridge=True),
    Kind(link="ecm-gadget", label="USB gadget", bridge=True),
    Kind(link="panu", label="Bluetooth network", bridge=True),
    Kind(
        link="nap",
        label="Bluetooth network",
        flags=("BRIDGED",),
        public="bridge-member",
        private="bridge-member",
        bridge=True,
        where=FIRST,
    ),
    _nothing("wpan0", "IEEE 802.15.4 radio", where=FIRST),
    _software("lowpan7", "6LoWPAN", where=FIRST),
)

KINDS = (*_VIRTUAL, *_BY_PROCESS, *_HARDWARE)

_MODULES = (
    *("bonding", "team", "batman_adv", "macsec", "vxlan", "geneve", "wireguard", "xfrm_interface", "vcan", "vxcan"),
    *("ip_gre", "ip6_gre", "ipip", "sit", "ip6_tunnel", "ip_vti", "ip6_vti", "fou", "l2tp_eth", "sch_teql"),
    *("tun", "pppoe", "ppp_async", "slip"),
    *("usb_f_rndis", "usb_f_ncm", "usb_f_ecm", "rndis_host", "cdc_ncm", "cdc_ether"),
    *("mac802154_hwsim", "ieee802154_6lowpan", "hci_vhci", "bnep"),
)

_LINKS = """
link add pair7 type veth peer name far7 netns {far}
link add pair8 type veth peer name far8 netns {far}
link add pair9 type veth peer name far9 netns {far}
link add pair10 type veth peer name far10 netns {far}
link add pair11 type veth peer name far11 netns {far}
link add pair12 type veth peer name far12 netns {far}
link add bond7p type veth peer name fbond7 netns {far}
link add team7p type veth peer name fteam7 netns {far}
link add br7p type veth peer name fbr7 netns {far}
link add vrf7p type veth peer name fvrf7 netns {far}
link add bat7p type veth peer name fbat7 netns {far}
link add link pair7 name pair7.5 type vlan id 5
link add bond7 type bond mode active-backup
link set bond7p master bond7
link add team7 type team
link set team7p master team7
link add br7 type bridge forward_delay 0
link set br7p master br7
link add vrf7 type vrf table 77
link set vrf7p master vrf7
link add link pair12 name macvlan7 type macvlan mode bridge
link add link pair12 name macvtap7 type macvtap mode bridge
link add link pair10 name ipvlan7 type ipvlan mode l2
link add link pair10 name ipvtap7 type ipvtap mode l2
link add link pair11 name macsec7 type macsec
link add dummy7 type dummy
link add ifb7 type ifb
link add nlmon7 type nlmon
link add vsockmon7 type vsockmon
link add vcan7 type vcan
link add vxcan7 type vxcan peer name fvxcan7 netns {far}
link add vxlan7 type vxlan id 7 dstport 4789 local 192.0.2.1
link add geneve7 type geneve id 7 remote 192.0.2.2
link add gre7 type gre local 192.0.2.1 remote 192.0.2.2
link add gretap7 type gretap local 192.0.2.1 remote 192.0.2.2
link add ip6gre7 type ip6gre local 2001:db8::1 remote 2001:db8::2
link add ip6gretap7 type ip6gretap local 2001:db8::1 remote 2001:db8::2
link add erspan7 type erspan local 192.0.2.1 remote 192.0.2.3 seq key 7 erspan_ver 1 erspan 7
link add ip6erspan7 type ip6erspan local 2001:db8::1 remote 2001:db8::3 seq key 7 erspan_ver 1 erspan 7
link add ipip7 type ipip local 192.0.2.1 remote 192.0.2.2
link add fou7 type ipip local 192.0.2.1 remote 192.0.2.4 encap fou encap-sport auto encap-dport 5555
link add sit7 type sit local 192.0.2.1 remote 192.0.2.2
link add ip6tnl7 type ip6tnl local 2001:db8::1 remote 2001:db8::2
link add vti7 type vti local 192.0.2.1 remote 192.0.2.5 key 7
link add ip6vti7 type vti6 local 2001:db8::1 remote 2001:db8::5 key 7
link add xfrm7 type xfrm dev lo if_id 7
link add bat7 type batadv
link set bat7p master bat7
link add wg7 type wireguard
addr add 192.0.2.1/32 dev lo
addr add 192.0.2.6/32 dev lo
addr add 2001:db8::1/128 dev lo
"""
_STAY_DOWN = {"pair9", "tap9", "station2", "station4", "p2pgo", "p2pcl"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The namespaces of the links.

    Attributes:
        kinds: Where they are.
        far: Where their other ends are.
        strange: Links of the first namespace that others made, before.
    """

    kinds: Node
    far: Node
    strange: frozenset[str]


_NO_TUNNELS_ELSEWHERE = Path("/proc/sys/net/core/fb_tunnels_only_for_init_net")


@contextlib.contextmanager
def made() -> Iterator[Made]:
    """Make every link of `KINDS`, for the block."""
    with NetlinkSocket() as kernel:
        strange = frozenset(link.name for link in kernel.links())
    command.run(["modprobe", "--all", *_MODULES], timeout=60)
    with contextlib.ExitStack() as all_of_it:
        command.run(["modprobe", "mac80211_hwsim", "radios=0"], timeout=60)
        # Other tests want it with options of their own.
        all_of_it.callback(command.run, ["modprobe", "--remove", "mac80211_hwsim"], timeout=60)
        # The tunnels' modules stay, and would put a dozen links into each new namespace.
        all_of_it.callback(_NO_TUNNELS_ELSEWHERE.write_text, "1")
        # First in, last out: radios come back to the first namespace when the node is closed.
        all_of_it.enter_context(hardware.radios(tuple(_RADIOS)))
        kinds, far = Node("kinds"), Node("far")
        for node in (far, kinds):
            all_of_it.callback(node.close)
        _make_virtual(kinds, far)
        all_of_it.enter_context(_held(kinds))
        _start_ppp(kinds, far)
        _make_slip(kinds)
        _set_up_radios(kinds)
        all_of_it.enter_context(_usb(kinds))
        all_of_it.enter_context(_bluetooth(kinds))
        all_of_it.enter_context(_wpan())
        _finish_radios(kinds)
        _finish_ppp(kinds)
        batch(kinds, *(f"link set {one} up" for one in _links_to_raise(kinds)))
        _settle(kinds)
        yield Made(kinds=kinds, far=far, strange=strange)


def _links_to_raise(kinds: Node) -> list[str]:
    hidden = {one.link for one in KINDS if one.hidden}
    with kinds.network(), NetlinkSocket() as kernel:
        return [one.name for one in kernel.links() if not one.up and one.name not in _STAY_DOWN | hidden]


def _settle(kinds: Node) -> None:
    """Have the kernel act on the carriers of the cables, which it does in its own time."""
    with kinds.network():
        for link in ("pair7", "br7p", "bond7p", "team7p", "vrf7p", "bat7p", "bond7", "team7", "br7", "pair7.5"):
            hardware.wait_for(lambda name=link: settle.has_carrier(name), f"{link} has a carrier")  # type: ignore[misc]


def batch(node: Node, *lines: str, check: bool = True) -> None:
    """Run many commands of ``ip`` in a node, by one process; without *check* also those after one that failed."""
    on = [] if check else ["-force"]
    command.run(["ip", "-n", node.name, *on, "-batch", "-"], input="\n".join((*lines, "")), check=check, timeout=60)


def _make_virtual(kinds: Node, far: Node) -> None:
    batch(kinds, _LINKS.format(far=far.name))
    # Ends whose other side is up have a carrier. Of pair8 the other side is down, and pair9 is down itself.
    ends = ("far7", "far10", "far11", "far12", "fbond7", "fteam7", "fbr7", "fvrf7", "fbat7", "fvxcan7")
    batch(far, *(f"link set {one} up" for one in ends))
    l2tp = ["ip", "-n", kinds.name, "l2tp", "add"]
    numbers = ["tunnel_id", "7", "peer_tunnel_id", "7"]
    command.run([*l2tp, "tunnel", *numbers, "encap", "ip", "local", "192.0.2.1", "remote", "192.0.2.6"])
    session = ["session_id", "7", "peer_session_id", "7"]
    command.run([*l2tp, "session", "name", "l2tpeth7", "tunnel_id", "7", *session])


# ----------------------------------------------------------------------------------------------- by their process

_TUN, _TAP, _NO_PACKET_INFORMATION = 1, 2, 0x1000
_TUNSETIFF, _TUNSETLINK, _TUNSETPERSIST = 0x400454CA, 0x400454CD, 0x400454CB


@contextlib.contextmanager
def _held(kinds: Node) -> Iterator[None]:
    """Have programs of certain names hold links open, and links of hardware that this machine has not."""
    holders = []
    with kinds.network():
        holders += [
            _hold("tun7", _TUN, "openvpn"),
            _hold("tap7", _TAP, "openvpn"),
            _hold("tap8", _TAP, "qemu-system-x86"),
        ]
        held = [_opened(f"type{number}", _TUN, number) for number in (24, 32, 519, 256, 783, 280, 805)]
        nobody = _opened("tap9", _TAP, None)
        fcntl.ioctl(nobody, _TUNSETPERSIST, 1)
        os.close(nobody)
    try:
        yield
    finally:
        for pid in holders:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
        for descriptor in held:
            os.close(descriptor)


def _opened(link: str, mode: int, hardware_type: int | None) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", link.encode(), mode | _NO_PACKET_INFORMATION))
    if hardware_type is not None:
        fcntl.ioctl(descriptor, _TUNSETLINK, hardware_type)
    return descriptor


def _hold(link: str, mode: int, program: str) -> int:
    """Have a child of that name hold a link open in the present namespace; return its process."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _opened(link, mode, None)
            Path("/proc/self/comm").write_text(program)
            os.write(tell, b"\n")
            signal.pause()
        except OSError as error:
            os.write(tell, str(error).encode())
        finally:
            os._exit(1)
    os.close(tell)
    said = os.read(ready, 4096)
    os.close(ready)
    assert said == b"\n", f"{link}: {said.decode()}"
    return pid


_PLAIN = ("noauth", "nodetach", "noccp", "novj", "nodefaultroute")
_TERMINAL = ("115200", "nocrtscts")


def _start_ppp(kinds: Node, far: Node) -> None:
    """Start what makes the PPP links: providers, callers, who answers them, and the lines between."""
    for one in ("modem", "callers", "cable"):
        line = [f"PTY,link=/run/{place}-{one},raw,echo=0" for place in ("kinds", "far")]
        kinds.start("socat", *line)
        hardware.wait_for(Path(f"/run/far-{one}").exists, "there is a line")
    connect(kinds, "dsl", far, "dslam")
    connect(kinds, "subscribers", far, "subscriber")
    Path("/run/kinds-isp").write_text("noauth\nnoccp\nnovj\n")
    Path("/run/kinds-own").write_text("noauth\nnoccp\nnovj\nunit 7\n")
    serve = ("pppoe-server", "-F", "-N", "2")
    far.start(*serve, "-I", "dslam", "-L", "198.51.100.1", "-R", "198.51.100.9", "-O", "/run/kinds-isp")
    kinds.start(*serve, "-I", "subscribers", "-L", "198.51.100.65", "-R", "198.51.100.73", "-O", "/run/kinds-own")
    dial = ("pppd", "plugin", "rp-pppoe.so")
    kinds.start(*dial, "nic-dsl", *_PLAIN, "noipdefault", "ifname", "ppp-wan")
    far.start(*dial, "nic-subscriber", *_PLAIN, "noipdefault", "ifname", "fppp-pppoe")
    _start_modem(kinds, far)
    _start_answering(kinds, far)
    _start_cable(kinds, far)


def _start_modem(kinds: Node, far: Node) -> None:
    answer = r'chat -t 60 ATZ "OK\r\c" ATDT5550100 "CONNECT\r\c"'
    # What is said before the other end listens is lost, as on any line: so it is said again.
    call = 'chat -t 5 "" ATZ OK-ATZ-OK-ATZ-OK-ATZ-OK-ATZ-OK-ATZ-OK ATDT5550100 CONNECT ""'
    ends = "198.51.100.129:198.51.100.130"
    far.start("pppd", "/run/far-modem", *_TERMINAL, *_PLAIN, "local", ends, "ifname", "fppp-modem", "connect", answer)
    kinds.start("pppd", "/run/kinds-modem", *_TERMINAL, *_PLAIN, "noipdefault", "ifname", "ppp-modem", "connect", call)


def _start_answering(kinds: Node, far: Node) -> None:
    """Answer as getty programs have pppd do: ``login`` says that callers need accounts of the host.

    They are asked for none, so that nothing has to be known about the accounts of this one.
    """
    ends = "198.51.100.193:198.51.100.194"
    answer = (*_TERMINAL, *_PLAIN, "silent", "login")
    kinds.start("pppd", "/run/kinds-callers", *answer, "ifname", "ppp-callers", ends)
    call = (*_TERMINAL, *_PLAIN, "local", "noipdefault")
    far.start("pppd", "/run/far-callers", *call, "ifname", "fppp-caller")


def _start_cable(kinds: Node, far: Node) -> None:
    """Join two computers as Windows joins them."""
    host = r'chat -t 60 CLIENT "CLIENTSERVER\c"'
    guest = (
        r'chat -t 5 "" "CLIENT\c" CLIENTSERVER-CLIENT\c-CLIENTSERVER-CLIENT\c-CLIENTSERVER-CLIENT\c-CLIENTSERVER "\c"'
    )
    line = (*_TERMINAL, *_PLAIN, "local")
    far.start("pppd", "/run/far-cable", *line, "198.51.100.225:198.51.100.226", "ifname", "fppp-cable", "connect", host)
    kinds.start("pppd", "/run/kinds-cable", *line, "noipdefault", "ifname", "ppp-cable", "connect", guest)


def _finish_ppp(kinds: Node) -> None:
    for link in ("ppp-wan", "ppp7", "ppp-modem", "ppp-callers", "ppp-cable"):
        hardware.wait_for(lambda name=link: _has_address(kinds, name), f"{link} has an address\n{kinds.logs()}")  # type: ignore[misc]


def _has_address(node: Node, link: str) -> bool:
    with node.network(), NetlinkSocket() as kernel:
        index = {one.name: one.index for one in kernel.links()}.get(link)
        return any(one.index == index and one.interface.version == 4 for one in kernel.addresses())


def _make_slip(kinds: Node) -> None:
    """Attach a serial line; its link appears in the first namespace, whoever attaches it."""
    line = [f"PTY,link=/run/{place}-slip,raw,echo=0" for place in ("kinds", "far")]
    kinds.start("socat", *line)
    hardware.wait_for(Path("/run/kinds-slip").exists, "there is a line")
    kinds.start("slattach", "-L", "-p", "slip", "-s", "38400", "/run/kinds-slip")
    hardware.wait_for(Path("/sys/class/net/sl0").exists, "there is a SLIP link")
    command.run(["ip", "link", "set", "sl0", "netns", kinds.name])


# ------------------------------------------------------------------------------------------------------- hardware

_RADIOS = {
    "kinds0": "station",
    "kinds1": "ap",
    "kinds2": "mesh",
    "kinds3": "adhoc",
    "kinds4": "monitor",
    "kinds5": "spare5",
    "kinds6": "spare6",
}
_ACCESS_POINT = "interface=ap\ndriver=nl80211\nssid=kinds\nhw_mode=g\nchannel=1\n"


def _set_up_radios(kinds: Node) -> None:
    """Set the radios to every mode there is; `_finish_radios` waits for the station."""
    for radio, link in _RADIOS.items():
        first = hardware.first_link(radio)
        command.run(["ip", "link", "set", first, "name", link])
        command.run(["iw", "phy", radio, "set", "netns", "name", kinds.name])
    for radio, link, mode in (
        ("kinds0", "station2", "managed"),
        ("kinds5", "station4", "managed 4addr on"),
        ("kinds6", "p2pcl", "__p2pcl"),
        ("kinds6", "p2pgo", "__p2pgo"),
    ):
        kinds.run("iw", "phy", radio, "interface", "add", link, "type", *mode.split())
    for link, mode in (("mesh", "mp"), ("adhoc", "ibss"), ("monitor", "monitor")):
        kinds.run("iw", "dev", link, "set", "type", mode)
        kinds.ip("link", "set", link, "up")
    kinds.ip("link", "set", "station", "up")
    Path("/run/kinds-ap").write_text(_ACCESS_POINT)
    kinds.start("hostapd", "/run/kinds-ap")
    kinds.run("iw", "dev", "mesh", "mesh", "join", "kinds-mesh", "freq", "2437")
    kinds.run("iw", "dev", "adhoc", "ibss", "join", "kinds-adhoc", "2462", "fixed-freq", "02:11:22:33:44:55")


def _finish_radios(kinds: Node) -> None:
    kinds.run("iw", "dev", "station", "connect", "-w", "kinds", "2412")
    with kinds.network():
        assert len(wireless_interfaces()) == len(_RADIOS) + 4


@contextlib.contextmanager
def _usb(kinds: Node) -> Iterator[None]:
    """Plug in one device with three functions; the host's side has to be up before the device's, or has no carrier."""
    with hardware.usb_device("kinds", ("rndis", "ncm", "ecm")) as links:
        for function, sides in links.items():
            for side, link in reversed(tuple(zip(("gadget", "host"), sides, strict=True))):
                name = f"{function}-{side}"
                command.run(["ip", "link", "set", link, "netns", kinds.name, "name", name])
                kinds.ip("link", "set", name, "up")
        yield


@contextlib.contextmanager
def _bluetooth(kinds: Node) -> Iterator[None]:
    """Join two controllers; the server's link goes into a bridge at once, as bluetoothd does it."""
    before = _controllers()
    controllers = command.start(["btvirt", "-l2"], stdout=command.DEVNULL)
    try:
        hardware.wait_for(lambda: len(_controllers() - before) == 2, "there are two controllers")
        nap, panu = sorted(_controllers() - before)
        server, user = hardware.bluetooth_network((nap, panu))
        for link, name in ((server, "nap"), (user, "panu")):
            command.run(["ip", "link", "set", link, "name", name])
        command.run(["ip", "link", "add", "nap-bridge", "up", "type", "bridge"])
        command.run(["ip", "link", "set", "nap", "master", "nap-bridge", "up"])
        command.run(["ip", "link", "set", "panu", "netns", kinds.name])
        yield
        command.run(["ip", "link", "delete", "nap-bridge"])
    finally:
        command.end(controllers)


def _controllers() -> set[int]:
    known = Path("/sys/class/bluetooth")
    return (
        {int(one.name.removeprefix("hci")) for one in known.iterdir() if ":" not in one.name}
        if known.exists()
        else set()
    )


@contextlib.contextmanager
def _wpan() -> Iterator[None]:
    """Make 6LoWPAN over a simulated radio of IEEE 802.15.4; neither can leave the first namespace by rtnetlink."""
    command.run(["ip", "link", "add", "link", "wpan0", "name", "lowpan7", "type", "lowpan"])
    for link in ("wpan0", "lowpan7"):
        command.run(["ip", "link", "set", link, "up"])
    yield
    command.run(["ip", "link", "delete", "lowpan7"])
