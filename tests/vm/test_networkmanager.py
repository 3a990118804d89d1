"""Access points by NetworkManager, on radios that the kernel plays, with stations by wpa_supplicant."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.vm.conftest import MakeNode, Modprobe
from tests.vm.hardware import give_radio, radios, wait_for
from tests.vm.nodes import Daemon, Node, connect, lease

from icshare.errors import ConflictError, HostError
from icshare.host.networkmanager import (
    NetworkManagerAccessPoint,
    access_point_uuid,
    managed_links,
    manages,
    refuse_unusable,
    version,
)
from icshare.host.stations import read_stations
from icshare.model.names import interface_name
from icshare.model.wifi import Band, Passphrase, Ssid, passphrase
from icshare.render.nmprofile import Profile, profile_text

RUN = Path("/run/icshare")
SECRET = "0123456789abcdef"
WORDS = "k7fm-2wqx-9htr-bc4e"
RADIOS = ("nmap", "nmsta")

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>
<allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/>
<allow send_requested_reply="true" send_type="error"/><allow receive_type="method_call"/>
<allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/></policy>
</busconfig>
"""
_SETTINGS = """[main]
plugins=keyfile
dns=none
rc-manager=unmanaged
no-auto-default=*
auth-polkit=false
systemd-resolved=false
[connectivity]
enabled=false
[device]
wifi.scan-rand-mac-address=no
"""


class Managed:
    """A node whose radio NetworkManager owns. It starts once for all tests, each of which gives it back as it was."""

    def __init__(self, node: Node, link: str) -> None:
        self.node = node
        self.link = link
        self.address = f"unix:path={node.directory}/bus"

    def ask(self, question: Callable[[], object]) -> object:
        """Ask *question* in the node, with its bus; return the answer by way of JSON."""

        def program() -> None:
            sys.stdout.write(json.dumps(question()))

        done = self.node.call(program, env={"DBUS_SYSTEM_BUS_ADDRESS": self.address}, seconds=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def nmcli(self, *words: str) -> str:
        """Run nmcli."""
        return self.node.run("nmcli", *words, env={"DBUS_SYSTEM_BUS_ADDRESS": self.address}).stdout

    def start(self, text: str, secret: str = SECRET) -> object:
        """Make an access point; return what NetworkManager said against it, "" for nothing."""

        def question() -> str:
            try:
                _access_point().start(text, secret)
            except HostError as error:
                return error.message
            return ""

        return self.ask(question)

    def is_usable(self) -> bool:
        """Tell whether NetworkManager has the radio, and does nothing with it."""
        return self.nmcli("-g", "GENERAL.STATE", "device", "show", self.link).startswith("30 ")

    def give_back(self) -> None:
        """End the access point and remove what a test has added to the node."""
        self.ask(lambda: _access_point().stop())
        self.node.ip("address", "flush", "dev", self.link, "scope", "global")
        while added := {one["ifname"] for one in self.node.ip_json("link", "show")} - {"lo", self.link}:
            self.node.ip("link", "delete", added.pop())  # one end of a cable takes the other along
        wait_for(self.is_usable, f"NetworkManager has {self.link} at its disposal")


def _access_point() -> NetworkManagerAccessPoint:
    def find(secret: str) -> Passphrase | None:
        return passphrase(WORDS) if secret == SECRET else None

    return NetworkManagerAccessPoint(RUN, find)


@pytest.fixture(scope="module")
def air(modprobe_for_all: Modprobe) -> Iterator[None]:
    """Give two radios, until the nodes that they are moved to have ended."""
    modprobe_for_all("mac80211_hwsim radios=0")
    with radios(RADIOS):
        yield


@pytest.fixture(scope="module")
def machine(air: None, make_node_for_all: MakeNode) -> Managed:  # noqa: ARG001
    """Give a node with a radio, a bus, wpa_supplicant and NetworkManager."""
    node = make_node_for_all("nm")
    give_radio(RADIOS[0], node, "wlan0")
    machine = Managed(node, "wlan0")
    (node.directory / "bus.conf").write_text(_BUS.format(socket=f"{node.directory}/bus"))
    node.directory.chmod(0o755)
    settings = node.file("/etc/NetworkManager/NetworkManager.conf")
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(_SETTINGS)
    environment = {"DBUS_SYSTEM_BUS_ADDRESS": machine.address}
    node.start("dbus-daemon", f"--config-file={node.directory}/bus.conf", "--nofork", "--print-address", until="unix:")
    node.start("wpa_supplicant", "-u", env=environment, until="(?i)init|Successfully")
    # With /sys that cannot be written NetworkManager does not wait for udev.
    script = "mount -o remount,ro /sys && exec NetworkManager --debug --log-level=INFO"
    node.start("unshare", "--mount", "/bin/sh", "-c", script, env=environment, until="startup complete", seconds=90)
    return machine


@pytest.fixture
def managed(machine: Managed) -> Iterator[Managed]:
    """Give the machine for one test."""
    yield machine
    machine.give_back()


@pytest.fixture(scope="module")
def other_radio(air: None, make_node_for_all: MakeNode) -> Node:  # noqa: ARG001
    """Give a node with the other radio, as ``wlan9``."""
    node = make_node_for_all("sta")
    give_radio(RADIOS[1], node, "wlan9")
    return node


@pytest.fixture
def station(other_radio: Node) -> Iterator[Node]:
    """Give it for one test: up, in no network, and without addresses."""
    other_radio.ip("link", "set", "wlan9", "up")
    yield other_radio
    other_radio.end_programs()
    other_radio.ip("address", "flush", "dev", "wlan9", "scope", "global")


def _join(station: Node, words: str, until: str) -> Daemon:
    path = station.directory / "wpa.conf"
    path.write_text(
        f'network={{\n ssid="icshare vm"\n psk="{words}"\n key_mgmt=WPA-PSK\n scan_freq=2412\n scan_ssid=1\n}}\n'
    )
    return station.start("wpa_supplicant", "-i", "wlan9", "-c", str(path), "-D", "nl80211", until=until, seconds=90)


def _text(link: str, channel: int = 1) -> str:
    return profile_text(
        Profile(
            uuid=access_point_uuid(RUN),
            interface=interface_name(link),
            ssid=Ssid("icshare vm"),
            band=Band.GHZ2,
            channel=channel,
            hidden=True,
        )
    )


def test_an_access_point_is_made_found_and_ended(managed: Managed, station: Node) -> None:
    text = _text(managed.link)
    assert managed.ask(lambda: manages(managed.link)) is True
    assert managed.ask(lambda: manages("lo")) is False
    managed.ask(lambda: refuse_unusable(managed.link))
    assert managed.ask(lambda: _access_point().running()) is None
    assert managed.start(text) == ""
    assert managed.ask(lambda: _access_point().running()) == version(text, SECRET)
    managed.node.ip("address", "add", "192.168.137.1/24", "dev", managed.link)

    announced = station.run("iw", "dev", "wlan9", "scan", "freq", "2412", "ssid", "icshare vm").stdout
    assert "PSK" in announced, announced
    assert "WPS" not in announced
    joined = _join(station, WORDS, "CTRL-EVENT-CONNECTED")
    own = station.ip_json("link", "show", "dev", "wlan9")[0]["address"]
    heard = managed.ask(lambda: {mac: (one.signal, one.connected_seconds) for mac, one in read_stations().items()})
    assert isinstance(heard, dict)
    assert list(heard) == [own]
    assert -100 < heard[own][0] < 0
    assert heard[own][1] is not None
    station.ip("address", "add", "192.168.137.9/24", "dev", "wlan9")
    station.run("ping", "-c", "3", "-W", "5", "192.168.137.1")
    joined.end()

    managed.ask(lambda: _access_point().stop())
    managed.ask(lambda: _access_point().stop())
    assert managed.ask(lambda: _access_point().running()) is None
    assert str(access_point_uuid(RUN)) not in managed.nmcli("-t", "-f", "UUID", "connection", "show")


def test_clients_of_a_bridge_and_of_the_radio_are_in_one_network(
    managed: Managed, station: Node, make_node: MakeNode
) -> None:
    """The link becomes a port after the access point is there, and its frames still reach wpa_supplicant."""
    wired = make_node("wired")
    connect(managed.node, "lan0", wired, "eth0")
    managed.node.ip("link", "add", "ics-br0", "up", "type", "bridge", "forward_delay", "0")
    managed.node.ip("link", "set", "lan0", "master", "ics-br0")
    assert managed.start(_text(managed.link)) == ""
    managed.node.ip("link", "set", managed.link, "master", "ics-br0")
    managed.node.ip("address", "add", "192.168.137.1/24", "dev", "ics-br0")
    _join(station, WORDS, "CTRL-EVENT-CONNECTED")
    station.ip("address", "add", "192.168.137.9/24", "dev", "wlan9")
    wired.ip("address", "add", "192.168.137.8/24", "dev", "eth0")
    for address in ("192.168.137.1", "192.168.137.8"):
        station.run("ping", "-c", "3", "-W", "5", address)
    assert managed.ask(lambda: _access_point().running()) == version(_text(managed.link), SECRET)
    assert managed.node.ip_json("link", "show", "dev", managed.link)[0]["master"] == "ics-br0"


def test_a_link_that_was_just_made_becomes_an_access_point_beside_the_other(managed: Managed, station: Node) -> None:
    """NetworkManager learns of such a link a little later than its maker does."""
    managed.node.run("iw", "dev", managed.link, "interface", "add", "ics-ap0", "type", "__ap")
    assert managed.start(_text("ics-ap0")) == ""
    assert managed.ask(lambda: sorted(managed_links())) == ["ics-ap0", managed.link]
    _join(station, WORDS, "CTRL-EVENT-CONNECTED")
    managed.ask(lambda: _access_point().stop())
    managed.node.run("iw", "dev", "ics-ap0", "del")
    assert managed.ask(lambda: _access_point().running()) is None


def test_what_networkmanager_leaves_alone_is_not_its_own(managed: Managed) -> None:
    managed.nmcli("device", "set", managed.link, "managed", "no")
    try:
        assert managed.ask(lambda: manages(managed.link)) is False
        said = managed.start(_text(managed.link))
    finally:
        managed.nmcli("device", "set", managed.link, "managed", "yes")
    assert said == (
        f"NetworkManager cannot use {managed.link}: it is told to leave it alone (nmcli device set ... managed yes)"
    )


def test_wi_fi_that_is_switched_off_is_told_before_anything_is_changed(managed: Managed) -> None:
    managed.nmcli("radio", "wifi", "off")

    def question() -> list[str | None]:
        try:
            refuse_unusable(managed.link)
        except ConflictError as error:
            return [error.message, error.hint]
        return []

    try:
        assert managed.ask(question) == ["Wi-Fi is switched off in NetworkManager", "nmcli radio wifi on"]
    finally:
        managed.nmcli("radio", "wifi", "on")  # rfkill is the whole machine's, and new radios are as it was left


def test_a_wrong_passphrase_keeps_a_station_out(managed: Managed, station: Node) -> None:
    assert managed.start(_text(managed.link)) == ""
    _join(station, "not the passphrase", "WRONG_KEY")
    assert managed.ask(read_nobody) == []


def read_nobody() -> list[str]:
    """Return the stations that may use the network."""
    return [mac for mac, one in read_stations().items() if one.connected_seconds and one.connected_seconds > 30]


def test_what_cannot_be_made_is_one_reason_and_leaves_nothing(managed: Managed) -> None:
    assert managed.start(_text("wlan77")) == "NetworkManager knows no link wlan77"
    assert managed.start(_text(managed.link), "f" * 16) == "the passphrase of 'icshare vm' is not kept any more"
    said = managed.start(_text(managed.link, channel=199))
    assert isinstance(said, str)
    assert said.startswith("NetworkManager"), said
    assert managed.ask(lambda: _access_point().running()) is None
    assert str(access_point_uuid(RUN)) not in managed.nmcli("-t", "-f", "UUID", "connection", "show")


def test_another_access_point_takes_the_place_of_the_first(managed: Managed) -> None:
    first, second = _text(managed.link), _text(managed.link, channel=6)
    assert managed.start(first) == ""
    assert managed.start(second) == ""
    assert managed.ask(lambda: _access_point().running()) == version(second, SECRET)
    shown = managed.nmcli("-t", "-f", "UUID", "connection", "show", "--active").split()
    assert shown.count(str(access_point_uuid(RUN))) == 1


def test_sharing_leaves_the_radio_to_whom_it_belongs(
    managed: Managed, station: Node, request: pytest.FixtureRequest
) -> None:
    """First NetworkManager manages the link; then it is told not to, and has to leave our own link alone as well."""
    node = managed.node
    node.ip("link", "add", "eth0", "up", "type", "veth", "peer", "name", "peer0")
    node.ip("address", "add", "198.51.100.2/24", "dev", "eth0")
    (node.directory / "words").write_text(f"{WORDS}\n")
    share = ("share", "eth0", managed.link, "--ssid", "icshare vm", "--passphrase-file", str(node.directory / "words"))
    environment = {"DBUS_SYSTEM_BUS_ADDRESS": managed.address}

    def icshare(*words: str) -> str:
        done = node.icshare(*words, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    request.addfinalizer(lambda: managed.nmcli("device", "set", managed.link, "managed", "yes"))
    for makes, words in (("NetworkManager", "yes"), ("hostapd", "no")):
        managed.nmcli("device", "set", managed.link, "managed", words)
        before = node.run("iw", "dev").stdout.count("Interface")
        said = icshare(*share)
        assert ("NetworkManager, which manages" in " ".join(said.split())) == (makes == "NetworkManager")
        joined = _join(station, WORDS, "CTRL-EVENT-CONNECTED")
        lease(station, "wlan9")
        joined.end()
        icshare("stop")
        assert node.run("iw", "dev").stdout.count("Interface") == before
        assert "type AP" not in node.run("iw", "dev").stdout


def test_without_networkmanager_it_manages_nothing(make_node: MakeNode) -> None:
    node = make_node("none")
    machine = Managed(node, "lo")
    machine.ask(lambda: refuse_unusable("wlan0"))
    assert machine.ask(lambda: [manages("wlan0"), _access_point().running()]) == [False, None]
    assert machine.start(_text("wlan0")) == "NetworkManager does not run any more"
