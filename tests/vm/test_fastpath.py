"""The fast path's program in a kernel of Debian 12, whose modules it has to bring in by itself."""

import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.vm.nodes import Node

from icshare.host import fastpath
from icshare.host.fastpath import attachments, libbpf
from icshare.host.netlink import NetlinkSocket
from icshare.host.nft import Nftables
from icshare.model.names import interface_name
from icshare.plan.steps import digest
from icshare.wire import fastpath as wire
from icshare.wire import rtattach
from icshare.wire.fastpath import Reason
from icshare.wire.rtnetlink import dump_links

_numbers = itertools.count(1)


@pytest.fixture
def gateway() -> Iterator[Node]:
    """Give a node with two links of its own that are up."""
    node = Node(f"fast{next(_numbers)}")
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
        for place in map(rtattach.parse_discipline, (one.payload for one in kernel.dump(rtattach.dump_qdiscs()))):
            if place.filtering:
                found[f"clsact {place.index}"] = len(kernel.dump(rtattach.dump_filters(place.index)))
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


def test_what_was_counted_is_kept_when_programs_go_and_places_are_given_again(gateway: Node) -> None:
    account, mapping = (
        wire.ACCOUNT.pack(bytes(10) + b"\xff\xff" + bytes([192, 168, 137, 9]), *rest)
        for rest in ((0, 0, 0), (80, 80, 6))
    )
    keys = {wire.decode_account(one) for one in (account, mapping)}
    with gateway.network(), Nftables() as nft, ExitStack() as held:
        nft.load("add table inet icshare\n")
        fastpath.start(text(("tc", "lan0"), ("tc", "wan0")))
        links = attachments.look(held.enter_context(NetlinkSocket()), held)
        maps = attachments.open_maps(links.ours[0].program, held)
        each = wire.COUNTER.pack(10, 1, 20, 2) * libbpf.possible_cpus()
        for key, slot in ((account, 1), (mapping, 2)):
            maps["accounts"].update(key, wire.key(slot))
            maps["counters"].update(wire.key(slot), each)
        before = fastpath.traffic()
        assert set(before) == keys
        fastpath.stop()
        assert fastpath.traffic() == before
        fastpath.start(text(("xdp", "lan0"), ("xdp", "wan0")))
        assert fastpath.traffic() == before
        fastpath.forget({wire.decode_account(mapping)}, nft)
        assert set(fastpath.traffic()) == {wire.decode_account(account)}
        fastpath.stop()
        nft.load("delete table inet icshare\n")
        assert fastpath.traffic() == {}
