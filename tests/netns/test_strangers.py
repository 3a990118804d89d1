"""What others run on the same machine or the same wire: named, left alone, and never half shared beside it."""

import contextlib
import json
from collections.abc import Callable, Iterator

import pytest
from tests.netns import inhabited
from tests.netns.gateway import NETWORK_GATEWAY, address, page, udhcpc

from icshare.host import command
from icshare.host.command import PIPE
from icshare.lab import GATEWAY, INTERNET, UPLINK, WEB_ADDRESS, Lab, traces

pytestmark = pytest.mark.netns

MakeLab = Callable[..., Lab]

FOREIGN = "192.168.137.200"


@contextlib.contextmanager
def dnsmasq(lab: Lab, node: str, *options: str) -> Iterator[int]:
    """Run somebody's dnsmasq on a node, from when it has bound its sockets; its pid."""
    argv = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--user=root", "--pid-file=", "--log-facility=-"]
    process = lab.popen(node, [*argv, "--dhcp-leasefile=/run/foreign.leases", *options], stderr=PIPE)
    assert process.stderr is not None
    try:
        said = []
        for line in process.stderr:
            said.append(line.decode())
            if "started" in said[-1]:
                break
        else:
            pytest.fail("".join(said))
        yield process.pid
    finally:
        process.kill()  # it hears nothing else while it waits for the answer to a ping
        command.end(process)


@pytest.mark.check(19)
@pytest.mark.parametrize("options", [["--no-ping"], []], ids=["at once", "after a ping of its own"])
def test_where_a_foreign_dhcp_server_serves_ours_stays_off_and_a_client_has_one_lease(
    make_lab: MakeLab, options: list[str]
) -> None:
    lab = make_lab(privates=1, clients_per_private=2)
    lab.run("c1", ["ip", "address", "add", f"{FOREIGN}/24", "dev", "eth0"])
    pool = ["--port=0", "--interface=eth0", "--bind-interfaces", "--dhcp-range=192.168.137.210,192.168.137.220"]
    with dnsmasq(lab, "c1", *pool, *options):
        inhabited.run(lab, "share", "wan0", "lan0")
        inhabited.wait_for(
            lambda: any(FOREIGN in one["text"] for one in inhabited.document(lab, "status")["checks"]),
            "the foreign server is not noticed",
        )
        (told,) = (one for one in inhabited.document(lab, "status")["checks"] if one["name"] == "dhcp")
        assert told["grade"] == "warning"
        assert "ours stays off" in told["text"]
        lab.run("c0", ["udhcpc", "-f", "-n", "-q", "-t", "10", "-T", "2", "-i", "eth0"], timeout=60)
        (link,) = json.loads(lab.run("c0", ["ip", "-json", "-4", "address", "show", "dev", "eth0"]).stdout)
        (held,) = (one["local"] for one in link["addr_info"])
        assert held in {f"192.168.137.{number}" for number in range(210, 221)}
        assert held in lab.path("c1", "/run/foreign.leases").read_text()
        ours = lab.path(GATEWAY, "/run/icshare/dnsmasq.leases")
        assert not ours.exists() or ours.read_text() == ""


@pytest.mark.check(19)
def test_when_the_foreign_dhcp_server_has_gone_the_next_sharing_serves(make_lab: MakeLab) -> None:
    lab = make_lab(privates=1, clients_per_private=2)
    lab.run("c1", ["ip", "address", "add", f"{FOREIGN}/24", "dev", "eth0"])
    pool = ["--port=0", "--interface=eth0", "--bind-interfaces", "--dhcp-range=192.168.137.210,192.168.137.220"]
    with dnsmasq(lab, "c1", *pool, "--no-ping"):
        inhabited.run(lab, "share", "wan0", "lan0")
        inhabited.wait_for(
            lambda: any("ours stays off" in one["text"] for one in inhabited.document(lab, "status")["checks"]),
            "the foreign server is not noticed",
        )
    inhabited.run(lab, "stop")
    inhabited.run(lab, "share", "wan0", "lan0")
    udhcpc(lab, "c0")
    assert page(lab, "c0") == str(UPLINK.ip)
    assert address(lab, "c0") in lab.path(GATEWAY, "/run/icshare/dnsmasq.leases").read_text()


@pytest.mark.check(20)
def test_a_program_that_owns_port_53_of_other_addresses_is_no_obstacle(make_lab: MakeLab) -> None:
    lab = make_lab(privates=1)
    elsewhere = ["--bind-interfaces", "--listen-address=127.0.0.1", f"--listen-address={UPLINK.ip}"]
    with dnsmasq(lab, GATEWAY, "--no-resolv", *elsewhere):
        inhabited.run(lab, "share", "wan0", "lan0")
        udhcpc(lab, "c0")
        told = lab.run("c0", ["dig", "www.example.net"], timeout=60).stdout
        assert (f"SERVER: {NETWORK_GATEWAY}#53" in told, str(WEB_ADDRESS) in told) == (True, True), told
        assert page(lab, "c0") == str(UPLINK.ip)


def test_a_program_that_owns_port_53_everywhere_is_named_and_nothing_is_touched(lab: Lab) -> None:
    with dnsmasq(lab, GATEWAY, "--no-resolv") as pid:
        before = inhabited.snapshot(lab)
        done = inhabited.run(lab, "share", "wan0", "lan0", status=1)
        assert f"0.0.0.0:53 by dnsmasq (pid {pid})" in done.stderr
        inhabited.assert_unchanged(lab, before, "after the refusal")


@pytest.mark.check(27)
def test_another_firewall_that_drops_is_named_with_its_mending_and_all_is_rolled_back(lab: Lab) -> None:
    lab.run(GATEWAY, ["ping", "-c", "1", "-W", "5", "198.51.100.1"])  # a neighbour that the self-test would make known
    rules = "add table inet strict\nadd chain inet strict gate { type filter hook forward priority 7; policy drop; }\n"
    lab.run(GATEWAY, ["nft", "-f", "-"], input=rules)
    before = inhabited.snapshot(lab)
    done = inhabited.run(lab, "share", "wan0", "lan0", "lan1", status=1)
    for word in ("inet strict", "gate", "priority 7", "nft 'insert rule inet strict gate"):
        assert word in done.stderr, done.stderr
    inhabited.assert_unchanged(lab, before, "after the rollback")
    told = inhabited.document(lab, "share", "wan0", "lan0", "lan1")["error"]
    for line in told["hint"].splitlines():
        lab.run(GATEWAY, ["sh", "-ec", line])
    inhabited.run(lab, "share", "wan0", "lan0", "lan1")


@pytest.mark.check(21)
def test_a_subnet_that_is_taken_is_left_to_its_owner_and_another_one_explained(lab: Lab) -> None:
    lab.run(GATEWAY, ["ip", "route", "add", "192.168.137.128/25", "via", "198.51.100.1"])
    told = inhabited.document(lab, "share", "wan0", "lan0")
    assert told["segments"][0]["network"] != "192.168.137.0/24"
    assert any("192.168.137." in note for note in told["notes"]), told["notes"]


@pytest.mark.check(21)
def test_where_the_upstream_network_has_our_subnet_both_are_reachable(make_lab: MakeLab) -> None:
    lab = make_lab(privates=1)
    lab.run(INTERNET, ["ip", "address", "add", "192.168.137.1/24", "dev", "isp0"])
    lab.run(GATEWAY, ["ip", "address", "add", "192.168.137.5/24", "dev", "wan0"])
    told = inhabited.document(lab, "share", "wan0", "lan0")
    (segment,) = told["segments"]
    assert segment["network"] != "192.168.137.0/24"
    udhcpc(lab, "c0")
    for target in ("192.168.137.1", segment["gateway"]):
        assert lab.run("c0", ["ping", "-c", "1", "-W", "5", target], check=False).returncode == 0, target
    assert page(lab, "c0") == str(UPLINK.ip)


def test_two_who_share_at_the_same_time_wait_for_each_other(lab: Lab) -> None:
    before = inhabited.snapshot(lab)
    both = [inhabited.start(lab, "share", "wan0", name) for name in ("lan0", "lan1")]
    outcomes = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], outcomes
    status = inhabited.document(lab, "status")
    assert status["healthy"]
    assert len(status["segments"]) == 1
    assert len(served_by(lab)) == 1
    inhabited.run(lab, "stop")
    kinds = ("links", "addresses", "rules", "nftables", "processes", "files")
    inhabited.assert_unchanged(lab, {what: before[what] for what in kinds}, "after the stop")


def served_by(lab: Lab) -> list[str]:
    """Return the processes of a dnsmasq on the gateway."""
    return [line for line in traces.take(lab, GATEWAY)["processes"] if "dnsmasq" in line]


FUTURE = b'{"journal":999,"boot":"0","namespace":1,"since":0.0}\n'


@pytest.mark.parametrize("verb", [["stop"], ["status"], ["share", "wan0", "lan0"], ["list"]], ids=" ".join)
@pytest.mark.parametrize("content", [b"no journal\n{}\n", FUTURE, b"\xff\xfe\n\n"], ids=["damaged", "future", "binary"])
def test_a_journal_that_cannot_be_read_is_one_error_and_nothing_changes(
    lab: Lab, content: bytes, verb: list[str]
) -> None:
    directory = lab.path(GATEWAY, "/run/icshare")
    directory.mkdir(mode=0o755)
    (directory / "journal").write_bytes(content)
    (directory / "lock").touch(mode=0o600)
    before = inhabited.snapshot(lab)
    done = inhabited.run(lab, *verb, status=1)
    assert done.stdout == ""
    assert "/run/icshare/journal" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("icshare: ") == 1
    inhabited.assert_unchanged(lab, before, "after the error")
    assert (directory / "journal").read_bytes() == content
