"""The fast path's program in a kernel of Debian 12, whose modules it has to bring in by itself."""

import json
from collections.abc import Iterator

import pytest
from tests.vm.nodes import Node

from icshare.host import fastpath
from icshare.host.netlink import NetlinkSocket
from icshare.model.names import interface_name
from icshare.plan.steps import digest
from icshare.wire import rtattach
from icshare.wire.fastpath import Reason
from icshare.wire.rtnetlink import dump_links


@pytest.fixture
def gateway() -> Iterator[Node]:
    """Give a node with two links of its own that are up."""
    node = Node("fast")
    try:
        for name in ("lan0", "wan0"):
            node.ip("link", "add", name, "type", "veth", "peer", "name", f"{name}-peer")
            node.ip("link", "set", name, "up")
            node.ip("link", "set", f"{name}-peer", "up")
        yield node
    finally:
        node.close()


def text(*links: tuple[str, str]) -> str:
    entries = [{"name": name, "l3": name, "hook": hook, "public": name == "wan0"} for hook, name in links]
    return json.dumps({"version": 1, "links": entries, "networks": [{"network": "192.168.137.0/24", "l3": "lan0"}]})


def attached() -> dict[str, int]:
    """Return identifiers of XDP programs by link, and how many filters a link has."""
    with NetlinkSocket() as kernel:
        links = [rtattach.parse_attachable(one.payload) for one in kernel.dump(dump_links())]
        found = {f"xdp {link.name}": link.xdp for link in links if link.xdp}
        for index in map(rtattach.parse_clsact, (one.payload for one in kernel.dump(rtattach.dump_qdiscs()))):
            if index is not None:
                found[f"clsact {index}"] = len(kernel.dump(rtattach.dump_filters(index)))
    return found


def test_the_program_is_loaded_attached_exchanged_and_gone(gateway: Node) -> None:
    with gateway.network():
        able = fastpath.probe([interface_name("lan0"), interface_name("wan0")])
        assert able.kernel.bpf, able.kernel.why_not_bpf
        assert able.kernel.flowtable, able.kernel.why_not_flowtable
        assert [one.native_xdp for one in able.links] == [True, True]
        assert attached() == {}
        for configuration in (
            text(("xdp", "lan0"), ("xdp", "wan0")),
            text(("tc", "lan0"), ("tc", "wan0")),
            text(("xdp", "lan0"), ("tc", "lan0"), ("tc", "wan0")),
        ):
            fastpath.start(configuration)
            assert fastpath.running() == digest(configuration)
            before = attached()
            fastpath.start(configuration)
            assert attached() == before
            fastpath.refresh()
            assert fastpath.traffic() == {}
            assert set(fastpath.reasons()) == set(Reason)
        fastpath.stop()
        assert fastpath.running() is None
        assert attached() == {}
