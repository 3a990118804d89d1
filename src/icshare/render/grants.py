"""What the ruleset does for a fast path: the chains that come last of all, and grant.

* ``fast`` (postrouting): whatever comes by here has been let through by all rules of everybody. For that direction of
  its connection it *grants* the fast path, by a bit of the conntrack mark: TCP and UDP that are assured, between links
  of ours, that no policy route takes elsewhere, and without any mark of somebody else's. What leaves by IPsec has its
  connection kept in the kernel, both ways. A packet of a
  connection that is granted both ways costs one rule. The programs of ours take the grant away again when it has to be
  given anew.
* ``into_flowtable`` (forward), with a flowtable: what was granted both ways goes into it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from icshare.model.names import InterfaceName
from icshare.render.text import chain, one_of, rule

FAST_ORIGINAL, FAST_REPLY, KEEP = 0x10000000, 0x20000000, 0x40000000
"""Bits of the conntrack mark: a direction may go fast; the connection stays in the kernel."""

INTO_FLOWTABLE: Final = "into_flowtable"

_BOTH: Final = f"ct mark {FAST_ORIGINAL | FAST_REPLY:#010x}"
_DIRECTIONS: Final = {"original": (FAST_ORIGINAL, FAST_REPLY), "reply": (FAST_REPLY, FAST_ORIGINAL)}
"""Direction -> its bit of the conntrack mark, and that of the other one."""

GRANTING: Final = ("fast", *(f"grant_{direction}" for direction in _DIRECTIONS))
"""Names of the chains that any fast path needs."""

_FLOWTABLE: Final = "fast"

_OFFLOAD: Final = 0x4000
"""Of the status: the connection is in a flowtable (``IPS_OFFLOAD``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FastPath:
    """What the ruleset does for the fast path.

    Attributes:
        links: The links that have addresses and may go fast, the public one first.
        devices: Devices of a flowtable, () for programs of ours.
        offload: The flowtable is the hardware's.
    """

    links: tuple[InterfaceName, ...]
    devices: tuple[InterfaceName, ...] = ()
    offload: bool = False


def fast_chains(fast: FastPath) -> Iterator[str]:
    """Yield the chains that grant, and the one that fills a flowtable if there is one."""
    yield chain("fast", "type filter hook postrouting priority 299; policy accept;", _fast(fast))
    for direction, (bit, _) in _DIRECTIONS.items():
        yield chain(f"grant_{direction}", "", _grant(fast, bit))
    if fast.devices:
        # The grants end with this: once it is out of the flowtable again, both ways have to be granted anew.
        ours = f"meta l4proto {{ tcp, udp }} {_BOTH}"
        flow = rule(f"{ours} ct mark set 0 flow add @{_FLOWTABLE}", "granted both ways")
        yield chain(INTO_FLOWTABLE, "type filter hook forward priority 299; policy accept;", [flow])


def flowtables(fast: FastPath) -> Iterator[tuple[str, list[str]]]:
    """Yield head and body of the flowtable, if there is one."""
    if fast.devices:
        devices = ", ".join(f'"{device}"' for device in fast.devices)  # braces even for one, unlike a set
        flags = ["flags offload"] if fast.offload else []
        hook = f"hook ingress priority filter; devices = {{ {devices} }}"
        yield f"flowtable {_FLOWTABLE}", [hook, *flags, "counter"]


def _fast(fast: FastPath) -> Iterator[str]:
    if fast.devices:
        yield rule(f"ct status & {_OFFLOAD:#x} != 0 return", "in the flowtable")
    yield rule(f"{_BOTH} return", "granted both ways")
    # One bit is the direction's own, which is to be zero as all others are but that of the other direction.
    for direction, (_, other) in _DIRECTIONS.items():
        bare = f"ct direction {direction} ct status assured ct mark & {0xFFFFFFFF ^ other:#010x} == 0"
        yield rule(f"{bare} goto grant_{direction}", "nobody has kept it in the kernel")


def _grant(fast: FastPath, bit: int) -> Iterator[str]:
    pairs = one_of(f'"{one}" . "{other}"' for one in fast.links for other in fast.links)
    yield rule("meta l4proto != { tcp, udp } return", "nothing that goes fast")
    yield rule(f"iifname . oifname != {pairs} return", "not between links of ours")
    # What comes back has to pass the policies of IPsec, which only the kernel asks.
    yield rule(f"rt ipsec exists ct mark set ct mark | {KEEP:#010x} return", "IPsec keeps it in the kernel")
    yield rule(f"ct state established meta mark 0 ct mark set ct mark | {bit:#010x}", "this direction may go fast")
