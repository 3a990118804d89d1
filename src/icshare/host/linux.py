"""The machine itself: `LinuxHost` reads it and takes one step at a time.

Every step is tolerant, so that it may be repeated after a crash: an address that is there, a rule that is gone, a link
that was unplugged are no errors. What a step finds in the way that it did not expect is one.
"""

import errno
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from pathlib import Path

from icshare.errors import HostError, PrivilegeError
from icshare.host import checks, doctor, ruleset, sysctl
from icshare.host.accesspoint import AccessPointService, NoPassphrases, Passphrases
from icshare.host.dhcp_probe import send_probe
from icshare.host.linkowners import LinkOwners
from icshare.host.links import peers
from icshare.host.logservice import LogService
from icshare.host.netlink import NetlinkSocket
from icshare.host.networkmanager import NetworkManagerAccessPoint, access_point_uuid, leave_alone, managed_links
from icshare.host.preflight import preflight
from icshare.host.radios import Radios, set_country
from icshare.host.radios import look as look_at_radios
from icshare.host.regulatory import read_regulation
from icshare.host.resolvers import name_servers
from icshare.host.rfkill import refuse_blocked
from icshare.host.service import Service, account
from icshare.host.sockets import ssh_login
from icshare.host.stations import read_stations
from icshare.host.sysfs import with_facts
from icshare.model.client import Client, list_clients, parse_leases
from icshare.model.link import IFF_RUNNING, NUD_PERMANENT, Address, IfIndex, Link, Neighbour, Route
from icshare.model.names import MacAddress
from icshare.model.sharing import Segment, Sharing, Wanted
from icshare.model.snapshot import Snapshot
from icshare.model.status import Health
from icshare.model.wifi import Channel, Country, InterfaceType
from icshare.plan import steps as s
from icshare.plan.planner import Environment, Plan
from icshare.plan.regulation import channels_under
from icshare.plan.steps import AnyStep, LinkRef
from icshare.ports import Record
from icshare.render.firewall import FIREWALL_TABLE
from icshare.wire import rtchange
from icshare.wire.netlink import Request

_OWN_LABEL = "icshare"


class LinuxHost:
    """This machine, in the network namespace of this process."""

    def __init__(self, run_directory: Path, passphrases: Passphrases | None = None) -> None:
        """Take the directory for the files of what we start; nothing is read or made yet.

        Args:
            run_directory: Where these files are.
            passphrases: Where the passphrases of access points are kept, None for nowhere.
        """
        self._directory = run_directory
        self._service = Service(run_directory)
        keeper = passphrases or NoPassphrases()
        self._access_point = AccessPointService(run_directory, keeper)
        self._networkmanager = NetworkManagerAccessPoint(run_directory, keeper.find)
        self._log = LogService(run_directory)

    @property
    def service(self) -> Service:
        """Our dnsmasq."""
        return self._service

    @property
    def environment(self) -> Environment:
        """Paths and accounts for the planner."""
        return Environment(
            files=self._service.files,
            user=account(),
            account=self._service.account,
            profile=access_point_uuid(self._directory),
            channels_in=_channels_in,
        )

    def observe(self) -> Snapshot:
        """Read the host.

        Raises:
            HostError: It could not be read.
        """
        with NetlinkSocket() as kernel:
            bare = kernel.links()
            owners = LinkOwners(links=[one.name for one in bare])
            links = with_facts(bare, owners=owners)
            wireless = any(link.facts.radio is not None for link in links)
            radios, country = look_at_radios() if wireless else ((), "")
            return Snapshot(
                links=links,
                peers=peers(self._directory, owners),
                addresses=kernel.addresses(),
                routes=kernel.routes(),
                rules=kernel.rules(),
                neighbours=tuple(
                    one
                    for one in kernel.neighbours()
                    if one.state & NUD_PERMANENT and isinstance(one.address, IPv4Address)
                ),
                sysctls=sysctl.read_settings(link.name for link in links),
                ruleset=ruleset.loaded(),
                firewall=ruleset.loaded(FIREWALL_TABLE),
                log=self._log.running(),
                service=self._service.running(),
                access_point=self._serving(links) if wireless else None,
                radios=radios,
                managed=managed_links() if wireless else frozenset(),
                country=country,
                resolvers=tuple(one for one in name_servers() if isinstance(one, IPv4Address)),
                boot_seconds=time.clock_gettime(time.CLOCK_BOOTTIME),
            )

    def _serving(self, links: Sequence[Link]) -> str | None:
        """Return the version of the access point in force, None when there is none."""
        serving = {
            one.name for one in links if one.facts.wireless_type == InterfaceType.AP and one.facts.frequency is not None
        }
        own = self._access_point.running(serving)
        return own if own is not None else self._networkmanager.running()

    def addresses_of(self, name: str) -> tuple[IPv4Address, ...]:
        """Return the IPv4 addresses of a link, () when it is gone.

        Raises:
            HostError: They could not be read.
        """
        with NetlinkSocket() as kernel:
            link = kernel.find_link(name)
            found = [one.interface.ip for one in kernel.addresses() if link is not None and one.index == link.index]
        return tuple(one for one in found if isinstance(one, IPv4Address))

    def preflight(self, plan: Plan) -> None:
        """Check, without changing anything, what only the machine knows.

        Raises:
            ConflictError: A port is taken on an address of the segment.
            NotSupportedError: A tool or kernel feature is missing.
            PrivilegeError: A capability is missing.
        """
        preflight(plan, own={process.pid for process in self._service.processes()})
        for segment in plan.segments:
            if segment.access_point is not None:
                refuse_blocked(segment.access_point.radio_name)
        for step in plan.steps:
            if isinstance(step, s.StartAccessPoint):
                self._access_point.check(step)

    def check(self, wanted: Wanted, segments: Sequence[Segment]) -> Health:
        """Test from end to end that what is wanted works now."""
        return checks.check(self.observe(), wanted, segments, self._service)

    def administrator_login(self, public: str) -> int | None:
        """Return the port of the administrator's own SSH login when it came in by *public*, None otherwise."""
        login = ssh_login()
        if login is None:
            return None
        with NetlinkSocket() as kernel:
            link = kernel.find_link(public)
            mine = link is not None and any(
                one.index == link.index and one.interface.ip == login.server for one in kernel.addresses()
            )
        return login.server_port if mine else None

    def clients(self, sharing: Sharing, segments: Sequence[Segment], *, now: float) -> tuple[Client, ...]:
        """Return who is on the segments, by address.

        Args:
            sharing: The present sharing.
            segments: Its segments.
            now: Seconds since the epoch.
        """
        try:
            leases = parse_leases(self._service.leases.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            leases = ()
        with NetlinkSocket() as kernel:
            links = {link.name: link for link in kernel.links()}
            indices = {links[one.interface].index for one in segments if one.interface in links}
            neighbours = [one for one in kernel.neighbours() if one.index in indices]
        try:
            traffic = ruleset.client_traffic()
        except PrivilegeError:
            traffic = {}
        peers = {
            one.network.network_address
            for one in segments
            if one.numbered and one.network.prefixlen == one.network.max_prefixlen
            if one.interface in links and _is_connected(links[one.interface])
        }
        return list_clients(
            leases,
            neighbours,
            traffic,
            now=now,
            lease_seconds=sharing.dhcp.lease_seconds,
            peers=peers,
            stations=read_stations(),
        )

    def examine(self, record: Record | None) -> Health:
        """Return what on this machine stands in the way of sharing, and what mends it."""
        return doctor.examine(self.observe(), record, self._service)

    def set_up(self, index: IfIndex, *, up: bool) -> None:
        """Bring a link up or down, at its administrator's word and not for a sharing.

        Raises:
            HostError: The kernel refused, or the link is gone.
            PrivilegeError: A capability is missing.
        """
        with NetlinkSocket() as kernel:
            kernel.request(rtchange.set_up(index, up=up))

    def set_alias(self, index: IfIndex, alias: str) -> None:
        """Give a link a name for people; errors as in `set_up`."""
        with NetlinkSocket() as kernel:
            kernel.request(rtchange.set_alias(index, alias))

    def delete_link(self, index: IfIndex) -> None:
        """Delete a virtual link; errors as in `set_up`."""
        with NetlinkSocket() as kernel:
            kernel.request(rtchange.delete_link(index))

    def run(self, step: AnyStep) -> None:  # noqa: C901 (one case per kind of step)
        """Make one change.

        Raises:
            HostError: The machine refused.
            NotSupportedError: The kernel or a tool lacks what the step needs.
            PrivilegeError: A capability is missing.
        """
        match step:
            case s.LoadRuleset():
                ruleset.load(step.text)
            case s.DropRuleset():
                ruleset.drop()
            case s.LoadFirewall():
                ruleset.load_firewall(step.text)
            case s.DropFirewall():
                ruleset.drop(FIREWALL_TABLE)
            case s.StartLog():
                self._log.start(step.text)
            case s.StopLog():
                self._log.stop()
            case s.StartService():
                self._service.start(step.text)
            case s.StopService():
                self._service.stop()
            case s.StartAccessPoint() if step.networkmanager:
                self._access_point.stop()
                self._networkmanager.start(step.text, step.secret)
            case s.StartAccessPoint():
                self._networkmanager.stop()
                self._access_point.start(step)
            case s.StopAccessPoint():
                self._access_point.stop()
                self._networkmanager.stop()
            case s.SetCountry():
                set_country(step.country)
            case s.ForgetProbe():
                pass
            case _:
                with NetlinkSocket() as kernel:
                    _Links(kernel).run(step)


# PPP; SLIP and what it was called in its variants.
_ARPHRD_LINES = frozenset({512, 256, 257, 258, 259, 264})


def _channels_in(country: Country, channels: Sequence[Channel]) -> tuple[Channel, ...]:
    return channels_under(read_regulation(country), channels)


class _Links:
    """The steps that go over rtnetlink."""

    def __init__(self, kernel: NetlinkSocket) -> None:
        self._kernel = kernel

    def run(self, step: AnyStep) -> None:  # noqa: C901, PLR0912 (one case per kind of step)
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


def _is_connected(link: Link) -> bool:
    """Tell whether somebody is at the other end; of WireGuard and the like the kernel does not know."""
    return bool(link.flags & IFF_RUNNING) and link.type in _ARPHRD_LINES


def _rule(step: s.AddRule | s.RemoveRule, build: Callable[..., Request]) -> Request:
    return build(
        4,
        priority=step.priority,
        iif=step.link,
        account=step.account,
        table=step.table,
        suppress_prefixlength=step.suppress_prefixlength,
    )
