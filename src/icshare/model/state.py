"""What has been asked for, and survives a reboot: roles, firewalls, mappings, names; whether or not it can be so now.

Connections are known by their GUIDs: what is said of one that is absent waits for it and hinders nobody.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from uuid import UUID

from icshare.model.fastpath import Mode
from icshare.model.firewall import FirewallOptions
from icshare.model.mapping import PortMapping, Protocol
from icshare.model.wifi import AccessPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Designation:
    """Which connections have a part in sharing.

    Attributes:
        public: GUID of the public connection, None without one.
        privates: GUIDs of the private connections, in the order they were named.
        subnet: The subnet asked for, None to choose one.
        access_point: The access point asked for, None without one; its interface is the name that it had then.
        fast_path: The fast path asked for, None for the setting.
        wireless: GUID of the connection whose radio it is on, one of the above; None without an access point.
    """

    public: UUID | None = None
    privates: tuple[UUID, ...] = ()
    subnet: IPv4Network | None = None
    access_point: AccessPoint | None = None
    wireless: UUID | None = None
    fast_path: Mode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything asked for.

    Where it comes from a store, `mappings` and what is found by them are views that follow the store: a copy of
    thousands of mappings for each that is added would cost more than the addition.

    Attributes:
        designation: Who is public and private.
        firewalls: Connections whose firewall is on, with its options.
        mappings: All port mappings, by number.
        by_port: Their numbers by connection, protocol and external port.
        by_socket: Their numbers, in order, by connection, protocol, target as named and internal port.
        followed: Numbers of those whose target is named otherwise than by its address, in order.
        names: Windows-like names given to connections.
        interfaces: Interface name under which each connection mentioned here was last seen.
        next_number: Number for the next mapping.
    """

    designation: Designation = Designation()
    firewalls: Mapping[UUID, FirewallOptions] = field(default_factory=dict)
    mappings: Mapping[int, PortMapping] = field(default_factory=dict)
    by_port: Mapping[tuple[UUID, Protocol, int], int] = field(default_factory=dict)
    by_socket: Mapping[tuple[UUID, Protocol, str, int], Collection[int]] = field(default_factory=dict)
    followed: Collection[int] = ()
    names: Mapping[UUID, str] = field(default_factory=dict)
    interfaces: Mapping[UUID, str] = field(default_factory=dict)
    next_number: int = 1


def is_blank(state: State) -> bool:
    """Tell whether *state* says no more than none at all: nobody has a part, and there never was a mapping."""
    return (
        state.designation == Designation()
        and not state.firewalls
        and not state.mappings
        and not state.names
        and state.next_number == 1
    )
