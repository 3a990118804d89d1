"""The benchmark's packets: as many arrive as the kernel makes, and a gateway's translation shows."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from benchmarks.paths.contenders import BARE, CONTENDERS, OFF, PLAIN
from benchmarks.paths.frames import Frames
from benchmarks.paths.handshakes import Handshakes
from benchmarks.paths.packets import Packets, forget_connections
from benchmarks.paths.results import PACKETS, Results
from benchmarks.paths.rig import CLIENT_ADDRESS, WAN_ADDRESS, CannotRunError, standing
from benchmarks.paths.stand import Stand

PUBLIC = {PLAIN: CLIENT_ADDRESS, OFF: WAN_ADDRESS, BARE: None}


@pytest.fixture(scope="module")
def frames() -> Iterator[Frames]:
    with ExitStack() as stack:
        try:
            yield Frames(stack)
        except CannotRunError as error:
            pytest.skip(str(error))


@pytest.fixture(params=[PLAIN, OFF, BARE])
def stand(request: pytest.FixtureRequest) -> Iterator[Stand]:
    name = request.param
    with ExitStack() as stack:
        rig = stack.enter_context(standing(f"bench{os.getpid()}"))
        CONTENDERS[name](stack, rig)
        yield Stand(name=name, rig=rig, public=PUBLIC[name])


def test_packets_of_every_number_of_flows_get_through_both_ways(frames: Frames, stand: Stand) -> None:
    results = Results(contenders=[stand.name])
    Packets(frames, results).measure([stand], 0)
    assert results.unable == {}
    assert {measure for _, measure in results.values} == {*PACKETS}
    assert all(0 < rate < 1e8 for values in results.values.values() for rate in values.values())


@pytest.mark.parametrize("stand", [PLAIN, OFF], indirect=True)
def test_packets_with_addresses_that_no_gateway_gives_are_not_measured(frames: Frames, stand: Stand) -> None:
    results = Results(contenders=[stand.name])
    forget_connections(stand)
    Packets(frames, results).measure([replace(stand, public="203.0.113.99")], 0)
    assert {measure for _, measure in results.unable} == {*PACKETS}
    assert results.values == {}


def test_every_connection_is_opened_and_closed_and_counted_once(frames: Frames, stand: Stand) -> None:
    del frames  # where there are none there are no connections either
    with ExitStack() as stack:
        handshakes = Handshakes(stack)
        with handshakes.answering(stand.rig):
            handshakes.open_and_close(stand.rig, 64)  # who is who on the links
            done = handshakes.open_and_close(stand.rig, 1_000)
    assert done.closed == 1_000
    assert done.seconds > 0


def test_connections_that_a_gateway_refuses_are_not_counted(frames: Frames) -> None:
    del frames
    with ExitStack() as stack:
        rig = stack.enter_context(standing(f"bench{os.getpid()}"))
        CONTENDERS[PLAIN](stack, rig)
        table = "add table ip t; add chain ip t f { type filter hook forward priority 0; policy drop; }"
        rig.run(rig.gateway, ["nft", table])
        handshakes = Handshakes(stack)
        with handshakes.answering(rig):
            assert handshakes.open_and_close(rig, 1_000).closed == 0
