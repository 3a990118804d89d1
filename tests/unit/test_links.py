"""Links as kernels show them, each in its directory, are read and classified as written beside them.

`tests/data/links/record.py` says how they were recorded.
"""

import json
import tomllib
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from icshare.host.ethtool import DriverInfo
from icshare.host.sysfs import with_facts
from icshare.model.connection import Characteristics, Connection, MediaType
from icshare.model.link import Link
from icshare.plan.classify import classify
from icshare.plan.connections import connections
from icshare.wire import netlink, nl80211
from icshare.wire import rtnetlink as rt
from icshare.wire.nl80211 import WirelessInterface
from icshare.wire.rtnetlink import parse_link

DIRECTORY = Path(__file__).parents[1] / "data" / "links"
CASES = sorted(path.parent.name for path in DIRECTORY.glob("*/expected.toml"))

BY_PROCESSES = {"pptp_client", "pptp_server"}


class Case:
    """One directory: its link, and the host around it."""

    def __init__(self, name: str) -> None:
        self.directory = DIRECTORY / name
        self.about: Mapping[str, Any] = tomllib.loads(self._text("expected.toml"))
        self.tree: dict[str, Any] = json.loads(self._text("tree.json"))

    def _text(self, name: str) -> str:
        return (self.directory / name).read_text(encoding="utf-8")

    def payloads(self, name: str) -> list[bytes]:
        path = self.directory / name
        return [bytes.fromhex(line) for line in path.read_text(encoding="ascii").split()] if path.exists() else []

    def links(self, root: Path) -> tuple[Link, ...]:
        """Return the link and its master with their facts, by the recorded tree below *root*."""
        self.write(root)
        (message,) = self.payloads("link.hex") if self.about["recorded"] else [_message(self.about)]
        bare = [parse_link(payload) for payload in (message, *self.payloads("master.hex"))]
        return with_facts(bare, root=root, radios=self.radios, driver=lambda _: DriverInfo())

    def radios(self) -> list[WirelessInterface]:
        found = map(nl80211.parse_interface, self.payloads("radios.hex"))
        return [one for one in found if one is not None]

    def write(self, root: Path) -> None:
        for name, content in self.tree.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                path.write_text(content, encoding="utf-8")
            else:
                path.symlink_to(content["link"])


def _message(about: Mapping[str, Any]) -> bytes:
    """Return what the kernel would send of a link that is only described."""
    one = about["message"]
    texts = {"parent_bus": rt.IFLA_PARENT_DEV_BUS_NAME, "parent_device": rt.IFLA_PARENT_DEV_NAME}
    return b"".join(
        (
            rt.IFINFO.pack(0, one["type"], 7, one["flags"], 0),
            netlink.text(rt.IFLA_IFNAME, about["link"]),
            netlink.u32(rt.IFLA_MTU, 1500),
            netlink.u8(rt.IFLA_OPERSTATE, one["operstate"]),
            netlink.u8(rt.IFLA_CARRIER, 1),
            *(netlink.text(kind, one[name]) for name, kind in texts.items() if name in one),
            *(
                netlink.attribute(kind, bytes.fromhex(one[name].replace(":", "")))
                for name, kind in (("address", rt.IFLA_ADDRESS), ("permanent_address", rt.IFLA_PERM_ADDRESS))
                if one.get(name)
            ),
            netlink.nested(rt.IFLA_LINKINFO, netlink.text(rt.IFLA_INFO_KIND, one["kind"])) if "kind" in one else b"",
        )
    )


def connection(case: Case, root: Path) -> Connection:
    return connections(case.links(root), (), ())[0]


@pytest.mark.parametrize("name", CASES)
def test_link_is_classified_as_written_beside_it(name: str, tmp_path: Path) -> None:
    case = Case(name)
    link = case.links(tmp_path)[0]
    found, expected = classify(link), case.about["expected"]
    assert link.name == case.about["link"]
    assert {
        "media": found.media.name,
        "flags": [flag.name for flag in found.flags],
        "public": found.public,
        "private": found.private,
        "bridgeable": found.bridgeable,
        "hidden": found.hidden,
    } == expected


@pytest.mark.parametrize("name", CASES)
def test_whoever_tells_more_tells_the_same(name: str, tmp_path: Path) -> None:
    """The message as the kernel sends it and the sysfs tree beside it speak of one link."""
    case = Case(name)
    link = case.links(tmp_path)[0]
    tree = {path.rpartition("/")[2]: content for path, content in case.tree.items() if "/net/" in path}
    assert tree["ifindex"] == f"{link.index}\n"
    assert tree["type"] == f"{link.type}\n"
    assert tree["address"].strip() == link.address


@pytest.mark.parametrize("name", CASES)
def test_the_rule_follows_from_media_and_flags_alone(name: str, tmp_path: Path) -> None:
    case = Case(name)
    one = connection(case, tmp_path)
    allowed = MediaType.DIRECT <= one.media <= MediaType.PPPOE
    assert one.sharable.ok == (allowed and Characteristics.INCOMING_ONLY not in one.characteristics)


@pytest.mark.parametrize("name", ["bridge_port", "bond_port"])
def test_a_port_is_refused_and_its_master_named(name: str, tmp_path: Path) -> None:
    case = Case(name)
    port, master = connections(case.links(tmp_path), (), ())
    for verdict in (port.as_public, port.as_private):
        assert not verdict.ok
        assert master.interface in verdict.text
    assert (Characteristics.BRIDGED in port.characteristics) == (name == "bridge_port")


def test_a_link_of_a_routing_domain_stands_for_itself(tmp_path: Path) -> None:
    assert connection(Case("vrf_port"), tmp_path).as_private.ok


def test_every_flag_and_media_type_that_a_link_can_have_is_shown_by_a_case() -> None:
    expected = [Case(name).about["expected"] for name in CASES]
    assert {one["media"] for one in expected} == {
        media.name for media in MediaType if media < MediaType.SHAREDACCESSHOST_LAN
    }
    of_kind = {"INCOMING_ONLY", "OUTGOING_ONLY", "HOSTED_NETWORK", "VIRTUAL_STATION", "WIFI_DIRECT"}
    assert reduce(set.union, (set(one["flags"]) for one in expected), set[str]()) == of_kind


def test_most_cases_are_recorded_and_the_others_name_their_source() -> None:
    told = [Case(name).about for name in CASES]
    assert sum(one["recorded"] for one in told) > 70
    assert all(one["source"] for one in told if not one["recorded"])


def test_without_sysfs_of_our_namespace_the_kernel_still_tells_the_kind(tmp_path: Path) -> None:
    """In a namespace whose sysfs is not mounted, rtnetlink and the driver must do."""
    (message,) = Case("bridge").payloads("link.hex")
    (link,) = with_facts(
        [parse_link(message)], root=tmp_path, radios=list, driver=lambda _: DriverInfo(driver="bridge")
    )
    assert classify(link).media is MediaType.BRIDGE
    assert link.facts.devtype == "bridge"
    (message,) = Case("tap_of_a_vpn").payloads("link.hex")
    (link,) = with_facts([parse_link(message)], root=tmp_path, radios=list, driver=lambda _: DriverInfo(bus="tap"))
    assert classify(link).bridgeable


def test_the_link_of_another_namespace_under_the_same_name_is_not_believed(tmp_path: Path) -> None:
    case = Case("usb_gadget")
    case.tree = {path: "999\n" if path.endswith("/ifindex") else content for path, content in case.tree.items()}
    (link,) = case.links(tmp_path)
    assert (link.facts.devtype, link.facts.driver, link.facts.hardware) == ("gadget", "", True)  # by rtnetlink's bus


@pytest.mark.parametrize(
    ("name", "driver", "label"),
    [("usb_gadget", "g_ether", "USB gadget"), ("bluetooth_network", "", "Bluetooth network"), ("bridge", "", "bridge")],
)
def test_a_parent_tells_the_kind_where_sysfs_is_of_another_namespace(
    name: str, driver: str, label: str, tmp_path: Path
) -> None:
    """Gadgets and Bluetooth networks were called Ethernet there: only sysfs has the device type."""
    (message,) = Case(name).payloads("link.hex")
    (link,) = with_facts([parse_link(message)], root=tmp_path, radios=list, driver=lambda _: DriverInfo(driver=driver))
    assert classify(link).label == label
    assert link.facts.hardware == (name != "bridge")
