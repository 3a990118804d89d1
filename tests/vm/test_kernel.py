"""The virtual machine, and what its kernel has that others lack."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.vm.conftest import Modprobe, is_loaded
from tests.vm.nodes import LINE, Node, address_line, connect, lease, page

from icshare.host import command
from icshare.host.nft import Nftables
from icshare.lab import WEB_ADDRESS, Lab

GOLDEN = Path(__file__).parents[1] / "golden"
HANDLE = re.compile(r" # handle [0-9]+$", re.MULTILINE)


def test_it_is_a_machine_of_its_own() -> None:
    assert Path("/proc/1/comm").read_text() == "job\n"
    assert [entry.name for entry in Path("/sys/class/net").iterdir()] == ["lo"]


@pytest.mark.parametrize(
    "module",
    [
        "nft_flow_offload",
        "pppoe",
        "ppp_async",
        "slip",
        "wireguard",
        "8021q",
        "bonding",
        "mac80211_hwsim radios=0",
        "dummy_hcd num=2",
        "cdc_ncm",
        "rndis_host",
        "hci_vhci",
        "bnep",
        "sch_cake",
        "ifb",
        "macsec",
    ],
)
def test_a_module_that_tests_need_loads(modprobe: Modprobe, module: str) -> None:
    modprobe(module)
    assert is_loaded(module.partition(" ")[0])


def test_hardware_comes_back_from_a_node_that_ends(modprobe: Modprobe) -> None:
    modprobe("mac80211_hwsim radios=1")
    (radio,) = (entry.name for entry in Path("/sys/class/ieee80211").iterdir())
    node = Node("station")
    command.run(["iw", "phy", radio, "set", "netns", "name", node.name])
    assert node.ip_json("link", "show", "dev", "wlan0")
    assert not Path("/sys/class/ieee80211", radio).exists()
    node.close()
    deadline = time.monotonic() + 10
    while not Path("/sys/class/ieee80211", radio).exists():  # the kernel takes a namespace down in its own time
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    "program",
    [
        "/usr/libexec/bluetooth/bluetoothd --version",
        "NetworkManager --version",
        "btvirt --version",
        "dbus-daemon --version",
        "ethtool --version",
        "iw --version",
        "nmcli --version",
        "pppd --version",
        "rfkill --version",
        "slattach --version",
        "wg --version",
        "wpa_supplicant -v",
    ],
)
def test_a_program_that_tests_need_starts(program: str) -> None:
    """It finds its libraries, though it was only unpacked."""
    done = command.run(program.split(), timeout=60)
    assert re.search(r"[0-9]+\.[0-9]+", done.stdout + done.stderr) is not None


@pytest.fixture(scope="module")
def somewhere() -> Iterator[Node]:
    node = Node("somewhere")
    yield node
    node.close()


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir()))
def test_a_golden_ruleset_loads_and_loads_again(somewhere: Node, name: str) -> None:
    ruleset = (GOLDEN / name / "ruleset.nft").read_text()
    with somewhere.network(), Nftables() as nft:
        nft.load(f"flush ruleset\n{ruleset}")
        first = nft.list_text()
        nft.load(ruleset)
        assert "table inet icshare {" in first
        assert HANDLE.sub("", nft.list_text()) == HANDLE.sub("", first)


def test_a_vlan_is_shared(isp: Node, gateway: Node, client: Node, internet: Lab, modprobe: Modprobe) -> None:
    modprobe("8021q")
    connect(isp, "line0", gateway, "eth0")
    for node, link in ((isp, "line0"), (gateway, "eth0")):
        node.ip("link", "add", "link", link, "name", f"{link}.7", "up", "type", "vlan", "id", "7")
    address_line(isp, "line0.7", gateway, "eth0.7")
    outside = gateway.capture("eth0.7")
    gateway.document("share", "eth0.7", "lan0")
    assert lease(client, "eth0").startswith("192.168.137.")
    assert page(client) == str(LINE.ip)
    lines = outside.lines()
    assert any(f"{LINE.ip}:" in line and f" > {WEB_ADDRESS}:80 tcp" in line for line in lines)
    assert not [line for line in lines if "192.168." in line]
    assert internet.seen("web")[-1].source == LINE.ip
    gateway.document("stop")
    with gateway.network(), Nftables() as nft:
        assert nft.list_text() == ""
