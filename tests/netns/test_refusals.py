"""What cannot be shared is refused with every reason, exit status 2 and no change; a dry run changes nothing either."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tests.netns.gateway import assert_unchanged, document, icshare_command, laboratory, output, page, settled, share

from icshare.lab import Lab

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def machine(lab_allowed: None) -> Iterator[Lab]:  # noqa: ARG001 - asked for, not used
    """Give a gateway on which ``lan2`` is a port of a bridge that the user made, ``usual0``."""
    with laboratory("refusals", privates=3, second_uplink=True) as lab:
        output(lab, "gw", "ip", "link", "add", "usual0", "up", "type", "bridge", "forward_delay", "0")
        output(lab, "gw", "ip", "link", "set", "lan2", "master", "usual0")
        page(lab, "gw")  # its router is in its ARP table from now on
        document(lab, "status")  # makes our directories, which are no part of what is compared
        yield lab


def refusal(lab: Lab, *arguments: str) -> dict[str, Any]:
    """Return the error that ``icshare`` tells programs of; the gateway must be what it was."""
    before = settled(lab)
    done = icshare_command(lab, *arguments, "--json")
    assert done.returncode == 2, done
    assert_unchanged(lab, before)
    told = msgspec.json.decode(done.stdout)
    assert told["exit_status"] == 2
    error: dict[str, Any] = told["error"]
    return error


REFUSED = {
    "the public connection given as private too": (
        ["wan0", "wan0", "lan0"],
        {"given-twice"},
        "both public and private",
    ),
    "a private connection given twice": (["wan0", "lan0", "lan0"], {"given-twice"}, "lan0 was named private twice"),
    "a kind that cannot be shared, as public": (["lo", "lan0"], {"media-type"}, "lo cannot be the public connection"),
    "a kind that cannot be shared, as private": (["wan0", "lo"], {"media-type"}, "lo cannot be the private connection"),
    "an unknown public": (["wan7", "lan0"], {"unknown-connection"}, "there is no connection 'wan7' (there are: "),
    "an unknown private": (["wan0", "lan0", "eth9"], {"unknown-connection"}, "there is no connection 'eth9'"),
    "a port of the user's bridge as private": (["wan0", "lan2"], {"bridge-member"}, "usual0"),
    "a port of the user's bridge as public": (["lan2", "lan0"], {"bridge-member"}, "usual0"),
    "everything at once": (
        ["wan7", "lo", "lan0", "lan0", "lan2"],
        {"unknown-connection", "media-type", "given-twice", "bridge-member"},
        "wan7",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_with_the_reason_and_no_change(machine: Lab, what: str) -> None:
    names, reasons, words = REFUSED[what]
    error = refusal(machine, "share", *names)
    assert error["kind"] == "refused"
    assert {problem["reason"] for problem in error["problems"]} == reasons
    assert [problem for problem in error["problems"] if words in problem["text"]] != []
    assert "icshare list" in error["hint"]


def test_people_are_told_every_reason_on_standard_error(machine: Lab) -> None:
    done = icshare_command(machine, "share", "wan7", "lo", "lan2")
    assert (done.returncode, done.stdout) == (2, "")
    for name in ("wan7", "lo", "lan2"):
        assert [line for line in done.stderr.splitlines() if line.startswith("icshare: ") and name in line] != []
    assert "hint: icshare list shows" in done.stderr


def test_no_private_connection_is_refused(machine: Lab) -> None:
    error = refusal(machine, "share", "wan0")
    assert "private" in error["message"].lower()


@pytest.mark.parametrize("name", ["../etc", "-x", "lan0;reboot", 'lan0"', "a" * 16, "", "lan*", "ü"])
def test_a_name_that_no_link_can_have_is_refused(machine: Lab, name: str) -> None:
    assert refusal(machine, "share", "wan0", "--", name)["kind"] in {"refused", "invalid-request"}


@pytest.mark.parametrize(
    "subnet", ["300.1.1.0/24", "192.168.137.0/33", "192.168.137.7/24", "fd00::/64", "nonsense", ""]
)
def test_a_subnet_that_is_none_is_refused(machine: Lab, subnet: str) -> None:
    error = refusal(machine, "share", "wan0", "lan0", "--subnet", subnet)
    assert error["kind"] in {"invalid-request", "usage"}


def test_a_subnet_that_the_host_uses_is_a_conflict_and_changes_nothing(machine: Lab) -> None:
    before = settled(machine)
    done = icshare_command(machine, "share", "wan0", "lan0", "--subnet", "198.51.100.0/25")
    assert (done.returncode, done.stdout) == (1, "")
    assert "198.51.100.0/24" in done.stderr
    assert_unchanged(machine, before)


def test_the_list_says_the_same_as_the_refusals(machine: Lab) -> None:
    found = {one["interface"]: one for one in document(machine, "list", "--all")["connections"]}
    assert (found["lo"]["sharable"]["ok"], found["lo"]["sharable"]["reason"]) == (False, "media-type")
    assert found["lan2"]["as_private"]["reason"] == "bridge-member"
    assert [name for name, one in found.items() if one["as_private"]["ok"] and name.startswith("lan")] == [
        "lan0",
        "lan1",
    ]


def test_a_dry_run_shows_steps_and_ruleset_and_changes_nothing(machine: Lab) -> None:
    before = settled(machine)
    told = document(machine, "share", "wan0", "lan0", "lan1", "--dry-run")
    shown = icshare_command(machine, "share", "wan0", "lan0", "lan1", "--dry-run")
    assert_unchanged(machine, before)
    assert (told["dry_run"], told["privates"], told["checks"]) == (True, ["lan0", "lan1"], [])
    assert shown.returncode == 0
    for change in told["changes"]:
        assert change in shown.stdout
    assert " ".join(told["ruleset"].split()) in " ".join(shown.stdout.split())
    output(machine, "gw", "nft", "--check", "--file", "-", input=told["ruleset"])
    assert not document(machine, "status")["shared"]


def test_while_sharing_a_refusal_and_a_dry_run_leave_the_sharing_as_it_is(machine: Lab) -> None:
    untouched = settled(machine)
    share(machine, "wan0", "lan0")
    for names in (["wan0", "lan0", "lo"], ["wan7", "lan1"], ["wan0", "lan0", "lan2"]):
        assert refusal(machine, "share", *names)["kind"] == "refused"
    before = settled(machine)
    told = document(machine, "share", "wan0", "lan0", "lan1", "--dry-run")
    assert [change for change in told["changes"] if "ics-br0" in change] != []
    assert_unchanged(machine, before)
    assert share(machine, "wan0", "lan0")["changes"] == []
    # The journal may say the same with other words.
    assert_unchanged(machine, {what: lines for what, lines in before.items() if what != "files"})
    assert icshare_command(machine, "stop").returncode == 0
    assert_unchanged(machine, untouched)
