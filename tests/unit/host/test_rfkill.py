"""Which radios are switched off, by a recorded tree."""

from pathlib import Path

import pytest

from icshare.errors import ConflictError
from icshare.host.rfkill import BlockedRadio, blocked_radios, refuse_blocked


def _entry(root: Path, number: int, kind: str, name: str, *, soft: int = 0, hard: int = 0) -> None:
    directory = root / f"rfkill{number}"
    directory.mkdir()
    for attribute, value in {"type": kind, "name": name, "soft": soft, "hard": hard}.items():
        (directory / attribute).write_text(f"{value}\n", encoding="ascii")


def test_radios_that_are_switched_off_are_told_in_the_order_they_came(tmp_path: Path) -> None:
    _entry(tmp_path, 10, "wlan", "phy2", soft=1)
    _entry(tmp_path, 0, "bluetooth", "hci0", soft=1)
    _entry(tmp_path, 1, "wlan", "phy0")
    _entry(tmp_path, 2, "wlan", "phy1", soft=1, hard=1)
    (tmp_path / "rfkill3").mkdir()  # unplugged while we read
    (tmp_path / "power").mkdir()
    assert blocked_radios(tmp_path) == (BlockedRadio(name="phy1", hard=True), BlockedRadio(name="phy2", hard=False))


def test_a_radio_that_is_off_is_refused_with_what_turns_it_on(tmp_path: Path) -> None:
    _entry(tmp_path, 0, "wlan", "phy0")
    _entry(tmp_path, 1, "wlan", "phy1", soft=1)
    _entry(tmp_path, 2, "wlan", "phy2", hard=1)
    refuse_blocked("phy0", tmp_path)
    with pytest.raises(ConflictError, match="phy1 is switched off by software") as soft:
        refuse_blocked("phy1", tmp_path)
    assert soft.value.hint == "rfkill unblock wifi"
    with pytest.raises(ConflictError, match="phy2 is switched off by a switch") as hard:
        refuse_blocked("phy2", tmp_path)
    assert hard.value.hint == "switch Wi-Fi on at the machine"


def test_without_rfkill_nothing_is_off(tmp_path: Path) -> None:
    assert blocked_radios(tmp_path / "none") == ()
