"""Which radios are switched off, by software or by a switch of the machine.

Source:
    kernel documentation, driver-api/rfkill and ABI/stable/sysfs-class-rfkill. A radio's own entry bears its name.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from icshare.errors import ConflictError

SYSFS = Path("/sys/class/rfkill")

_ENTRY = re.compile(r"rfkill(\d{1,9})")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedRadio:
    """A Wi-Fi radio that is switched off.

    Attributes:
        name: Its name: phy0; or that of a switch of the machine.
        hard: A switch or key of the machine has done it, which software cannot undo.
    """

    name: str
    hard: bool

    @property
    def reason(self) -> str:
        """Why it is off, in words."""
        if self.hard:
            return f"the radio {self.name} is switched off by a switch or key of this machine"
        return f"the radio {self.name} is switched off by software (rfkill)"

    @property
    def remedy(self) -> str:
        """What turns it on."""
        return "switch Wi-Fi on at the machine" if self.hard else "rfkill unblock wifi"


def blocked_radios(directory: Path = SYSFS) -> tuple[BlockedRadio, ...]:
    """Return the Wi-Fi radios that are switched off, in the order they came; needs no privilege."""
    numbered = [(int(found[1]), path) for path in _entries(directory) if (found := _ENTRY.fullmatch(path.name))]
    return tuple(blocked for _, path in sorted(numbered) if (blocked := _blocked(path)) is not None)


def refuse_blocked(radio: str, directory: Path = SYSFS) -> None:
    """Check that *radio* ("phy0") is not switched off.

    Raises:
        ConflictError: It is; the hint says what turns it on.
    """
    for one in blocked_radios(directory):
        if one.name == radio:
            raise ConflictError(one.reason, hint=one.remedy)


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:  # a kernel without rfkill blocks no radio
        return []


def _blocked(path: Path) -> BlockedRadio | None:
    try:
        kind, name, soft, hard = (
            (path / attribute).read_text(encoding="utf-8", errors="backslashreplace").strip()
            for attribute in ("type", "name", "soft", "hard")
        )
    except OSError:  # unplugged meanwhile
        return None
    if kind != "wlan" or "1" not in {soft, hard}:
        return None
    return BlockedRadio(name=name, hard=hard == "1")
