"""Whom our name server asks: by the public connection, or nobody."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network

from icshare.model.connection import MediaType
from icshare.model.link import RT_MAIN, Link, Route
from icshare.model.sharing import Segment
from icshare.model.snapshot import Snapshot
from icshare.plan.classify import classify
from icshare.plan.wayout import is_wide


def may_ask_here(public: Link, *, pinned: bool) -> bool:
    """Tell whether our name server may ask a program on this host.

    That program asks others in turn, by the host's routes. These lead elsewhere when the public connection does not
    carry the host's default route (*pinned*), and when it is a tunnel they will lead elsewhere when it breaks.
    """
    return not pinned and classify(public).media is not MediaType.TUNNEL


def tells_name_servers(public: Link) -> bool:
    """Tell whether the other end of a public connection tells pppd whom to ask."""
    return public.facts.ppp is not None and public.facts.ppp.asks_dns and not public.facts.ppp.server


def detours(
    snapshot: Snapshot, public: Link, segments: Sequence[Segment], servers: Sequence[IPv4Address], *, here: bool
) -> dict[IPv4Address, str]:
    """Return those of *servers* that may not be asked, and for each why, one clause for people."""
    allowed = {public.name, *(segment.interface for segment in segments)}
    links = {link.index: link.name for link in snapshot.links}
    found = {}
    for server in servers:
        if server.is_loopback:
            if not here:
                found[server] = f"{server} is a program on this host, which may ask by another connection"
            continue
        route = _specific(snapshot, server)
        name = links.get(route.index) if route is not None and route.index is not None else None
        if name is not None and name not in allowed:
            found[server] = f"{server} is behind {name}, not behind {public.name}"
    return found


def _specific(snapshot: Snapshot, server: IPv4Address) -> Route | None:
    """Return the route to *server* that is not for the Internet at large."""
    found = [
        (route.destination.prefixlen, route)
        for route in snapshot.routes
        if route.table == RT_MAIN
        and isinstance(route.destination, IPv4Network)
        and not is_wide(route.destination)
        and server in route.destination
    ]
    return max(found, key=lambda one: one[0])[1] if found else None
