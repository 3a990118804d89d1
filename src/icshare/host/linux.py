"""The machine itself: `LinuxHost` reads it and takes one step at a time.

Every step is tolerant, so that it may be repeated after a crash: an address that is there, a rule that is gone, a link
that was unplugged are no errors. What a step finds in the way that it did not expect is one.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from icshare.errors import IcshareError, PrivilegeError
from icshare.host import checks, doctor, fastpath, ruleset, sysctl
from icshare.host.abilities import Refusals
from icshare.host.accesspoint import AccessPointService, NoPassphrases, Passphrases
from icshare.host.linkowners import LinkOwners
from icshare.host.links import peers
from icshare.host.linksteps import LinkSteps
from icshare.host.logservice import LogService
from icshare.host.netlink import NetlinkSocket
from icshare.host.networkmanager import NetworkManagerAccessPoint, access_point_uuid, managed_links
from icshare.host.preflight import preflight
from icshare.host.radios import look as look_at_radios
from icshare.host.radios import set_country
from icshare.host.regulatory import read_regulation
from icshare.host.resolvers import name_servers
from icshare.host.rfkill import refuse_blocked
from icshare.host.service import Service, account
from icshare.host.sockets import ssh_login
from icshare.host.stations import read_stations
from icshare.host.sysfs import with_facts
from icshare.model.client import Client, Traffic, list_clients, parse_leases
from icshare.model.fastpath import FastPackets
from icshare.model.link import IFF_RUNNING, NUD_PERMANENT, IfIndex, Link
from icshare.model.sharing import Segment, Sharing, Wanted
from icshare.model.snapshot import Snapshot
from icshare.model.status import Health
from icshare.model.wifi import Channel, Country, InterfaceType
from icshare.plan import steps as s
from icshare.plan.planner import Environment, Plan
from icshare.plan.regulation import channels_under
from icshare.plan.steps import AnyStep
from icshare.ports import Record
from icshare.render.firewall import FIREWALL_TABLE
from icshare.wire import rtchange
from icshare.wire.fastpath import Account, Counter, Reason

# PPP; SLIP and what it was called in its variants.
_ARPHRD_LINES = frozenset({512, 256, 257, 258, 259, 264})


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
        self._refusals = Refusals()

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
            abilities=self._refusals.abilities,
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
                conntrack=sysctl.read_conntrack(),
                fast_path=fastpath.running(),
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

    def has_another_way(self, step: AnyStep, error: IcshareError) -> bool:
        """Tell whether a plan made now would do without a fast path that was refused: tc for XDP, or no programs."""
        return isinstance(step, s.StartFastPath) and self._refusals.take(step.text, error)

    def preflight(self, plan: Plan) -> None:
        """Check, without changing anything, what only the machine knows.

        Raises:
            ConflictError: A port is taken on an address of the segment, or the kernel holds the fast path's programs.
            NotSupportedError: A tool or kernel feature is missing.
            PrivilegeError: A capability is missing.
        """
        preflight(plan, own={process.pid for process in self._service.processes()})
        fastpath.preflight("".join(step.text for step in plan.steps if isinstance(step, s.StartFastPath)))
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
            traffic = _with_fast(ruleset.client_traffic(), fastpath.traffic())
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

    def fast_packets(self) -> FastPackets | None:
        """Return what went by the fast path's programs, None while there are none, or without privilege to look.

        Raises:
            HostError: The kernel could not be read.
        """
        try:
            found = dict(fastpath.reasons())
        except PrivilegeError:
            return None
        if not any(found.values()) and fastpath.running() is None:
            return None
        kernel = {reason.name.lower(): packets for reason, packets in found.items() if reason and packets}
        return FastPackets(fast=found[Reason.FAST], kernel=kernel)

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

    def run(self, step: AnyStep) -> None:  # noqa: C901, PLR0912 (one case per kind of step)
        """Make one change.

        Raises:
            HostError: The machine refused.
            NotSupportedError: The kernel or a tool lacks what the step needs.
            PrivilegeError: A capability is missing.
        """
        match step:
            case s.LoadRuleset():
                ruleset.load(step.text)
                fastpath.refresh()
            case s.DropRuleset():
                ruleset.drop()
                fastpath.refresh()
            case s.LoadFirewall():
                ruleset.load_firewall(step.text)
                fastpath.refresh()
            case s.DropFirewall():
                ruleset.drop(FIREWALL_TABLE)
                fastpath.refresh()
            case s.SetConntrack():
                sysctl.write_conntrack(step.setting, step.value)
            case s.StartFastPath():
                fastpath.start(step.text)
            case s.StopFastPath():
                fastpath.stop()
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
                    LinkSteps(kernel).run(step)


def _with_fast(
    traffic: Mapping[IPv4Address, Traffic], fast: Mapping[Account, Counter]
) -> Mapping[IPv4Address, Traffic]:
    """Return the traffic of clients that the ruleset has counted, and that of the fast path."""
    found = dict(traffic)
    for whose, counter in fast.items():
        if isinstance(whose.address, IPv4Address) and not whose.protocol:
            counted = found.get(whose.address, Traffic())
            sent, received = counted.sent + counter.sent_bytes, counted.received + counter.received_bytes
            found[whose.address] = replace(counted, sent=sent, received=received)
    return found


def _channels_in(country: Country, channels: Sequence[Channel]) -> tuple[Channel, ...]:
    return channels_under(read_regulation(country), channels)


def _is_connected(link: Link) -> bool:
    """Tell whether somebody is at the other end; of WireGuard and the like the kernel does not know."""
    return bool(link.flags & IFF_RUNNING) and link.type in _ARPHRD_LINES
