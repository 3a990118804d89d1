"""The virtual machine itself."""

import time
from pathlib import Path

from tests.vm.conftest import Modprobe
from tests.vm.nodes import Node

from icshare.host import command


def test_it_is_a_machine_of_its_own_without_a_card() -> None:
    assert Path("/proc/1/comm").read_text() == "job\n"
    cards = [entry for entry in Path("/sys/class/net").iterdir() if (entry / "device" / "driver").exists()]
    assert [entry.name for entry in cards if (entry / "device" / "subsystem").resolve().name in {"pci", "virtio"}] == []


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
