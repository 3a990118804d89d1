"""HNetCfg.NATUPnP: static port mappings of this gateway's public connection."""

from typing import Any

import pytest
from tests.unit.netcon.fake import ETH0, guid
from tests.unit.windows.machine import Windows, windows

FILE_NOT_FOUND = -2147024894
E_INVALIDARG = -2147024809


@pytest.fixture
def machine() -> Windows:
    made = windows()
    made.machine.set_public(guid(ETH0))
    return made


def _mappings(made: Windows) -> Any:
    client: Any = made.modules["win32com.client"]
    return client["Dispatch"]("HNetCfg.NATUPnP").StaticPortMappingCollection


def _code(made: Windows, call: Any) -> int:
    pythoncom: Any = made.modules["pythoncom"]
    with pytest.raises(pythoncom["com_error"]) as caught:
        call()
    return int(caught.value.args[2][5])


def test_without_a_public_connection_there_is_no_collection() -> None:
    assert _mappings(windows()) is None


def test_a_mapping_is_added_enabled_shown_and_removed(machine: Windows) -> None:
    mappings = _mappings(machine)
    assert mappings, "an empty collection is true: programs ask it so"
    made = mappings.Add(40_000, "TCP", 80, "192.168.137.20", True, "web")
    assert (
        made.ExternalPort,
        made.InternalPort,
        made.Protocol,
        made.InternalClient,
        made.Enabled,
        made.Description,
    ) == (
        40_000,
        80,
        "TCP",
        "192.168.137.20",
        True,
        "web",
    )
    assert len(mappings) == mappings.Count == 1
    assert [one.ExternalPort for one in mappings] == [40_000]
    assert mappings[0].Description == "web"
    assert mappings.Item(40_000, "tcp").Description == mappings(40_000, "TCP").Description == "web"
    mappings.Remove(40_000, "TCP")
    assert mappings.Count == 0
    assert _code(machine, lambda: mappings.Remove(40_000, "TCP")) == FILE_NOT_FOUND
    assert _code(machine, lambda: mappings.Item(1, "GRE")) == E_INVALIDARG


def test_the_same_mapping_again_is_brought_up_to_date(machine: Windows) -> None:
    mappings = _mappings(machine)
    mappings.Add(555, "UDP", 444, "192.168.137.20", True, "game")
    again = mappings.Add(555, "UDP", 445, "192.168.137.20", False, "game 2")
    assert (mappings.Count, again.InternalPort, again.Enabled, again.Description) == (1, 445, False, "game 2")
    taken = _code(machine, lambda: mappings.Add(555, "UDP", 444, "192.168.137.21", True, "other"))
    assert taken == -2147024713
    assert mappings.Count == 1


def test_a_mapping_is_edited(machine: Windows) -> None:
    one = _mappings(machine).Add(555, "TCP", 444, "192.168.137.20", False, "a")
    one.EditInternalClient("192.168.137.21")
    one.EditInternalPort(445)
    one.EditDescription("b")
    one.Enable(True)
    assert (one.InternalClient, one.InternalPort, one.Description, one.Enabled) == ("192.168.137.21", 445, "b", True)
    assert _code(machine, lambda: one.EditInternalClient("printer")) == E_INVALIDARG


def test_mappings_of_the_other_interface_are_there_too(machine: Windows) -> None:
    client: Any = machine.modules["win32com.client"]
    manager = client["Dispatch"]("HNetCfg.HNetShare")
    configuration = manager.INetSharingConfigurationForINetConnection(manager.EnumPublicConnections(0)[0])
    configuration.AddPortMapping("printer", 6, 9100, 0, 0, "printer", 0)
    assert [(one.Description, one.InternalClient) for one in _mappings(machine)] == [("printer", "192.168.137.77")]


def test_callbacks_are_taken_and_dynamic_mappings_are_nothing(machine: Windows) -> None:
    client: Any = machine.modules["win32com.client"]
    nat = client["Dispatch"]("HNetCfg.NATUPnP")
    assert nat.DynamicPortMappingCollection is None
    nat.NATEventManager.ExternalIPAddressCallback = nat
