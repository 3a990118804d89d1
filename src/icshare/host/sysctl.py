"""Per-link settings of IPv4 and IPv6, and those of connection tracking, under /proc/sys/net."""

import contextlib
import errno
from collections.abc import Iterable, Mapping
from pathlib import Path

from icshare.errors import HostError, PrivilegeError
from icshare.plan.transition import sysctl_key

_ROOT = Path("/proc/sys/net")

SETTINGS = ("ipv4/forwarding", "ipv4/rp_filter")
"""The settings of a link that sharing reads and may change."""

CONNTRACK = ("tcp_be_liberal", "tcp_ignore_invalid_rst")
"""The same of connection tracking, without the ``nf_conntrack_`` that they begin with; nothing else is ever written."""


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


def read_conntrack() -> Mapping[str, str]:
    """Return the settings of connection tracking that we may change; none of them while its module is not loaded."""
    found = {}
    for setting in CONNTRACK:
        with contextlib.suppress(OSError):
            found[setting] = _conntrack(setting).read_text(encoding="ascii").strip()
    return found


def write_conntrack(setting: str, value: str) -> None:
    """Write one setting of connection tracking unless it has the value; without its module that is no error.

    Raises:
        PrivilegeError: The kernel refused for lack of privilege, or /proc/sys is read-only (a container).
        HostError: It refused for another reason, or the setting is none of ours.
    """
    if setting not in CONNTRACK or not value.isdigit():
        raise HostError(f"{setting}={value!r} is not a setting of ours")
    _write(_conntrack(setting), f"net.netfilter.nf_conntrack_{setting}", value)


def write_setting(link: str, setting: str, value: str) -> None:
    """Write one setting of *link* unless it has the value; a link that is gone is no error.

    Raises:
        PrivilegeError: The kernel refused for lack of privilege, or /proc/sys is read-only (a container).
        HostError: It refused for another reason, or the setting is none of ours.
    """
    if setting not in SETTINGS or not value.isdigit():
        raise HostError(f"{setting}={value!r} is not a setting of ours")
    _write(_path(link, setting), f"net.{setting.replace('/', f'.conf.{link}.')}", value)


def _write(path: Path, name: str, value: str) -> None:
    try:
        # Where nothing may be written, what never changed can still be taken back.
        if path.read_text(encoding="ascii").strip() != value:
            path.write_text(value, encoding="ascii")
    except FileNotFoundError:
        return
    except OSError as error:
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise PrivilegeError(
                f"{name} may not be written: {error.strerror}",
                hint="run it with sudo; in a container /proc/sys must be writable",
            ) from error
        raise HostError(f"{name} cannot be set to {value}: {error.strerror}") from error


def _conntrack(setting: str) -> Path:
    return _ROOT / "netfilter" / f"nf_conntrack_{setting}"


def _path(link: str, setting: str) -> Path:
    family, _, name = setting.partition("/")
    return _ROOT / family / "conf" / link / name
