"""What doctor and status say of a machine, and of a sharing that something has disturbed."""

import sys
from typing import Any

import msgspec
import pytest
from tests.netns.gateway import document, icshare_command, output, share, start_icshare

from icshare.lab import GATEWAY, Lab

pytestmark = pytest.mark.netns

_LISTENER = """
import socket, sys
taken = socket.socket()
taken.bind(("0.0.0.0", 53))
taken.listen()
print("ready", flush=True)
sys.stdin.read()
"""


def _checks(lab: Lab, command: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    done = icshare_command(lab, command, "--json")
    told = msgspec.json.decode(done.stdout)
    checks: dict[str, list[dict[str, Any]]] = {}
    for check in (told.get("health") or told)["checks"]:
        checks.setdefault(check["name"], []).append(check)
    return done.returncode, checks


def test_doctor_finds_nothing_on_a_sound_machine(lab: Lab) -> None:
    status, checks = _checks(lab, "doctor")
    assert status == 0
    assert {one["grade"] for found in checks.values() for one in found} <= {"ok", "warning"}
    assert "the kernel has all that the ruleset needs" in checks["nftables"][0]["text"]
    assert checks["uplink"][0]["text"] == "wan0 carries the default route"


def test_doctor_names_who_owns_port_53(lab: Lab) -> None:
    with lab.popen(GATEWAY, [sys.executable, "-c", _LISTENER], stdin=-1, stdout=-1) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        status, checks = _checks(lab, "doctor")
        assert status == 1
        failed = [one for one in checks["ports"] if one["grade"] == "failed"]
        assert len(failed) == 1
        assert f"(pid {owner.pid})" in failed[0]["text"]
        assert owner.stdin is not None
        owner.stdin.close()


def test_changes_under_way_are_no_fault(lab: Lab) -> None:
    """Every fourth look during a change told of failures, and of a change that was cut off."""
    share(lab, "wan0", "lan0", "lan1")
    for privates in (["lan0"], ["lan0", "lan1"], ["lan1"]):
        with start_icshare(lab, "share", "wan0", *privates) as changing:
            while changing.poll() is None:
                told = document(lab, "status")
                assert (told["healthy"], told["complete"], told["changing"]) == (True, True, False)
                _, checks = _checks(lab, "doctor")
                assert "journal" not in checks
        assert changing.returncode == 0
    assert document(lab, "status")["privates"] == ["lan1"]


def test_status_sees_what_was_destroyed_and_sharing_again_mends_it(lab: Lab) -> None:
    share(lab, "wan0", "lan0", "lan1")
    assert _checks(lab, "status")[0] == 0
    output(lab, GATEWAY, "nft", "flush", "ruleset")
    output(lab, GATEWAY, "ip", "address", "flush", "dev", "ics-br0")
    status, checks = _checks(lab, "status")
    assert status == 1
    assert checks["rules"][0]["grade"] == "failed"
    assert checks["segment"][0]["grade"] == "failed"
    share(lab, "wan0", "lan0", "lan1")
    assert _checks(lab, "status")[0] == 0
    assert icshare_command(lab, "stop").returncode == 0
    assert "icshare" not in output(lab, GATEWAY, "nft", "list", "ruleset")


def test_a_table_at_rest_is_woken_and_given_another_chain(lab: Lab) -> None:
    """The kernel takes both in no transaction together."""
    document(lab, "share", "wan0", "lan0", "--fast-path", "off")
    output(lab, GATEWAY, "nft", "add table inet icshare { flags dormant; }")
    share(lab, "wan0", "lan0")
    assert _checks(lab, "status")[0] == 0


def test_a_chain_of_a_release_before_is_taken_away(lab: Lab) -> None:
    share(lab, "wan0", "lan0")
    older = 'table inet icshare {\n\tchain older {\n\t\taccept comment "icshare: gone since"\n\t}\n}\n'
    load = f"from icshare.host import ruleset; ruleset.load({older!r}); print(ruleset.loaded() != ruleset.ALTERED)"
    assert output(lab, GATEWAY, sys.executable, "-c", load) == "True\n"
    share(lab, "wan0", "lan0")
    assert _checks(lab, "status")[0] == 0
    assert "chain older" not in output(lab, GATEWAY, "nft", "list", "table", "inet", "icshare")


_FLUSH_INPUT = "flush chain inet icshare input; delete chain inet icshare input"
_VERDICTS = "elements = { 192.0.2.9 : jump other, 192.0.2.8 : goto decide }"


@pytest.mark.parametrize(
    "harm",
    [
        "flush table inet icshare",
        "flush chain inet icshare egress",
        "flush chain inet icshare forward" + 3 * "; add rule inet icshare forward accept",
        "insert rule inet icshare forward accept",
        "chain inet icshare forward { policy drop; }",
        "add chain inet icshare other { type filter hook forward priority -300; policy drop; }",
        "rename chain inet icshare decide decided",
        "add table inet icshare { flags dormant; }",
        f"{_FLUSH_INPUT}; add chain inet icshare input {{ type filter hook input priority 10; }}",
        f"add chain inet icshare other; add map inet icshare where {{ type ipv4_addr : verdict; {_VERDICTS} }}",
    ],
)
def test_status_sees_that_others_changed_rules_of_ours_and_sharing_again_mends_them(lab: Lab, harm: str) -> None:
    share(lab, "wan0", "lan0")
    before = output(lab, GATEWAY, "nft", "-s", "list", "table", "inet", "icshare")
    output(lab, GATEWAY, "nft", harm)
    status, checks = _checks(lab, "status")
    assert status == 1
    assert [(one["grade"], "changed its rules" in one["text"]) for one in checks["rules"]] == [("failed", True)]
    share(lab, "wan0", "lan0")
    assert _checks(lab, "status")[0] == 0
    assert output(lab, GATEWAY, "nft", "-s", "list", "table", "inet", "icshare") == before


def test_a_port_that_is_down_is_not_called_unplugged(lab: Lab) -> None:
    share(lab, "wan0", "lan0", "lan1")
    output(lab, GATEWAY, "ip", "link", "set", "lan0", "down")
    status, checks = _checks(lab, "status")
    assert (status, checks["segment"][0]["text"]) == (1, "lan0 is down")
    share(lab, "wan0", "lan0", "lan1")
    assert _checks(lab, "status")[0] == 0


def test_status_names_the_foreign_chain_that_came_later(lab: Lab) -> None:
    share(lab, "wan0", "lan0")
    output(
        lab,
        GATEWAY,
        "nft",
        "add table inet other; add chain inet other gate { type filter hook forward priority 5; policy drop; }",
    )
    status, checks = _checks(lab, "status")
    assert status == 1
    (found,) = checks["firewalls"]
    assert found["grade"] == "failed"
    for word in ("inet other", "gate", "priority 5"):
        assert word in found["text"]
    assert "nft 'insert rule inet other gate" in found["remedy"]


def test_status_warns_where_a_bridge_keeps_clients_from_their_own_mappings(lab: Lab) -> None:
    """With this switch, which Docker turns on, the kernel translates packets inside of the bridge."""
    share(lab, "wan0", "lan0", "lan1")
    output(lab, GATEWAY, "sh", "-c", "echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables")
    assert "hairpin" not in _checks(lab, "status")[1]
    assert icshare_command(lab, "map", "add", "web", "tcp", "80", "192.168.137.2").returncode == 0
    status, checks = _checks(lab, "status")
    assert status == 0
    (found,) = checks["hairpin"]
    assert found["grade"] == "warning"
    assert found["remedy"].startswith("sysctl net.bridge.bridge-nf-call-iptables=0")
