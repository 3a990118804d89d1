"""Which kind each Wi-Fi interface is, from recorded answers and random bytes."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.wire import kernel

from icshare.errors import HostError
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


def test_the_family_is_asked_for_by_name_and_read_by_number() -> None:
    request = nl80211.get_family()
    assert request.type == 16
    assert nl.attributes(request.payload, 4) == {2: b"nl80211\0"}
    assert nl80211.parse_family(bytes(4) + nl.attribute(1, b"\x22\x00")) == 0x22
    assert (nl80211.dump_interfaces(0x22).type, nl80211.dump_interfaces(0x22).flags) == (0x22, nl.NLM_F_DUMP)


def test_answers_that_say_nothing_are_refused() -> None:
    with pytest.raises(HostError, match="without its number"):
        nl80211.parse_family(bytes(4) + nl.attribute(1, b"\x22"))
    with pytest.raises(HostError, match="0 bytes where a 32-bit number"):
        nl80211.parse_interface(bytes(4) + nl.u32(3, 7))


@given(st.binary(max_size=80))
def test_no_bytes_break_a_reader(data: bytes) -> None:
    with suppress(HostError):
        assert nl80211.parse_family(data) >= 0
    with suppress(HostError):
        found = nl80211.parse_interface(data)
        assert found is None or found.radio >= 0
