"""That a run of the tests has the fast path that it is meant to have: otherwise all others would prove nothing."""

from collections.abc import Callable

import pytest
from tests.netns import forced
from tests.netns.fastlab import fetch
from tests.netns.gateway import document, udhcpc

from icshare.lab import Lab
from icshare.model.fastpath import Mode

pytestmark = [pytest.mark.netns, pytest.mark.packets, pytest.mark.programs]


@pytest.mark.parametrize("privates", [("lan0",), ("lan0", "lan1")], ids=["one link", "a bridge"])
def test_a_gateway_forwards_by_the_path_that_this_run_is_about(
    make_lab: Callable[..., Lab], privates: tuple[str, ...]
) -> None:
    lab = make_lab()
    told = document(lab, "share", "wan0", *privates)
    expected = "tc" if forced.mode() is Mode.AUTO else str(forced.mode())
    assert [one["path"] for one in told["fast_path"]] == [expected] * len(privates)
    udhcpc(lab, "c0")
    fetch(lab, "c0", 20_000_000)
    assert document(lab, "status")["fast_packets"] > 100
