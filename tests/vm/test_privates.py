"""Private connections of every kind, with their clients: bridged, or routed where there is no Ethernet."""

import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec
import pytest
from tests.vm.conftest import RESOLV_CONF, MakeNode, Modprobe
from tests.vm.dbus import CONFIGURATION, Bus, BusError, option, strings, switched_on
from tests.vm.hardware import Gadget
from tests.vm.nodes import LINE, Daemon, Machine, Node, address_line, connect, lease, page

from icshare.host import command
from icshare.host.nft import Nftables
from icshare.lab import WEB_ADDRESS, Lab

HEADERS = 40
"""Bytes of IPv4 and TCP headers without options."""

TIMESTAMPS = 12
"""Bytes that TCP's option of that name takes away from each segment."""

SLIP_MTU = 296
WIREGUARD_MTU = 1420

SERVER_CHAT = 'TIMEOUT 30 "CLIENT" "CLIENTSERVER\\c"\n'
CLIENT_CHAT = 'TIMEOUT 30 "" "CLIENT\\c" "CLIENTSERVER" "\\c"\n'
"""What the two ends of a direct cable connection of Windows say before they speak PPP."""

SECONDS = 30.0
"""How long the kernel may take to make or lose a link."""


@pytest.fixture
def shared_line(isp: Node, gateway: Node) -> str:
    """Join the gateway to its provider; return the link."""
    connect(isp, "line0", gateway, "eth0")
    address_line(isp, "line0", gateway, "eth0")
    return "eth0"


def state_of(node: Node) -> dict[str, list[str]]:
    """Return everything of a node that sharing changes, to be compared before and after."""
    with node.network(), Nftables() as nft:
        found = {"rules": nft.list_text().splitlines()}
        settings = Path("/proc/sys/net/ipv4/conf").glob("*/forwarding")
        found["forwarding"] = [f"{path.parent.name} {path.read_text()}" for path in settings]
    found["links"] = [
        f"{one['ifname']} {one.get('master')} {one['mtu']} {'UP' in one['flags']}"
        for one in node.ip_json("link", "show")
    ]
    found["addresses"] = [
        f"{one['ifname']} {info['local']} {info.get('address')} {info['prefixlen']}"
        for one in node.ip_json("-4", "address", "show")
        for info in one["addr_info"]
    ]
    found["routes"] = node.ip("-4", "route", "show", "table", "all").splitlines()
    found["policy"] = node.ip("-4", "rule", "show").splitlines()
    return {what: sorted(lines) for what, lines in found.items()}


def new_link(pattern: str) -> str:
    """Wait for the one link of the machine's own network whose name is like *pattern*, and return the name."""
    deadline = time.monotonic() + SECONDS
    while not (found := list(Path("/sys/class/net").glob(pattern))):
        assert time.monotonic() < deadline, f"no link {pattern}"
    (made,) = found
    return made.name


def resolve_by(node: Node, server: str) -> None:
    """Let a node ask *server* for names."""
    node.file("/etc/resolv.conf").write_text(f"nameserver {server}\n")


def segment_size(client: Node, server: Node, address: str) -> int:
    """Send 100 KB from *server* to *client* by TCP and return the maximum segment size (bytes) that they agreed on."""
    content = bytes(range(250)) * 400
    with server.network():
        listener = socket.create_server(("0.0.0.0", 0))
    listener.settimeout(30)

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(content)

    thread = threading.Thread(target=serve)
    thread.start()
    with listener:
        with client.network():
            reader = socket.socket()
        with reader:
            reader.settimeout(60)
            reader.connect((address, listener.getsockname()[1]))
            size = reader.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
            got = b"".join(iter(lambda: reader.recv(65536), b""))
        thread.join()
    assert got == content
    return size


def checks(gateway: Node) -> dict[str, list[str]]:
    """Return what ``status`` finds fault with: texts by grade."""
    done = gateway.icshare("status", "--json")
    document = msgspec.json.decode(done.stdout)
    found: dict[str, list[str]] = {}
    for one in document["checks"]:
        found.setdefault(one["grade"], []).append(one["text"])
    assert done.returncode == int("failed" in found), done.stdout
    return found


# --------------------------------------------------------------------------------------------------- routed lines


class Cable:
    """A null-modem cable between two nodes: the two ends of a pair of terminals."""

    def __init__(self, node: Node, name: str) -> None:
        self.ends = tuple(Path("/run") / f"{node.name}-{name}{end}" for end in "ab")
        one, other = (f"PTY,link={end},raw,echo=0" for end in self.ends)
        self.program = node.start("socat", "-d", "-d", one, other, until="starting data transfer loop")


def dial_cable(gateway: Node, client: Node, cable: Cable) -> tuple[Daemon, Daemon]:
    """Let both ends of a cable speak PPP, the gateway as Windows' "direct cable connection" host; return its pppd's."""
    for node, chat, text in ((gateway, "/etc/host.chat", SERVER_CHAT), (client, "/etc/guest.chat", CLIENT_CHAT)):
        node.file(chat).write_text(text)
    words = ("115200", "local", "nocrtscts", "noauth", "nodetach", "noipv6", "nolock")
    host = gateway.start(
        "pppd", str(cable.ends[0]), *words, "silent", "passive", "connect", "chat -f /etc/host.chat",
        "10.77.0.1:10.77.0.2", "ms-dns", "10.77.0.1", "ifname", "ppp-cable",
    )  # fmt: skip
    guest = client.start(
        "pppd", str(cable.ends[1]), *words, "noipdefault", "ipcp-accept-local", "ipcp-accept-remote", "defaultroute",
        "connect", "chat -f /etc/guest.chat", "ifname", "ppp-host",
    )  # fmt: skip
    host.until(r"remote IP address 10\.77\.0\.2")
    guest.until(r"remote IP address 10\.77\.0\.1")
    return host, guest


def attach_slip(node: Node, other: Node, cable: Cable) -> None:
    """Make both ends of a cable SLIP lines, with an address each and the default MTU of 296 bytes."""
    for one, end, link, local, peer in (
        (node, cable.ends[0], "sl-host", "10.78.0.1", "10.78.0.2"),
        (other, cable.ends[1], "sl-guest", "10.78.0.2", "10.78.0.1"),
    ):
        one.start("slattach", "-L", "-p", "slip", "-s", "38400", str(end))
        # The kernel makes it in the first network namespace, whoever has the terminal.
        made = new_link("sl*")
        command.run(["ip", "link", "set", made, "name", link, "netns", one.name])
        one.ip("address", "add", local, "peer", peer, "dev", link)
        one.ip("link", "set", link, "mtu", str(SLIP_MTU), "up")
    other.ip("route", "add", "default", "dev", "sl-guest")


def make_wireguard(gateway: Node, peers: Sequence[Node], outside: str) -> None:
    """Let *peers* have tunnels to the gateway, which meet it on its public side at *outside*; routes are wg-quick's."""
    keys = {}
    for node in (gateway, *peers):
        node.ip("link", "add", "wg0", "type", "wireguard")
        private = command.run(["wg", "genkey"]).stdout
        node.file("/etc/wg.key").write_text(private)
        keys[node.name] = command.run(["wg", "pubkey"], input=private).stdout.strip()
    gateway.run("wg", "set", "wg0", "listen-port", "51820", "private-key", "/etc/wg.key")
    gateway.ip("address", "add", "10.9.0.1/24", "dev", "wg0")
    for number, node in enumerate(peers, start=2):
        gateway.run("wg", "set", "wg0", "peer", keys[node.name], "allowed-ips", f"10.9.0.{number}/32")
        node.run(
            "wg", "set", "wg0", "private-key", "/etc/wg.key", "peer", keys[gateway.name],
            "endpoint", f"{outside}:51820", "allowed-ips", "0.0.0.0/0",
        )  # fmt: skip
        node.ip("address", "add", f"10.9.0.{number}/24", "dev", "wg0")
        node.ip("link", "set", "wg0", "up")
        node.ip("route", "add", "default", "dev", "wg0")
        resolve_by(node, "10.9.0.1")
    gateway.ip("link", "set", "wg0", "up")


def test_routed_lines_reach_the_internet_the_segment_and_each_other(
    isp: Node, gateway: Node, client: Node, make_node: MakeNode, modprobe: Modprobe, shared_line: str
) -> None:
    modprobe("ppp_async", "slip", "wireguard")
    serial, slow, near, far = (make_node(name) for name in ("serial", "slow", "near", "far"))
    cable, slip_cable = Cable(gateway, "cable"), Cable(gateway, "slip")
    host, guest = dial_cable(gateway, serial, cable)
    attach_slip(gateway, slow, slip_cable)
    for number, peer in ((0, near), (2, far)):
        connect(isp, f"wire{number}", peer, "eth0")
        isp.ip("address", "add", f"198.51.100.{number}/31", "dev", f"wire{number}")
        peer.ip("address", "add", f"198.51.100.{number + 1}/31", "dev", "eth0")
        peer.ip("route", "add", f"{LINE.ip}/32", "via", f"198.51.100.{number}")
    make_wireguard(gateway, (near, far), str(LINE.ip))
    resolve_by(serial, "10.77.0.1")
    resolve_by(slow, "10.78.0.1")
    before = state_of(gateway)
    outside = gateway.capture(shared_line)

    made = gateway.document("share", shared_line, "lan0", "ppp-cable", "sl-host", "wg0", "--no-firewall")
    networks = {one["interface"]: (one["network"], one["gateway"], one["dhcp"]) for one in made["segments"]}
    assert networks == {
        "lan0": ("192.168.137.0/24", "192.168.137.1", True),
        "ppp-cable": ("10.77.0.2/32", "10.77.0.1", False),
        "sl-host": ("10.78.0.2/32", "10.78.0.1", False),
        "wg0": ("10.9.0.0/24", "10.9.0.1", False),
    }
    lan = lease(client, "eth0")
    everybody = {lan: client, "10.77.0.2": serial, "10.78.0.2": slow, "10.9.0.2": near, "10.9.0.3": far}
    for node in everybody.values():  # by name: our address on the line answers for DNS
        assert page(node) == str(LINE.ip)
    sizes = {node.name.partition("-")[0]: segment_size(client, node, address) for address, node in everybody.items()}
    assert sizes["slow"] <= SLIP_MTU - HEADERS
    assert SLIP_MTU < sizes["near"] <= WIREGUARD_MTU - HEADERS
    segment_size(near, far, "10.9.0.3")
    segment_size(slow, serial, "10.77.0.2")
    assert segment_size(far, slow, "10.78.0.2") <= SLIP_MTU - HEADERS
    segment_size(serial, near, "10.9.0.2")

    # A peer that uses an address of others is not heard, and no private address is on the line.
    serial.ip("address", "add", "10.78.0.2/32", "dev", "lo")
    forged = serial.run("ping", "-c", "1", "-W", "1", "-I", "10.78.0.2", str(WEB_ADDRESS), check=False)
    assert forged.returncode == 1
    lines = outside.lines()
    assert any(f" > {WEB_ADDRESS}:80 tcp" in line for line in lines)
    assert not [line for line in lines if re.search(r"\b(10|192\.168)\.\d", line)]
    known = {one["address"] for one in gateway.document("clients")["clients"]}
    assert set(everybody) <= known

    # The cable is pulled: the others do not notice, and it is said. Plugged in again, it is shared again.
    guest.end()
    host.wait()
    assert page(near) == page(client) == str(LINE.ip)
    assert "ppp-cable is gone" in checks(gateway)["failed"]
    dial_cable(gateway, serial, cable)
    gateway.document("share", shared_line, "lan0", "ppp-cable", "sl-host", "wg0", "--no-firewall")
    assert page(serial) == page(slow) == str(LINE.ip)
    assert "failed" not in checks(gateway)

    gateway.document("stop")
    assert state_of(gateway) == before


# ---------------------------------------------------------------------------------------------------- one bridge

LINKS = Path("/sys/class/net")


def computer_end(number: int) -> str:
    """Return the hardware address that the computer's end of a USB cable has."""
    return f"02:00:00:00:02:{number:02x}"


def link_with(address: str) -> str:
    """Wait for the link of the machine's own network with the hardware address *address* and return its name."""
    deadline = time.monotonic() + SECONDS
    while True:
        for one in LINKS.iterdir():
            try:
                if (one / "address").read_text().strip() == address:
                    return one.name
            except OSError:  # gone, renamed, or no link
                continue
        assert time.monotonic() < deadline, f"no link with {address}"


def move(link: str, node: Node, name: str) -> None:
    """Move a link of the machine's own network to a node, under another name, and bring it up there."""
    command.run(["ip", "link", "set", link, "netns", node.name, "name", name])
    node.ip("link", "set", name, "up")


@pytest.fixture
def cables(modprobe: Modprobe) -> Iterator[tuple[Gadget, Gadget]]:
    """Give USB cables between a device that is a network card (a Raspberry Pi Zero, a phone) and a computer.

    They are not plugged in. Both ends will be links of the machine's own network at first.
    """
    modprobe("usb_f_ncm", "cdc_ncm")
    one, other = (
        Gadget(
            f"g{number}",
            ["ncm"],
            controller=number,
            addresses=(f"02:00:00:00:01:{number:02x}", computer_end(number)),
            values={"strings/0x409/product": "Zero"},
        )
        for number in range(2)
    )
    yield one, other
    for made in (one, other):
        made.remove()


def plug(cables: tuple[Gadget, Gadget], number: int, host: Node, link: str) -> None:
    """Put a cable in; the computer's end becomes *link* of *host*."""
    cables[number].plug()
    move(link_with(computer_end(number)), host, link)


def device_link(cable: Gadget) -> str:
    """Return the device's end of a cable that was plugged in."""
    return (cable.links["ncm"] / "ifname").read_text().strip()


def test_ethernet_of_many_kinds_is_one_segment_and_what_vanishes_hurts_nobody_else(
    cables: tuple[Gadget, Gadget],
    gateway: Node,
    client: Node,
    make_node: MakeNode,
    modprobe: Modprobe,
    shared_line: str,
) -> None:
    """Of the USB cables one has the gateway as the computer, the other as the device."""
    modprobe("8021q")
    tagged, phone, laptop = (make_node(name) for name in ("tagged", "phone", "laptop"))
    connect(gateway, "trunk", tagged, "eth0")
    for node, link in ((gateway, "trunk"), (tagged, "eth0")):
        node.ip("link", "add", "link", link, "name", "vlan7", "up", "type", "vlan", "id", "7")
    plug(cables, 0, gateway, "usb-host")
    move(device_link(cables[0]), phone, "usb0")
    plug(cables, 1, laptop, "usb0")
    move(device_link(cables[1]), gateway, "usb-gadget")
    before = state_of(gateway)
    outside = gateway.capture(shared_line)
    privates = ("lan0", "vlan7", "usb-host", "usb-gadget")

    made = gateway.document("share", shared_line, *privates)
    assert [(one["interface"], tuple(one["members"])) for one in made["segments"]] == [("ics-br0", privates)]
    addresses = {
        node: lease(node, link)
        for node, link in ((client, "eth0"), (tagged, "vlan7"), (phone, "usb0"), (laptop, "usb0"))
    }
    for node in addresses:
        assert page(node) == str(LINE.ip)
    assert segment_size(phone, laptop, addresses[laptop]) == 1500 - HEADERS - TIMESTAMPS
    segment_size(tagged, client, addresses[client])
    assert not [line for line in outside.lines() if "192.168." in line]
    online = {one["address"] for one in gateway.document("clients")["clients"] if one["online"]}
    assert online == set(addresses.values())

    cables[0].unplug()
    gateway.ip("link", "delete", "lan0")
    assert page(tagged) == page(laptop) == str(LINE.ip)
    assert checks(gateway)["failed"] == ["lan0, usb-host is gone"]
    plug(cables, 0, gateway, "usb-host")
    gateway.document("share", shared_line, *privates[1:])
    assert page(phone) == page(tagged) == str(LINE.ip)
    assert "failed" not in checks(gateway)

    gateway.document("stop")
    assert state_of(gateway) == {what: [line for line in lines if "lan0" not in line] for what, lines in before.items()}


# ------------------------------------------------------------------------------------------------------ Bluetooth

ADAPTER, OTHER_ADAPTER = "/org/bluez/hci0", "/org/bluez/hci1"
SET = "org.freedesktop.DBus.Properties.Set"


@pytest.fixture
def machine(nodes: list[Node], internet: Lab) -> Iterator[Machine]:  # noqa: ARG001 (its names are to be resolved)
    """Give the machine's own network as the gateway: Bluetooth is nowhere else."""
    made = Machine("machine", resolv_conf=RESOLV_CONF)
    nodes.append(made)
    yield made
    made.icshare("stop")


@pytest.fixture
def bluez(machine: Machine, modprobe: Modprobe) -> Path:
    """Give the bus of a Bluetooth daemon that has two adapters, which hear each other."""
    # The virtual adapters encrypt by the kernel. Were it to load that when they ask, it would give them up meanwhile:
    # an adapter has 2 s to answer its first command.
    modprobe("bluetooth", "hci_vhci", "bnep", "algif_skcipher", "algif_hash", "ecb", "cmac")
    bus = machine.directory / "bus"
    configuration = machine.directory / "bus.conf"
    configuration.write_text(CONFIGURATION.format(socket=bus))
    machine.start("dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address", until="unix:")
    machine.start("btvirt", "-l2")
    for number in range(2):
        wait_until_set_up(machine, f"hci{number}")
    address = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={bus}"}
    daemon = ("/usr/libexec/bluetooth/bluetoothd", "--nodetach")
    machine.start(*daemon, env=address, until="Bluetooth management interface")
    return bus


def wait_until_set_up(machine: Machine, adapter: str) -> None:
    """Wait until the kernel has done with a new adapter: the daemon overlooks one that it finds half made."""
    deadline = time.monotonic() + SECONDS
    while not re.search(r"BD Address: (?!00:00:00:00:00:00)[^\n]*\n\tDOWN", shown(machine, adapter)):
        assert time.monotonic() < deadline, f"{adapter}: {shown(machine, adapter)}"


def shown(machine: Machine, adapter: str) -> str:
    """Return what ``hciconfig`` shows of an adapter, "" while there is none."""
    return machine.run("hciconfig", adapter, check=False).stdout


class Pan:
    """A Bluetooth network: adapter 0 lets others in, adapter 1 is let in. It ends with the block."""

    def __init__(self, bus: Path, bridge: str) -> None:
        self._bus = Bus(bus, seconds=60)
        self._bridge = bridge
        self._device = ""

    def __enter__(self) -> Self:
        self._bus.__enter__()
        self._call("/org/bluez", "org.bluez.AgentManager1.RegisterAgent", "os", strings("/agent", "NoInputNoOutput"))
        self._call("/org/bluez", "org.bluez.AgentManager1.RequestDefaultAgent", "o", strings("/agent"))
        for adapter in (ADAPTER, OTHER_ADAPTER):
            self._wait_for(adapter, "org.bluez.Adapter1")
            for name in ("Powered", "Discoverable", "Pairable"):
                self._set(adapter, "org.bluez.Adapter1", name)
        return self

    def __exit__(self, *error: object) -> None:
        self._bus.__exit__(None, None, None)

    def disconnect(self) -> None:
        """Let the connection end, and with it both links."""
        self._call(self._device, "org.bluez.Network1.Disconnect")
        deadline = time.monotonic() + SECONDS
        while list(LINKS.glob("bnep*")):
            assert time.monotonic() < deadline, "a Bluetooth link has stayed"

    def connect(self) -> None:
        """Open the network server at adapter 0, find and pair it with adapter 1, and connect."""
        self._call(ADAPTER, "org.bluez.NetworkServer1.Register", "ss", strings("nap", self._bridge))
        address = self._call(
            ADAPTER, "org.freedesktop.DBus.Properties.Get", "ss", strings("org.bluez.Adapter1", "Address")
        )[8:25].decode()
        device = self._device = f"{OTHER_ADAPTER}/dev_{address.replace(':', '_')}"
        if not self._knows(device, "org.bluez.Device1"):
            filters = option("Transport", "bredr")
            self._call(OTHER_ADAPTER, "org.bluez.Adapter1.SetDiscoveryFilter", "a{sv}", filters)
            self._call(OTHER_ADAPTER, "org.bluez.Adapter1.StartDiscovery")
            self._wait_for(device, "org.bluez.Device1")
            self._call(OTHER_ADAPTER, "org.bluez.Adapter1.StopDiscovery")
            self._call(device, "org.bluez.Device1.Pair")
        self._call(device, "org.bluez.Network1.Connect", "s", strings("nap"))

    def _wait_for(self, path: str, interface: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not self._knows(path, interface):
            assert time.monotonic() < deadline, f"BlueZ knows no {path}"
            self._bus.serve(0.1)

    def _knows(self, path: str, interface: str) -> bool:
        try:
            self._call(path, "org.freedesktop.DBus.Properties.GetAll", "s", strings(interface))
        except BusError:
            return False
        return True

    def _set(self, path: str, interface: str, name: str) -> None:
        self._call(path, SET, "ssv", switched_on(interface, name))

    def _call(self, path: str, method: str, signature: str = "", body: bytes = b"") -> bytes:
        return self._bus.call("org.bluez", path, method, signature, body)


def pan_links(machine: Machine) -> dict[str, str | None]:
    """Return the Bluetooth links of the machine's own network, each with the bridge that it is a port of."""
    found = machine.ip_json("link", "show")
    return {one["ifname"]: one.get("master") for one in found if one["ifname"].startswith("bnep")}


def join(machine: Machine, tablet: Node) -> None:
    """Give the end of a Bluetooth network that is no port of a bridge to its own machine."""
    (link,) = [name for name, master in pan_links(machine).items() if master is None]
    move(link, tablet, "pan0")


def test_bluetooth_devices_come_and_go_on_the_bridge(
    isp: Node, machine: Machine, bluez: Path, make_node: MakeNode
) -> None:
    desk, tablet, again = (make_node(name) for name in ("desk", "tablet", "again"))
    connect(isp, "line0", machine, "eth0")
    address_line(isp, "line0", machine, "eth0")
    connect(machine, "lan0", desk, "eth0")
    settings = machine.file("/etc/icshare/icshare.toml")
    settings.parent.mkdir()
    settings.write_text("[sharing]\nbridge = true\n")
    before = state_of(machine)

    (segment,) = machine.document("share", "eth0", "lan0")["segments"]
    assert (segment["interface"], segment["members"]) == ("ics-br0", ["lan0"])
    lan = lease(desk, "eth0")
    with Pan(bluez, "ics-br0") as pan:
        pan.connect()
        assert "ics-br0" in pan_links(machine).values()
        join(machine, tablet)
        wireless = lease(tablet, "pan0")
        assert page(tablet) == page(desk) == str(LINE.ip)
        segment_size(desk, tablet, wireless)
        online = {one["address"] for one in machine.document("clients")["clients"] if one["online"]}
        assert online == {lan, wireless}
        assert "failed" not in checks(machine)
        assert machine.document("share", "eth0", "lan0")["changes"] == []
        assert page(tablet) == str(LINE.ip)
        pan.disconnect()
    assert page(desk) == str(LINE.ip)

    with Pan(bluez, "ics-br0") as pan:
        pan.connect()
        join(machine, again)
        lease(again, "pan0")
        assert page(again) == str(LINE.ip)
        # What others have made ports of our bridge does not keep it, and is not taken along.
        machine.document("stop")
        ((port, master),) = pan_links(machine).items()
        assert master is None
        settings.unlink()
        (segment,) = machine.document("share", "eth0", "lan0", port)["segments"]
        assert segment["members"] == ["lan0", port]
        lease(again, "pan0")
        assert page(again) == str(LINE.ip)
        machine.document("stop")
        pan.disconnect()
    assert state_of(machine) == before
