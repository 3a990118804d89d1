"""That a run of the tests has the fast path that it is meant to have: otherwise all others would prove nothing."""

from collections.abc import Callable

import pytest
from tests.netns import forced
from tests.netns.gateway import document, output, udhcpc

from icshare.lab import WEB_ADDRESS, Lab
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
    fetch = ["curl", "-sS", "--max-time", "60", "-o", "/dev/null", "-w", "%{size_download}"]
    assert output(lab, "c0", *fetch, f"http://{WEB_ADDRESS}/bytes/20000000") == "20000000"
    assert document(lab, "status")["fast_packets"] > 100
