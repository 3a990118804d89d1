"""The event stream and the follower on a gateway where other processes do things."""

import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.netns.gateway import address, icshare_command, laboratory, output, require_nobody, share, udhcpc

from icshare.host import command
from icshare.host.command import Process
from icshare.lab import GATEWAY, Lab

pytestmark = pytest.mark.netns

_WATCH = """
    from pathlib import Path
    from icshare.host.watch import Watch
    watch = Watch([Path("/run/icshare")])
    print("listening", flush=True)
    while watch.wait(60):
        print("changed", flush=True)
"""
_EVENTS = """
    import msgspec
    from icshare.api import SharingManager
    with SharingManager().events(timeout=100) as events:
        print("listening", flush=True)
        for event in events:
            told = {"name": event.name, **{one: getattr(event, one) for one in event.__slots__}}
            print(msgspec.json.encode(told, enc_hook=str).decode(), flush=True)
"""
_CLIENTS = """
    from ipaddress import IPv4Address, IPv4Network
    from pathlib import Path
    from icshare.control.events import Events
    from icshare.host.viewer import Viewer
    from icshare.host.watch import Watch
    from icshare.model.client import Client
    from icshare.model.sharing import Segment, Sharing
    from icshare.model.state import State
    from icshare.ports import Record
    network, here = IPv4Network("192.168.137.0/24"), IPv4Address("192.168.137.40")
    segment = Segment(interface="lan0", members=("lan0",), network=network, gateway=network[1])
    record = Record(sharing=Sharing(public="wan0", privates=("lan0",)), segments=(segment,))
    viewer = Viewer(
        record=lambda: record,
        state=State,
        connections=tuple,
        clients=lambda: (Client(address=here, leased=True),),
        leases=Path("/run/none"),
    )
    with Events(Watch([Path("/run/icshare")]), viewer, timeout=60) as events:
        print("listening", flush=True)
        for event in events:
            print(event.name, flush=True)
"""


class Reader:
    """The lines of a Python program on the gateway, each as soon as it is there."""

    def __init__(self, process: Process) -> None:
        self._process = process
        assert self.line() == "listening"

    def line(self) -> str:
        assert self._process.stdout is not None
        found = self._process.stdout.readline().decode()
        assert found, "the program has ended"
        return found.strip()

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> list[str]:
        """Return the names of the events up to the first that is *wanted*."""
        names: list[str] = []
        while True:
            event = msgspec.json.decode(self.line())
            names.append(event["name"])
            if wanted(event):
                return names


@contextmanager
def program(lab: Lab, text: str, *, user: str | None = None) -> Iterator[Reader]:
    if user:
        require_nobody()
    argv = [sys.executable, "-I", "-c", textwrap.dedent(text)]
    become = ["setpriv", f"--reuid={user}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"] if user else []
    process = lab.popen(GATEWAY, [*become, *argv], stdout=command.PIPE)
    try:
        yield Reader(process)
    finally:
        command.end(process)


@pytest.fixture
def lab(lab_allowed: None) -> Iterator[Lab]:  # noqa: ARG001 - asked for, not used
    with laboratory("events", privates=1) as found:
        yield found


def test_a_watch_is_told_of_links_and_neighbours_and_files(lab: Lab) -> None:
    with program(lab, _WATCH) as watch:
        output(lab, GATEWAY, "ip", "link", "add", "br7", "type", "bridge")
        assert watch.line() == "changed"
        output(lab, GATEWAY, "ip", "neigh", "add", "198.51.100.77", "lladdr", "02:00:00:00:00:77", "dev", "wan0")
        assert watch.line() == "changed"
        lab.path(GATEWAY, "/run/icshare").mkdir()
        assert watch.line() == "changed"
        lab.path(GATEWAY, "/run/icshare/journal").touch()
        assert watch.line() == "changed"


def test_a_client_leaves_with_its_link_whatever_its_lease_says(lab: Lab) -> None:
    output(lab, GATEWAY, "ip", "address", "add", "192.168.137.1/24", "dev", "lan0")
    with program(lab, _CLIENTS) as events:
        for word, name in (("down", "ClientLeft"), ("up", "ClientJoined"), ("down", "ClientLeft")):
            output(lab, "c0", "ip", "link", "set", "eth0", word)
            assert events.line() == name


# ------------------------------------------------------------- with the whole of it: SharingManager.events and mappings


@pytest.mark.parametrize("user", [None, "65534"], ids=["root", "nobody"])
def test_the_stream_tells_what_other_processes_do(lab: Lab, user: str | None) -> None:
    if user and Path("/proc/self/uid_map").read_text().split()[2] == "1":
        pytest.skip("this user namespace has no other account")
    with program(lab, _EVENTS, user=user) as events:
        share(lab, "wan0", "lan0")
        events.until(lambda one: one["name"] == "SharingChanged" and one["in_force"])
        udhcpc(lab, "c0")
        here = address(lab, "c0")
        events.until(lambda one: one["name"].startswith("Client") and one["client"]["name"] == "c0")
        output(lab, "c0", "ip", "link", "set", "eth0", "down")
        events.until(lambda one: one["name"] == "ClientLeft" and one["client"]["address"] == here)
        assert icshare_command(lab, "stop").returncode == 0
        events.until(lambda one: one["name"] == "SharingChanged" and not one["in_force"])


def test_a_mapping_by_name_follows_its_client(lab: Lab) -> None:
    share(lab, "wan0", "lan0")
    added = icshare_command(lab, "map", "add", "web", "tcp", "8080", "c0:80")
    assert added.returncode == 0, added.stderr
    assert _followers(lab)
    udhcpc(lab, "c0")
    here, deadline = address(lab, "c0"), time.monotonic() + 20
    while here not in output(lab, GATEWAY, "nft", "list", "map", "inet", "icshare", "port_mappings"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert icshare_command(lab, "stop").returncode == 0
    assert not _followers(lab)


def _followers(lab: Lab) -> list[str]:
    script = """
        from pathlib import Path
        from icshare.host.followerservice import FollowerService
        print(*(one.pid for one in FollowerService(Path("/run/icshare")).processes()))
    """
    return output(lab, GATEWAY, sys.executable, "-I", "-c", textwrap.dedent(script)).split()
