"""What the kernel showed, made acceptable to the kernel again.

The payload of an RTM_NEW* message goes back nearly as it came, so attributes unknown to us come back too. Left out is
only what the kernel reports but refuses in a request, and lifetimes shrink by the time that has passed.

Source:
    ``inet_rtm_newaddr()``, ``inet6_rtm_newaddr()``, ``rtm_to_fib_config()``, ``rtm_to_fib6_config()``,
    ``fib_nl2rule()`` and ``neigh_add()`` of the kernel.
"""

from struct import Struct

from icshare.errors import HostError
from icshare.wire import rtnetlink as rt
from icshare.wire.netlink import attribute, attribute_list

RTA_CACHEINFO, RTA_ENCAP_TYPE, RTA_ENCAP, RTA_EXPIRES, RTA_PAD, RTA_NH_ID = 12, 21, 22, 23, 24, 30
RTNH_F_REPORTED = 0x1 | 0x8 | 0x10 | 0x40
"""DEAD, OFFLOAD, LINKDOWN, TRAP: what the kernel finds out itself and refuses or ignores in a request."""
RTM_F_REPORTED = 0x4000 | 0x8000 | 0x20000000
"""OFFLOAD, TRAP, OFFLOAD_FAILED."""
FIB_RULE_REPORTED = 0x4 | 0x8 | 0x10
"""UNRESOLVED, IIF_DETACHED, OIF_DETACHED."""
FOREVER = 0xFFFFFFFF
"""Lifetime of an address that does not expire."""

_RESOLVED = frozenset({rt.RTA_GATEWAY, rt.RTA_OIF, rt.RTA_VIA, rt.RTA_MULTIPATH, RTA_ENCAP, RTA_ENCAP_TYPE})
_IFA_CACHEINFO = Struct("=IIII")
_RTA_CACHEINFO = Struct("=IIiIIIII")
_U32 = Struct("=I")
_CLOCK_TICKS = 100  # USER_HZ, in which rta_expires counts whatever the kernel's own HZ


def address_payload(raw: bytes, *, elapsed_seconds: int) -> bytes | None:
    """Return the request payload that adds the address of *raw* again, None if its lifetime is over.

    Raises:
        HostError: *raw* is malformed.
    """
    header = rt.IFADDR.pack(*_unpack(rt.IFADDR, raw))
    kept = []
    for kind, value in attribute_list(raw, rt.IFADDR.size):
        if kind != rt.IFA_CACHEINFO:
            # IFA_FLAGS goes back whole: the kernel masks how far duplicate address detection had got.
            kept.append((kind, value))
            continue
        if len(value) < _IFA_CACHEINFO.size:
            raise HostError(f"address message holds lifetimes of {len(value)} bytes")
        preferred, valid, _, _ = _IFA_CACHEINFO.unpack_from(value)
        preferred, valid = _left(preferred, elapsed_seconds), _left(valid, elapsed_seconds)
        if not valid:
            return None
        kept.append((kind, _IFA_CACHEINFO.pack(min(preferred, valid), valid, 0, 0)))
    return header + _join(kept)


def address_key(raw: bytes) -> bytes:
    """Return the attributes that name the address of *raw* for deletion; with a peer it takes both ends.

    Raises:
        HostError: *raw* is malformed.
    """
    found = attribute_list(raw, rt.IFADDR.size)
    return _join([(kind, value) for kind, value in found if kind in {rt.IFA_LOCAL, rt.IFA_ADDRESS}])


def route_payload(raw: bytes, *, elapsed_seconds: int) -> bytes | None:
    """Return the request payload that adds (or deletes) the route of *raw*, None if it has expired meanwhile.

    Raises:
        HostError: *raw* is malformed.
    """
    *fields, flags = _unpack(rt.RTMSG, raw)
    found = attribute_list(raw, rt.RTMSG.size)
    by_object = any(kind == RTA_NH_ID for kind, _ in found)
    kept = []
    for kind, value in found:
        if kind == RTA_CACHEINFO:
            expires = int(_RTA_CACHEINFO.unpack_from(value)[2]) if len(value) >= _RTA_CACHEINFO.size else 0
            if not expires:
                continue
            # Shown in clock ticks as part of a record, taken in seconds as an attribute of its own.
            seconds = expires // _CLOCK_TICKS - elapsed_seconds
            if seconds <= 0:
                return None
            kept.append((RTA_EXPIRES, _U32.pack(seconds)))
        elif kind == rt.RTA_MULTIPATH and not by_object:
            kept.append((kind, _nexthops(value)))
        # A next hop object is shown together with what it resolves to, and the two are refused together.
        elif kind not in {RTA_PAD, RTA_EXPIRES} and not (by_object and kind in _RESOLVED):
            kept.append((kind, value))
    return rt.RTMSG.pack(*fields, flags & ~(RTNH_F_REPORTED | RTM_F_REPORTED)) + _join(kept)


def rule_payload(raw: bytes) -> bytes:
    """Return the request payload that adds (or deletes) the rule of *raw*.

    Raises:
        HostError: *raw* is malformed.
    """
    *fields, flags = _unpack(rt.FIB_RULE, raw)
    return rt.FIB_RULE.pack(*fields, flags & ~FIB_RULE_REPORTED) + raw[rt.FIB_RULE.size :]


def neighbour_payload(raw: bytes) -> bytes:
    """Return the request payload that adds the neighbour entry of *raw* again.

    Raises:
        HostError: *raw* is malformed.
    """
    header = rt.NDMSG.pack(*_unpack(rt.NDMSG, raw))
    found = attribute_list(raw, rt.NDMSG.size)
    return header + _join([(kind, value) for kind, value in found if kind in {rt.NDA_DST, rt.NDA_LLADDR}])


def _unpack(layout: Struct, raw: bytes) -> tuple[int, ...]:
    if len(raw) < layout.size:
        raise HostError(f"recorded netlink message is truncated: {len(raw)} bytes instead of {layout.size}")
    return layout.unpack_from(raw)


def _join(found: list[tuple[int, bytes]]) -> bytes:
    return b"".join(attribute(kind, value) for kind, value in found)


def _left(lifetime: int, elapsed_seconds: int) -> int:
    return lifetime if lifetime == FOREVER else max(0, lifetime - elapsed_seconds)


def _nexthops(value: bytes) -> bytes:
    sound = bytearray(value)
    offset = 0
    while offset < len(sound):
        if len(sound) - offset < rt.RTNEXTHOP.size:
            raise HostError(f"multipath route is truncated: {len(sound) - offset} bytes left")
        length, flags, hops, index = rt.RTNEXTHOP.unpack_from(sound, offset)
        if not rt.RTNEXTHOP.size <= length <= len(sound) - offset:
            raise HostError(f"next hop of a multipath route claims {length} bytes where {len(sound) - offset} are left")
        rt.RTNEXTHOP.pack_into(sound, offset, length, flags & ~RTNH_F_REPORTED, hops, index)
        offset += (length + 3) & ~3
    return bytes(sound)
