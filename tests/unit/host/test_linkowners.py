"""Which pppd stands behind which link, and whom it has called, from recorded process trees."""

import os
from pathlib import Path

import pytest

from icshare.host.linkowners import LinkOwners
from icshare.host.privileges import is_mapped

SOMEBODY = 65_534


class Tree:
    """A ``/proc`` and ``/run`` to be looked at."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "run").mkdir()

    def pppd(self, pid: int, *words: str, devices: int | None = None) -> None:
        """Add a pppd with its command line and the number of times it has /dev/ppp open."""
        process = self.root / "proc" / str(pid)
        process.mkdir(parents=True)
        (process / "comm").write_text("pppd\n")
        (process / "cmdline").write_text("\0".join(("pppd", *words)) + "\0")
        if devices is not None:
            (process / "fd").mkdir()
            for number in range(devices):
                (process / "fd" / str(number + 9)).symlink_to("/dev/ppp")

    def pid_file(self, name: str, pid: int, text: str = "") -> None:
        """Write a pid file."""
        (self.root / "run" / f"{name}.pid").write_text(f"{pid}\n{text}")

    def owners(self, *links: str) -> LinkOwners:
        """Look."""
        return LinkOwners(self.root, links)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_link_is_the_peer_that_its_pid_file_leads_to(tree: Tree) -> None:
    tree.pppd(7, "call", "fibre")
    tree.pppd(8, "call", "other")
    tree.pid_file("ppp0", 8)
    tree.pid_file("ppp1", 7)
    owners = tree.owners("ppp0", "ppp1")
    assert [owners.ppp(name).peer for name in ("ppp0", "ppp1")] == ["other", "fibre"]
    assert owners.called() == {"fibre", "other"}


def test_a_renamed_link_is_that_of_the_pppd_that_has_no_other(tree: Tree) -> None:
    """With two pppds at work a link that was renamed was nobody's, for its pid file has the name before."""
    tree.pppd(7, "call", "fibre")
    tree.pppd(8, "call", "other")
    tree.pid_file("ppp0", 7)
    tree.pid_file("ppp1", 8)
    tree.pid_file("ppp-icshare-user-fibre", 7, "ppp0\n")
    owners = tree.owners("ppp-wan", "ppp1")
    assert owners.ppp("ppp-wan").peer == "fibre"
    assert owners.ppp("ppp1").peer == "other"


def test_a_stale_pid_file_leads_nowhere(tree: Tree) -> None:
    tree.pid_file("ppp0", 99)
    assert tree.owners("ppp0").ppp("ppp0").peer == ""


def test_a_name_that_is_no_path_below_the_directory_is_no_peer(tree: Tree) -> None:
    tree.pppd(7, "call", "../../../tmp/x", "ifname", "ppp0")
    assert tree.owners("ppp0").ppp("ppp0").peer == ""


@pytest.mark.parametrize(("devices", "waiting"), [(1, True), (2, False), (None, False)])
def test_a_link_on_demand_waits_until_it_has_a_line(tree: Tree, devices: int | None, waiting: bool) -> None:
    tree.pppd(7, "call", "modem", "ifname", "ppp0", "demand", devices=devices)
    facts = tree.owners("ppp0").ppp("ppp0")
    assert (facts.demand, facts.waiting) == (True, waiting)


@pytest.mark.parametrize("connected", [True, False])
def test_who_may_not_look_into_pppd_is_told_by_the_pppoe_sessions(tree: Tree, connected: bool) -> None:
    tree.pppd(7, "call", "fibre", "ifname", "ppp0", "plugin", "rp-pppoe.so", "demand")
    net = tree.root / "proc/net"
    net.mkdir()
    (net / "pppoe").write_text("Id Address Device\n" + ("00000100 02:00:00:00:00:01 eth0\n" if connected else ""))
    assert tree.owners("ppp0").ppp("ppp0").waiting is not connected


@pytest.mark.skipif(os.geteuid() != 0 or not is_mapped("uid_map", SOMEBODY), reason="there is no other user")
def test_a_program_of_a_user_that_is_called_pppd_makes_no_link(tree: Tree) -> None:
    """Any user could keep a peer "being dialled" for ever, or say of somebody's link that it waits for traffic."""
    tree.pppd(7, "call", "fibre", "ifname", "ppp0", "demand", devices=1)
    tree.pppd(8, "call", "other", "ifname", "ppp0")
    os.chown(tree.root / "proc/7", SOMEBODY, SOMEBODY)
    owners = tree.owners("ppp0")
    assert owners.called() == {"other"}
    assert owners.ppp("ppp0").peer == "other"
