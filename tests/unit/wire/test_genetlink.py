"""Families of generic netlink, asked for by name and read by number."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icshare.errors import HostError
from icshare.wire import genetlink
from icshare.wire import netlink as nl


@pytest.mark.parametrize("name", ["nl80211", "netdev"])
def test_a_family_is_asked_for_by_name_and_read_by_number(name: str) -> None:
    request = genetlink.get_family(name)
    assert (request.type, request.purpose) == (16, f"find the {name} family")
    assert nl.attributes(request.payload, 4) == {2: name.encode() + b"\0"}
    assert genetlink.parse_family(bytes(4) + nl.attribute(1, b"\x22\x00")) == 0x22


def test_an_answer_without_a_number_is_refused() -> None:
    with pytest.raises(HostError, match="without its number"):
        genetlink.parse_family(bytes(4) + nl.attribute(1, b"\x22"))


@given(st.binary(max_size=80))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with suppress(HostError):
        assert genetlink.parse_family(data) >= 0
