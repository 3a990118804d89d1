"""``icshare map``: mappings are made, changed and called by their names; documents and screens tell how they fare."""

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Golden
from tests.unit.cli.machine import FakeManager, Machine

from icshare.cli import schema
from icshare.model.connection import Role
from icshare.model.firewall import FirewallOptions
from icshare.model.mapping import PortMapping, Protocol, address_target

SCREENS = Path(__file__).parent / "screens"
WEB = ("map", "add", "web", "tcp", "80", "192.168.137.9:8080")
LONG = "x" * 300


@pytest.fixture
def shared() -> Machine:
    """Give a machine that shares wan0 with lan0."""
    machine = Machine()
    assert machine("share", "wan0", "lan0").status == 0
    return machine


@pytest.fixture
def several(shared: Machine) -> Machine:
    """Give a machine with mappings of every kind."""
    mappings = shared.manager.mappings
    mappings.own = ("198.51.100.2",)
    mappings.addresses["console"] = IPv4Address("192.168.137.30")
    for arguments in (
        WEB,
        ("map", "add", "games", "udp", "27000-27010", "console"),
        ("map", "add", "ssh", "tcp", "22", "198.51.100.2"),
        ("map", "add", "old", "tcp", "2222", "[52:54:00:00:00:01]:22"),
        ("map", "add", "later", "TCP", "443", "52:54:00:00:00:02", "--disabled"),
    ):
        assert shared(*arguments).status == 0
    mappings.why[4] = "no lease and no neighbour has the hardware address 52:54:00:00:00:01"
    mappings.hits |= {1: 12_345, 2: 7, 3: 0, 4: 0}
    return shared


def _only(machine: Machine) -> PortMapping:
    (mapping,) = machine.manager.mappings.all()
    return mapping


def _define(machine: Machine, name: str, external: int, interface: str = "wan0", **fields: Any) -> PortMapping:
    """Define a mapping as another face would."""
    return machine.manager.mappings.add(
        machine.manager.guid(interface),
        name=name,
        protocol=Protocol.TCP,
        external=external,
        target=address_target("192.168.137.9"),
        **fields,
    )


def test_a_mapping_is_enabled_and_of_the_public_connection(shared: Machine) -> None:
    ran = shared(*WEB)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == "The mapping web is active.\n  tcp 80 of wan0 to 192.168.137.9:8080\n"
    mapping = _only(shared)
    assert (mapping.connection, mapping.enabled) == (shared.manager.guid("wan0"), True)
    assert (mapping.external, mapping.internal, mapping.count) == (80, 8080, 1)


def test_ports_of_the_target_are_those_outside_unless_given(shared: Machine) -> None:
    ran = shared("map", "add", "games", "udp", "27000-27010", "192.168.137.9", "--disabled")
    assert ran.out == "The mapping games is disabled.\n  udp 27000-27010 of wan0 to 192.168.137.9:27000-27010\n"
    mapping = _only(shared)
    assert (mapping.external, mapping.internal, mapping.count, mapping.enabled) == (27000, 27000, 11, False)


def test_what_does_not_work_yet_is_told_and_is_no_failure(shared: Machine) -> None:
    shared.manager.mappings.why[1] = "nobody has the name printer"
    ran = shared("map", "add", "print", "tcp", "9100", "printer")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == (
        "The mapping print is inactive: nobody has the name printer\n  tcp 9100 of wan0 to printer:9100\n"
    )


def test_a_target_tells_where_it_is(several: Machine) -> None:
    assert several("map", "enable", "games").out.endswith("to console:27000-27010 (192.168.137.30)\n")
    assert several("map", "enable", "ssh").out.endswith("to 198.51.100.2:22 (this machine)\n")


def test_mappings_are_listed(several: Machine, golden: Golden) -> None:
    ran = several("map", "list")
    assert (ran.status, ran.err) == (0, "")
    golden(SCREENS / "map-list.txt", ran.out)


def test_the_traffic_of_mappings_is_listed_where_it_is_counted(several: Machine, golden: Golden) -> None:
    several.manager.mappings.traffic |= {1: (1_234, 5_678_901), 2: (0, 0)}
    golden(SCREENS / "map-list-traffic.txt", several("map", "list").out)


def test_mappings_with_one_name_or_several_connections_can_be_told_apart(several: Machine, golden: Golden) -> None:
    _define(several, "web", 81)
    made = _define(several, "web", 82, interface="lan1")
    mappings = several.manager.mappings
    mappings.known[made.number] = replace(made, connection=type(made.connection)(int=1))
    mappings.hits.clear()
    golden(SCREENS / "map-list-mixed.txt", several("map", "list").out)


def test_a_terminal_gets_colour(several: Machine, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    several.terminal = True
    golden(SCREENS / "map-list.ansi", several("map", "list").out)
    golden(SCREENS / "map-enable.ansi", several("map", "enable", "old").out)


def test_no_mapping_is_no_failure() -> None:
    ran = Machine()("map", "list")
    assert (ran.status, ran.out) == (0, "There is no mapping; icshare map add makes one.\n")
    assert msgspec.json.decode(Machine()("map", "list", "--json").out) == {"mappings": []}


def test_a_mapping_is_disabled_enabled_and_removed(shared: Machine) -> None:
    assert shared(*WEB).status == 0
    assert shared("map", "disable", "web").out.startswith("The mapping web is disabled.\n")
    assert not _only(shared).enabled
    assert shared("map", "enable", "#1").out.startswith("The mapping web is active.\n")
    assert _only(shared).enabled
    assert shared("map", "remove", "web").out == "The mapping web is gone.\n"
    assert shared.manager.mappings.all() == ()


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (["--external", "81"], {"external": 81}),
        (["--external", "81-83"], {"external": 81, "count": 3}),
        (["--target", "printer"], {"target": "printer"}),
        (["--target", "printer:82"], {"target": "printer", "internal": 82}),
        (["--external", "81-83", "--target", "printer:91-93"], {"external": 81, "internal": 91, "count": 3}),
        (["--protocol", "udp"], {"protocol": Protocol.UDP}),
        (["--name", "www"], {"name": "www"}),
        (["--name", "web"], {}),
    ],
)
def test_what_is_not_named_stays(shared: Machine, options: list[str], changed: dict[str, object]) -> None:
    assert shared(*WEB).status == 0
    before = _only(shared)
    ran = shared("map", "set", "web", *options)
    assert (ran.status, ran.err) == (0, "")
    after = _only(shared)
    fields = ("name", "protocol", "external", "internal", "count")
    assert {name: getattr(after, name) for name in fields} == {
        name: changed.get(name, getattr(before, name)) for name in fields
    }
    assert str(after.target) == changed.get("target", "printer" if "--target" in options else "192.168.137.9")
    assert (after.number, after.enabled) == (before.number, before.enabled)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "web", "sctp", "80", "10.7.0.9"], "'sctp' is not a protocol"),
        (["add", "web", "tcp", "http", "10.7.0.9"], "'http' is not a port"),
        (["add", "web", "tcp", "90-80", "10.7.0.9"], "'90-80' is not a port"),
        (["add", "web", "tcp", "65536", "10.7.0.9"], "'65536' is not a port"),
        (["add", "web", "tcp", "80", "10.7.0.9:80-81"], "2 ports of the target cannot take 1 external ones"),
        (["add", "web", "tcp", "8000-8010", "10.7.0.9:65530"], "internal port 65530-65540 is out of range"),
        (["add", "web", "tcp", "80", "52:54:00:00:00:01:80"], "[52:54:00:00:00:01]:80"),
        (["add", "web", "tcp", "80", "under_score"], "is not a host name"),
        (["add", "", "tcp", "80", "10.7.0.9"], "is no name for a mapping"),
        (["add", LONG, "tcp", "80", "10.7.0.9"], "is no name for a mapping"),
        (["add", "\x1b[2J", "tcp", "80", "10.7.0.9"], "is no name for a mapping"),
        (["add", "#7", "tcp", "80", "10.7.0.9"], "#7 is how mappings are called by their numbers"),
        (["add", "known", "tcp", "81", "10.7.0.9"], "there is a mapping 'known' already"),
        (["add", "web", "tcp", "80", "10.7.0.9", "--connection", "wan1"], "did you mean wan0?"),
        (["add", "web", "tcp", "80", "10.7.0.9", "--connection", "?"], "icshare list --all shows them all"),
        (["add", "web", "tcp", "80"], "missing argument 'TARGET[:PORT]'"),
        (["enable", "knwon"], "did you mean known?"),
        (["disable", "?"], "there is no mapping '?'\nhint: icshare map list shows them all"),
        (["remove", ""], "there is no mapping ''"),
        (["set", "known"], "nothing to change is named"),
        (["set", "known", "--name", "other"], "there is a mapping 'other' already"),
        (["set", "known", "--external", "0"], "'0' is not a port"),
        (["set", "known", "--protocol", "ip"], "'ip' is not a protocol"),
        (["set", "known", "--target", "a:b:c"], "'a:b:c' is not a target"),
        (["set", "known", "--target", "10.7.0.9:1-2"], "2 ports of the target cannot take 1"),
        (["lsit"], "there is no command 'lsit'\nhint: did you mean list?"),
        (["frobnicate"], "hint: icshare map --help shows all commands"),
    ],
)
def test_a_wrong_request_is_answered_with_what_is_wrong(shared: Machine, arguments: list[str], words: str) -> None:
    _define(shared, "known", 1000)
    _define(shared, "other", 1001)
    before = shared.manager.mappings.all()
    ran = shared("map", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err
    assert shared.manager.mappings.all() == before


def test_a_name_that_two_have_asks_for_the_number(shared: Machine) -> None:
    first, second = _define(shared, "web", 80), _define(shared, "web", 81)
    ran = shared("map", "enable", "web")
    assert ran.status == 2
    assert ran.err == (
        "icshare: 2 mappings have the name 'web'\nhint: call it by its number, in quotes: "
        f"'#{first.number}' or '#{second.number}'\n"
    )
    assert shared("map", "enable", f"#{second.number}").status == 0
    assert [one.enabled for one in shared.manager.mappings.all()] == [False, True]


def test_what_the_machine_knows_better_is_no_wrong_request(shared: Machine) -> None:
    assert shared(*WEB).status == 0
    taken = shared("map", "add", "www", "tcp", "80", "192.168.137.10")
    assert (taken.status, taken.err) == (1, "icshare: the mapping web has this port\n")
    gone = shared("map", "remove", "#7")
    assert (gone.status, gone.err) == (1, "icshare: there is no mapping #7\nhint: icshare map list shows them all\n")


def test_a_mapping_that_somebody_removes_meanwhile_is_told_of(shared: Machine) -> None:
    assert shared(*WEB).status == 0
    shared.manager.mappings.after = shared.manager.mappings.known.clear
    ran = shared("map", "disable", "web")
    assert (ran.status, ran.err) == (1, "icshare: the mapping #1 has been removed by somebody else just now\n")


def _chosen(machine: Machine, *options: str) -> str:
    ran = machine(*WEB, *options)
    assert ran.status == 0, ran.err
    return machine.manager.mappings.interfaces[_only(machine).connection]


def test_the_connection_is_the_one_that_is_named() -> None:
    assert _chosen(Machine(), "--connection", "lan1") == "lan1"


def test_the_connection_is_the_public_one_also_while_nothing_is_shared() -> None:
    assert _chosen(Machine(manager=FakeManager(roles={"lan0": Role.PUBLIC}))) == "lan0"


def test_the_connection_is_the_only_one_with_a_firewall() -> None:
    machine = Machine()
    assert machine("firewall", "on", "lan0").status == 0
    assert _chosen(machine) == "lan0"


def test_the_connection_is_the_only_one_with_mappings() -> None:
    machine = Machine()
    _define(machine, "other", 1, interface="lan0")
    assert machine(*WEB).status == 0
    assert {one.connection for one in machine.manager.mappings.all()} == {machine.manager.guid("lan0")}


def test_a_connection_that_cannot_be_told_is_asked_for() -> None:
    machine = Machine()
    none = machine(*WEB)
    assert (none.status, none.err.splitlines()[0]) == (
        2,
        "icshare: it is not clear which connection the mapping is for: none is public, none has a firewall",
    )
    machine.manager.firewalls |= {machine.manager.guid(name): FirewallOptions() for name in ("lan0", "lan1")}
    two = machine(*WEB)
    assert two.status == 2
    assert two.err == (
        "icshare: it is not clear which connection the mapping is for: lan0, lan1 could be meant\n"
        "hint: name it by --connection INTERFACE, or share it first: icshare share PUBLIC PRIVATE...\n"
    )


def test_of_two_connections_with_one_name_the_present_one_is_meant() -> None:
    machine = Machine()
    present = next(one for one in machine.manager.connections() if one.interface == "lan0")
    status = type(present.status).HARDWARE_NOT_PRESENT
    machine.manager.absent = (replace(present, guid=type(present.guid)(int=1), status=status),)
    assert _chosen(machine, "--connection", "lan0") == "lan0"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("arguments", [WEB, ("map", "enable", "known"), ("map", "remove", "known")])
def test_a_signal_ends_a_change_in_order(shared: Machine, arguments: Sequence[str], number: signal.Signals) -> None:
    _define(shared, "known", 1000)
    before = shared.manager.mappings.all()
    shared.manager.mappings.before = lambda: os.kill(os.getpid(), number)
    ran = shared(*arguments)
    assert (ran.status, ran.out) == (128 + number, "")
    assert ran.err == "icshare: interrupted; icshare map list tells what is so now\n"
    assert shared.manager.mappings.all() == before


def test_documents_tell_all_of_a_mapping(several: Machine) -> None:
    ran = several("map", "list", "--json")
    assert (ran.status, ran.err) == (0, "")
    document = msgspec.json.decode(ran.out, type=schema.MapListDocument)
    web, games, ssh, old, later = document.mappings
    assert (web.number, web.name, web.interface, web.protocol) == (1, "web", "wan0", "tcp")
    assert (web.external, web.internal, web.count, web.target, web.target_kind) == (
        80,
        8080,
        1,
        "192.168.137.9",
        "address",
    )
    assert (web.enabled, web.state, web.text, web.address, web.own, web.hits) == (
        True,
        "active",
        "",
        "192.168.137.9",
        False,
        12_345,
    )
    assert (games.count, games.target_kind, games.address) == (11, "name", "192.168.137.30")
    assert (ssh.own, ssh.address) == (True, None)
    assert (old.target, old.target_kind, old.state, old.address) == ("52:54:00:00:00:01", "mac", "inactive", None)
    assert "no lease" in old.text
    assert (later.enabled, later.state, later.hits) == (False, "disabled", None)
    for name in ("enable", "disable"):
        one = msgspec.json.decode(several("map", name, "web", "--json").out, type=schema.MappingDocument)
        assert (one.name, one.enabled) == ("web", name == "enable")
    gone = msgspec.json.decode(several("map", "remove", "web", "--json").out, type=schema.MapRemoveDocument)
    assert gone == schema.MapRemoveDocument(number=1, name="web")


def test_status_counts_mappings_and_tells_why_some_are_inactive(several: Machine, golden: Golden) -> None:
    ran = several("status")
    assert ran.status == 0
    golden(SCREENS / "status-mapped.txt", ran.out)
    document = msgspec.json.decode(several("status", "--json").out, type=schema.StatusDocument)
    assert document.active_mappings == 3
    assert [one.name for one in document.inactive_mappings] == ["old"]


def test_status_does_not_drown_in_mappings(shared: Machine) -> None:
    for number in range(1, 13):
        shared.manager.mappings.why[number] = "nobody has the name printer"
        _define(shared, f"p{number}", 9000 + number, enabled=True)
    told = shared("status").out.splitlines()
    assert "note: the mapping p10 is inactive: nobody has the name printer" in told
    assert told[-1] == "note: 2 more mappings inactive; icshare map list shows them all"
    assert "  mappings  12 inactive" in told


@given(st.lists(st.text(), max_size=5))
def test_no_line_of_words_is_a_bug(words: list[str]) -> None:
    for command in ("add", "set", "remove"):
        ran = Machine()("map", command, *words)
        assert ran.status in {0, 1, 2}
        assert "Traceback" not in ran.err
