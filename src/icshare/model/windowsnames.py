"""Windows-like names for connections: "Ethernet", "Wi-Fi 2", "Local Area Connection* 1".

Programs written for Windows look adapters up by such names. A name once given stays with its connection for ever.

Source:
    MicrosoftDocs/sdk-api netcon (NcIsValidConnectionName; the rule is what conformance tests of ReactOS observe).
"""

import re
from collections.abc import Iterable, Mapping
from uuid import UUID

from icshare.model.connection import Characteristics, Connection, MediaType

MAX_NAME = 256
"""Longest name, in UTF-16 code units."""

_FORBIDDEN = re.compile(r'[\\/:\t*?<>|"\x00]')
_VIRTUAL = Characteristics.HOSTED_NETWORK | Characteristics.VIRTUAL_STATION | Characteristics.WIFI_DIRECT
_SOFT = "Local Area Connection*"


def assign_names(connections: Iterable[Connection], given: Mapping[UUID, str]) -> dict[UUID, str]:
    """Return a name for each connection, no two the same in any case.

    A name that the administrator chose (`Connection.name` other than the interface) comes first, then the one given
    before, then a new one. No name in *given* goes to another connection, even while its own is absent.

    Args:
        connections: The connections; new names are counted in their order.
        given: All names ever given.
    """
    taken = {name.casefold(): guid for guid, name in given.items()}
    names: dict[UUID, str] = {}
    waiting: list[tuple[Connection, str]] = []
    for one in connections:
        chosen = _valid(one.name) if one.name != one.interface else ""
        known = given.get(one.guid, "")
        if chosen and taken.get(chosen.casefold(), one.guid) == one.guid:
            names[one.guid] = chosen
            taken[chosen.casefold()] = one.guid
        elif known and (not chosen or re.fullmatch(rf"{re.escape(chosen)} [0-9]+", known, re.IGNORECASE)):
            names[one.guid] = known
        else:
            waiting.append((one, chosen or _stem(one)))
    for one, stem in waiting:
        name = _free(stem, taken)
        names[one.guid] = name
        taken[name.casefold()] = one.guid
    return names


def _stem(connection: Connection) -> str:
    """Return what Windows would call a connection, without number."""
    if connection.characteristics & _VIRTUAL:
        return _SOFT
    if connection.media is MediaType.BRIDGE:
        return "Network Bridge"
    if connection.media is not MediaType.LAN:
        return _valid(connection.interface) or "Connection"
    if connection.kind.startswith("Wi-Fi"):
        return "Wi-Fi"
    return "Bluetooth Network Connection" if connection.kind.startswith("Bluetooth") else "Ethernet"


def _valid(text: str) -> str:
    """Return *text* as a name that Windows takes, "" when nothing is left of it."""
    name = _FORBIDDEN.sub("_", text).strip()
    # room for a number; a character outside the basic plane is two units
    return name.encode("utf-16-le", "replace")[: 2 * (MAX_NAME - 8)].decode("utf-16-le", "ignore").strip()


def _free(stem: str, taken: Mapping[str, UUID]) -> str:
    """Return the first name that nobody has: *stem*, *stem* 2, ...; soft adapters have a number from the first on."""
    number = 1
    name = f"{stem} 1" if stem == _SOFT else stem
    while name.casefold() in taken:
        number += 1
        name = f"{stem} {number}"
    return name
