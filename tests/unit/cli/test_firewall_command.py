"""``icshare firewall``: on, off and set, on the real engine; what is on, what waits, what is missing."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from tests.conftest import Golden
from tests.unit.cli.machine import Machine

from icshare.cli import schema
from icshare.model.connection import Role, Status
from icshare.model.firewall import FirewallOptions, IcmpOption
from icshare.plan.steps import AnyStep

SCREENS = Path(__file__).parent / "screens"


def _options(machine: Machine, interface: str) -> FirewallOptions | None:
    return machine.manager.firewall(machine.manager.guid(interface))


def test_a_firewall_is_on_without_sharing_and_off_without_a_trace() -> None:
    machine = Machine()
    before = machine.manager.host.snapshot
    ran = machine("firewall", "on", "lan0")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == "The firewall of lan0 is on.\n  ICMP let through  none\n  log               off\n"
    assert _options(machine, "lan0") == FirewallOptions()
    assert machine.manager.host.snapshot != before
    assert machine("firewall", "off", "lan0").out == "The firewall of lan0 is off.\n"
    assert _options(machine, "lan0") is None
    assert machine.manager.host.snapshot == before


def test_switching_on_what_is_on_keeps_how_it_is_set() -> None:
    machine = Machine()
    assert machine("firewall", "on", "lan0").status == 0
    assert machine("firewall", "set", "lan0", "--log-dropped").status == 0
    assert machine("firewall", "on", "lan0").status == 0
    assert _options(machine, "lan0") == FirewallOptions(log_dropped=True)


def test_what_is_not_named_stays() -> None:
    machine = Machine()
    assert machine("firewall", "on", "lan0").status == 0
    ran = machine("firewall", "set", "lan0", "--icmp", "redirect", "--icmp", "inbound-echo-request", "--log-opened")
    assert ran.out == (
        "The firewall of lan0 is on.\n"
        "  ICMP let through  inbound-echo-request, redirect\n"
        "  log               connections, in /var/log/icshare/pfirewall.log\n"
    )
    icmp = (IcmpOption.INBOUND_ECHO_REQUEST, IcmpOption.REDIRECT)
    assert _options(machine, "lan0") == FirewallOptions(icmp=icmp, log_opened=True)
    ran = machine("firewall", "set", "lan0", "--log-dropped")
    assert "log               dropped packets, connections, in /var/log/icshare/pfirewall.log\n" in ran.out
    assert _options(machine, "lan0") == FirewallOptions(icmp=icmp, log_opened=True, log_dropped=True)
    assert machine("firewall", "set", "lan0", "--icmp", "none", "--no-log-opened").status == 0
    assert _options(machine, "lan0") == FirewallOptions(log_dropped=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["on", "lan9"], "there is no connection 'lan9'\nhint: did you mean lan"),
        (["off", ""], "there is no connection ''"),
        (["set", "wan0"], "nothing to set is named"),
        (
            ["set", "wan0", "--log-dropped"],
            "the firewall of wan0 is off\nhint: switch it on first: icshare firewall on",
        ),
        (["set", "lan0", "--icmp", "inbound-echo"], "did you mean inbound-echo-request?"),
        (["set", "lan0", "--icmp", "?"], "'?' is no ICMP option\nhint: icshare firewall set --help names them"),
        (["set", "lan0", "--icmp", "redirect", "--icmp", "none"], "--icmp none cannot be given beside others"),
        (["set", "lan0", "--icmp", "none", "--icmp", "none"], "--icmp none cannot be given beside others"),
        (["sta"], "hint: did you mean status?"),
    ],
)
def test_a_wrong_request_is_answered_with_what_is_wrong(arguments: list[str], words: str) -> None:
    machine = Machine()
    assert machine("firewall", "on", "lan0").status == 0
    before = machine.manager.host.snapshot
    ran = machine("firewall", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err
    assert machine.manager.host.snapshot == before


def test_status_tells_of_every_connection(golden: Golden) -> None:
    machine = Machine()
    assert machine("share", "wan0", "lan0").status == 0
    assert machine("firewall", "on", "lan1").status == 0
    assert machine("firewall", "set", "lan1", "--icmp", "inbound-echo-request", "--log-dropped").status == 0
    ran = machine("firewall", "status")
    assert (ran.status, ran.err) == (0, "")
    golden(SCREENS / "firewall-status.txt", ran.out)
    document = msgspec.json.decode(machine("firewall", "status", "--json").out, type=schema.FirewallStatusDocument)
    assert [(one.interface, one.on, one.in_force) for one in document.firewalls] == [
        ("wan0", True, True),
        ("lan0", False, False),
        ("lan1", True, True),
        ("br7", False, False),
        ("port7", False, False),
    ]
    assert document.firewalls[2] == schema.FirewallDocument(
        guid=machine.manager.guid("lan1"),
        interface="lan1",
        on=True,
        in_force=True,
        icmp=(IcmpOption.INBOUND_ECHO_REQUEST,),
        log_dropped=True,
        log_opened=False,
    )


def test_a_firewall_that_is_missing_is_a_failure_and_one_that_waits_is_none(golden: Golden) -> None:
    machine = Machine()
    manager = machine.manager
    gone = replace(manager.connections()[1], guid=UUID(int=1), interface="usb0", status=Status.HARDWARE_NOT_PRESENT)
    manager.absent = (replace(gone, hidden=True),)
    manager.roles["lan0"] = Role.PRIVATE
    manager.firewalls |= {gone.guid: FirewallOptions(), manager.guid("lan0"): FirewallOptions(log_opened=True)}
    waiting = machine("firewall", "status")
    assert waiting.status == 0
    manager.firewalls[manager.guid("wan0")] = FirewallOptions()
    missing = machine("firewall", "status")
    assert missing.status == 1
    golden(SCREENS / "firewall-status-waiting.txt", missing.out)
    golden(SCREENS / "status-firewall-missing.txt", machine("status").out)
    assert machine("firewall", "status", "--json").status == 1


def test_a_firewall_that_something_removes_at_once_is_no_success() -> None:
    machine = Machine()
    machine.manager.forgets_firewalls = True
    ran = machine("firewall", "on", "lan0")
    assert ran.status == 1
    assert ran.out.startswith("The firewall of lan0 is on, but not in force")


def test_firewalls_whose_table_was_deleted_are_not_in_force() -> None:
    machine = Machine()
    machine("firewall", "on", "lan0")
    assert machine("firewall", "status").status == 0
    machine.manager.has_lost_table = True
    ran = machine("firewall", "status")
    assert (ran.status, "on, but not in force: icshare firewall on lan0 brings it back" in ran.out) == (1, True)
    assert not any(
        one["in_force"] for one in msgspec.json.decode(machine("firewall", "status", "--json").out)["firewalls"]
    )


def test_documents_tell_what_has_become_of_it() -> None:
    machine = Machine()
    for name, on in (("on", True), ("off", False)):
        ran = machine("firewall", name, "lan0", "--json")
        document = msgspec.json.decode(ran.out, type=schema.FirewallDocument)
        assert (document.interface, document.on, document.in_force) == ("lan0", on, on)


def test_status_tells_of_firewalls_while_something_is_shared(golden: Golden) -> None:
    machine = Machine()
    assert machine("firewall", "on", "lan1").status == 0
    assert machine("share", "wan0", "lan0").status == 0
    golden(SCREENS / "status-firewalls.txt", machine("status").out)
    assert machine("firewall", "off", "wan0").status == 0
    assert "  firewall  off: wan0 is open; protects lan1\n" in machine("status").out
    document = msgspec.json.decode(machine("status", "--json").out, type=schema.StatusDocument)
    assert (document.shared, document.firewall, document.firewalls) == (True, False, ("lan1",))


def test_status_tells_of_firewalls_while_nothing_is_shared(golden: Golden) -> None:
    machine = Machine()
    assert machine("firewall", "on", "lan1").status == 0
    ran = machine("status")
    assert ran.status == 0
    golden(SCREENS / "status-firewall-only.txt", ran.out)
    document = msgspec.json.decode(machine("status", "--json").out, type=schema.StatusDocument)
    assert (document.shared, document.complete, document.firewalls) == (False, True, ("lan1",))


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        ({}, "Nothing is shared."),
        ({"wan0": Role.PUBLIC}, "Nothing is shared: wan0 is public, and there is no private connection yet."),
        ({"lan0": Role.PRIVATE}, "Nothing is shared: lan0 is private, and there is no public connection yet."),
        (
            {"lan1": Role.PRIVATE, "lan0": Role.PRIVATE},
            "Nothing is shared: lan0, lan1 are private, and there is no public connection yet.",
        ),
        (
            {"wan0": Role.PUBLIC, "lan0": Role.PRIVATE},
            "Nothing is shared: wan0 is to be shared with lan0, and that is not in force.",
        ),
    ],
)
def test_status_tells_who_is_designated(roles: dict[str, Role], words: str) -> None:
    machine = Machine()
    machine.manager.roles |= roles
    assert machine("status").out == f"{words}\n"


def test_status_tells_that_a_designated_connection_is_absent() -> None:
    machine = Machine()
    machine.manager.roles["lan0"] = Role.PRIVATE
    gone = replace(
        machine.manager.connections()[1],
        guid=UUID(int=1),
        interface="usb0",
        status=Status.HARDWARE_NOT_PRESENT,
        role=Role.PUBLIC,
    )
    machine.manager.absent = (gone,)
    assert "usb0 (absent) is to be shared with lan0" in machine("status").out


def test_a_signal_ends_a_change_in_order() -> None:
    machine = Machine()
    before = machine.manager.host.snapshot

    def interrupted(_: AnyStep) -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        return False

    machine.manager.host.refuses = interrupted
    ran = machine("firewall", "on", "lan0")
    assert (ran.status, ran.err) == (143, "icshare: interrupted; icshare firewall status tells what is so now\n")
    assert machine.manager.host.snapshot == before
