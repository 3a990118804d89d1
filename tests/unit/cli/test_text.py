"""What people see, whole: piped, and on a terminal."""

import re
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.conftest import Golden
from tests.hosts import abilities
from tests.unit.cli.machine import ILL, NOW, WARNED, FakeManager, Machine

from icshare.model.client import Client, Traffic
from icshare.model.fastpath import FastPackets
from icshare.model.names import mac_address
from icshare.model.status import Check, Grade, Health
from icshare.model.wifi import Station

SCREENS = Path(__file__).parent / "screens"
CLIENTS = (
    Client(
        address=IPv4Address("192.168.137.9"),
        mac=mac_address("52:54:00:00:00:09"),
        name="printer",
        leased=True,
        online=True,
        since=NOW - 11_520,
        traffic=Traffic(sent=999, received=34_100_000, seconds=11_520),
    ),
    Client(address=IPv4Address("192.168.137.77")),
)

ON_WIFI = replace(
    CLIENTS[0],
    station=Station(signal=-48, sent_rate=6_500, received_rate=144_400, connected_seconds=11_520),
)


def _screen(machine: Machine, *arguments: str) -> str:
    ran = machine(*arguments)
    assert ran.err == ""
    # What is in the ruleset and in the configuration is not what these tests are about.
    out = re.sub(r"\([0-9a-f]{16}\)", "(DIGEST)", ran.out)
    out = re.sub(r"(?<=The ruleset:\n)(  .*\n|\n(?=  ))+", "  RULESET\n", out)
    return f"{out}(exit status {ran.status})\n"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("list", ["list"]),
        ("list-all", ["list", "--all"]),
        ("share", ["share", "wan0", "lan0", "lan1"]),
        ("share-open", ["share", "--no-firewall", "--subnet", "10.7.0.0/24", "auto", "lan0"]),
        ("share-dry-run", ["share", "--dry-run", "wan0", "lan0"]),
        ("status-nothing", ["status"]),
        ("stop-nothing", ["stop"]),
        ("clients-nobody", ["clients"]),
        ("doctor", ["doctor"]),
    ],
)
def test_a_pipe_gets_plain_text(name: str, arguments: list[str], golden: Golden) -> None:
    golden(SCREENS / f"{name}.txt", _screen(Machine(), *arguments))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("list-shared", ["list"]),
        ("share-again", ["share", "wan0", "lan0"]),
        ("share-again-dry-run", ["share", "--dry-run", "wan0", "lan0"]),
        ("share-more", ["share", "--dry-run", "wan0", "lan0", "lan1"]),
        ("status", ["status"]),
        ("stop", ["stop"]),
    ],
)
def test_a_pipe_gets_plain_text_while_something_is_shared(name: str, arguments: list[str], golden: Golden) -> None:
    machine = Machine()
    assert machine("share", "wan0", "lan0").status == 0
    golden(SCREENS / f"{name}.txt", _screen(machine, *arguments))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("help", ["--help"]),
        ("help-share", ["share", "-h"]),
        ("help-map", ["map", "-h"]),
        ("help-map-add", ["map", "add", "-h"]),
        ("help-firewall", ["firewall", "-h"]),
        ("help-firewall-set", ["firewall", "set", "-h"]),
    ],
)
def test_help_tells_how_a_command_is_used(
    name: str,
    arguments: list[str],
    golden: Golden,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert Machine()(*arguments).status == 0
    golden(SCREENS / f"{name}.txt", capsys.readouterr().out)


def test_a_dry_run_prints_the_ruleset_and_changes_nothing() -> None:
    machine = Machine()
    before = machine.manager.host.snapshot
    ran = machine("share", "--dry-run", "wan0", "lan0", "lan1")
    manager = machine.manager
    proposal = manager.propose(manager.request("wan0", ["lan0", "lan1"]))
    printed = "".join(f"{line[2:]}\n" for line in ran.out.partition("The ruleset:\n")[2].splitlines())
    assert printed == proposal.plan.ruleset.expandtabs(4)
    assert manager.host.snapshot == before
    assert manager.host.ran == []
    assert manager.journal.record is None


def test_status_and_doctor_show_what_failed_and_what_mends_it(golden: Golden) -> None:
    machine = Machine(manager=FakeManager(found=ILL))
    assert machine("share", "wan0", "lan0").status == 0
    machine.manager.host.health = ILL
    golden(SCREENS / "status-ill.txt", _screen(machine, "status"))
    golden(SCREENS / "doctor-ill.txt", _screen(machine, "doctor"))


def test_warnings_are_shown_and_are_no_failure(golden: Golden) -> None:
    machine = Machine(manager=FakeManager(found=WARNED))
    machine.manager.host.health = WARNED
    golden(SCREENS / "share-warned.txt", _screen(machine, "share", "wan0", "lan0"))
    golden(SCREENS / "doctor-warned.txt", _screen(machine, "doctor"))


def test_the_path_of_each_connection_is_told_and_what_went_by_it(golden: Golden) -> None:
    slow = {"native_xdp": False, "why_not_native": "the driver r8169 has no native XDP"}
    machine = Machine(manager=FakeManager(packets=FastPackets(fast=123_456, kernel={"tcp_flags": 40, "short": 2})))
    machine.manager.host.abilities = abilities({"fast": {"wan0": {}, "lan0": {}, "lan1": slow}})
    golden(SCREENS / "share-fast-dry-run.txt", _screen(machine, "share", "wan0", "lan0", "--dry-run"))
    golden(SCREENS / "share-fast.txt", _screen(machine, "share", "wan0", "lan0"))
    golden(SCREENS / "share-slower.txt", _screen(machine, "share", "wan0", "lan0", "lan1"))
    golden(SCREENS / "status-fast.txt", _screen(machine, "status"))
    golden(SCREENS / "share-no-fast-path.txt", _screen(machine, "share", "wan0", "lan0", "--fast-path", "off"))


def test_a_word_that_is_no_fast_path_is_refused() -> None:
    ran = Machine()("share", "wan0", "lan0", "--fast-path", "warp")
    assert (ran.status, "expected auto, xdp, tc, flowtable, off" in ran.err) == (2, True)


def test_status_tells_of_a_change_that_was_cut_off(golden: Golden) -> None:
    machine = Machine()
    assert machine("share", "wan0", "lan0").status == 0
    record = machine.manager.journal.record
    assert record is not None
    machine.manager.journal.record = replace(record, complete=False)
    golden(SCREENS / "status-cut-off.txt", _screen(machine, "status"))
    machine.manager.journal.record = replace(record, complete=False, sharing=None)
    golden(SCREENS / "status-cut-off-at-first.txt", _screen(machine, "status"))
    machine.manager.journal.locked = True
    golden(SCREENS / "status-changing-at-first.txt", _screen(machine, "status"))


def test_clients_are_shown_in_words(golden: Golden) -> None:
    golden(SCREENS / "clients.txt", _screen(Machine(manager=FakeManager(listed=CLIENTS)), "clients"))


def test_signal_and_rate_are_shown_when_a_client_is_on_wi_fi(golden: Golden) -> None:
    silent = replace(CLIENTS[1], address=IPv4Address("192.168.137.78"), station=Station())
    machine = Machine(manager=FakeManager(listed=(ON_WIFI, CLIENTS[1], silent)))
    golden(SCREENS / "clients-wifi.txt", _screen(machine, "clients"))


@pytest.mark.parametrize("command", ["list", "share", "status", "clients", "doctor"])
def test_a_terminal_gets_colour_and_tables(command: str, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    machine = Machine(manager=FakeManager(listed=CLIENTS, found=ILL), terminal=True)
    arguments = ["share", "wan0", "lan0", "lan1"] if command == "share" else [command]
    if command == "status":
        assert machine("share", "wan0", "lan0").status == 0
        machine.manager.host.health = ILL
    golden(SCREENS / f"{command}.ansi", _screen(machine, *arguments))


def test_a_long_finding_is_wrapped_below_its_beginning_and_what_mends_it_can_be_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    found = Check(name="uplink", grade=Grade.WARNING, text="seven words " * 8 + "end", remedy="ip link set " + "x" * 60)
    out = Machine(manager=FakeManager(found=Health(checks=(found,))), terminal=True)("doctor").out
    lines = re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines()
    start, end = (next(n for n, line in enumerate(lines) if word in line) for word in ("warning", " end"))
    indented = " " * len("  warning  ")
    assert end > start
    assert all(line[: len(indented)] == indented and line[len(indented)] != " " for line in lines[start + 1 : end + 1])
    assert max(map(len, lines[start : end + 1])) <= 40
    assert lines[end + 1] == f"{indented}mend: {found.remedy}"


def test_progress_is_shown_on_a_terminal_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert Machine()("share", "wan0", "lan0").err == ""
    assert Machine(interactive=True)("share", "--json", "wan0", "lan0").err == ""
    assert "dnsmasq: start" in Machine(interactive=True)("share", "wan0", "lan0").err


def test_verbose_tells_the_steps_on_standard_error() -> None:
    ran = Machine()("-v", "share", "wan0", "lan0")
    assert "icshare: nftables: load table inet icshare" in ran.err
    assert "nftables" not in ran.out
    assert "icshare: nftables" in Machine()("share", "-v", "wan0", "lan0").err
