"""Which kind each Wi-Fi interface is, from recorded answers and random bytes."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.wire import kernel

from icshare.errors import HostError
from icshare.model.link import IfIndex
from icshare.model.wifi import InterfaceType, ap_link
from icshare.wire import netlink as nl
from icshare.wire import nl80211
from icshare.wire.nl80211 import WirelessInterface
from icshare.wire.rtnetlink import parse_link

KINDS = {
    "wifi_ad_hoc": 1,
    "wifi_station": 2,
    "wifi_station_with_four_addresses": 2,
    "wifi_access_point": 3,
    "wifi_monitor": 6,
    "wifi_mesh": 7,
    "wifi_direct_client": 8,
    "wifi_direct_group_owner": 9,
}


def answers(case: str) -> list[bytes]:
    text = (kernel.LINKS[0].parents[1] / case / "radios.hex").read_text(encoding="ascii")
    return [bytes.fromhex(line) for line in text.split()]


def own(case: str) -> WirelessInterface:
    """Return the interface that the case is about."""
    index = parse_link(kernel.link(case)).index
    (found,) = [one for one in map(nl80211.parse_interface, answers(case)) if one is not None and one.index == index]
    return found


@pytest.mark.parametrize("case", KINDS)
def test_the_kind_of_an_interface_is_read(case: str) -> None:
    found = own(case)
    assert found.type == KINDS[case]
    assert found.four_address == (case == "wifi_station_with_four_addresses")


def test_two_interfaces_of_one_radio_are_told_together() -> None:
    found = [one for one in map(nl80211.parse_interface, answers("wifi_second_station")) if one is not None]
    assert len({one.index for one in found}) == len(found)
    assert sorted(one.radio for one in found).count(own("wifi_second_station").radio) == 2


def test_what_is_no_link_is_passed_over() -> None:
    assert nl80211.parse_interface(bytes(4) + nl.u32(1, 0) + nl.u32(5, 10)) is None


def test_the_interfaces_of_the_family_are_asked_for() -> None:
    assert (nl80211.dump_interfaces(0x22).type, nl80211.dump_interfaces(0x22).flags) == (0x22, nl.NLM_F_DUMP)


def test_answers_that_say_nothing_are_refused() -> None:
    with pytest.raises(HostError, match="0 bytes where a 32-bit number"):
        nl80211.parse_interface(bytes(4) + nl.u32(3, 7))


def test_the_channel_of_an_interface_is_read() -> None:
    told = bytes(4) + nl.u32(1, 0) + nl.u32(3, 7) + nl.u32(5, 2) + nl.u32(38, 2437) + nl.attribute(52, b"caf\xc3\xa9")
    found = nl80211.parse_interface(told)
    assert found is not None
    assert (found.frequency, found.ssid) == (2437, "café")
    assert (own("wifi_station").frequency, own("wifi_station").ssid) == (None, "")


def test_changes_of_interfaces_say_what_they_do() -> None:
    made = nl80211.create_access_point_link(0x22, 3, ap_link(3))
    assert (made.type, made.payload[0], made.flags) == (0x22, 7, 0)
    assert nl.attributes(made.payload, 4) == {1: b"\3\0\0\0", 4: b"ics-ap3\0", 5: b"\3\0\0\0"}
    assert made.purpose == "make ics-ap3 on radio 3"
    gone = nl80211.delete_interface(0x22, IfIndex(9))
    assert (gone.payload[0], nl.attributes(gone.payload, 4)) == (8, {3: b"\x09\0\0\0"})
    other = nl80211.set_interface_type(0x22, IfIndex(9), InterfaceType.STATION)
    assert (other.payload[0], nl.attributes(other.payload, 4)) == (6, {3: b"\x09\0\0\0", 5: b"\2\0\0\0"})
    assert other.purpose == "make link 9 a station"
    asked = nl80211.get_interface(0x22, IfIndex(9))
    assert (asked.payload[0], nl.attributes(asked.payload, 4)) == (5, {3: b"\x09\0\0\0"})
    assert "type mesh point" in nl80211.set_interface_type(0x22, IfIndex(9), InterfaceType.MESH_POINT).purpose


def test_the_regulatory_domain_is_asked_for_read_and_set() -> None:
    assert nl80211.get_country(0x22).payload[0] == 31
    assert nl80211.parse_country(bytes(4) + nl.text(33, "DE")) == "DE"
    for odd in ("", "D", "DEU", "d\n", "é"):
        with pytest.raises(HostError, match="which is none"):
            nl80211.parse_country(bytes(4) + nl.text(33, odd))
    change = nl80211.set_country(0x22, "DE")
    assert (change.payload[0], nl.attributes(change.payload, 4)) == (27, {33: b"DE\0"})


@given(st.binary(max_size=80))
def test_no_bytes_break_a_reader(data: bytes) -> None:
    with suppress(HostError):
        assert len(nl80211.parse_country(data)) == 2
    with suppress(HostError):
        found = nl80211.parse_interface(data)
        assert found is None or found.radio >= 0
