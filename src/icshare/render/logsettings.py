"""The configuration of the process that writes the firewall's log.

It is one line of JSON, so that any path fits. Whoever reads it trusts nothing that is not what this module writes.
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Final

from icshare.errors import InvalidRequestError

GROUP: Final = 1370
"""Group of the kernel's packet log that the firewall's rules write to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """How the firewall's log is written.

    Attributes:
        path: The log file. Its directory is made if it is missing, and must be the log's own.
        limit: Size in bytes from which on the file is renamed to ``.old`` and a new one is begun.
        group: Group of the kernel's packet log, 0 to 65535.
        opened: Connections that were let through are logged, so their ends are, too.
    """

    path: str = "/var/log/icshare/pfirewall.log"
    limit: int = 4096 * 1024
    group: int = GROUP
    opened: bool = True


def log_configuration(settings: LogSettings) -> str:
    """Return the text that `parse_log_configuration` reads."""
    return json.dumps(asdict(settings)) + "\n"


def parse_log_configuration(text: str) -> LogSettings:
    """Parse a configuration.

    Raises:
        InvalidRequestError: It is not one: a value is missing, unknown, of another type or out of range.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the firewall log's configuration is no JSON: {error}") from error
    names = [field.name for field in fields(LogSettings)]
    if not isinstance(found, dict) or sorted(found) != sorted(names):
        raise InvalidRequestError(f"the firewall log's configuration does not consist of {', '.join(names)}")
    if [type(found[name]) for name in names] != [str, int, int, bool]:
        raise InvalidRequestError("the firewall log's configuration has a value of another type than expected")
    settings = LogSettings(**found)
    if not settings.path.startswith("/") or settings.path.endswith("/") or "\0" in settings.path:
        raise InvalidRequestError(f"{settings.path!r} is not the absolute path of a file")
    if settings.limit < 1 or not 0 <= settings.group <= 0xFFFF:
        raise InvalidRequestError(f"limit {settings.limit} or group {settings.group} is out of range")
    return settings
