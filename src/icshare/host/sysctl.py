"""Per-link settings of IPv4 and IPv6 under /proc/sys/net."""

import errno
from collections.abc import Iterable, Mapping
from pathlib import Path

from icshare.errors import HostError, PrivilegeError
from icshare.plan.transition import sysctl_key

_ROOT = Path("/proc/sys/net")

SETTINGS = ("ipv4/forwarding", "ipv4/rp_filter")
"""The settings that sharing reads and may change; nothing else is ever written."""


def read_settings(links: Iterable[str]) -> Mapping[str, str]:
    """Return every setting of *links* and of ``all`` and ``default``, keyed ``link/setting``.

    A link that goes away meanwhile is left out.
    """
    found = {}
    for link in ("all", "default", *links):
        for setting in SETTINGS:
            try:
                found[sysctl_key(link, setting)] = _path(link, setting).read_text(encoding="ascii").strip()
            except OSError:
                continue
    return found


def write_setting(link: str, setting: str, value: str) -> None:
    """Write one setting of *link* unless it has the value; a link that is gone is no error.

    Raises:
        PrivilegeError: The kernel refused for lack of privilege, or /proc/sys is read-only (a container).
        HostError: It refused for another reason, or the setting is none of ours.
    """
    if setting not in SETTINGS or not value.isdigit():
        raise HostError(f"{setting}={value!r} is not a setting of ours")
    path = _path(link, setting)
    try:
        # Where nothing may be written, what never changed can still be taken back.
        if path.read_text(encoding="ascii").strip() != value:
            path.write_text(value, encoding="ascii")
    except FileNotFoundError:
        return
    except OSError as error:
        name = f"net.{setting.replace('/', f'.conf.{link}.')}"
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise PrivilegeError(
                f"{name} may not be written: {error.strerror}",
                hint="run it with sudo; in a container /proc/sys must be writable",
            ) from error
        raise HostError(f"{name} cannot be set to {value}: {error.strerror}") from error


def _path(link: str, setting: str) -> Path:
    family, _, name = setting.partition("/")
    return _ROOT / family / "conf" / link / name
