"""The steps that change links and what is on them, for the most part one message of rtnetlink each."""

import errno
import time
from collections.abc import Callable
from ipaddress import IPv4Address

from icshare.errors import HostError
from icshare.host import ruleset, sysctl
from icshare.host.dhcp_probe import send_probe
from icshare.host.netlink import NetlinkSocket
from icshare.host.networkmanager import leave_alone
from icshare.host.radios import Radios
from icshare.model.link import NUD_PERMANENT, Address, IfIndex, Link, Neighbour, Route
from icshare.model.names import MacAddress
from icshare.model.wifi import InterfaceType
from icshare.plan import steps as s
from icshare.plan.steps import AnyStep, LinkRef
from icshare.wire import rtchange
from icshare.wire.netlink import Request

_OWN_LABEL = "icshare"


class LinkSteps:
    """Takes these steps."""

    def __init__(self, kernel: NetlinkSocket) -> None:
        """Take the socket."""
        self._kernel = kernel

    def run(self, step: AnyStep) -> None:  # noqa: C901, PLR0912 (one case per kind of step)
        """Make one change; errors as for `LinuxHost.run`."""
        match step:
            case s.CreateBridge():
                self._create_bridge(step)
            case s.DeleteBridge():
                if link := self._kernel.find_link(step.name):
                    if link.kind != "bridge":
                        raise HostError(f"{step.name} is not the bridge that icshare made")
                    self._request(rtchange.delete_link(link.index), errno.ENODEV)
            case s.CreateAccessPointLink():
                if self._kernel.find_link(step.name) is None:
                    with Radios() as radios:
                        radios.create_link(step.radio, step.name)
                if not step.networkmanager:  # at once: when it lets go of a link, it takes away what is on it
                    leave_alone(step.name)
            case s.DeleteAccessPointLink():
                if link := self._kernel.find_link(step.name):
                    with Radios() as radios:
                        radios.delete_link(link.index)
            case s.SetInterfaceType():
                if link := self._find(step.link):
                    with Radios() as radios:
                        radios.set_type(self._kernel, link, InterfaceType(step.type), up=step.up)
            case s.SetMaster():
                self._set_master(step)
            case s.SetUp():
                if link := self._find(step.link):
                    self._request(rtchange.set_up(link.index, up=step.up), errno.ENODEV)
            case s.SetSysctl():
                if link := self._find(step.link):
                    sysctl.write_setting(link.name, step.setting, step.value)
            case s.AddAddress():
                self._add_address(step)
            case s.RemoveAddress():
                self._remove_address(step)
            case s.AddRoute() | s.RemoveRoute():
                self._change_route(step)
            case s.AddNeighbour() | s.RemoveNeighbour():
                self._change_neighbour(step)
            case s.AddRule():
                self._request(_rule(step, rtchange.add_rule), errno.EEXIST)
            case s.RemoveRule():
                self._request(_rule(step, rtchange.delete_rule), errno.ENOENT)
            case s.ProbeDhcp():
                ruleset.open_dhcp_window()
                if link := self._kernel.find_link(step.link):
                    send_probe(step.link, link.index, MacAddress(link.address))
            case _:
                raise AssertionError(step)

    def _find(self, ref: LinkRef) -> Link | None:
        """Return the link that *ref* means, None when that very device is gone."""
        if not ref.index:
            return self._kernel.find_link(ref.name)
        return self._kernel.find_link_by_index(IfIndex(ref.index))

    def _request(self, request: Request, *tolerated: int) -> None:
        try:
            self._kernel.request(request)
        except HostError as error:
            if error.errno not in tolerated:
                raise

    def _create_bridge(self, step: s.CreateBridge) -> None:
        link = self._kernel.find_link(step.name)
        if link is None:
            self._request(rtchange.create_bridge(step.name, mac=MacAddress(step.mac), mtu=step.mtu))
        elif link.mtu != step.mtu:
            self._request(rtchange.set_mtu(link.index, step.mtu))

    def _set_master(self, step: s.SetMaster) -> None:
        link = self._find(step.link)
        if link is None:
            return
        master = self._kernel.find_link(step.master) if step.master else None
        if step.master and master is None:
            raise HostError(f"{step.master} is gone, {step.link} cannot become its port")
        self._request(rtchange.set_master(link.index, master.index if master else None))

    def _add_address(self, step: s.AddAddress) -> None:
        link = self._find(step.link)
        if link is None:
            return
        if step.holds_routes:  # pppd and its like take and give the address that has the link's name as its label
            request = rtchange.add_address(link.index, step.address, label=_OWN_LABEL, host_scope=True)
            self._request(request, errno.EEXIST)
            return
        if not step.raw:
            self._request(rtchange.add_address(link.index, step.address), errno.EEXIST)
            return
        elapsed = int(time.clock_gettime(time.CLOCK_BOOTTIME) - step.taken)
        address = Address(index=link.index, interface=step.address, raw=step.raw)
        restored = rtchange.restore_address(address, elapsed_seconds=max(elapsed, 0))
        if restored is not None:
            self._request(restored, errno.EEXIST)

    def _remove_address(self, step: s.RemoveAddress) -> None:
        link = self._find(step.link)
        if link is None:
            return
        address = Address(index=link.index, interface=step.address, raw=step.raw)
        self._request(rtchange.delete_address(address), errno.EADDRNOTAVAIL)
        if step.served:
            self._forget_clients(link.index, step)

    def _forget_clients(self, index: IfIndex, step: s.RemoveAddress) -> None:
        for neighbour in self._kernel.neighbours():
            if (
                neighbour.index == index
                and isinstance(neighbour.address, IPv4Address)
                and neighbour.address in step.address.network
                and not neighbour.state & NUD_PERMANENT
            ):
                self._request(rtchange.delete_neighbour(neighbour), errno.ENOENT)

    def _change_route(self, step: s.AddRoute | s.RemoveRoute) -> None:
        link = self._find(step.link)
        if link is None:
            return
        route = Route(
            table=step.table,
            destination=step.destination,
            gateway=step.gateway,
            index=link.index,
            metric=step.metric,
            protocol=step.protocol,
            raw=step.raw,
        )
        if isinstance(step, s.RemoveRoute):
            self._request(rtchange.delete_route(route), errno.ESRCH)
            return
        request = rtchange.restore_route(route) if step.raw else rtchange.add_route(route)
        if request is not None:
            self._request(request, errno.EEXIST)

    def _change_neighbour(self, step: s.AddNeighbour | s.RemoveNeighbour) -> None:
        link = self._find(step.link)
        if link is None:
            return
        neighbour = Neighbour(
            index=link.index, address=step.address, mac=MacAddress(step.mac), state=NUD_PERMANENT, raw=step.raw
        )
        if isinstance(step, s.AddNeighbour):
            self._request(rtchange.restore_neighbour(neighbour), errno.EEXIST)
        else:
            self._request(rtchange.delete_neighbour(neighbour), errno.ENOENT)


def _rule(step: s.AddRule | s.RemoveRule, build: Callable[..., Request]) -> Request:
    return build(
        4,
        priority=step.priority,
        iif=step.link,
        account=step.account,
        table=step.table,
        suppress_prefixlength=step.suppress_prefixlength,
    )
