"""What this machine can do for a fast path: its links, its kernel, and the rules of others."""

from collections.abc import Sequence
from dataclasses import replace

from icshare.errors import PrivilegeError
from icshare.host import fastpath, ruleset
from icshare.model.fastpath import Abilities
from icshare.model.names import InterfaceName
from icshare.plan.metering import find_early, find_metering


def abilities(names: Sequence[InterfaceName]) -> Abilities | None:
    """Return what the links called *names* can do, None without the privilege to look.

    Raises:
        HostError: The kernel could not be read.
    """
    if not ruleset.may_look():
        return None
    try:
        _, listing = ruleset.foreign()
        found = fastpath.probe(names)
    except PrivilegeError:
        return None
    return replace(found, metering=find_metering(listing), early=find_early(listing))
