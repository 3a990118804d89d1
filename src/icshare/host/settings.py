"""Where settings, run files and privileges are found."""

import os
from pathlib import Path

from icshare.errors import InvalidRequestError, PrivilegeError
from icshare.host.processes import CAP_NET_ADMIN, own_capabilities
from icshare.model.settings import Settings, parse_settings

_MAX_SETTINGS_BYTES = 1024 * 1024


def run_directory() -> Path:
    """Return where the journal and dnsmasq's files lie: ``ICSHARE_RUN_DIR``, else /run/icshare.

    Raises:
        InvalidRequestError: The variable does not hold a plain absolute path.
    """
    return _directory("ICSHARE_RUN_DIR", "/run/icshare")


def state_directory() -> Path:
    """Return where the lasting state lies: ``ICSHARE_STATE_DIR``, else /var/lib/icshare.

    Raises:
        InvalidRequestError: The variable does not hold a plain absolute path.
    """
    return _directory("ICSHARE_STATE_DIR", "/var/lib/icshare")


def settings_file() -> Path:
    """Return the settings file: ``ICSHARE_CONFIG``, else /etc/icshare/icshare.toml."""
    return _directory("ICSHARE_CONFIG", "/etc/icshare/icshare.toml")


def load_settings(path: Path) -> Settings:
    """Return the administrator's settings; the defaults when there is no file.

    Raises:
        InvalidRequestError: The file cannot be read or holds what has no meaning.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_SETTINGS_BYTES + 1)
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > _MAX_SETTINGS_BYTES:
        raise InvalidRequestError(f"{path} is larger than any settings file ({_MAX_SETTINGS_BYTES} bytes)")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
    return parse_settings(text, str(path))


def require_net_admin() -> None:
    """Check for the privilege that every change needs.

    Raises:
        PrivilegeError: CAP_NET_ADMIN is missing.
    """
    if not may_administrate():
        raise PrivilegeError("changing what is shared needs CAP_NET_ADMIN", hint="run it with sudo")


def may_administrate() -> bool:
    """Tell whether this process has the privilege that every change needs."""
    return bool(own_capabilities() >> CAP_NET_ADMIN & 1)


def _directory(variable: str, otherwise: str) -> Path:
    text = os.environ.get(variable) or otherwise
    # The path is rendered into dnsmasq's configuration and argument list, which know no quoting.
    if not text.startswith("/") or any(
        letter.isspace() or letter in '"\\,#' or not letter.isprintable() for letter in text
    ):
        raise InvalidRequestError(f"{variable}={text!r} is not an absolute path without spaces and quotes")
    return Path(os.path.normpath(text))
