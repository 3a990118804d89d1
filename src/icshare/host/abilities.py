"""What this machine can do for a fast path: its links, its kernel, and the rules of others."""

from collections.abc import Sequence
from dataclasses import replace

from icshare.errors import IcshareError, PrivilegeError
from icshare.host import fastpath, ruleset
from icshare.model.fastpath import Abilities
from icshare.model.names import InterfaceName
from icshare.plan.metering import find_bridging, find_hooked, find_metering
from icshare.render.fastpath import Hook


class Refusals:
    """What links were thought to do, and refused when it was asked of them."""

    def __init__(self) -> None:
        """Nothing has been refused yet."""
        self._xdp = self._programs = ""

    def take(self, text: str, error: IcshareError) -> bool:
        """Note that programs with the configuration *text* were refused; False when nothing is left to give up."""
        if not self._xdp and f'"{Hook.XDP}"' in text:
            self._xdp = error.message
            return True
        if self._programs:
            return False
        self._programs = error.message
        return True

    def abilities(self, names: Sequence[InterfaceName]) -> Abilities | None:
        """Return what the links called *names* can do, as far as it was not refused. Errors as in `abilities`."""
        found = abilities(names)
        if found is None:
            return None
        links, kernel = found.links, found.kernel
        if self._xdp:
            links = tuple(replace(one, native_xdp=False, why_not_native=self._xdp) for one in links)
        if self._programs:
            kernel = replace(kernel, bpf=False, why_not_bpf=self._programs)
        return replace(found, links=links, kernel=kernel)


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
    return replace(found, metering=find_metering(listing), bridging=find_bridging(listing), hooked=find_hooked(listing))
