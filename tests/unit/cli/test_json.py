"""What programs see: documents of `icshare.cli.schema`, whole and strict."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from tests.conftest import Golden
from tests.unit.cli.machine import ILL, NOW, FakeManager, Machine
from tests.unit.cli.test_text import CLIENTS

from icshare.cli import jsondoc, schema
from icshare.model.status import Grade

ROOT = Path(__file__).parents[3]
T = TypeVar("T")


def _document(machine: Machine, kind: type[T], *arguments: str, status: int = 0) -> T:
    ran = machine(*arguments, "--json")
    assert (ran.status, ran.err) == (status, "")
    return msgspec.json.decode(ran.out, type=kind)


def test_list_tells_all_of_a_connection() -> None:
    machine = Machine()
    assert machine("share", "wan0", "lan0").status == 0
    document = _document(machine, schema.ListDocument, "list")
    assert [one.interface for one in document.connections] == ["wan0", "lan0", "lan1", "br7", "port7"]
    assert [one.role.value for one in document.connections] == ["public", "private", "none", "none", "none"]
    lan1, bridge, port = document.connections[2:]
    assert (lan1.name, lan1.media, lan1.status) == ("bench, left", "lan", "media_disconnected")
    assert (bridge.as_public.ok, bridge.as_public.reason, bridge.as_private.ok) == (False, "media-type", True)
    assert "BRIDGE" in bridge.as_public.text
    assert port.sharable.ok
    assert port.as_private.reason == "bridge-member"
    assert [one.windows_name for one in document.connections] == [
        "Ethernet",
        "Ethernet 2",
        "Ethernet 3",
        "",
        "Ethernet 4",
    ]
    assert _document(machine, schema.ListDocument, "list", "--all").connections[0].hidden


def test_share_tells_what_is_in_force() -> None:
    machine = Machine()
    document = _document(machine, schema.ShareDocument, "share", "wan0", "lan0", "lan1")
    assert (document.dry_run, document.public, document.privates) == (False, "wan0", ("lan0", "lan1"))
    assert document.segments == (
        schema.SegmentDocument(
            interface="ics-br0",
            members=("lan0", "lan1"),
            network="192.168.137.0/24",
            beyond=(),
            gateway="192.168.137.1",
            bridged=True,
            dhcp=True,
        ),
    )
    assert [check.grade for check in document.checks] == [Grade.OK]
    assert len(document.changes) == len(machine.manager.host.ran)
    assert document.ruleset is None
    assert _document(machine, schema.ShareDocument, "share", "wan0", "lan0", "lan1").changes == ()


def test_a_dry_run_tells_what_share_would() -> None:
    machine = Machine()
    would = _document(machine, schema.ShareDocument, "share", "--dry-run", "wan0", "lan0")
    assert machine.manager.host.ran == []
    assert would.dry_run
    assert would.ruleset is not None
    assert "add table inet icshare\n" in would.ruleset
    assert would.checks == ()
    assert would.changes == _document(machine, schema.ShareDocument, "share", "wan0", "lan0").changes


def test_status_tells_what_is_shared_and_since_when() -> None:
    machine = Machine()
    nothing = _document(machine, schema.StatusDocument, "status")
    assert (nothing.shared, nothing.healthy, nothing.complete, nothing.public) == (False, True, True, None)
    assert machine("share", "--no-firewall", "wan0", "lan0").status == 0
    document = _document(machine, schema.StatusDocument, "status")
    assert (document.shared, document.healthy, document.public, document.privates) == (True, True, "wan0", ("lan0",))
    assert document.since == datetime.fromtimestamp(NOW - 3700, tz=UTC)
    assert not document.firewall


def test_status_and_doctor_tell_what_failed() -> None:
    machine = Machine(manager=FakeManager(found=ILL))
    assert machine("share", "wan0", "lan0").status == 0
    machine.manager.host.health = ILL
    status = _document(machine, schema.StatusDocument, "status", status=1)
    doctor = _document(machine, schema.DoctorDocument, "doctor", status=1)
    assert (status.healthy, doctor.healthy) == (False, False)
    failure = schema.CheckDocument(
        name="forward", grade=Grade.FAILED, text="table ip filter drops it", remedy="nft add rule ip filter X"
    )
    assert status.checks[-1] == doctor.checks[-1] == failure


def test_stop_tells_what_was_taken_back() -> None:
    machine = Machine()
    assert _document(machine, schema.StopDocument, "stop") == schema.StopDocument(stopped=False, taken_back=())
    shared = _document(machine, schema.ShareDocument, "share", "wan0", "lan0")
    document = _document(machine, schema.StopDocument, "stop")
    assert document.stopped
    assert len(document.taken_back) == len(shared.changes)


def test_clients_tell_their_traffic_if_it_is_counted() -> None:
    document = _document(Machine(manager=FakeManager(listed=CLIENTS)), schema.ClientsDocument, "clients")
    printer, other = document.clients
    assert (printer.name, printer.mac, printer.address) == ("printer", "52:54:00:00:00:09", "192.168.137.9")
    assert (printer.sent_bytes, printer.received_bytes) == (999, 34_100_000)
    assert (other.mac, other.since, other.sent_bytes) == (None, None, None)


def test_a_request_that_cannot_be_parsed_is_an_error_document_too() -> None:
    document = _document(Machine(), schema.ErrorDocument, "share", "wan0", status=2)
    assert document.error.kind == "usage"
    assert document.error.message == "missing argument 'PRIVATE'"


@pytest.mark.parametrize("name", ["\udcff", "\x1b[2J", 'a"b'])
def test_what_is_no_unicode_does_not_break_a_document(name: str) -> None:
    document = _document(Machine(), schema.ErrorDocument, "share", "wan0", name, status=2)
    assert "is not a usable interface name" in document.error.message


def test_docs_describe_the_documents_as_they_are(golden: Golden) -> None:
    golden(ROOT / "docs" / "json.md", jsondoc.page())
