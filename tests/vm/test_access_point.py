"""Access points by our own hostapd, on radios that the kernel plays, with stations by wpa_supplicant."""

import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from tests.vm.conftest import MakeNode, Modprobe
from tests.vm.hardware import give_radio, radios
from tests.vm.nodes import LINE, Daemon, Node, address_line, connect, lease, page

from icshare.api import SharingManager
from icshare.host import command
from icshare.host.linux import LinuxHost
from icshare.model.names import InterfaceName
from icshare.model.wifi import AccessPoint, Passphrase, Ssid, passphrase
from icshare.plan.steps import AnyStep, LinkRef, SetInterfaceType, StartAccessPoint

NAME = 'Café "upstairs" #1'
WORDS = 'k7fm-2wqx $HOME "x" #'
RADIOS = ("apgw", "apsta1", "apsta2")
RUN = Path("/run/icshare")


class Air:
    """A gateway with a radio, a line to the Internet, and two more radios for whoever needs them.

    Attributes:
        gateway: It has ``eth0`` towards the Internet and ``wlan0``.
        stations: Each has ``wlan0``.
    """

    def __init__(self, gateway: Node, stations: list[Node]) -> None:
        self.gateway = gateway
        self.stations = stations
        (gateway.directory / "words").write_text(f"{WORDS}\n")

    def share(self, *words: str) -> tuple[str, ...]:
        """Return the arguments that share with an access point."""
        return ("share", *words, "--ssid", NAME, "--passphrase-file", str(self.gateway.directory / "words"))

    def wireless(self) -> str:
        """Return what ``iw dev`` tells of the gateway's radio: links, their types and channels."""
        said = self.gateway.run("iw", "dev").stdout
        return "\n".join(line for line in said.splitlines() if "txpower" not in line and "multicast" not in line)

    def country(self) -> str:
        """Return the regulatory domain."""
        return command.run(["iw", "reg", "get"]).stdout.split("country ")[1][:2]


def join(station: Node, *settings: str, words: str = WORDS, name: str = NAME, until: str = "EVENT-CONNECTED") -> Daemon:
    """Let a station join a network, and wait until wpa_supplicant says *until*."""
    path = station.directory / "wpa.conf"
    secret = words.encode().hex() if "SAE" in " ".join(settings) else words
    lines = [f"ssid={name.encode().hex()}", "scan_ssid=1", *settings]
    lines.append(f'sae_password="{words}"' if secret != words else f'psk="{words}"')
    body = "".join(f"  {line}\n" for line in lines)
    path.write_text(f"network={{\n{body}}}\n", encoding="utf-8")
    argv = ("wpa_supplicant", "-i", "wlan0", "-c", str(path), "-D", "nl80211")
    return station.start(*argv, until=until, seconds=60)


WPA2 = ("key_mgmt=WPA-PSK", "scan_freq=2412 2437")
WPA3 = ("key_mgmt=SAE", "ieee80211w=2", "scan_freq=2412 2437")


@pytest.fixture
def ether(modprobe: Modprobe) -> Iterator[None]:
    """Give the radios, until the nodes that they are moved to have ended."""
    modprobe("mac80211_hwsim radios=0")
    with radios(RADIOS):
        yield


@pytest.fixture
def air(ether: None, isp: Node, gateway: Node, make_node: MakeNode) -> Air:  # noqa: ARG001
    """Give the radios, and all that is around them."""
    stations = [make_node("sta1"), make_node("sta2")]
    for radio, node in zip(RADIOS, (gateway, *stations), strict=True):
        give_radio(radio, node, "wlan0")
    connect(isp, "line0", gateway, "eth0")
    address_line(isp, "line0", gateway, "eth0")
    return Air(gateway, stations)


def test_stations_and_a_cable_are_one_network(air: Air, client: Node) -> None:
    gateway, (old, new) = air.gateway, air.stations
    before = air.wireless()
    share = (*air.share("eth0", "wlan0", "lan0"), "--hidden", "--isolate")
    done = gateway.document(*share)
    assert "type AP" in air.wireless()
    listed = {one["interface"]: one for one in gateway.document("list")["connections"]}
    (serving,) = [name for name in listed if name.startswith("ics-ap")]
    assert done["segments"][0]["members"] == [serving, "lan0"]
    assert (listed[serving]["role"], listed["wlan0"]["role"]) == ("private", "none")
    assert "hosted_network" in listed[serving]["characteristics"]

    join(old, *WPA2)
    join(new, *WPA3)
    addresses = [lease(node, "wlan0") for node in (old, new)]
    assert lease(client, "eth0") not in addresses
    assert page(new) == str(LINE.ip)
    client.run("ping", "-c", "1", "-W", "5", addresses[0])
    assert old.run("ping", "-c", "1", "-W", "2", addresses[1], check=False).returncode == 1  # they are kept apart
    clients = {one["address"]: one for one in gateway.document("clients")["clients"]}
    assert clients[addresses[0]]["station"]["signal"] < 0
    status = gateway.document("status")
    (check,) = [one for one in status["checks"] if one["name"] == "access point"]
    assert (check["grade"], "channel 1 (2412 MHz)" in check["text"]) == ("ok", True)
    assert gateway.document(*share)["changes"] == []

    gateway.document("stop")
    assert air.wireless() == before
    assert not gateway.file(str(RUN)).exists() or not list(gateway.file(str(RUN)).iterdir())
    assert "hostapd" not in gateway.run("ss", "-xlp").stdout


def test_a_station_with_another_passphrase_stays_outside(air: Air) -> None:
    gateway, (guest, _) = air.gateway, air.stations
    gateway.document(*air.share("eth0", "wlan0"))
    join(guest, *WPA2, words="not the passphrase", until="WRONG_KEY")
    assert gateway.document("clients")["clients"] == []
    secrets = [path for path in gateway.file("/run/icshare").rglob("*") if path.is_file() and WORDS in path.read_text()]
    assert [path.name[:8] for path in secrets] == ["hostapd-"]
    assert secrets[0].stat().st_mode & 0o777 == 0o600


def test_beside_a_station_it_follows_the_channel(air: Air) -> None:
    """The gateway is connected by the radio that is to be the access point as well."""
    gateway, (upstream, guest) = air.gateway, air.stations
    conf = upstream.directory / "hostapd.conf"
    conf.write_text(
        "interface=wlan0\ndriver=nl80211\nssid=upstream\nhw_mode=g\nchannel=6\n"
        "wpa=2\nwpa_key_mgmt=WPA-PSK\nrsn_pairwise=CCMP\nwpa_passphrase=upstream's words\n"
    )
    upstream.start("hostapd", str(conf), until="AP-ENABLED")
    joined = join(gateway, "key_mgmt=WPA-PSK", "scan_freq=2437", words="upstream's words", name="upstream")
    before = air.wireless()
    refused = gateway.icshare(*air.share("wlan0", "wlan0"), "--channel", "11")
    assert refused.returncode == 2
    assert "wlan0 is on channel 6 (2437 MHz)" in refused.stderr.replace("\n", " ")
    assert air.wireless() == before

    done = gateway.document(*air.share("wlan0", "wlan0"))
    assert any("as wlan0 is" in note for note in done["notes"])
    assert air.wireless().count("channel 6 (2437 MHz)") == 2
    join(guest, *WPA3)
    lease(guest, "wlan0")
    guest.run("ping", "-c", "1", "-W", "5", "192.168.137.1")

    gateway.document("stop")
    assert air.wireless() == before
    assert joined.process.poll() is None
    assert "DISCONNECTED" not in joined.output


def test_what_cannot_be_is_refused_and_a_country_is_given_back(air: Air) -> None:
    gateway = air.gateway
    before = air.wireless()
    assert air.country() == "00"
    for words, reason in (
        (("--channel", "13"), "--country"),
        (("--channel", "177"), "forbidden"),
        (("--band", "5"), "--country"),
        (("--band", "6"), "2.4 GHz"),
    ):
        refused = gateway.icshare(*air.share("eth0", "wlan0"), *words)
        assert (refused.returncode, reason in refused.stderr) == (2, True), refused.stderr
    refused = gateway.icshare("share", "wlan0", "eth0", "--ssid", NAME)
    assert refused.returncode == 2
    assert (air.wireless(), air.country()) == (before, "00")
    gateway.document(*air.share("eth0", "wlan0"), "--band", "5", "--country", "DE")
    assert air.country() == "DE"
    assert "channel 36 (5180 MHz)" in air.wireless()
    join(air.stations[0], "key_mgmt=WPA-PSK", "scan_freq=5180")
    gateway.document("stop")
    assert (air.wireless(), air.country()) == (before, "00")


def test_after_a_kill_at_any_moment_stop_gives_everything_back(air: Air) -> None:
    gateway = air.gateway
    before = air.wireless(), gateway.ip("link", "show"), gateway.ip("-4", "address", "show")
    for moment, serves in (("link ics-ap", False), ("access point: start", False), ("", True)):
        assert gateway.call(partial(_die, moment)).returncode == -signal.SIGKILL
        assert ("channel 1" in air.wireless()) == serves
        gateway.document("stop")
        assert (air.wireless(), gateway.ip("link", "show"), gateway.ip("-4", "address", "show")) == before


def _die(moment: str) -> None:
    """Share, and die before the change that begins with *moment*, or at the end of all."""

    def progress(text: str) -> None:
        if moment and text.startswith(moment):
            os.kill(os.getpid(), signal.SIGKILL)

    manager = SharingManager()
    name = Ssid(NAME)
    with manager.keys.taken(name, passphrase(WORDS)) as key:
        wanted = AccessPoint(interface=InterfaceName("wlan0"), ssid=name, secret=key.secret)
        manager.share("eth0", ["wlan0"], access_point=wanted, progress=progress)
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_others_take_away_is_mended_by_sharing_again(air: Air) -> None:
    """A hostapd whose link was deleted stayed, for the one that served: to share again failed, time after time."""
    gateway, (guest, _) = air.gateway, air.stations
    share = air.share("eth0", "wlan0")
    gateway.document(*share)
    (serving,) = [one["interface"] for one in gateway.document("list")["connections"] if one["role"] == "private"]
    gateway.run("iw", "dev", serving, "del")
    gateway.run("iw", "phy", "apgw", "interface", "add", serving, "type", "__ap")  # as of one killed while mending
    assert gateway.icshare("status").returncode == 1
    gateway.document(*share)
    gateway.run("iw", "dev", serving, "del")
    gateway.document(*share)
    assert gateway.document(*share)["changes"] == []
    join(guest, *WPA2)
    lease(guest, "wlan0")
    gateway.document("stop")
    assert "type AP" not in air.wireless()
    assert "hostapd" not in gateway.run("ss", "-xlp").stdout


def test_a_link_becomes_an_access_point_itself_and_a_station_again(air: Air) -> None:
    gateway, (guest, _) = air.gateway, air.stations
    gateway.ip("link", "set", "wlan0", "up")
    before = air.wireless()
    index = gateway.ip_json("link", "show", "dev", "wlan0")[0]["ifindex"]
    change = SetInterfaceType(link=LinkRef(InterfaceName("wlan0"), index), type=3, previous=2, up=True)
    text = "interface=wlan0\ndriver=nl80211\nssid=itself\nhw_mode=g\nchannel=1\nwpa=2\nrsn_pairwise=CCMP\n"
    serve = StartAccessPoint(link=InterfaceName("wlan0"), text=text, secret="0" * 16)

    def run(*steps: AnyStep) -> None:
        done = gateway.call(partial(_run, steps))
        assert done.returncode == 0, done.stderr

    run(change, serve)
    assert "type AP" in air.wireless()
    join(guest, "key_mgmt=WPA-PSK", "scan_freq=2412", name="itself")
    for old, new, reason in (
        ("channel=1", "channel=14", "its radio does not take the channel"),
        ("wpa=2", "wpa=2\nnonsense=1", "this hostapd is too old"),
        ("interface=wlan0", "interface=wlan7", "there can be no access point on wlan0"),
    ):
        bad = replace(serve, text=text.replace(old, new))
        refused = gateway.call(partial(_run, (bad,)))
        assert refused.returncode == 1
        assert reason in refused.stderr, refused.stderr
    run(serve.inverse(), change.inverse())
    assert air.wireless() == before
    assert "UP" in gateway.ip_json("link", "show", "dev", "wlan0")[0]["flags"]


class Words:
    """Keeps one passphrase under every name."""

    def find(self, secret: str) -> Passphrase | None:  # noqa: ARG002 (the protocol's signature)
        return passphrase(WORDS)


def _run(steps: tuple[AnyStep, ...]) -> None:
    RUN.mkdir(exist_ok=True)
    host = LinuxHost(RUN, Words())
    for step in steps:
        host.run(step)
        sys.stdout.write(f"{msgspec.json.encode(host.observe().access_point).decode()}\n")
