"""Connections of many kinds as public: whole pages, the public address alone outside, and nothing past them."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.vm.conftest import MakeNode, Modprobe
from tests.vm.hardware import Gadget, give_radio, radios
from tests.vm.nodes import LINE, LINE_ROUTER, SECONDS, Node, address_line, connect, lease, page

from icshare.host import command
from icshare.host.nft import Nftables
from icshare.lab import DNS_ADDRESS, ECHO_ADDRESS, WEB_ADDRESS

GATEWAY_ADDRESS = "192.168.137.1"
PAGE_BYTES = 1_200_000
LINES = "a line of the upload\n" * 10_000
SMALL_MTU = 1400

VPN_ADDRESS = "192.0.2.130"
WG_PORT, WG_SERVER_PORT = 51820, 53
"""The server's is that of DNS, as some providers have it: the tunnel's own packets are no questions."""
WG_MTU = 1420

PHONE_MAC, TETHER_MAC = "02:00:5e:00:00:01", "02:00:5e:00:00:02"
PHONE = "192.168.42.129"
HOME, HOME_ROUTER = "198.51.100.2", "198.51.100.1"

TELLING = '#!/bin/sh\n[ "$1" = bound ] && echo "told mtu=$mtu"\nexit 0\n'


def fetch_whole(client: Node) -> None:
    """Fetch a page larger than any window: one that hangs on its way fails."""
    url = f"http://{WEB_ADDRESS}/bytes/{PAGE_BYTES}"
    told = client.run("curl", "-sS", "--max-time", "50", "-o", "/dev/null", "-w", "%{size_download}", url).stdout
    assert told == str(PAGE_BYTES)


def told_mtu(client: Node) -> str:
    """Ask the gateway's DHCP server again, by busybox, and return the MTU that it tells; "" for none."""
    script = client.file("/etc/telling")
    script.write_text(TELLING)
    script.chmod(0o755)
    argv = ("udhcpc", "-f", "-n", "-q", "-t", "20", "-T", "1", "-O", "mtu", "-s", "/etc/telling", "-i", "eth0")
    found = re.search(r"told mtu=([0-9]*)", client.run(*argv).stdout)
    assert found is not None
    return found[1]


def keep_errors_back(router: Node) -> None:
    """Make a black hole of *router*: it drops what is too large for its next link, and tells nobody."""
    with router.network(), Nftables() as nft:
        nft.load(
            "table inet silence { chain output { type filter hook output priority 0;"
            " icmp type destination-unreachable counter drop; }; }"
        )


def is_cut_off(client: Node, name: str) -> None:
    """Check that *client* gets an error at once, for a name as for an address."""
    argv = ("dig", "+tries=1", "+time=20", f"@{GATEWAY_ADDRESS}", name)
    assert "status: REFUSED" in client.run(*argv, check=False).stdout
    refused = client.run("nc", "-v", "-w", "20", str(WEB_ADDRESS), "80", check=False)
    assert "unreachable" in refused.stderr or "No route" in refused.stderr, refused


def is_given_back(gateway: Node) -> None:
    gateway.document("stop")
    with gateway.network(), Nftables() as nft:
        assert nft.list_text() == ""
    assert not [rule for rule in gateway.ip_json("rule") if 13_700 <= rule["priority"] < 13_800]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# -------------------------------------------------------------------------------------------------------------- VLAN


def test_a_vlan_with_a_small_mtu_and_a_black_hole_behind_it(
    isp: Node, gateway: Node, client: Node, modprobe: Modprobe
) -> None:
    modprobe("8021q")
    connect(isp, "line0", gateway, "eth0")
    for node, link in ((isp, "line0"), (gateway, "eth0")):
        node.ip(
            "link", "add", "link", link, "name", f"{link}.7", "mtu", str(SMALL_MTU), "up", "type", "vlan", "id", "7"
        )
    address_line(isp, "line0.7", gateway, "eth0.7")
    keep_errors_back(isp)
    gateway.document("share", "eth0.7", "lan0")
    outside = gateway.capture("eth0.7")
    assert lease(client, "eth0").startswith("192.168.137.")
    assert page(client) == str(LINE.ip)
    seen = outside.lines()
    assert f"{LINE.ip}" in {line.split(":")[0] for line in seen}
    assert not [line for line in seen if "192.168." in line]
    offered = [int(line.split()[-1]) for line in seen if " mss " in line]
    assert offered[0] == SMALL_MTU - 40, "the client offers 1460"
    outside.close()
    fetch_whole(client)
    echoed = client.run("nc", "-N", str(ECHO_ADDRESS), "7", input=LINES).stdout
    assert echoed.split("\n", 1)[1] == LINES
    assert told_mtu(client) == str(SMALL_MTU)
    is_given_back(gateway)


# ---------------------------------------------------------------------------------------------------------- WireGuard


class Tunnel:
    """A WireGuard tunnel from the gateway to its provider, which routes `VPN_ADDRESS` into it."""

    def __init__(self, isp: Node, gateway: Node) -> None:
        self._gateway = gateway
        keys = [command.run(["wg", "genkey"]).stdout for _ in range(2)]
        public = [command.run(["wg", "pubkey"], input=key).stdout.strip() for key in keys]
        for node, key in zip((isp, gateway), keys, strict=True):
            node.file("/etc/wg.key").write_text(key)
        self._peer = public[0]
        isp.ip("link", "add", "wg0", "type", "wireguard")
        own = ("listen-port", str(WG_SERVER_PORT), "private-key", "/etc/wg.key")
        isp.run("wg", "set", "wg0", *own, "peer", public[1], "allowed-ips", f"{VPN_ADDRESS}/32")
        isp.ip("link", "set", "wg0", "mtu", str(WG_MTU), "up")
        isp.ip("route", "add", f"{VPN_ADDRESS}/32", "dev", "wg0")
        self.up()

    def up(self) -> None:
        """Make the gateway's end, as ``wg-quick up`` with ``Table = off``."""
        gateway = self._gateway
        gateway.ip("link", "add", "wg0", "type", "wireguard")
        peer = ("peer", self._peer, "endpoint", f"{LINE_ROUTER}:{WG_SERVER_PORT}", "allowed-ips", "0.0.0.0/0")
        gateway.run("wg", "set", "wg0", "listen-port", str(WG_PORT), "private-key", "/etc/wg.key", *peer)
        gateway.ip("address", "add", f"{VPN_ADDRESS}/32", "dev", "wg0")
        gateway.ip("link", "set", "wg0", "mtu", str(WG_MTU), "up")


def test_wireguard_carries_all_or_nothing_is_carried(
    isp: Node, gateway: Node, client: Node, modprobe: Modprobe
) -> None:
    """Pinned beside the default route first, carrying it then; deleted, made again, and down."""
    modprobe("wireguard")
    connect(isp, "line0", gateway, "eth0")
    address_line(isp, "line0", gateway, "eth0")
    tunnel = Tunnel(isp, gateway)
    keep_errors_back(isp)
    beside = gateway.capture("eth0")
    own = f"{LINE.ip}:{WG_PORT} "

    told = gateway.document("share", "wg0", "lan0")
    assert [note for note in told["notes"] if "wg0 alone" in note] != []
    lease(client, "eth0")
    assert page(client) == VPN_ADDRESS
    assert told_mtu(client) == str(WG_MTU)
    assert [line for line in beside.lines() if own not in line] == []
    with_traffic = gateway.capture("wg0")
    fetch_whole(client)
    assert not [line for line in with_traffic.lines() if "192.168." in line]
    with_traffic.close()

    gateway.ip("link", "delete", "wg0")
    beside.lines()
    is_cut_off(client, "echo.example.net")
    assert [line for line in beside.lines() if own not in line] == []
    status = gateway.icshare("status")
    assert "wg0 is gone; clients are cut off until it is back" in status.stdout

    tunnel.up()
    gateway.ip("route", "add", "0.0.0.0/1", "dev", "wg0")
    gateway.ip("route", "add", "128.0.0.0/1", "dev", "wg0")
    gateway.ip("route", "add", f"{LINE_ROUTER}/32", "dev", "eth0")
    gateway.document("share", "wg0", "lan0")
    assert page(client) == VPN_ADDRESS
    gateway.ip("link", "set", "wg0", "down")
    beside.lines()
    is_cut_off(client, "ftp.example.net")
    assert [line for line in beside.lines() if own not in line] == []
    is_given_back(gateway)


# ------------------------------------------------------------------------------------------------------ USB tethering


def appearing(mac: str) -> str:
    """Wait for the link with the hardware address *mac* to appear here, and return its name."""
    found: list[str] = []

    def is_there() -> bool:
        for link in Path("/sys/class/net").iterdir():
            with suppress(OSError):  # it goes just now
                if (link / "address").read_text().strip() == mac:
                    found.append(link.name)
        return found != []

    until(is_there)
    return found[0]


@pytest.fixture
def phone(modprobe: Modprobe) -> Iterator[Gadget]:
    """Give a phone that shares its connection as RNDIS, as Android does; it is not plugged in."""
    modprobe("usb_f_rndis", "rndis_host")
    values = {"idVendor": "0x18d1", "idProduct": "0x4eec", "strings/0x409/product": "Phone"}  # Google's, tethering
    made = Gadget("phone", ["rndis"], addresses=(PHONE_MAC, TETHER_MAC), values=values)
    yield made
    made.remove()


def tether(phone: Gadget, gateway: Node, handset: Node | None = None) -> None:
    """Plug the phone into the gateway, whose ``usb0`` gets an address from it."""
    phone.plug()
    host = appearing(TETHER_MAC)
    command.run(["ip", "link", "set", host, "netns", gateway.name, "name", "usb0"])
    gateway.ip("link", "set", "usb0", "up")
    if handset is not None:
        gadget = appearing(PHONE_MAC)
        command.run(["ip", "link", "set", gadget, "netns", handset.name, "name", "rndis0"])
        handset.ip("address", "add", f"{PHONE}/24", "dev", "rndis0")
        handset.ip("link", "set", "rndis0", "up")
        argv = ("dnsmasq", "-k", "--conf-file=/dev/null", "--user=root", "--pid-file=", "--interface=rndis0")
        leases = ("--dhcp-range=192.168.42.2,192.168.42.99,255.255.255.0", "--dhcp-leasefile=/etc/leases", "--no-ping")
        handset.start(*argv, *leases, "--bind-dynamic", "--log-facility=-", until="started")
    assert lease(gateway, "usb0").startswith("192.168.42.")


def test_a_tethered_phone_and_what_happens_when_it_is_unplugged(
    isp: Node, gateway: Node, client: Node, make_node: MakeNode, phone: Gadget
) -> None:
    handset = make_node("phone", resolv_conf=f"nameserver {DNS_ADDRESS}\n")
    connect(isp, "line0", handset, "radio0")
    address_line(isp, "line0", handset, "radio0")
    with handset.network(), Nftables() as nft:
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        nft.load(
            "table ip nat { chain post { type nat hook postrouting priority srcnat; oifname radio0 masquerade; }; }"
        )
    connect(isp, "home0", gateway, "eth0")
    isp.ip("address", "add", f"{HOME_ROUTER}/24", "dev", "home0")
    gateway.ip("address", "add", f"{HOME}/24", "dev", "eth0")
    gateway.ip("route", "add", "default", "via", HOME_ROUTER, "metric", "500")
    tether(phone, gateway, handset)
    gateway.document("share", "usb0", "lan0")
    lease(client, "eth0")
    outside, beside = gateway.capture("usb0"), gateway.capture("eth0")
    assert page(client) == str(LINE.ip)
    assert not [line for line in outside.lines() if "192.168.137." in line]
    fetch_whole(client)

    phone.unplug()
    until(lambda: "usb0" not in gateway.ip("link"))
    beside.lines()
    is_cut_off(client, "echo.example.net")
    assert beside.lines() == []
    assert "usb0 is gone; clients are cut off until it is back" in gateway.icshare("status").stdout

    tether(phone, gateway)
    gateway.document("share", "usb0", "lan0")
    assert page(client) == str(LINE.ip)
    assert beside.lines() == []
    is_given_back(gateway)


# -------------------------------------------------------------------------------------------------------------- Wi-Fi

ACCESS_POINT = """\
interface=wlan0
driver=nl80211
ssid=provider
hw_mode=g
channel=1
wpa=2
wpa_key_mgmt=WPA-PSK
rsn_pairwise=CCMP
wpa_passphrase=twelve sheep
"""
STATION = """\
network={
 ssid="provider"
 psk="twelve sheep"
 key_mgmt=WPA-PSK
 scan_freq=2412
}
"""


RADIOS = ("provider", "station")


@pytest.fixture
def air(modprobe: Modprobe) -> Iterator[None]:
    """Give two radios that hear each other. Asked for before any node, they go after all nodes."""
    modprobe("mac80211_hwsim radios=0")
    with radios(RADIOS):
        yield


def test_a_wifi_station(air: None, isp: Node, gateway: Node, client: Node) -> None:  # noqa: ARG001
    for radio, node in zip(RADIOS, (isp, gateway), strict=True):
        give_radio(radio, node, "wlan0")
    isp.file("/etc/ap.conf").write_text(ACCESS_POINT)
    gateway.file("/etc/station.conf").write_text(STATION)
    isp.start("stdbuf", "-oL", "hostapd", "/etc/ap.conf", until="AP-ENABLED")
    argv = ("wpa_supplicant", "-D", "nl80211", "-i", "wlan0", "-c", "/etc/station.conf")
    gateway.start("stdbuf", "-oL", *argv, until="CTRL-EVENT-CONNECTED")
    address_line(isp, "wlan0", gateway, "wlan0")
    keep_errors_back(isp)
    gateway.document("share", "wlan0", "lan0")
    lease(client, "eth0")
    outside = gateway.capture("wlan0")
    assert page(client) == str(LINE.ip)
    assert not [line for line in outside.lines() if "192.168." in line]
    outside.close()
    fetch_whole(client)
    is_given_back(gateway)
