"""What doctor says of radios."""

from pathlib import Path

import pytest

from icshare.errors import HostError, NotSupportedError
from icshare.host.wireless_doctor import examine_wireless
from icshare.model.status import Check, Grade


def _missing(name: str) -> str:
    raise NotSupportedError(f"{name} is not installed")


def _silent(_: str) -> bool:
    raise HostError("NetworkManager: GetDeviceByIpIface: no answer within 25 s")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "regulatory.db"
    path.write_bytes(b"RGDB")
    return path


def _ask(database: Path, **what: object) -> list[Check]:
    sound: dict[str, object] = {
        "country": "DE",
        "find_program": lambda name: f"/usr/sbin/{name}",
        "manages": lambda _: False,
        "databases": [database],
        "switches": database.parent,
    }
    return list(examine_wireless(["wlan0", "wlan1"], **{**sound, **what}))  # type: ignore[arg-type]


def test_a_machine_without_radio_is_told_nothing(tmp_path: Path) -> None:
    assert list(examine_wireless([], find_program=_missing, databases=[], switches=tmp_path)) == []


def test_a_sound_machine_is_told_so(database: Path) -> None:
    (check,) = _ask(database)
    assert (check.grade, check.name) == (Grade.OK, "wifi")
    assert "wlan0, wlan1" in check.text


def test_everything_that_stands_in_the_way_is_told_with_what_mends_it(database: Path, tmp_path: Path) -> None:
    switch = tmp_path / "rfkill0"
    switch.mkdir()
    for name, value in {"type": "wlan", "name": "phy0", "soft": "1", "hard": "0"}.items():
        (switch / name).write_text(value, encoding="ascii")
    found = _ask(database, find_program=_missing, databases=[], country="00", manages=lambda name: name == "wlan1")
    assert {one.grade for one in found} == {Grade.WARNING}
    assert [(one.text.split(":")[0], one.remedy) for one in found] == [
        ("hostapd is not installed", "apt install hostapd"),
        ("the radio phy0 is switched off by software (rfkill)", "rfkill unblock wifi"),
        ("there is no regulatory database", "apt install wireless-regdb && iw reg reload"),
        ("the country is not set", "icshare share ... --ssid NAME --country CC, or iw reg set CC"),
    ]
    assert found[0].text.endswith("no access point on wlan0")


def test_hostapd_is_not_missed_where_networkmanager_makes_access_points(database: Path) -> None:
    assert [one.grade for one in _ask(database, find_program=_missing, manages=lambda _: True)] == [Grade.OK]
    assert "wlan0, wlan1" in _ask(database, find_program=_missing, manages=_silent)[0].text


def test_a_database_that_cannot_be_read_is_told(tmp_path: Path, database: Path) -> None:
    (check,) = _ask(database, databases=[tmp_path])
    assert (check.grade, check.text) == (Grade.WARNING, f"{tmp_path} cannot be read: Is a directory")
