"""wmi: the service SharedAccess, and the properties of connections that KB828807 clears."""

from typing import Any

import pytest
from tests.unit.netcon.fake import ETH0, ETH1, guid
from tests.unit.windows.machine import Windows, windows


@pytest.fixture
def machine() -> Windows:
    made = windows()
    made.machine.set_public(guid(ETH0))
    made.machine.add_private(guid(ETH1))
    return made


def _wmi(made: Windows, **settings: str) -> Any:
    connect: Any = made.modules["wmi"]["WMI"]
    return connect(**settings)


def test_the_service_runs_while_something_is_designated(machine: Windows) -> None:
    (service,) = _wmi(machine).Win32_Service(Name="SharedAccess")
    assert (service.Name, service.State, service.StartMode, service.Status) == ("SharedAccess", "Running", "Auto", "OK")
    assert service.StartService() == (10,)
    assert service.ChangeStartMode(StartMode="Automatic") == (0,)
    assert "State = 'Running'" in str(service)
    assert service.StopService() == (0,)
    assert service.State == "Stopped"
    assert service.StopService() == (5,)
    assert service.StartService() == (0,)
    assert service.State == "Running", "or programs would wait for ever"
    assert service.StopService() == (0,)
    assert machine.machine.roles == {}
    assert _wmi(machine).Win32_Service(Name="Spooler") == []


def test_without_privilege_the_service_is_not_stopped(machine: Windows) -> None:
    machine.machine.forbid()
    (service,) = _wmi(machine).Win32_Service(name="sharedaccess")
    assert service.StopService() == (2,)


def test_questions_in_words(machine: Windows) -> None:
    wmi = _wmi(machine, moniker="winmgmts:root/cimv2")
    assert len(wmi.query("SELECT * FROM Win32_Service WHERE Name = 'SharedAccess' AND State = \"Running\"")) == 1
    assert wmi.query("select Name from Win32_Service where Name='Other'") == []
    x_wmi: Any = machine.modules["wmi"]["x_wmi"]
    for wrong in ("DROP Win32_Service", "select * from Win32_Service where Name like 'S%'", "select * from Nothing"):
        with pytest.raises(x_wmi):
            wmi.query(wrong)
    with pytest.raises(AttributeError):
        wmi.Win32_Process  # noqa: B018


def test_clearing_the_rows_of_homenet_disables_sharing(machine: Windows) -> None:
    rows = _wmi(machine, namespace=r"root\Microsoft\HomeNet").HNet_ConnectionProperties()
    public, private = rows[:2]
    assert (public.IsIcsPublic, public.IsIcsPrivate, public.IsFirewalled, public.IsBridge) == (True, False, True, False)
    assert private.IsIcsPrivate is True
    for row in rows:
        row.IsIcsPrivate = False
        row.IsIcsPublic = False
        row.Put_()
    assert machine.machine.roles == {}
    assert public.IsIcsPublic is False
    pythoncom: Any = machine.modules["pythoncom"]
    with pytest.raises(pythoncom["com_error"]):
        public.IsIcsPublic = True
    with pytest.raises(AttributeError):
        public.Colour = "red"


def test_the_moniker_of_scripts(machine: Windows) -> None:
    client: Any = machine.modules["win32com.client"]
    for moniker in ("winmgmts:", r"winmgmts:{impersonationLevel=impersonate}!\\.\root\cimv2", "winmgmts:root/cimv2"):
        (service,) = client["GetObject"](moniker).ExecQuery("Select * From Win32_Service Where Name = 'SharedAccess'")
        assert service.State == "Running"


def test_other_namespaces_and_machines_do_not_exist(machine: Windows) -> None:
    pythoncom: Any = machine.modules["pythoncom"]
    with pytest.raises(pythoncom["com_error"]):
        _wmi(machine, namespace="root/StandardCimv2")
    x_wmi: Any = machine.modules["wmi"]["x_wmi"]
    with pytest.raises(x_wmi):
        _wmi(machine, computer="other")
