"""What targets are looked up in: the hosts file, leases that have not run out, and the kernel's neighbours."""

import os
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from icshare.errors import HostError
from icshare.host import targets
from icshare.host.targets import parse_hosts, read_known, read_leases
from icshare.model.mapping import parse_target
from icshare.model.names import InterfaceName
from icshare.model.sharing import Segment
from icshare.plan.targets import resolve

HOSTS = """\
# 192.168.137.9 commented
127.0.0.1\tlocalhost
::1 localhost ip6-localhost
192.168.137.5  NAS nas.home.arpa. # the big one
192.168.137.6 nas
192.168.137.300 broken
192.168.137.7

"""
LEASES = """\
1000 52:54:00:00:00:0a 192.168.137.20 pc *
0 52:54:00:00:00:0b 192.168.137.21 tv *
999 52:54:00:00:00:0c 192.168.137.22 old *
"""
LOOPBACK = Segment(
    interface=InterfaceName("lo"),
    members=(InterfaceName("lo"),),
    network=IPv4Network("192.168.137.0/24"),
    gateway=IPv4Address("192.168.137.1"),
)


def test_a_hosts_file_gives_ipv4_addresses_by_name_in_its_order() -> None:
    first, second = IPv4Address("192.168.137.5"), IPv4Address("192.168.137.6")
    assert parse_hosts(HOSTS) == {
        "localhost": [IPv4Address("127.0.0.1")],
        "nas": [first, second],
        "nas.home.arpa": [first],
    }
    assert parse_hosts("") == {}


def test_leases_that_have_run_out_are_left_out_and_0_never_does(tmp_path: Path) -> None:
    path = tmp_path / "leases"
    assert read_leases(path, 999.5) == ()
    path.write_text(LEASES)
    assert [one.name for one in read_leases(path, 999.5)] == ["pc", "tv"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=f"{tmp_path} cannot be read: Is a directory"):
        read_leases(tmp_path, 0)


def test_a_file_without_end_is_read_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "_MAX_BYTES", len(LEASES.splitlines()[0]) + 1)
    path = tmp_path / "leases"
    path.write_text(LEASES)
    assert [one.name for one in read_leases(path, 0)] == ["pc"]


def test_this_host_is_known_by_its_addresses_and_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts, leases = tmp_path / "hosts", tmp_path / "leases"
    hosts.write_text(HOSTS)
    leases.write_text(LEASES.replace("1000 ", "0 "))
    monkeypatch.setattr(targets, "HOSTS", hosts)
    found = read_known((LOOPBACK,), leases, "home.arpa")
    for name, address in (("nas", "192.168.137.5"), ("pc.home.arpa", "192.168.137.20"), ("old", None)):
        assert resolve(parse_target(name), found).address == (IPv4Address(address) if address else None)
    for own in ("127.0.0.1", "localhost"):
        assert resolve(parse_target(own), found).own
    assert os.uname().nodename.lower() in found.own_names
