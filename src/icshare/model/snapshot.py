"""What is there: the host as observed at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from icshare.model.link import Address, IfIndex, Link, Neighbour, Route, Rule
from icshare.model.peer import Peer
from icshare.model.wifi import Radio


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The parts of the host that sharing reads or changes.

    Attributes:
        links: All links, by index.
        peers: What pppd can dial, by name, whether or not there is a link of it.
        addresses: All addresses, in the kernel's order.
        routes: All routes of all tables.
        rules: All policy routing rules.
        neighbours: The permanent IPv4 neighbour entries; the others come and go by themselves.
        sysctls: Value of each per-link setting we may change, keyed ``link name/setting``.
        ruleset: Digest of our loaded ruleset (`plan.steps.digest`), None when our table is absent.
        firewall: Digest of our loaded connection firewall, None when its table is absent.
        log: Digest of the configuration that the firewall's log is written with, None when nobody writes it.
        service: Digest of the configuration our dnsmasq runs with, None when it is not running.
        access_point: Digest of what our access point runs with (`steps.StartAccessPoint`), None when it does not run.
        radios: All radios.
        managed: Names of the Wi-Fi links that NetworkManager manages.
        country: Regulatory domain in force: a country, `WORLD`, or 98 or 99 for a mixture; "" without radios.
        conntrack: Value of each setting of connection tracking that we may change.
        fast_path: Digest of the configuration of our fast path, None unless it is in force as a whole.
        resolvers: The host's name servers.
        boot_seconds: Seconds since boot when this was read, for the remaining life of addresses.
    """

    links: tuple[Link, ...] = ()
    peers: tuple[Peer, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    ruleset: str | None = None
    firewall: str | None = None
    log: str | None = None
    service: str | None = None
    access_point: str | None = None
    radios: tuple[Radio, ...] = ()
    managed: frozenset[str] = frozenset()
    country: str = ""
    conntrack: Mapping[str, str] = field(default_factory=dict)
    fast_path: str | None = None
    resolvers: tuple[IPv4Address, ...] = ()
    boot_seconds: float = 0.0

    def link(self, name: str) -> Link | None:
        """Return the link called *name*, None if there is none."""
        return next((link for link in self.links if link.name == name), None)

    def standing_link(self, name: str) -> Link:
        """Return the link called *name*, of which it is known that there is one."""
        link = self.link(name)
        assert link is not None, name
        return link

    def link_by_index(self, index: IfIndex | None) -> Link | None:
        """Return the link with *index*, None if there is none."""
        return next((link for link in self.links if link.index == index), None)

    def radio(self, index: int | None) -> Radio | None:
        """Return the radio with that number, None if there is none."""
        return next((radio for radio in self.radios if radio.index == index), None)
