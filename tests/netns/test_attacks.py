"""What people and programs do to a sharing behind its back: it is told, it is repaired, and stop leaves nothing."""

import pytest
from tests.netns.gateway import assert_unchanged, document, icshare_command, output, page, settled, share, udhcpc

from icshare.lab import GATEWAY, Lab
from icshare.lab.traces import Traces

pytestmark = pytest.mark.netns


def failures(lab: Lab) -> list[str]:
    """Return what is wrong according to ``icshare status``; it must not be an error of its own."""
    done = icshare_command(lab, "status")
    assert done.stderr == ""
    return [line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if line.startswith("  failed ")]


def at_rest(lab: Lab) -> Traces:
    """Return the gateway as it is before anything is shared."""
    page(lab, GATEWAY)  # its router is in its ARP table from now on
    document(lab, "status")  # makes our directories, which are no part of what is compared
    return settled(lab)


@pytest.mark.parametrize(
    ("attack", "told"),
    [
        ("nft flush ruleset", "table inet icshare is not loaded; something has deleted it"),
        ("nft flush table inet icshare", "table inet icshare is not as it was loaded; something has changed its rules"),
        ("ip link delete ics-br0", "ics-br0 is gone"),
    ],
)
def test_what_is_broken_behind_our_back_is_told_and_repaired_by_sharing_again(lab: Lab, attack: str, told: str) -> None:
    before = at_rest(lab)
    share(lab, "wan0", "lan0", "lan1")
    output(lab, GATEWAY, *attack.split())
    assert told in failures(lab)
    assert icshare_command(lab, "clients").stderr == ""
    share(lab, "wan0", "lan0", "lan1")
    assert failures(lab) == []
    output(lab, GATEWAY, *attack.split())
    document(lab, "stop")
    assert_unchanged(lab, before)


def test_after_the_bridge_was_deleted_sharing_again_gives_addresses_again(lab: Lab) -> None:
    """Our DHCP server stayed bound to the bridge that was gone, deaf, while everybody was told that it served."""
    share(lab, "wan0", "lan0", "lan1")
    output(lab, GATEWAY, "ip", "link", "delete", "ics-br0")
    assert "dnsmasq runs for a link that is gone, or as a user that others have too" in failures(lab)
    share(lab, "wan0", "lan0", "lan1")
    udhcpc(lab, "c0")
    assert document(lab, "share", "wan0", "lan0", "lan1")["changes"] == []
    document(lab, "stop")


def test_a_port_of_the_bridge_that_is_gone_is_told(lab: Lab) -> None:
    share(lab, "wan0", "lan0", "lan1")
    output(lab, GATEWAY, "ip", "link", "delete", "lan1")
    assert failures(lab) == ["lan1 is gone"]
    document(lab, "stop")


def test_where_settings_are_read_only_nothing_is_left_of_a_sharing_that_fails(lab: Lab) -> None:
    output(lab, GATEWAY, "mount", "--bind", "/proc/sys", "/proc/sys")
    output(lab, GATEWAY, "mount", "-o", "remount,bind,ro", "/proc/sys")
    before = at_rest(lab)
    done = icshare_command(lab, "share", "wan0", "lan0")
    assert done.returncode == 3
    assert "Read-only file system" in done.stderr
    assert "not rolled back" not in done.stderr
    assert_unchanged(lab, before)


def test_a_table_of_our_name_that_is_not_ours_is_left_alone(lab: Lab) -> None:
    output(lab, GATEWAY, "nft", "add table inet icshare; add chain inet icshare theirs")
    before = at_rest(lab)
    done = icshare_command(lab, "share", "wan0", "lan0")
    assert done.returncode == 1
    assert done.stderr.startswith("icshare: there is a table inet icshare that icshare did not load\nhint: ")
    assert_unchanged(lab, before)


def test_a_route_that_bears_our_address_does_not_keep_a_stop_from_ending(lab: Lab) -> None:
    """It was taken away by a change of the subnet, to be given back by the stop, which the kernel refused each time."""
    before = at_rest(lab)
    share(lab, "wan0", "lan0", "--subnet", "192.168.137.0/24")
    output(lab, GATEWAY, "ip", "route", "delete", "192.168.137.0/24", "dev", "lan0")
    output(lab, GATEWAY, "ip", "route", "add", "192.168.137.0/24", "dev", "lan0", "src", "192.168.137.1")
    share(lab, "wan0", "lan0", "--subnet", "10.77.0.0/24")
    assert failures(lab) == []
    document(lab, "stop")
    assert_unchanged(lab, before)
