"""Steps that change links: our bridge, masters, up and down, settings."""

from typing import Annotated, Self

import msgspec
from msgspec.structs import asdict, replace

from icshare.model.names import InterfaceName
from icshare.plan.steps.step import LinkRef, Step

# A journal is decoded with these limits: what lies outside of them was not written by us. (\Z: $ lets a newline pass.)
_Mtu = Annotated[int, msgspec.Meta(ge=68, le=65_535)]
_Mac = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")]
_Setting = Annotated[str, msgspec.Meta(pattern=r"^ipv[46]/[a-z0-9_]{1,60}\Z")]
_Value = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,10}\Z")]


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
