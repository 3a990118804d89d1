"""When the follower looks up targets anew, and when it ends."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

import pytest

from icshare import follower
from icshare.errors import HostError
from icshare.host import command
from icshare.host.inotify import Directories
from icshare.host.processes import find_processes
from icshare.model.client import Client
from icshare.model.event import ClientJoined, ClientLeft, Event, MappingChanged, SharingChanged
from icshare.model.mapping import PortMapping, Protocol, Target, address_target, name_target

MAPPING = PortMapping(
    number=1,
    connection=UUID(int=1),
    name="web",
    protocol=Protocol.TCP,
    external=80,
    internal=80,
    target=name_target("nas"),
    enabled=True,
)
CLIENT = Client(address=IPv4Address("192.168.137.40"))
ON = SharingChanged(public="wan0", privates=("lan0",), in_force=True)
OFF = replace(ON, in_force=False)
CHANGED = MappingChanged(number=1, mapping=MAPPING, before=None)


PROGRAM = """
import os, sys, types
from pathlib import Path
from icshare import follower
from icshare.control.events import Events
from icshare.host.watch import Watch
from icshare.model.mapping import name_target
from icshare.plan.happenings import View

class Manager:
    def __init__(self, run_directory):
        self.directory = run_directory
        self.mappings = self
        self.looks = 0
    def all(self):
        return [types.SimpleNamespace(enabled=True, target=name_target("nas"))]
    def follow(self):
        (self.directory / "status").write_text(Path("/proc/self/status").read_text())
    def look(self):
        return View(in_force=(self.directory / "journal").exists())
    def events(self):
        return Events(Watch([self.directory]), self.look)

sys.modules["icshare.api"] = types.SimpleNamespace(SharingManager=Manager)
sys.exit(follower.main(sys.argv[1:]))
"""


class Mappings:
    def __init__(self, target: Target = MAPPING.target, *, broken: bool = False) -> None:
        self.followed = 0
        self.mapping = replace(MAPPING, target=target)
        self.broken = broken

    def all(self, connection: UUID | None = None) -> tuple[PortMapping, ...]:
        assert connection is None
        return (self.mapping,)

    def follow(self) -> tuple[int, ...]:
        self.followed += 1
        if self.broken:
            raise HostError("the kernel said no")
        return ()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "journal").touch()
    return tmp_path


def test_it_follows_clients_until_the_sharing_ends(directory: Path) -> None:
    mappings = Mappings()
    events: Iterator[Event] = iter(
        [ClientJoined(client=CLIENT), ON, CHANGED, ClientLeft(client=CLIENT), OFF, ClientJoined(client=CLIENT)]
    )
    follower.follow(mappings, events, directory)
    assert mappings.followed == 3
    assert list(events) == [ClientJoined(client=CLIENT)]


def test_it_ends_when_no_mapping_needs_it(directory: Path) -> None:
    mappings = Mappings()

    def events() -> Iterator[Event]:
        yield ON
        mappings.mapping = replace(mappings.mapping, enabled=False)
        yield CHANGED
        raise AssertionError

    follower.follow(mappings, events(), directory)
    assert mappings.followed == 1


def test_it_does_not_begin_without_need(directory: Path, tmp_path: Path) -> None:
    mappings = Mappings(address_target("192.168.137.40"))
    follower.follow(mappings, iter([ON]), directory)
    follower.follow(Mappings(), iter([ON]), tmp_path / "gone")
    assert mappings.followed == 0


class Failing:
    """Events of which every other look fails."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if not self.left:
            raise StopIteration
        self.left -= 1
        if self.left % 2:
            raise HostError("the journal is damaged")
        return ClientJoined(client=CLIENT)


def test_errors_are_written_down_and_it_goes_on(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mappings = Mappings(broken=True)
    follower.follow(mappings, Failing(4), directory)
    assert mappings.followed == 3
    log = directory / "follower.log"
    words = [line.split(" ", 2)[2] for line in log.read_text().splitlines()]
    assert words == ["the kernel said no", *["the journal is damaged", "the kernel said no"] * 2]
    monkeypatch.setattr(follower, "_MAX_LOG_BYTES", 100)
    follower.follow(mappings, Failing(100), directory)
    assert log.stat().st_size <= 100


def test_an_error_that_cannot_be_written_is_lost(directory: Path) -> None:
    (directory / "follower.log").symlink_to(directory / "elsewhere")
    follower.follow(Mappings(broken=True), iter([OFF]), directory)
    assert not (directory / "elsewhere").exists()


def test_the_process_goes_into_the_background_with_one_capability_and_ends_with_the_sharing(directory: Path) -> None:
    argv = [sys.executable, "-I", "-c", PROGRAM, str(directory)]
    with closing(Directories([directory])) as changes:
        command.run(argv, timeout=20)
        found = find_processes(lambda words: words[-1:] == (str(directory),))
        (process,) = found
        poll = select.poll()
        poll.register(changes, select.POLLIN)
        while not (directory / "status").exists() or "CapEff" not in (directory / "status").read_text():
            assert poll.poll(10_000)
            changes.changed()
    status = dict(line.split(":\t", 1) for line in (directory / "status").read_text().splitlines() if ":\t" in line)
    assert (int(status["CapEff"], 16) & ~(1 << 12), status["NoNewPrivs"]) == (0, "1")
    ended = os.pidfd_open(process.pid)
    (directory / "journal").unlink()
    assert select.select([ended], [], [], 10)[0]
    os.close(ended)
