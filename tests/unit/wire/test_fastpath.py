"""Keys and values of the fast path's maps, and the text that they are filled from."""

import json
import re
import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest

from icshare.errors import HostError
from icshare.model.link import IfIndex
from icshare.wire import fastpath as wire
from icshare.wire.fastpath import Account, Config, Counter, Reason
from icshare.wire.rtattach import AttachableLink

HEADER = (Path(__file__).parents[3] / "bpf" / "fastpath.h").read_text(encoding="ascii")
SIZES = {"__u8": 1, "__u16": 2, "__u32": 4, "__u64": 8}
MAC = bytes.fromhex("020000000001")
MAPPED = bytes(10) + b"\xff\xff"


def link(name: str, index: int, **others: Any) -> AttachableLink:
    return AttachableLink(**{"index": IfIndex(index), "name": name, "type": 1, "address": MAC, **others})


PRESENT = {
    one.name: one
    for one in (
        link("wan0", 2),
        link("lan0", 3),
        link("ics-br0", 4),
        link("port0", 5, master=4),
        link("port1", 6, master=4),
        link("wan0.7", 7),
        link("ppp0", 8, type=512, address=b""),
    )
}


def text(*links: dict[str, Any], networks: tuple[tuple[str, str], ...] = (), unsendable: tuple[str, ...] = ()) -> str:
    return json.dumps(
        {
            "version": 1,
            "links": links,
            "networks": [{"network": network, "l3": l3} for network, l3 in networks],
            "unsendable": unsendable,
        }
    )


def entry(name: str, hook: str = "xdp", **others: Any) -> dict[str, Any]:
    return {"name": name, "l3": name, "hook": hook, "public": name.startswith(("wan", "ppp")), **others}


def tables(*links: dict[str, Any], **others: Any) -> wire.Tables:
    return wire.tables(wire.read_configuration(text(*links, **others)), PRESENT)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("config", wire.CONFIG.size),
        ("link_key", wire.LINK_KEY.size),
        ("link", wire.LINK.size),
        ("egress", wire.EGRESS.size),
        ("network_key", wire.NETWORK_KEY.size),
        ("account", wire.ACCOUNT.size),
        ("counter", wire.COUNTER.size),
    ],
)
def test_sizes_are_those_of_the_program(name: str, size: int) -> None:
    (body,) = re.findall(rf"^struct {name} {{\n(.*?)^}};", HEADER, re.MULTILINE | re.DOTALL)
    members = re.findall(r"^\t(__u\d+) \w+(?:\[(\d+)\])?;", body, re.MULTILINE)
    assert sum(SIZES[kind] * int(count or 1) for kind, count in members) == size


def test_reasons_are_those_of_the_program() -> None:
    (body,) = re.findall(r"^enum reason {\n(.*?)^};", HEADER, re.MULTILINE | re.DOTALL)
    names = re.findall(r"^\t([A-Z0-9_]+)(?: = 0)?,", body, re.MULTILINE)
    assert names == [*(reason.name for reason in Reason), "REASONS"]


def test_the_order_of_the_configuration_is_that_of_the_program() -> None:
    (body,) = re.findall(r"^struct config {\n(.*?)^};", HEADER, re.MULTILINE | re.DOTALL)
    names = re.findall(r"^\t__u\d+ (\w+)", body, re.MULTILINE)
    assert names == ["generation", "udp_stream_ms", "tcp_established_ms", "flags", "hz", "flows", "digest"]


def test_a_plain_link_is_looked_for_and_sent_by() -> None:
    found = tables(entry("wan0"))
    assert found.links == {struct.pack("=IHH", 2, 0, 0): struct.pack("=I6sBB", 2, MAC, 1, 0)}
    assert found.egress == {struct.pack("=I", 2): struct.pack("=IHBB", 2, 0, 1, 0)}
    assert set(found.by_map()) == {"links", "egress", "networks"}


def test_a_bridge_is_sent_by_through_the_port_that_a_station_is_behind() -> None:
    found = tables(*(entry(name, l3="ics-br0", bridged=True) for name in ("port0", "port1")), entry("ics-br0", "tc"))
    assert found.links == {
        struct.pack("=IHH", 5, 0, 0): struct.pack("=I6sBB", 4, MAC, 0, 1),
        struct.pack("=IHH", 6, 0, 0): struct.pack("=I6sBB", 4, MAC, 0, 1),
        struct.pack("=IHH", 4, 0, 0): struct.pack("=I6sBB", 4, MAC, 0, 0),
    }
    assert found.egress == {struct.pack("=I", 4): struct.pack("=IHBB", 0, 0, 0, 1)}


@pytest.mark.parametrize("first", ["xdp", "tc"])
def test_frames_of_a_vlan_go_out_by_the_link_below(first: str) -> None:
    below, above = entry("wan0", l3="wan0.7", vlan=7), entry("wan0.7", "tc")
    found = tables(*((below, above) if first == "xdp" else (above, below)))
    assert found.egress == {struct.pack("=I", 7): struct.pack("=IHBB", 2, 7, 1, 0)}
    assert struct.pack("=IHH", 2, 7, 0) in found.links


def test_a_link_without_ethernet_has_no_hardware_address() -> None:
    found = tables(entry("ppp0", "tc"))
    assert found.links == {struct.pack("=IHH", 8, 0, 0): struct.pack("=I6sBB", 8, bytes(6), 1, 0)}
    assert found.egress == {struct.pack("=I", 8): struct.pack("=IHBB", 8, 0, 1, 4)}


def test_xdp_cannot_read_packets_without_ethernet() -> None:
    with pytest.raises(HostError, match="ppp0 has no Ethernet header"):
        tables(entry("ppp0"))


def test_a_link_that_cannot_be_sent_by_is_told_to_the_program() -> None:
    found = tables(entry("lan0", "tc"), unsendable=("lan0",))
    assert found.egress == {struct.pack("=I", 3): struct.pack("=IHBB", 3, 0, 0, 2)}


def test_a_bridge_with_one_port_that_cannot_be_sent_by_is_not_sent_by() -> None:
    found = tables(entry("port0", l3="ics-br0", bridged=True), unsendable=("port0",))
    assert found.egress == {struct.pack("=I", 4): struct.pack("=IHBB", 0, 0, 0, 3)}


def test_networks_of_both_versions_have_one_form() -> None:
    found = tables(entry("lan0"), networks=(("192.168.137.0/24", "lan0"), ("2001:db8::/64", "lan0")))
    assert found.networks == {
        struct.pack("=I16s", 120, MAPPED + bytes((192, 168, 137, 0))): struct.pack("=I", 3),
        struct.pack("=I16s", 64, IPv6Address("2001:db8::").packed): struct.pack("=I", 3),
    }


def test_a_link_that_is_missing_is_named() -> None:
    with pytest.raises(HostError, match="there is no link eth9"):
        tables(entry("eth9"))


@pytest.mark.parametrize(
    "broken",
    ["", "{}", text(entry("wan0", "egress")), text(networks=(("192.168.137.1/24", "lan0"),)), '{"version": "1"}'],
)
def test_a_text_that_is_none_is_refused(broken: str) -> None:
    with pytest.raises(HostError, match="cannot be read"):
        wire.read_configuration(broken)


def test_a_text_of_another_version_is_refused() -> None:
    with pytest.raises(HostError, match="has version 2, expected 1"):
        wire.read_configuration(text().replace('"version": 1', '"version": 2'))


def by_index(**changes: AttachableLink) -> dict[int, AttachableLink]:
    return {int(one.index): one for one in {**PRESENT, **changes}.values()}


def test_links_are_as_noted_while_nothing_changes() -> None:
    noted = tables(entry("wan0"), entry("port0", l3="ics-br0", bridged=True)).links
    assert wire.links_are_as_noted(noted, by_index())


@pytest.mark.parametrize(
    "change",
    [
        {"wan0": link("wan0", 20)},
        {"wan0": link("wan0", 2, address=b"\x02\0\0\0\0\2")},
        {"port0": link("port0", 5)},
        {"ics-br0": link("ics-br0", 40)},
    ],
    ids=["replaced", "another_address", "left_the_bridge", "another_bridge"],
)
def test_links_that_have_changed_are_not_as_noted(change: dict[str, AttachableLink]) -> None:
    noted = tables(entry("wan0"), entry("port0", l3="ics-br0", bridged=True)).links
    assert not wire.links_are_as_noted(noted, by_index(**change))


CONFIG = Config(
    generation=3,
    udp_stream_ms=120000,
    tcp_established_ms=432000000,
    hz=250,
    flows=4096,
    digest="0123456789abcdef",
    attachments=2,
)


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, cache=False)])
def test_a_configuration_is_read_as_it_was_written(config: Config) -> None:
    assert wire.decode_config(config.encode()) == config


def test_a_configuration_of_another_size_is_refused() -> None:
    with pytest.raises(HostError, match="has 3 bytes, expected 40"):
        wire.decode_config(b"abc")


def test_the_generation_wraps_around() -> None:
    assert wire.next_generation(CONFIG).generation == 4
    assert wire.next_generation(replace(CONFIG, generation=0xFFFFFFFF)).generation == 0


def test_timeouts_change_nothing_else() -> None:
    assert wire.with_timeouts(CONFIG, 1, 2) == replace(CONFIG, udp_stream_ms=1, tcp_established_ms=2)


GIB = 1 << 30


@pytest.mark.parametrize(
    ("cpus", "memory", "flows"),
    [(1, 64 * GIB, 65536), (2, 64 * GIB, 65536), (3, 64 * GIB, 32768), (64, 64 * GIB, 4096), (2, 1 * GIB, 32768)],
)
def test_the_cache_has_room_for_as_many_flows_as_memory_allows(cpus: int, memory: int, flows: int) -> None:
    assert wire.flows_per_cpu(cpus=cpus, memory=memory, element=256) == flows


def test_a_small_machine_has_the_smallest_cache() -> None:
    assert wire.flows_per_cpu(cpus=4, memory=1, element=256) == 4096


def test_accounts_of_both_versions_are_read() -> None:
    client = wire.ACCOUNT.pack(MAPPED + bytes((192, 168, 137, 9)), 0, 0, 0)
    mapping = wire.ACCOUNT.pack(IPv6Address("2001:db8::9").packed, 80, 8080, 6)
    assert wire.decode_account(client) == Account(IPv4Address("192.168.137.9"))
    assert wire.decode_account(mapping) == Account(IPv6Address("2001:db8::9"), 80, 8080, 6)


def test_an_account_of_another_size_is_refused() -> None:
    with pytest.raises(HostError, match="has 1 bytes, expected 24"):
        wire.decode_account(b"x")


def test_the_place_of_an_account_is_read() -> None:
    assert wire.slot(wire.key(9)) == 9
    with pytest.raises(HostError, match="has 3 bytes, expected 4"):
        wire.slot(b"abc")


def test_counters_are_summed_over_cpus() -> None:
    value = wire.COUNTER.pack(1, 2, 3, 4) + wire.COUNTER.pack(10, 20, 30, 40)
    assert wire.sum_counters(value) == Counter(11, 22, 33, 44)
    assert wire.sum_reasons(wire.REASON.pack(1) + wire.REASON.pack(2)) == 3


def test_counters_add_up() -> None:
    assert Counter(1, 2, 3, 4) + Counter(10, 20, 30, 40) == Counter(11, 22, 33, 44)
