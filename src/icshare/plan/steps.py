"""The changes icshare can make to a host, as values.

A step is one atomic change: one netlink message, one nft transaction, one rename, one process. It says what it does
(`describe`), what it changes (`key`: two steps with one key are two values of the same thing, and the later replaces
the earlier), and how to take it back (`inverse`, again a step). Steps are what the journal stores, so their fields are
plain data and their tags never change meaning.
"""

import hashlib
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Annotated, Self

import msgspec
from msgspec.structs import asdict, replace

from icshare.model.names import InterfaceName

# A journal is decoded with these limits: what lies outside of them was not written by us. (\Z: $ lets a newline pass.)
_Index = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
_Mtu = Annotated[int, msgspec.Meta(ge=68, le=65_535)]
_Mac = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=2**40)]
_Setting = Annotated[str, msgspec.Meta(pattern=r"^ipv[46]/[a-z0-9_]{1,60}\Z")]
_Value = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,10}\Z")]


def digest(text: str) -> str:
    """Return the short digest that tells one version of *text* from another: 16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Step(msgspec.Struct, frozen=True, kw_only=True, tag_field="step", omit_defaults=True):
    """Base of all steps."""

    @property
    def key(self) -> str:
        """Name of the thing that this step gives a value to."""
        raise AssertionError

    def describe(self) -> str:
        """Say in one line what this step does."""
        raise AssertionError

    def inverse(self) -> "Step":
        """Return the step that takes this one back."""
        raise AssertionError


class LinkRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """A link that a step works on.

    The index names the very device seen when the plan was made, also after a rename; a device plugged in again is
    another one. Index 0 stands for a link that an earlier step creates: it goes by its name.
    """

    name: InterfaceName
    index: _Index = 0

    @property
    def key(self) -> str:
        """What tells this device from all others: two devices may bear one name after each other."""
        return f"{self.name}/{self.index}"

    def __str__(self) -> str:
        return self.name


class _Ruleset(Step, frozen=True):
    """What loading and dropping our table have in common: its whole text."""

    text: str

    @property
    def key(self) -> str:
        return "ruleset"


class LoadRuleset(_Ruleset, frozen=True, tag="load-ruleset"):
    """Load table ``inet icshare`` in one transaction."""

    def describe(self) -> str:
        return f"nftables: load table inet icshare ({digest(self.text)})"

    def inverse(self) -> "DropRuleset":
        return DropRuleset(**asdict(self))


class DropRuleset(_Ruleset, frozen=True, tag="drop-ruleset"):
    """Delete table ``inet icshare``."""

    def describe(self) -> str:
        return "nftables: delete table inet icshare"

    def inverse(self) -> LoadRuleset:
        return LoadRuleset(**asdict(self))


class _FirewallRuleset(Step, frozen=True):
    """What loading and dropping the table of the connection firewall have in common: its whole text."""

    text: str

    @property
    def key(self) -> str:
        return "firewall"


class LoadFirewall(_FirewallRuleset, frozen=True, tag="load-firewall"):
    """Load table ``inet icshare_firewall`` in one transaction."""

    def describe(self) -> str:
        return f"nftables: load table inet icshare_firewall ({digest(self.text)})"

    def inverse(self) -> "DropFirewall":
        return DropFirewall(**asdict(self))


class DropFirewall(_FirewallRuleset, frozen=True, tag="drop-firewall"):
    """Delete table ``inet icshare_firewall``."""

    def describe(self) -> str:
        return "nftables: delete table inet icshare_firewall"

    def inverse(self) -> LoadFirewall:
        return LoadFirewall(**asdict(self))


class _Bridge(Step, frozen=True):
    """What making and deleting our bridge have in common."""

    name: InterfaceName
    mac: _Mac
    mtu: _Mtu

    @property
    def key(self) -> str:
        return f"link {self.name}"


class CreateBridge(_Bridge, frozen=True, tag="create-bridge"):
    """Create our bridge, or give the existing one this MTU."""

    def describe(self) -> str:
        return f"link {self.name}: create bridge, address {self.mac}, mtu {self.mtu}, no forward delay"

    def inverse(self) -> "DeleteBridge":
        return DeleteBridge(**asdict(self))


class DeleteBridge(_Bridge, frozen=True, tag="delete-bridge"):
    """Delete our bridge."""

    def describe(self) -> str:
        return f"link {self.name}: delete bridge"

    def inverse(self) -> CreateBridge:
        return CreateBridge(**asdict(self))


class SetMaster(Step, frozen=True, tag="set-master"):
    """Make a link the port of a bridge, or of none."""

    link: LinkRef
    master: InterfaceName | None
    previous: InterfaceName | None

    @property
    def key(self) -> str:
        return f"master of {self.link.key}"

    def describe(self) -> str:
        return f"link {self.link}: master {self.previous or 'none'} -> {self.master or 'none'}"

    def inverse(self) -> Self:
        return replace(self, master=self.previous, previous=self.master)


class SetUp(Step, frozen=True, tag="set-up"):
    """Set a link up or down."""

    link: LinkRef
    up: bool
    previous: bool

    @property
    def key(self) -> str:
        return f"up {self.link.key}"

    def describe(self) -> str:
        return f"link {self.link}: {_UP[self.previous]} -> {_UP[self.up]}"

    def inverse(self) -> Self:
        return replace(self, up=self.previous, previous=self.up)


_UP = {True: "up", False: "down"}


class SetSysctl(Step, frozen=True, tag="set-sysctl"):
    """Set one IPv4 or IPv6 setting of a link.

    Attributes:
        setting: ``ipv4/forwarding`` stands for ``net.ipv4.conf.LINK.forwarding``.
    """

    link: LinkRef
    setting: _Setting
    value: _Value
    previous: _Value

    @property
    def key(self) -> str:
        return f"sysctl {self.link.key} {self.setting}"

    def describe(self) -> str:
        family, _, name = self.setting.partition("/")
        return f"sysctl net.{family}.conf.{self.link}.{name}: {self.previous} -> {self.value}"

    def inverse(self) -> Self:
        return replace(self, value=self.previous, previous=self.value)


class _Address(Step, frozen=True):
    """What adding and removing an address have in common.

    Attributes:
        raw: The kernel's own message of an address of the host, b"" for an address of ours.
        taken: Seconds since boot when it was taken away; its lifetimes have run on since.
        served: The address is our gateway's: clients of its network are forgotten with it.
    """

    link: LinkRef
    address: IPv4Interface
    raw: bytes = b""
    taken: _Seconds = 0.0
    served: bool = False

    @property
    def key(self) -> str:
        return f"address {self.address} on {self.link.key}"


class AddAddress(_Address, frozen=True, tag="add-address"):
    """Give a link an address."""

    def describe(self) -> str:
        return f"address {self.address}: add to {self.link}"

    def inverse(self) -> "RemoveAddress":
        return RemoveAddress(**asdict(self))


class RemoveAddress(_Address, frozen=True, tag="remove-address"):
    """Take an address from a link, with the routes that the kernel made for it."""

    def describe(self) -> str:
        return f"address {self.address}: remove from {self.link}"

    def inverse(self) -> AddAddress:
        return AddAddress(**asdict(self))


class _Route(Step, frozen=True):
    """What adding and removing a route have in common; see `Route` for the fields.

    Attributes:
        raw: The kernel's own message of a route of the host, b"" for one of ours.
    """

    link: LinkRef
    destination: IPv4Network
    gateway: IPv4Address | None = None
    table: _Number = 254
    metric: _Number = 0
    protocol: _Byte = 4
    raw: bytes = b""

    @property
    def key(self) -> str:
        way = f" via {self.gateway} dev {self.link.key}" if self.raw else ""
        return f"route {self.destination}{way} metric {self.metric} table {self.table}"

    def __str__(self) -> str:
        destination = "default" if self.destination.prefixlen == 0 else str(self.destination)
        via = f" via {self.gateway}" if self.gateway else ""
        metric = f" metric {self.metric}" if self.metric else ""
        table = f" table {self.table}" if self.table != 254 else ""
        return f"{destination}{via} dev {self.link}{metric}{table}"


class AddRoute(_Route, frozen=True, tag="add-route"):
    """Add a route.

    One of our own (without ``raw``) takes the place of another to the same destination, with the same metric, in the
    same table, in one change: there is no moment without a route.
    """

    def describe(self) -> str:
        return f"route: add {self}"

    def inverse(self) -> "RemoveRoute":
        return RemoveRoute(**asdict(self))


class RemoveRoute(_Route, frozen=True, tag="remove-route"):
    """Remove a route."""

    def describe(self) -> str:
        return f"route: remove {self}"

    def inverse(self) -> AddRoute:
        return AddRoute(**asdict(self))


class _Neighbour(Step, frozen=True):
    """What adding and removing a permanent neighbour entry of the host have in common.

    Attributes:
        mac: Its hardware address.
        raw: The kernel's own message.
    """

    link: LinkRef
    address: IPv4Address
    mac: _Mac
    raw: bytes = b""

    @property
    def key(self) -> str:
        return f"neighbour {self.address} on {self.link.key}"


class AddNeighbour(_Neighbour, frozen=True, tag="add-neighbour"):
    """Give a permanent neighbour entry back."""

    def describe(self) -> str:
        return f"neighbour {self.address}: add to {self.link}"

    def inverse(self) -> "RemoveNeighbour":
        return RemoveNeighbour(**asdict(self))


class RemoveNeighbour(_Neighbour, frozen=True, tag="remove-neighbour"):
    """Take a permanent neighbour entry away, which the kernel would forget with the link's last address."""

    def describe(self) -> str:
        return f"neighbour {self.address}: remove from {self.link}"

    def inverse(self) -> AddNeighbour:
        return AddNeighbour(**asdict(self))


class _Rule(Step, frozen=True):
    """What adding and removing a policy routing rule have in common: it is for packets that come in on one link.

    Attributes:
        priority: Smaller is asked first.
        table: Table to look up, None for an ``unreachable`` rule.
        suppress_prefixlength: Ignore routes with a prefix of this length or shorter (0: the default route), None to use
            all.
    """

    link: InterfaceName
    priority: _Number
    table: _Number | None = None
    suppress_prefixlength: _Byte | None = None

    @property
    def key(self) -> str:
        return f"rule {self.priority} iif {self.link}"

    def __str__(self) -> str:
        action = "unreachable" if self.table is None else f"lookup {self.table}"
        suppress = "" if self.suppress_prefixlength is None else f" suppress_prefixlength {self.suppress_prefixlength}"
        return f"{self.priority}: from all iif {self.link} {action}{suppress}"


class AddRule(_Rule, frozen=True, tag="add-rule"):
    """Add a policy routing rule."""

    def describe(self) -> str:
        return f"rule: add {self}"

    def inverse(self) -> "RemoveRule":
        return RemoveRule(**asdict(self))


class RemoveRule(_Rule, frozen=True, tag="remove-rule"):
    """Remove a policy routing rule."""

    def describe(self) -> str:
        return f"rule: remove {self}"

    def inverse(self) -> AddRule:
        return AddRule(**asdict(self))


class _Probe(Step, frozen=True):
    """A question to a segment, and who is on it: with other members it is another question."""

    link: InterfaceName
    members: tuple[InterfaceName, ...] = ()

    @property
    def key(self) -> str:
        return f"dhcp probe on {self.link}"


class ProbeDhcp(_Probe, frozen=True, tag="probe-dhcp"):
    """Ask the segment for foreign DHCP servers; the ruleset notes who answers. Nothing to take back."""

    def describe(self) -> str:
        return f"dhcp: ask {self.link} for other servers"

    def inverse(self) -> "ForgetProbe":
        return ForgetProbe(**asdict(self))


class ForgetProbe(_Probe, frozen=True, tag="forget-probe"):
    """The inverse of a question: nothing."""

    def describe(self) -> str:
        return "dhcp: nothing to take back"

    def inverse(self) -> ProbeDhcp:
        return ProbeDhcp(**asdict(self))


class _Service(Step, frozen=True):
    """What starting and stopping dnsmasq have in common.

    Attributes:
        text: The whole configuration; its digest names the file, so what runs can be told from what is wanted.
    """

    text: str

    @property
    def key(self) -> str:
        return "dnsmasq"


class StartService(_Service, frozen=True, tag="start-service"):
    """Start dnsmasq with a configuration, in place of the one that runs."""

    def describe(self) -> str:
        return f"dnsmasq: start ({digest(self.text)})"

    def inverse(self) -> "StopService":
        return StopService(**asdict(self))


class StopService(_Service, frozen=True, tag="stop-service"):
    """Stop dnsmasq and remove the files it made."""

    def describe(self) -> str:
        return "dnsmasq: stop"

    def inverse(self) -> StartService:
        return StartService(**asdict(self))


class _Log(Step, frozen=True):
    """What starting and stopping the writer of the firewall's log have in common.

    Attributes:
        text: Its whole configuration.
    """

    text: str

    @property
    def key(self) -> str:
        return "firewall log"


class StartLog(_Log, frozen=True, tag="start-log"):
    """Start the writer of the firewall's log, in place of the one that runs."""

    def describe(self) -> str:
        return f"firewall log: start ({digest(self.text)})"

    def inverse(self) -> "StopLog":
        return StopLog(**asdict(self))


class StopLog(_Log, frozen=True, tag="stop-log"):
    """Stop the writer of the firewall's log; the log stays."""

    def describe(self) -> str:
        return "firewall log: stop"

    def inverse(self) -> StartLog:
        return StartLog(**asdict(self))


AnyStep = (
    LoadRuleset
    | DropRuleset
    | LoadFirewall
    | DropFirewall
    | StartLog
    | StopLog
    | CreateBridge
    | DeleteBridge
    | SetMaster
    | SetUp
    | SetSysctl
    | AddAddress
    | RemoveAddress
    | AddRoute
    | RemoveRoute
    | AddNeighbour
    | RemoveNeighbour
    | AddRule
    | RemoveRule
    | ProbeDhcp
    | ForgetProbe
    | StartService
    | StopService
)
