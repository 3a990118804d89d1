"""What the benchmarks compare icshare with shares indeed, and leaves this machine as it was."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import pytest
from benchmarks.paths.addresses import set_addresses
from benchmarks.paths.passage import prove
from benchmarks.paths.peers import PEERS
from benchmarks.paths.rig import WAN_ADDRESS, CannotRunError, Rig, standing

from icshare.errors import NotSupportedError
from icshare.host import command

pytestmark = [pytest.mark.netns, pytest.mark.usefixtures("lab_allowed")]

_SETTINGS = tuple(map(Path, ("/etc/NetworkManager", "/var/lib/NetworkManager", "/etc/firewalld", "/etc/systemd")))


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Give a rig without a gateway's addresses."""
    with ExitStack() as stack:
        try:
            yield stack.enter_context(standing(f"p{os.getpid()}"))
        except NotSupportedError as error:
            pytest.skip(str(error))


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_shares_and_leaves_nothing_behind(
    name: str, rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = _state(rig)
    with ExitStack() as stack:
        try:
            PEERS[name](stack, rig)
        except CannotRunError as error:
            if not any(lacking in str(error) for lacking in ("fetched", "not installed", "run as root")):
                raise
            pytest.skip(str(error))
        prove(rig)
    assert _state(rig) == before
    assert list(tmp_path.iterdir()) == []


def test_what_routes_without_translating_is_not_taken_for_a_peer(rig: Rig) -> None:
    set_addresses(rig)
    rig.run(rig.gateway, ["busybox", "sysctl", "-qw", "net.ipv4.ip_forward=1"])
    rig.run(rig.internet, ["ip", "route", "add", "default", "via", WAN_ADDRESS])
    with pytest.raises(CannotRunError, match=r"UDP: 192\.168\.137\.2"):
        prove(rig, seconds=0.5)


def _state(rig: Rig) -> tuple[object, ...]:
    """Return the processes of the rig, the client's links and routes, and the settings of this machine.

    Not whether the client's cable is live: NetworkManager switches its end off when it goes.
    """
    nodes = (rig.client, rig.gateway, rig.internet)
    processes = [command.run(["ip", "netns", "pids", node]).stdout for node in nodes]
    files = chain.from_iterable(directory.rglob("*") for directory in _SETTINGS)
    links = [line.split()[0] for line in rig.run(rig.client, ["ip", "-brief", "link"]).stdout.splitlines()]
    routes = sorted(rig.run(rig.client, ["ip", "route"]).stdout.replace(" linkdown", "").splitlines())
    return processes, links, routes, sorted((str(file), file.lstat().st_mtime_ns) for file in files)
