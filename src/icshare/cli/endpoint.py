"""Ports and targets of mappings: as the command line takes them, and the same way in print."""

import re
from typing import TYPE_CHECKING

from icshare.errors import InvalidRequestError
from icshare.model.mapping import Target, TargetKind, parse_ports, parse_target

if TYPE_CHECKING:
    from icshare.model.mapping import PortMapping

_BRACKETS = re.compile(r"\[([^\]]*)\](?::(.*))?", re.DOTALL)
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


def parse_endpoint(text: str) -> tuple[Target, tuple[int, int] | None]:
    """Parse ``TARGET[:PORTS]`` as the target, and the first port and number of ports if they are given.

    Colons of a hardware address are told from that of the port by brackets, ``[52:54:00:00:00:01]:80``, or are
    hyphens, ``52-54-00-00-00-01:80``. Without a port it needs neither.

    Raises:
        InvalidRequestError: No target, no port, or it cannot be told which is which.
    """
    brackets = _BRACKETS.fullmatch(text)
    ports: str | None
    if brackets:
        host, ports = brackets[1], brackets[2]
    elif _MAC.fullmatch(text):
        host, ports = text, None
    elif text.count(":") > 1:
        raise InvalidRequestError(
            f"{text!r:.80} is not a target",
            hint="ADDRESS:PORT, NAME:PORT, or in brackets a hardware address: [52:54:00:00:00:01]:80",
        )
    else:
        host, colon, after = text.partition(":")
        ports = after if colon else None
    return parse_target(host), None if ports is None else parse_ports(ports)


def first_port(ports: tuple[int, int] | None, count: int) -> int | None:
    """Return the first port of the target.

    Args:
        ports: First port and number of ports as they were given, None if they were not.
        count: How many external ports there are.

    Raises:
        InvalidRequestError: A range of another length.
    """
    if ports is None:
        return None
    first, given = ports
    if given not in {1, count}:
        raise InvalidRequestError(
            f"{given} ports of the target cannot take {count} external ones", hint="give the first port of the target"
        )
    return first


def ports_in_words(first: int, count: int) -> str:
    """Return ports as `parse_ports` takes them: "80", "8000-8010"."""
    return f"{first}" if count == 1 else f"{first}-{first + count - 1}"


def endpoint_in_words(mapping: "PortMapping") -> str:
    """Return where a mapping leads, as `parse_endpoint` takes it."""
    target = mapping.target
    host = f"[{target}]" if target.kind is TargetKind.MAC else f"{target}"
    return f"{host}:{ports_in_words(mapping.internal, mapping.count)}"
