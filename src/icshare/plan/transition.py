"""What a step does to a host, as a pure function on snapshots.

The planner rewinds the observed host through the journal with it (what would be here if we were not?), the engine asks
it whether a step is still in force, and the fake host of the tests is nothing else. It models what sharing looks at,
not the whole kernel: of the routes that come and go with an address only the connected one is followed.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from icshare.model.link import (
    IFF_UP,
    NUD_PERMANENT,
    RTPROT_KERNEL,
    Address,
    IfIndex,
    Link,
    LinkFacts,
    Neighbour,
    Route,
    Rule,
)
from icshare.model.names import MacAddress
from icshare.model.snapshot import Snapshot
from icshare.model.wifi import InterfaceType, is_ap_link
from icshare.plan import steps as s
from icshare.plan.steps import AnyStep, LinkRef

_IPV4 = 4


def after(snapshot: Snapshot, step: AnyStep) -> Snapshot:  # noqa: C901, PLR0911, PLR0912 (one case per kind of step)
    """Return the host as it is after *step*; the very same snapshot when the step is already in force.

    Steps are tolerant, as on the real host: removing what is gone, or changing a link that is gone, changes nothing.
    """
    match step:
        case s.LoadRuleset():
            return _changed(snapshot, ruleset=s.digest(step.text))
        case s.DropRuleset():
            return _changed(snapshot, ruleset=None)
        case s.LoadFirewall():
            return _changed(snapshot, firewall=s.digest(step.text))
        case s.DropFirewall():
            return _changed(snapshot, firewall=None)
        case s.StartLog():
            return _changed(snapshot, log=s.digest(step.text))
        case s.StopLog():
            return _changed(snapshot, log=None)
        case s.CreateBridge():
            return _create_bridge(snapshot, step)
        case s.DeleteBridge():
            return _delete_link(snapshot, step.name)
        case s.SetMaster():
            return _set_master(snapshot, step)
        case s.SetUp():
            found = find(snapshot, step.link)
            flags = found.flags if found else 0
            return _set_link(snapshot, step.link, flags=flags | IFF_UP if step.up else flags & ~IFF_UP)
        case s.SetSysctl():
            return _set_sysctl(snapshot, step)
        case s.AddAddress():
            return _add_address(snapshot, step)
        case s.RemoveAddress():
            return _remove_address(snapshot, step)
        case s.AddRoute() | s.RemoveRoute():
            return _change_route(snapshot, step)
        case s.AddNeighbour() | s.RemoveNeighbour():
            return _change_neighbour(snapshot, step)
        case s.AddRule() | s.RemoveRule():
            return _change_rule(snapshot, step)
        case s.ProbeDhcp() | s.ForgetProbe():
            return snapshot
        case s.StartService():
            return _changed(snapshot, service=s.digest(step.text))
        case s.StopService():
            return _changed(snapshot, service=None)
        case s.SetCountry():
            return _changed(snapshot, country=step.country)
        case s.CreateAccessPointLink():
            return _create_access_point_link(snapshot, step)
        case s.DeleteAccessPointLink():
            return _delete_link(snapshot, step.name)
        case s.SetInterfaceType():
            return _set_interface_type(snapshot, step)
        case s.StartAccessPoint():
            return _serve(snapshot, step)
        case s.StopAccessPoint():
            return _serve(snapshot, step)
        case s.SetConntrack():
            return _changed(snapshot, conntrack={**snapshot.conntrack, step.setting: step.value})
        case s.StartFastPath():
            return _changed(snapshot, fast_path=s.digest(step.text))
        case s.StopFastPath():
            return _changed(snapshot, fast_path=None)
        case _:
            assert_never(step)


def rewind(snapshot: Snapshot, done: Iterable[AnyStep]) -> Snapshot:
    """Return the host as it would be had the steps *done*, oldest first, never been made."""
    for step in reversed(tuple(done)):
        snapshot = after(snapshot, step.inverse())
    return snapshot


def in_force(snapshot: Snapshot, step: AnyStep) -> bool:
    """Tell whether *step* would change nothing; no when a link that it needs is not there."""
    return not _lacks_link(snapshot, step) and after(snapshot, step) == snapshot


def _lacks_link(snapshot: Snapshot, step: AnyStep) -> bool:
    match step:
        case s.SetMaster(master=master):
            return find(snapshot, step.link) is None or (master is not None and snapshot.link(master) is None)
        case s.SetUp() | s.SetSysctl() | s.AddAddress() | s.AddRoute() | s.AddNeighbour() | s.SetInterfaceType():
            return find(snapshot, step.link) is None
        case _:
            return False


def sysctl_key(link: str, setting: str) -> str:
    """Return the key under which a snapshot keeps a link's setting."""
    return f"{link}/{setting}"


def find(snapshot: Snapshot, ref: LinkRef) -> Link | None:
    """Return the link that *ref* means, None when that very device is gone."""
    if ref.index:
        return snapshot.link_by_index(IfIndex(ref.index))
    return snapshot.link(ref.name)


def _changed(snapshot: Snapshot, **fields: object) -> Snapshot:
    if all(getattr(snapshot, name) == value for name, value in fields.items()):
        return snapshot
    return replace(snapshot, **fields)  # type: ignore[arg-type]


def _set_link(snapshot: Snapshot, ref: LinkRef, **fields: object) -> Snapshot:
    link = find(snapshot, ref)
    if link is None or all(getattr(link, name) == value for name, value in fields.items()):
        return snapshot
    changed = replace(link, **fields)  # type: ignore[arg-type]
    return replace(snapshot, links=tuple(changed if one is link else one for one in snapshot.links))


def _set_master(snapshot: Snapshot, step: s.SetMaster) -> Snapshot:
    if step.master is None:
        return _set_link(snapshot, step.link, master=None)
    master = snapshot.link(step.master)
    return _set_link(snapshot, step.link, master=master.index) if master else snapshot


def _set_sysctl(snapshot: Snapshot, step: s.SetSysctl) -> Snapshot:
    link = find(snapshot, step.link)
    if link is None:
        return snapshot
    return _changed(snapshot, sysctls={**snapshot.sysctls, sysctl_key(link.name, step.setting): step.value})


def _create_bridge(snapshot: Snapshot, step: s.CreateBridge) -> Snapshot:
    existing = snapshot.link(step.name)
    if existing is not None:
        return _set_link(snapshot, LinkRef(step.name, existing.index), mtu=step.mtu)
    return _with_link(
        snapshot, Link(index=_next(snapshot), name=step.name, kind="bridge", mtu=step.mtu, address=step.mac)
    )


def _create_access_point_link(snapshot: Snapshot, step: s.CreateAccessPointLink) -> Snapshot:
    if snapshot.link(step.name) is not None:
        return snapshot
    facts = LinkFacts(wireless=True, wireless_type=InterfaceType.AP, radio=step.radio, hardware=True)
    return _with_link(snapshot, Link(index=_next(snapshot), name=step.name, facts=facts))


def _next(snapshot: Snapshot) -> IfIndex:
    return IfIndex(max((link.index for link in snapshot.links), default=0) + 1)


def _with_link(snapshot: Snapshot, link: Link) -> Snapshot:
    """Return *snapshot* with a new link, which has the settings that new links get."""
    defaults = [key for key in snapshot.sysctls if key.startswith("default/")]
    settings = {sysctl_key(link.name, key.removeprefix("default/")): snapshot.sysctls[key] for key in defaults}
    return replace(snapshot, links=(*snapshot.links, link), sysctls={**snapshot.sysctls, **settings})


def _set_interface_type(snapshot: Snapshot, step: s.SetInterfaceType) -> Snapshot:
    link = find(snapshot, step.link)
    if link is None:
        return snapshot
    changes = link.facts.wireless_type != step.type
    flags = link.flags | IFF_UP if step.up else link.flags & ~IFF_UP if changes else link.flags
    facts = replace(link.facts, wireless_type=step.type, frequency=None, ssid="") if changes else link.facts
    return _set_link(snapshot, step.link, flags=flags, facts=facts)


def _serve(snapshot: Snapshot, step: s.StartAccessPoint | s.StopAccessPoint) -> Snapshot:
    """Start or stop the access point.

    NetworkManager gives the link the type that it needs, and takes away what is on it; hostapd leaves it as it is.
    """
    starts = isinstance(step, s.StartAccessPoint)
    changed = _changed(snapshot, access_point=step.version if starts else None)
    link = snapshot.link(step.link)
    if changed is snapshot or not step.networkmanager or link is None:
        return changed
    kind = InterfaceType.AP if starts or is_ap_link(step.link) else InterfaceType.STATION
    facts = link.facts
    if facts.wireless_type != kind:
        facts = replace(facts, wireless_type=kind, frequency=None, ssid="")
    bare = _set_link(changed, LinkRef(step.link, link.index), facts=facts, master=None)
    return replace(
        bare,
        addresses=tuple(one for one in bare.addresses if one.index != link.index or one.interface.version != _IPV4),
        routes=tuple(one for one in bare.routes if one.index != link.index or one.destination.version != _IPV4),
    )


def _delete_link(snapshot: Snapshot, name: str) -> Snapshot:
    link = snapshot.link(name)
    if link is None:
        return snapshot
    return replace(
        snapshot,
        links=tuple(
            replace(one, master=None) if one.master == link.index else one
            for one in snapshot.links
            if one.index != link.index
        ),
        addresses=tuple(address for address in snapshot.addresses if address.index != link.index),
        neighbours=tuple(one for one in snapshot.neighbours if one.index != link.index),
        routes=tuple(route for route in snapshot.routes if route.index != link.index),
        sysctls={key: value for key, value in snapshot.sysctls.items() if not key.startswith(f"{name}/")},
    )


def _add_address(snapshot: Snapshot, step: s.AddAddress) -> Snapshot:
    link = find(snapshot, step.link)
    if link is None or any(_is_address(one, link, step) for one in snapshot.addresses):
        return snapshot
    new = Address(index=link.index, interface=step.address, peer=step.peer, raw=step.raw)
    network = new.connected
    secondary = any(one.index == link.index and one.connected == network for one in snapshot.addresses)
    address = replace(new, secondary=secondary)
    before = tuple(one for one in snapshot.addresses if one.index <= link.index)  # the kernel lists them by link
    addresses = (*before, address, *(one for one in snapshot.addresses if one.index > link.index))
    if secondary:
        return replace(snapshot, addresses=addresses)
    route = Route(destination=network, index=link.index, protocol=RTPROT_KERNEL)
    return replace(snapshot, addresses=addresses, routes=(*snapshot.routes, route))


def _remove_address(snapshot: Snapshot, step: s.RemoveAddress) -> Snapshot:
    link = find(snapshot, step.link)
    if link is None:
        return snapshot
    gone = next((one for one in snapshot.addresses if _is_address(one, link, step)), None)
    if gone is None:
        return snapshot
    kept = tuple(one for one in snapshot.addresses if one is not gone)
    shared = any(one.index == link.index and one.connected == gone.connected for one in kept)
    routes = tuple(
        route
        for route in snapshot.routes
        if shared
        or not (route.index == link.index and route.protocol == RTPROT_KERNEL and route.destination == gone.connected)
    )
    return replace(snapshot, addresses=kept, routes=routes)


def _is_address(one: Address, link: Link, step: s.AddAddress | s.RemoveAddress) -> bool:
    return (one.index, one.interface, one.peer) == (link.index, step.address, step.peer)


def _change_route(snapshot: Snapshot, step: s.AddRoute | s.RemoveRoute) -> Snapshot:
    link = find(snapshot, step.link)
    if link is None:
        return snapshot
    same = [
        route
        for route in snapshot.routes
        if (route.index, route.destination, route.gateway, route.table, route.metric)
        == (link.index, step.destination, step.gateway, step.table, step.metric)
    ]
    if isinstance(step, s.RemoveRoute):
        return (
            replace(snapshot, routes=tuple(route for route in snapshot.routes if route not in same))
            if same
            else snapshot
        )
    if same:
        return snapshot
    route = Route(
        table=step.table,
        destination=step.destination,
        gateway=step.gateway,
        index=link.index,
        metric=step.metric,
        protocol=step.protocol,
        raw=step.raw,
    )
    others = snapshot.routes if step.raw else tuple(one for one in snapshot.routes if not _displaces(route, one))
    return replace(snapshot, routes=(*others, route))


def _displaces(new: Route, old: Route) -> bool:
    return (new.destination, new.table, new.metric) == (old.destination, old.table, old.metric)


def _change_rule(snapshot: Snapshot, step: s.AddRule | s.RemoveRule) -> Snapshot:
    accounts = None if step.account is None else (step.account, step.account)
    rule = Rule(family=4, priority=step.priority, iif=step.link or "", accounts=accounts)
    if isinstance(step, s.RemoveRule):
        kept = tuple(one for one in snapshot.rules if one != rule)
        return _changed(snapshot, rules=kept)
    return snapshot if rule in snapshot.rules else replace(snapshot, rules=(*snapshot.rules, rule))


def _change_neighbour(snapshot: Snapshot, step: s.AddNeighbour | s.RemoveNeighbour) -> Snapshot:
    link = find(snapshot, step.link)
    if link is None:
        return snapshot
    others = tuple(one for one in snapshot.neighbours if (one.index, one.address) != (link.index, step.address))
    known = len(others) < len(snapshot.neighbours)
    if isinstance(step, s.RemoveNeighbour):
        return replace(snapshot, neighbours=others) if known else snapshot
    if known:
        return snapshot
    neighbour = Neighbour(
        index=link.index, address=step.address, mac=MacAddress(step.mac), state=NUD_PERMANENT, raw=step.raw
    )
    return replace(snapshot, neighbours=(*snapshot.neighbours, neighbour))
