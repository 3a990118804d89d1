"""winreg: the keys of Internet Connection Sharing."""

from ipaddress import IPv4Network
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.windows.machine import Windows, windows

KEY = r"SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters"


@pytest.fixture
def machine() -> Windows:
    return windows()


@pytest.fixture
def winreg(machine: Windows) -> Any:
    return SimpleNamespace(**machine.modules["winreg"])


def test_the_scope_address_is_the_gateways(machine: Windows, winreg: Any) -> None:
    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, KEY) as key:
        assert winreg.QueryValueEx(key, "ScopeAddress") == ("192.168.137.1", winreg.REG_SZ)
        machine.machine.subnet = IPv4Network("10.7.0.0/24")
        assert winreg.QueryValueEx(key, "scopeaddressbackup") == ("10.7.0.1", winreg.REG_SZ)
        assert winreg.EnumValue(key, 2) == ("StandaloneDhcpAddress", "10.7.0.1", winreg.REG_SZ)
        with pytest.raises(OSError, match="No more data"):
            winreg.EnumValue(key, 3)
        with pytest.raises(FileNotFoundError):
            winreg.QueryValueEx(key, "Nothing")
    with pytest.raises(OSError, match="handle"):
        winreg.QueryValueEx(key, "ScopeAddress")


def test_setting_it_chooses_the_subnet_of_the_next_sharing(machine: Windows, winreg: Any) -> None:
    key = winreg.OpenKeyEx(winreg.HKEY_LOCAL_MACHINE, KEY.lower(), 0, winreg.KEY_SET_VALUE)
    winreg.SetValueEx(key, "ScopeAddress", 0, winreg.REG_SZ, "192.168.99.1")
    winreg.SetValueEx(key, "ScopeAddressBackup", 0, winreg.REG_SZ, "192.168.99.1")
    assert machine.machine.subnet == IPv4Network("192.168.99.0/24")
    with pytest.raises(OSError, match="no IPv4 address"):
        winreg.SetValueEx(key, "ScopeAddress", 0, winreg.REG_SZ, "nonsense")
    with pytest.raises(PermissionError):
        winreg.SetValueEx(key, "Other", 0, winreg.REG_SZ, "1")
    machine.machine.forbid()
    with pytest.raises(PermissionError):
        winreg.SetValueEx(key, "ScopeAddress", 0, winreg.REG_SZ, "192.168.98.1")
    winreg.CloseKey(key)
    assert not key


def test_a_key_for_reading_cannot_be_written(winreg: Any) -> None:
    key = winreg.OpenKey(winreg.ConnectRegistry(None, winreg.HKEY_LOCAL_MACHINE), KEY)
    with pytest.raises(PermissionError):
        winreg.SetValueEx(key, "ScopeAddress", 0, winreg.REG_SZ, "192.168.99.1")


def test_sharing_survives_a_reboot_whatever_is_written(winreg: Any) -> None:
    path = r"Software\Microsoft\Windows\CurrentVersion\SharedAccess"
    with winreg.CreateKeyEx(winreg.HKEY_LOCAL_MACHINE, path, 0, winreg.KEY_ALL_ACCESS) as key:
        winreg.SetValueEx(key, "EnableRebootPersistConnection", 0, winreg.REG_DWORD, 1)
        assert winreg.QueryValueEx(key, "EnableRebootPersistConnection") == (1, winreg.REG_DWORD)
        assert winreg.QueryInfoKey(key)[:2] == (0, 1)


def test_keys_above_can_be_walked_and_no_others_exist(winreg: Any) -> None:
    assert winreg.EnumKey(winreg.HKEY_LOCAL_MACHINE, 1) == "SOFTWARE"
    assert winreg.EnumKey(winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, "SYSTEM"), 0) == "CurrentControlSet"
    assert winreg.QueryInfoKey(winreg.OpenKey(winreg.HKEY_CLASSES_ROOT, ""))[:2] == (0, 0)
    for root, path in ((winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\Other"), (winreg.HKEY_CURRENT_USER, KEY)):
        with pytest.raises(FileNotFoundError):
            winreg.OpenKey(root, path)
    with pytest.raises(PermissionError):
        winreg.CreateKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\Other")
    with pytest.raises(PermissionError):
        winreg.DeleteValue(winreg.HKEY_LOCAL_MACHINE, "x")
    with pytest.raises(OSError, match="network path"):
        winreg.ConnectRegistry(r"\\other", winreg.HKEY_LOCAL_MACHINE)
    with pytest.raises(TypeError):
        winreg.OpenKey("HKLM", KEY)
