"""From words on the command line to the connection and the mapping that they mean."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING
from uuid import UUID

from icshare.errors import GoneError, InvalidRequestError

if TYPE_CHECKING:
    from icshare.cli.session import Manager
    from icshare.model.connection import Connection
    from icshare.model.mapping import PortMapping

_NUMBER = re.compile(r"#([0-9]{1,18})")
_FEW = 10


def connection_named(connections: "Sequence[Connection]", name: str) -> "Connection":
    """Return the connection with interface *name*, of two the one that is present; else the pppd peer *name*.

    Raises:
        InvalidRequestError: There is none.
    """
    found = [one for one in connections if one.interface == name] or [one for one in connections if one.peer == name]
    if not found or not name:
        names = [*(one.interface for one in connections), *(one.peer for one in connections if one.peer)]
        close = get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else "icshare list --all shows them all"
        raise InvalidRequestError(f"there is no connection {name!r:.80}", hint=hint)
    return next((one for one in found if one.status.name != "HARDWARE_NOT_PRESENT"), found[0])


def connection_for_mapping(manager: "Manager", name: str | None) -> UUID:
    """Return the GUID of the connection that a new mapping is for.

    Without a name it is the public one, else the only one that has mappings or a firewall.

    Raises:
        InvalidRequestError: There is none of that name, or none can be told without one.
    """
    known = manager.connections()
    if name is not None:
        return connection_named(known, name).guid
    public = next((one.guid for one in known if one.role == "public"), None)
    if public is not None:
        return public
    used = {one.connection for one in manager.mappings.all()}
    used |= {one.guid for one in known if manager.firewall(one.guid) is not None}
    if len(used) == 1:
        return used.pop()
    several = ", ".join(sorted(one.interface for one in known if one.guid in used)[:_FEW])
    raise InvalidRequestError(
        f"it is not clear which connection the mapping is for: {several} could be meant"
        if several
        else "it is not clear which connection the mapping is for: none is public, none has a firewall",
        hint="name it by --connection INTERFACE, or share it first: icshare share PUBLIC PRIVATE...",
    )


def mapping_named(mappings: "Sequence[PortMapping]", word: str) -> "PortMapping":
    """Return the mapping that *word* means: its name, or ``#`` and its number.

    Raises:
        GoneError: None has that number.
        InvalidRequestError: None, or more than one, has that name.
    """
    number = _NUMBER.fullmatch(word)
    if number:
        numbered = next((one for one in mappings if one.number == int(number[1])), None)
        if numbered is None:
            raise GoneError(f"there is no mapping {word}", hint="icshare map list shows them all")
        return numbered
    found = [one for one in mappings if one.name == word]
    if not found:
        close = get_close_matches(word, [one.name for one in mappings], n=1)
        hint = f"did you mean {close[0]}?" if close else "icshare map list shows them all"
        raise InvalidRequestError(f"there is no mapping {word!r:.80}", hint=hint)
    if len(found) > 1:
        numbers = " or ".join(f"'#{one.number}'" for one in found[:_FEW])
        raise InvalidRequestError(
            f"{len(found)} mappings have the name {word!r:.80}", hint=f"call it by its number, in quotes: {numbers}"
        )
    return found[0]


def check_new_name(mappings: "Sequence[PortMapping]", name: str) -> str:
    """Return *name* if a mapping can be called by it on the command line from now on.

    Raises:
        InvalidRequestError: It is no name for a mapping, looks like a number, or another mapping has it.
    """
    from icshare.model.mapping import check_mapping_name

    check_mapping_name(name)
    if _NUMBER.fullmatch(name):
        raise InvalidRequestError(f"{name} is how mappings are called by their numbers, so it can be no name")
    if any(one.name == name for one in mappings):
        raise InvalidRequestError(
            f"there is a mapping {name!r:.80} already",
            hint="choose another name: on the command line a mapping is called by it; icshare map list shows them all",
        )
    return name
