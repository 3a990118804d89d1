"""A sharing with a fast path: which one is chosen, that it carries the traffic, and that all of it is counted.

The links of a lab are veths, so ``auto`` chooses tc, and XDP has to be asked for.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import pytest
from tests.netns import inhabited
from tests.netns.fastlab import fetch
from tests.netns.gateway import document, icshare_command, json_of, laboratory, output, udhcpc

from icshare.host.command import end
from icshare.lab import ECHO_ADDRESS, Lab

pytestmark = [pytest.mark.netns, pytest.mark.programs]

_SIZE = 20_000_000
"""Bytes of a download."""
_PAST = "the fast path goes past what others count on"
_SETTING = "net.netfilter.nf_conntrack_tcp_be_liberal"


@pytest.fixture(scope="module")
def office(lab_allowed: None) -> Iterator[Lab]:  # noqa: ARG001 - asked for, not used
    """Give a lab with two private links; the ends of its veths compute checksums, and take packets from XDP."""
    with laboratory("fastpath") as lab:
        for node in ("c0", "c1", "inet"):
            for link in json_of(lab, node, "ip", "-json", "link", "show", "type", "veth"):
                output(lab, node, "ethtool", "-K", link["ifname"], "tx", "off", "gro", "on")
        yield lab


def _share(lab: Lab, *arguments: str) -> dict[str, object]:
    return document(lab, "share", "wan0", *arguments)


def _paths(told: dict[str, object]) -> list[tuple[str, str]]:
    return [(one["private"], one["path"]) for one in told["fast_path"]]  # type: ignore[attr-defined]


def _warnings(lab: Lab) -> list[str]:
    checks = document(lab, "status")["checks"]
    return [one["text"] for one in checks if (one["name"], one["grade"]) == ("fast path", "warning")]


@pytest.mark.parametrize("privates", [("lan0",), ("lan0", "lan1")])
@pytest.mark.parametrize("mode", ["auto", "tc", "xdp"])
def test_traffic_goes_fast_and_is_counted_whole(office: Lab, mode: str, privates: tuple[str, ...]) -> None:
    told = _share(office, *privates, "--fast-path", mode)
    try:
        expected = "tc" if mode == "auto" else mode
        assert _paths(told) == [(name, expected) for name in privates]
        udhcpc(office, "c0")
        fetch(office, "c0", _SIZE)
        status = document(office, "status")
        assert status["healthy"], status["checks"]
        assert status["fast_packets"] > 100, str(status["kernel_packets"])
        (client,) = [one for one in document(office, "clients")["clients"] if one["sent_bytes"]]
        assert client["received_bytes"] > _SIZE
    finally:
        assert icshare_command(office, "stop").returncode == 0


def test_what_has_left_its_checksum_to_others_goes_through_the_kernel(office: Lab) -> None:
    """Not one byte of TCP got through, as XDP changed checksums that were yet to be computed."""
    with ExitStack() as stack:
        for node, link in (("c0", "eth0"), ("inet", "isp0")):
            output(office, node, "ethtool", "-K", link, "tx", "on")
            stack.callback(output, office, node, "ethtool", "-K", link, "tx", "off")
        stack.callback(document, office, "stop")
        _share(office, "lan0", "--fast-path", "xdp")
        udhcpc(office, "c0")
        fetch(office, "c0", _SIZE)
        uploaded = f"head -c 3000000 /dev/zero | nc -N -w 60 {ECHO_ADDRESS} 7 | wc -c"
        assert int(output(office, "c0", "sh", "-c", uploaded)) > 3_000_000
        packets = {one["reason"]: one["packets"] for one in document(office, "status")["kernel_packets"]}
        assert packets["partial"] > 100


def test_doctor_tells_once_why_it_is_not_xdp(office: Lab) -> None:
    _share(office, "lan0", "lan1", "--fast-path", "tc")
    try:
        found = [one["text"] for one in document(office, "doctor")["checks"] if one["name"] == "fast path"]
        veth = "wan0 is a veth, by which packets come without checksums, too early for XDP"
        why = f"tc was asked for, and there is no XDP: {veth}"
        assert found == [f"wan0, lan0 and lan1 have tc and not XDP: {why}", "the fast path is in force (tc)"]
    finally:
        assert icshare_command(office, "stop").returncode == 0


def test_nothing_is_left_of_it_after_a_stop(office: Lab) -> None:
    before = output(office, "gw", "sysctl", "-n", _SETTING)
    _share(office, "lan0", "--fast-path", "xdp")
    assert output(office, "gw", "sysctl", "-n", _SETTING) == "1\n"
    (link,) = json_of(office, "gw", "ip", "-json", "link", "show", "wan0")
    assert link["xdp"]["mode"] == 1
    assert icshare_command(office, "stop").returncode == 0
    assert output(office, "gw", "sysctl", "-n", _SETTING) == before
    (link,) = json_of(office, "gw", "ip", "-json", "link", "show", "wan0")
    assert "xdp" not in link


def test_off_and_on_again_are_changes_of_a_sharing_that_goes_on(office: Lab) -> None:
    try:
        assert _paths(_share(office, "lan0", "--fast-path", "off")) == [("lan0", "kernel")]
        assert "chain fast" not in output(office, "gw", "nft", "list", "table", "inet", "icshare")
        assert _paths(_share(office, "lan0")) == [("lan0", "tc")]
        assert "chain fast" in output(office, "gw", "nft", "list", "table", "inet", "icshare")
        assert _share(office, "lan0")["changes"] == []
        assert _paths(_share(office, "lan0", "--fast-path", "off")) == [("lan0", "kernel")]
        assert document(office, "status")["fast_packets"] is None
    finally:
        assert icshare_command(office, "stop").returncode == 0


def test_status_fails_when_a_program_was_taken_away_and_sharing_again_mends_it(office: Lab) -> None:
    _share(office, "lan0")
    try:
        output(office, "gw", "tc", "qdisc", "del", "dev", "wan0", "clsact")
        status = icshare_command(office, "status")
        assert status.returncode == 1
        assert "the fast path is not on all of its links" in status.stdout
        _share(office, "lan0")
        assert icshare_command(office, "status").returncode == 0
    finally:
        assert icshare_command(office, "stop").returncode == 0


def test_somebody_elses_limit_keeps_everything_in_the_kernel(office: Lab) -> None:
    rule = "add table ip other; add chain ip other c { type filter hook forward priority 0; }"
    output(office, "gw", "nft", f"{rule}; add rule ip other c limit rate over 90000/second drop")
    try:
        told = _share(office, "lan0")
        assert _paths(told) == [("lan0", "kernel")]
        assert any("table ip other, chain c, limits the rate" in note for note in told["notes"])  # type: ignore[attr-defined]
        forced = icshare_command(office, "share", "wan0", "lan0", "--fast-path", "tc")
        assert forced.returncode == 2
        assert "table ip other" in forced.stderr
    finally:
        assert icshare_command(office, "stop").returncode == 0
        output(office, "gw", "nft", "delete table ip other")


def test_status_warns_of_what_others_have_added_since_and_the_fast_path_goes_past(office: Lab) -> None:
    """It said that all was well, while a rate limit limited nothing."""
    _share(office, "lan0", "--fast-path", "xdp")
    try:
        output(office, "gw", "nft", "add table netdev other")
        early = "add chain netdev other c { type filter hook ingress device wan0 priority 0; }"
        output(office, "gw", "nft", early)
        assert _warnings(office) == [f"{_PAST}: wan0 has chains of table netdev other"]
        assert _paths(_share(office, "lan0")) == [("lan0", "kernel")]
        assert _warnings(office) == []
        output(office, "gw", "nft", "delete table netdev other")
        _share(office, "lan0", "--fast-path", "tc")
        output(office, "gw", "nft", f"add table inet other; {early.replace('netdev', 'inet')}")
        assert _warnings(office) == [f"{_PAST}: wan0 has chains of table inet other"]
        output(office, "gw", "nft", "delete table inet other")
        chain = "add table ip other; add chain ip other c { type filter hook forward priority 0; }"
        output(office, "gw", "nft", f"{chain}; add rule ip other c limit rate over 90000/second drop")
        assert any("table ip other, chain c, limits the rate" in one for one in _warnings(office))
        assert _paths(_share(office, "lan0")) == [("lan0", "kernel")]
        assert _warnings(office) == []
    finally:
        assert icshare_command(office, "stop").returncode == 0
        for table in ("netdev other", "inet other", "ip other"):
            output(office, "gw", "nft", f"add table {table}; delete table {table}")


_FILTER = "bpf bytecode '1,6 0 0 0'"
_OTHERS = {
    "shaping": (
        "tc qdisc add dev lan0 root tbf rate 1gbit burst 1mb latency 50ms",
        "lan0 has the queueing discipline tbf",
    ),
    "egress": (f"tc filter add dev wan0 egress pref 7 {_FILTER}", "wan0 has tc filters of somebody else"),
    "before ours": (f"tc filter add dev wan0 ingress pref 7 {_FILTER}", "wan0 has tc filters of somebody else"),
    "behind ours": (f"tc filter add dev wan0 ingress pref 20000 {_FILTER}", "wan0 has tc filters of somebody else"),
    "policing": (
        f"tc qdisc add dev lan1 ingress || true; tc filter add dev lan1 parent ffff: pref 5 {_FILTER}",
        "lan1 has tc filters of somebody else",
    ),
}
"""What others may put on links, and what is said of it."""


@pytest.mark.parametrize("others", _OTHERS)
@pytest.mark.parametrize("mode", ["xdp", "tc"])
def test_status_warns_of_what_came_later_where_the_fast_path_goes_past_it(office: Lab, mode: str, others: str) -> None:
    """What tc sends meets queues and filters, and what it takes has met the filters before it."""
    put, told = _OTHERS[others]
    if mode == "xdp" and "filter add dev wan0" in put:
        put = f"tc qdisc add dev wan0 clsact; {put}"
    expected = [f"{_PAST}: {told}"]
    if mode == "tc" and others != "behind ours":
        expected = []
    _share(office, "lan0", "lan1", "--fast-path", mode)
    try:
        output(office, "gw", "sh", "-ec", put)
        assert _warnings(office) == expected
        found = [one for one in document(office, "status")["checks"] if one["grade"] == "warning"]
        for command in (line for one in found for line in one["remedy"].splitlines()[1:]):
            output(office, "gw", "sh", "-ec", command)
        status = document(office, "status")
        assert (_warnings(office), status["healthy"]) == ([], True)
        assert "force (" + mode in " ".join(one["text"] for one in status["checks"])
        if expected:
            output(office, "gw", "sh", "-ec", put.partition("clsact; ")[2] or put)
            slower = "tc" if mode == "xdp" and others != "behind ours" else "kernel"
            assert _paths(_share(office, "lan0", "lan1")) == [("lan0", slower), ("lan1", slower)]
            assert _warnings(office) == []
    finally:
        assert icshare_command(office, "stop").returncode == 0
        left = ("lan0 root", "lan1 ingress", "wan0 clsact")
        output(office, "gw", "sh", "-c", "; ".join(f"tc qdisc del dev {one}" for one in left) + "; true")


def test_status_says_when_it_may_not_look_at_programs(office: Lab) -> None:
    """It took our own filters for somebody else's, and advised to delete them."""
    _share(office, "lan0", "--fast-path", "tc")
    try:
        less = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"]
        done = office.run("gw", [*less, *inhabited.COMMAND, "status", "--json"], env=inhabited.ENVIRONMENT, check=False)
        checks = [one for one in msgspec.json.decode(done.stdout)["checks"] if one["name"] == "fast path"]
        assert [(one["grade"], "was not looked at" in one["text"]) for one in checks] == [("warning", True)]
        assert done.returncode == 0
    finally:
        assert icshare_command(office, "stop").returncode == 0


def test_a_mapping_counts_what_its_target_receives_and_sends(office: Lab) -> None:
    _share(office, "lan0")
    server = None
    try:
        udhcpc(office, "c0")
        (client,) = document(office, "clients")["clients"]
        feed = (
            "for i in 1 2 3 4 5 6 7 8 9 10; do head -c 200000 /dev/zero; sleep 0.05; done"  # the rules grant meanwhile
        )
        server = office.popen("c0", ["sh", "-c", f"({feed}) | nc -l -p 8080"])
        document(office, "map", "add", "web", "tcp", "8080", client["address"])
        (wan,) = json_of(office, "gw", "ip", "-json", "-4", "address", "show", "wan0")
        public = wan["addr_info"][0]["local"]
        reached = "until nc -d -w 10 $0 8080 >/tmp/got; test -s /tmp/got; do sleep 0.1; done; wc -c </tmp/got"
        assert output(office, "inet", "sh", "-c", reached, public).strip() == "2000000"
        (mapping,) = document(office, "map", "list")["mappings"]
        assert mapping["sent_bytes"] > 2_000_000
        assert 0 < mapping["received_bytes"] < 2_000_000
        status = document(office, "status")
        assert status["fast_packets"] > 100, str(status["kernel_packets"])
        _, told = document(office, "map", "remove", "web"), document(office, "map", "list")
        assert told["mappings"] == []
    finally:
        if server is not None:
            end(server)
        assert icshare_command(office, "stop").returncode == 0
