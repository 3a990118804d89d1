"""``icshare connect`` and ``disconnect``, on a machine in memory."""

from dataclasses import replace
from uuid import UUID

import msgspec
import pytest
from tests.unit.cli.machine import FakeManager, Machine

from icshare.errors import HostError
from icshare.model.connection import Connection, MediaType, Status

FIBRE = UUID(int=77)


@pytest.fixture
def machine() -> Machine:
    manager = FakeManager()
    wan = next(one for one in manager.connections() if one.interface == "wan0")
    peer = replace(
        wan,
        guid=FIBRE,
        name="fibre",
        interface="ppp-fibre",
        media=MediaType.PPPOE,
        status=Status.DISCONNECTED,
        peer="fibre",
        there=False,
    )
    manager.absent = (peer,)
    return Machine(manager=manager)


def found(machine: Machine) -> Connection:
    return next(one for one in machine.manager.connections() if one.guid == FIBRE)


@pytest.mark.parametrize("name", ["fibre", "ppp-fibre"])
@pytest.mark.parametrize("command", ["connect", "disconnect"])
def test_a_peer_is_called_by_its_name_or_its_interface(machine: Machine, command: str, name: str) -> None:
    ran = machine(command, name)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == f"fibre is {command}ed: ppp-fibre, disconnected.\n"  # the machine in memory connects nothing
    assert machine.manager.dialled == [(command, FIBRE)]


def test_any_connection_can_be_connected(machine: Machine) -> None:
    assert machine("connect", "lan0").out == "lan0 is connected: lan0, connected.\n"
    assert machine.manager.dialled == [("connect", machine.manager.guid("lan0"))]


def test_the_document_tells_how_it_is_now(machine: Machine) -> None:
    ran = machine("disconnect", "fibre", "--json")
    assert msgspec.json.decode(ran.out) == {
        "guid": str(FIBRE),
        "interface": "ppp-fibre",
        "name": "fibre",
        "status": "disconnected",
    }


def test_what_there_is_not_is_not_dialled(machine: Machine) -> None:
    ran = machine("connect", "fiber")
    assert ran.status == 2
    assert "there is no connection 'fiber'" in ran.err
    assert "did you mean fibre?" in ran.err
    assert machine.manager.dialled == []


def test_a_failure_is_told_with_its_hint(machine: Machine) -> None:
    machine.manager.refusal = HostError("cannot dial fibre: no PPPoE server answers", hint="look at the cable")
    ran = machine("connect", "fibre")
    assert ran.status == 1
    assert "cannot dial fibre: no PPPoE server answers" in ran.err
    assert "look at the cable" in ran.err


@pytest.mark.parametrize(("words", "on_demand"), [((), None), (("--dial-on-demand",), True), (("--dial-now",), False)])
def test_share_says_when_to_dial(machine: Machine, words: tuple[str, ...], on_demand: bool | None) -> None:
    assert machine("share", *words, "wan0", "lan0").status == 0
    assert machine.manager.on_demand is on_demand
