"""Which way out of the host: routes for the Internet at large."""

from ipaddress import IPv4Network, IPv6Network

from icshare.model.link import IFF_POINTOPOINT, RT_DEFAULT, RT_LOCAL, RT_MAIN, RTN_UNICAST, Link, Route
from icshare.model.snapshot import Snapshot

WIDEST = 7
"""Longest prefix of a route for the Internet at large. VPN clients leave the default route alone and cover it with two
halves (0.0.0.0/1, 128.0.0.0/1) or smaller pieces; the widest network that somebody can have, 10.0.0.0/8, is longer."""

DEFAULT = IPv4Network("0.0.0.0/0")


def way_out(baseline: Snapshot, public: Link) -> Route | None:
    """Return the default route that clients need to leave by *public*, None when it is the host's own way out.

    A tunnel leads there, whether or not the host itself goes by it. None too for a link that is down, and for one that
    is no tunnel and has no gateway: nothing leads anywhere, and the kill switch keeps clients from taking another way.

    Policy rules count: wg-quick and other VPN clients keep the default route and put theirs into a table of their own,
    which a rule asks first.
    """
    ways = sorted(
        (route for route in baseline.routes if _is_way_out(route)),
        key=lambda route: (-route.destination.prefixlen, route.metric),
    )
    best: dict[IPv4Network | IPv6Network, Route] = {}
    for route in ways:
        best.setdefault(route.destination, route)
    longest = max((destination.prefixlen for destination in best), default=0)
    leading = [route for destination, route in best.items() if destination.prefixlen == longest]
    leading += _by_rules(baseline)
    if not public.up or (leading and all(route.index == public.index for route in leading)):
        return None
    own = [route for route in ways if route.index == public.index]
    if own:
        return min(own, key=lambda route: (route.destination.prefixlen, route.metric))
    return Route(destination=DEFAULT, index=public.index) if public.flags & IFF_POINTOPOINT else None


def _by_rules(baseline: Snapshot) -> list[Route]:
    """Return the wide routes that rules for packets of all kinds lead to, in other tables than the ordinary ones."""
    tables = {rule.table for rule in baseline.rules if rule.family == 4 and not rule.iif and not rule.selective} - {
        RT_DEFAULT,
        RT_MAIN,
        RT_LOCAL,
    }
    return [
        route
        for route in baseline.routes
        if route.table in tables and route.type == RTN_UNICAST and is_wide(route.destination)
    ]


def _is_way_out(route: Route) -> bool:
    return route.table == RT_MAIN and route.type == RTN_UNICAST and is_wide(route.destination)


def is_wide(destination: IPv4Network | IPv6Network) -> bool:
    """Tell whether a route to *destination* is for the Internet at large, not for a network that somebody has."""
    return isinstance(destination, IPv4Network) and destination.prefixlen <= WIDEST
