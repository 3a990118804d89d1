"""The benchmark's packets: as many arrive as the kernel makes, and a gateway's translation shows."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from benchmarks.paths.contenders import BARE, CONTENDERS, OFF, PLAIN
from benchmarks.paths.frames import Frames
from benchmarks.paths.packets import Packets, forget_connections
from benchmarks.paths.results import CONNECTIONS, PACKETS, Results
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
        rig = stack.enter_context(standing("bench"))
        CONTENDERS[name](stack, rig)
        yield Stand(name=name, rig=rig, public=PUBLIC[name])


def test_packets_of_every_number_of_flows_get_through_both_ways(frames: Frames, stand: Stand) -> None:
    results = Results(contenders=[stand.name])
    Packets(frames, results).measure([stand], 0)
    assert results.unable == {}
    assert {measure for _, measure in results.values} == {*PACKETS, CONNECTIONS}
    assert all(0 < rate < 1e8 for values in results.values.values() for rate in values.values())


@pytest.mark.parametrize("stand", [PLAIN, OFF], indirect=True)
def test_packets_with_addresses_that_no_gateway_gives_are_not_measured(frames: Frames, stand: Stand) -> None:
    results = Results(contenders=[stand.name])
    forget_connections(stand)
    Packets(frames, results).measure([replace(stand, public="203.0.113.99")], 0)
    assert {measure for _, measure in results.unable} == {*PACKETS, CONNECTIONS}
    assert results.values == {}
