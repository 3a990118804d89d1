"""What drivers do for XDP, as the kernel tells it."""

import struct

import pytest

from icshare.errors import HostError
from icshare.wire import netdev
from icshare.wire.netdev import Features
from icshare.wire.netlink import NLM_F_DUMP, attribute, u32


def device(features: int) -> bytes:
    return struct.pack("=BBxx", 1, 1) + u32(1, 7) + attribute(3, struct.pack("=Q", features))


def test_all_links_are_asked_for() -> None:
    request = netdev.dump_devices(30)
    assert (request.type, request.flags, request.payload[0]) == (30, NLM_F_DUMP, 1)


@pytest.mark.parametrize(
    ("features", "runs", "sends"),
    [(0, False, False), (1, False, False), (3, True, False), (7, True, True), (4, False, True), (0x7F, True, True)],
)
def test_features_are_read(features: int, runs: bool, sends: bool) -> None:
    assert netdev.parse_device(device(features)) == Features(index=7, runs=runs, sends=sends)  # type: ignore[arg-type]


def test_an_answer_without_features_is_refused() -> None:
    with pytest.raises(HostError, match="without its XDP features"):
        netdev.parse_device(bytes(4) + u32(1, 7))
