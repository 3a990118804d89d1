"""Windows-like names: given once, kept for ever, unique, overridable."""

from collections.abc import Sequence
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.model.connection import YES, Characteristics, Connection, MediaType, Role, Status
from icshare.model.windowsnames import assign_names
from icshare.netcon.names import NcIsValidConnectionName

_SPACE = UUID(int=1)


def _id(interface: str) -> UUID:
    return uuid5(_SPACE, interface)


def _connection(
    interface: str,
    *,
    kind: str = "Ethernet",
    media: MediaType = MediaType.LAN,
    flags: Characteristics = Characteristics.NONE,
    name: str = "",
) -> Connection:
    return Connection(
        guid=_id(interface),
        name=name or interface,
        device=interface,
        interface=interface,
        status=Status.CONNECTED,
        media=media,
        characteristics=flags,
        role=Role.NONE,
        kind=kind,
        sharable=YES,
        as_public=YES,
        as_private=YES,
        bridgeable=True,
    )


def _names(connections: Sequence[Connection], given: dict[UUID, str] | None = None) -> list[str]:
    return list(assign_names(connections, given or {}).values())


def test_names_are_those_of_windows() -> None:
    found = _names(
        [
            _connection("eth0"),
            _connection("eth1"),
            _connection("wlan0", kind="Wi-Fi"),
            _connection("wlan1", kind="Wi-Fi"),
            _connection("ap0", kind="Wi-Fi access point", flags=Characteristics.HOSTED_NETWORK),
            _connection("ap1", kind="Wi-Fi Direct group owner", flags=Characteristics.WIFI_DIRECT),
            _connection("bnep0", kind="Bluetooth network"),
            _connection("br0", kind="bridge", media=MediaType.BRIDGE),
            _connection("ppp0", kind="PPPoE", media=MediaType.PPPOE),
            _connection("lo", kind="loopback", media=MediaType.NONE),
        ]
    )
    assert found == [
        "Ethernet",
        "Ethernet 2",
        "Wi-Fi",
        "Wi-Fi 2",
        "Local Area Connection* 1",
        "Local Area Connection* 2",
        "Bluetooth Network Connection",
        "Network Bridge",
        "ppp0",
        "lo",
    ]


def test_a_given_name_stays_and_is_never_given_to_another() -> None:
    given = {_id("eth1"): "Ethernet", _id("gone"): "Ethernet 2"}
    assert _names([_connection("eth0"), _connection("eth1")], given) == ["Ethernet", "Ethernet 3"]
    assert assign_names([_connection("eth0"), _connection("eth1")], given)[_id("eth1")] == "Ethernet"


def test_the_administrators_name_wins_over_the_given_one() -> None:
    assert _names([_connection("eth0", name="bench, left")], {_id("eth0"): "Ethernet"}) == ["bench, left"]


def test_a_name_that_another_has_gets_a_number_that_stays() -> None:
    given = {_id("eth1"): "Uplink"}
    first = assign_names([_connection("eth0", name="uplink"), _connection("eth1")], given)
    assert first == {_id("eth1"): "Uplink", _id("eth0"): "uplink 2"}
    assert assign_names([_connection("eth0", name="uplink"), _connection("eth1")], given | first) == first


@pytest.mark.parametrize("name", ["a/b", 'x"y', "tab\tbed", "x" * 300, "\U0001f600" * 200])
def test_what_windows_takes_no_name_from_is_mended(name: str) -> None:
    (found,) = _names([_connection("eth0", name=name)])
    assert NcIsValidConnectionName(found)


def test_a_blank_name_is_none() -> None:
    assert _names([_connection("eth0", name="   ")]) == ["Ethernet"]
    assert _names([_connection(" ", media=MediaType.NONE)]) == ["Connection"]


@given(
    st.lists(
        st.tuples(
            st.from_regex("[a-z]{1,3}[0-9]", fullmatch=True), st.sampled_from(["", "Ethernet", "ETHERNET", "Q:"])
        ),
        max_size=12,
        unique_by=lambda pair: pair[0],
    ),
    st.integers(0, 12),
)
def test_names_are_unique_valid_and_stable_as_connections_come_and_go(pairs: list[tuple[str, str]], early: int) -> None:
    connections = [_connection(interface, name=name) for interface, name in pairs]
    first = assign_names(connections[:early], {})
    later = assign_names(connections, first)
    assert {guid: later[guid] for guid in first} == first
    assert len({name.casefold() for name in later.values()}) == len(connections)
    assert all(NcIsValidConnectionName(name) or "*" in name for name in later.values())
    assert assign_names(list(reversed(connections)), later) == later
