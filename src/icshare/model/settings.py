"""The administrator's settings: ``/etc/icshare/icshare.toml``.

Everything in it is optional; the command line overrules it. Unknown keys are errors: a misspelt one would silently not
count.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Annotated, Literal

import msgspec

from icshare.errors import InvalidRequestError
from icshare.model.connection import LinkOverride, MediaType
from icshare.model.fastpath import Mode, parse_mode
from icshare.model.names import host_name, interface_name, mac_address, subnet
from icshare.model.sharing import DEFAULT_DOMAIN, DhcpSettings, DnsSettings, Helper, Reservation

VERSION = 1

_Lease = Annotated[int, msgspec.Meta(ge=120, le=4_294_967_294)]
_Idle = Annotated[int, msgspec.Meta(ge=0, le=2_147_483)]  # pppd counts in milliseconds, in an int
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_Domain = Annotated[str, msgspec.Meta(pattern=rf"\A{_LABEL}(\.{_LABEL})*\Z", max_length=200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the administrator allows on this machine at all, whoever asks.

    Attributes:
        sharing: Connections may be shared.
        bridge: Several privates may be bridged.
        firewall: Connection firewalls may be switched on and off.

    Source:
        Group policies ``NC_ShowSharedAccessUI``, ``NC_AllowNetBridge_NLA`` and ``NC_PersonalFirewallConfig``.
    """

    sharing: bool = True
    bridge: bool = True
    firewall: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DialSettings:
    """How a sharing dials its public connection.

    Attributes:
        on_demand: When there is traffic, not when sharing begins.
        idle_seconds: On demand, hang up after so many seconds without traffic; 0 never does.
    """

    on_demand: bool = False
    idle_seconds: int = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the administrator has set.

    Attributes:
        subnet: The segment's subnet, None to choose one.
        firewall: Protect the public connection.
        helpers: Application layer gateways to attach.
        bridge: Make the bridge for a single private connection too.
        fast_path: How the later packets of connections may go.
        dhcp: The DHCP server.
        dns: The DNS forwarder.
        dial: How the public connection is dialled.
        policy: What is allowed at all.
        links: What the administrator says of single links, by interface name.
    """

    subnet: IPv4Network | None = None
    firewall: bool = True
    helpers: tuple[Helper, ...] = ()
    bridge: bool = False
    fast_path: Mode = Mode.AUTO
    dhcp: DhcpSettings = field(default_factory=DhcpSettings)
    dns: DnsSettings = field(default_factory=DnsSettings)
    dial: DialSettings = field(default_factory=DialSettings)
    policy: Policy = field(default_factory=Policy)
    links: Mapping[str, LinkOverride] = field(default_factory=dict)


class _Table(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A table of the file."""


class _Sharing(_Table, frozen=True):
    subnet: str | None = None
    firewall: bool = True
    helpers: tuple[Helper, ...] = ()
    bridge: bool = False
    fast_path: str = Mode.AUTO
    dial_on_demand: bool = DialSettings().on_demand
    idle_seconds: _Idle = DialSettings().idle_seconds


class _Reservation(_Table, frozen=True):
    mac: str
    address: str | None = None
    name: str | None = None


class _Dhcp(_Table, frozen=True):
    enabled: bool = True
    first: str | None = None
    last: str | None = None
    lease_seconds: _Lease = DhcpSettings().lease_seconds
    reservations: tuple[_Reservation, ...] = ()


class _Dns(_Table, frozen=True):
    domain: _Domain = DEFAULT_DOMAIN
    servers: tuple[str, ...] = ()


class _Policy(_Table, frozen=True):
    allow_sharing: bool = True
    allow_bridge: bool = True
    allow_firewall: bool = True


class _Link(_Table, frozen=True):
    media: Literal["none", "direct", "isdn", "lan", "phone", "tunnel", "pppoe"] | None = None
    incoming_only: bool | None = None
    public: bool | None = None
    private: bool | None = None
    bridgeable: bool | None = None
    name: Annotated[str, msgspec.Meta(max_length=255)] = ""


class _File(_Table, frozen=True):
    version: Literal[1] = 1
    sharing: _Sharing = _Sharing()
    dhcp: _Dhcp = _Dhcp()
    dns: _Dns = _Dns()
    policy: _Policy = _Policy()
    link: dict[str, _Link] = {}


def parse_settings(text: str, name: str) -> Settings:
    """Parse the text of a settings file.

    Args:
        text: The file's content, TOML.
        name: The file's name, for errors.

    Raises:
        InvalidRequestError: It is not TOML, or holds a key or value that has no meaning; the message says where.
    """
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidRequestError(f"{name} is not TOML: {error}") from error
    version = raw.get("version", VERSION)
    if isinstance(version, int) and version > VERSION:
        raise InvalidRequestError(f"{name} is of version {version}, this icshare reads version {VERSION}")
    try:
        file: _File = msgspec.convert(raw, _File)
        return _settings(file)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"{name}: {error}", hint="see icshare.toml(5) for what it may hold") from error
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{name}: {error.message}", hint=error.hint) from error


def _settings(file: _File) -> Settings:
    if file.sharing.bridge and not file.policy.allow_bridge:
        raise InvalidRequestError("bridge under [sharing] asks for what allow_bridge under [policy] forbids")
    return Settings(
        subnet=subnet(file.sharing.subnet) if file.sharing.subnet is not None else None,
        firewall=file.sharing.firewall,
        helpers=tuple(dict.fromkeys(file.sharing.helpers)),
        bridge=file.sharing.bridge,
        fast_path=parse_mode(file.sharing.fast_path),
        dhcp=DhcpSettings(
            enabled=file.dhcp.enabled,
            pool_first=_optional_address(file.dhcp.first),
            pool_last=_optional_address(file.dhcp.last),
            lease_seconds=file.dhcp.lease_seconds,
            reservations=tuple(_reservation(one) for one in file.dhcp.reservations),
        ),
        dns=DnsSettings(domain=file.dns.domain, servers=tuple(_address(one) for one in file.dns.servers)),
        dial=DialSettings(on_demand=file.sharing.dial_on_demand, idle_seconds=file.sharing.idle_seconds),
        policy=Policy(
            sharing=file.policy.allow_sharing, bridge=file.policy.allow_bridge, firewall=file.policy.allow_firewall
        ),
        links={interface_name(name): _override(link) for name, link in file.link.items()},
    )


def _reservation(one: _Reservation) -> Reservation:
    return Reservation(
        mac=mac_address(one.mac),
        address=_optional_address(one.address),
        name=host_name(one.name) if one.name is not None else None,
    )


def _override(link: _Link) -> LinkOverride:
    return LinkOverride(
        media=MediaType[link.media.upper()] if link.media is not None else None,
        incoming_only=link.incoming_only,
        public=link.public,
        private=link.private,
        bridgeable=link.bridgeable,
        name=link.name,
    )


def _optional_address(text: str | None) -> IPv4Address | None:
    return None if text is None else _address(text)


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError as error:
        raise InvalidRequestError(f"{text!r} is not an IPv4 address: {error}") from error
