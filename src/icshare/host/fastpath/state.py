"""What of the fast path runs in the network namespace that this process is in, and telling it of changes."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final

from icshare.host.fastpath import libbpf
from icshare.host.fastpath.attachments import CONFIG_MAP, Links, look_if_allowed, open_maps
from icshare.host.netlink import NetlinkSocket
from icshare.wire import fastpath as wire

FIRST: Final = bytes(4)
"""Key of the only element of a map."""


def running() -> str | None:
    """Return the digest of the configuration in force; None unless it is in force as a whole on the links as they are.

    None as well without the privilege to look.

    Raises:
        HostError: The kernel could not be read.
    """
    with ExitStack() as held:
        kernel = held.enter_context(NetlinkSocket())
        return in_force(look_if_allowed(kernel, held), held)


def refresh() -> None:
    """Have every flow prove itself anew, after the ruleset, routes or marks have changed.

    When this returns, no packet is sent on by a decision from before the change. One process at a time may call it.
    A process that may not look at programs (without CAP_SYS_ADMIN) leaves it to them: that a ruleset has changed they
    notice by themselves within a second.

    Raises:
        HostError: The kernel refused.
    """
    with ExitStack() as held:
        kernel = held.enter_context(NetlinkSocket())
        links = look_if_allowed(kernel, held)
        if links.ours:
            libbpf.wait_for_readers()
            begin_generation(links, held)


def in_force(links: Links, held: ExitStack) -> str | None:
    """Return the digest of the configuration that all programs share, None when they share none or one is missing."""
    configs = maps_named(links, held, CONFIG_MAP)
    if len(configs) != 1 or configs[0].layout.value_size != wire.CONFIG.size:
        return None
    config = wire.decode_config(configs[0].lookup(FIRST) or b"")
    if config.attachments != len(links.ours):
        return None
    noted = maps_named(links, held, "links")
    by_index = {int(link.index): link for link in links.present.values()}
    if len(noted) != 1 or not wire.links_are_as_noted(noted[0].items(), by_index):
        return None
    return config.digest


def begin_generation(links: Links, held: ExitStack) -> None:
    """Have every flow of the programs on *links* prove itself anew."""
    for one in maps_named(links, held, CONFIG_MAP):
        present = wire.decode_config(one.lookup(FIRST) or b"")
        one.update(FIRST, wire.next_generation(present).encode())


def maps_named(links: Links, held: ExitStack, name: str) -> list[libbpf.Map]:
    """Return the maps of one name of all programs of ours, each once."""
    return [maps[name] for maps in sets_of_maps(links, held, name)]


def sets_of_maps(links: Links, held: ExitStack, distinct: str) -> list[Mapping[str, libbpf.Map]]:
    """Return the maps of each program of ours; of those that share the map called *distinct*, one program's."""
    found: dict[int, Mapping[str, libbpf.Map]] = {}
    for program in {one.program for one in links.ours}:
        maps = open_maps(program, held)
        if distinct in maps:
            found[maps[distinct].id] = maps
    return list(found.values())
