"""Steps that change addresses, routes, neighbours and policy routing rules."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Annotated

import msgspec
from msgspec.structs import asdict

from icshare.model.names import InterfaceName
from icshare.plan.steps.step import LinkRef, Step

# A journal is decoded with these limits: what lies outside of them was not written by us. (\Z: $ lets a newline pass.)
_Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
_Mac = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=2**40)]


class _Address(Step, frozen=True):
    """What adding and removing an address have in common.

    Attributes:
        peer: Address of the other end, None without; see `icshare.model.link.Address`.
        raw: The kernel's own message of an address of the host, b"" for an address of ours.
        taken: Seconds since boot when it was taken away; its lifetimes have run on since.
        served: The address is our gateway's: clients of its network are forgotten with it.
        holds_routes: The address is for nobody's use, and outlives the others of its link, and with it routes do.
    """

    link: LinkRef
    address: IPv4Interface
    peer: IPv4Address | None = None
    raw: bytes = b""
    taken: _Seconds = 0.0
    served: bool = False
    holds_routes: bool = False

    @property
    def key(self) -> str:
        return f"address {self} on {self.link.key}"

    def __str__(self) -> str:
        return f"{self.address} peer {self.peer}" if self.peer else f"{self.address}"


class AddAddress(_Address, frozen=True, tag="add-address"):
    """Give a link an address."""

    def describe(self) -> str:
        return f"address {self}: add to {self.link}"

    def inverse(self) -> "RemoveAddress":
        return RemoveAddress(**asdict(self))


class RemoveAddress(_Address, frozen=True, tag="remove-address"):
    """Take an address from a link, with the routes that the kernel made for it."""

    def describe(self) -> str:
        return f"address {self}: remove from {self.link}"

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
    """What adding and removing a policy routing rule have in common.

    Attributes:
        link: It is for packets that come in by this link; None for those of this host's own.
        account: It is for packets of this user's sockets, None for any.
        priority: Smaller is asked first.
        table: Table to look up, None for an ``unreachable`` rule.
        suppress_prefixlength: Ignore routes with a prefix of this length or shorter (0: the default route), None to use
            all.
    """

    priority: _Number
    link: InterfaceName | None = None
    account: _Number | None = None
    table: _Number | None = None
    suppress_prefixlength: _Byte | None = None

    @property
    def key(self) -> str:
        return f"rule {self.priority} {self._whose}"

    def __str__(self) -> str:
        action = "unreachable" if self.table is None else f"lookup {self.table}"
        suppress = "" if self.suppress_prefixlength is None else f" suppress_prefixlength {self.suppress_prefixlength}"
        return f"{self.priority}: from all {self._whose} {action}{suppress}"

    @property
    def _whose(self) -> str:
        return f"iif {self.link}" if self.account is None else f"uidrange {self.account}-{self.account}"


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
