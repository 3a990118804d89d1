"""What only the machine can object to, asked before anything is touched."""

import contextlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from ipaddress import IPv4Address, IPv6Address

from icshare.errors import ConflictError, NotSupportedError
from icshare.host import command, nft, ruleset
from icshare.host.sockets import PortOwner, port_owners
from icshare.model.sharing import Helper
from icshare.plan.planner import Plan

_DOMAIN = 53
_BOOTPS = 67


def preflight(plan: Plan, own: AbstractSet[int]) -> None:
    """Check that the machine can take *plan*.

    Args:
        plan: The plan.
        own: Pids of our own dnsmasq, whose ports do not stand in the way.

    Raises:
        ConflictError: A port is taken on an address of the segment.
        NotSupportedError: A tool or kernel feature is missing.
        PrivilegeError: A capability is missing.
    """
    refusal = ruleset.refusal_to_load(plan.ruleset)
    if refusal is not None:
        raise NotSupportedError(
            f"this kernel or nft does not take the ruleset: {refusal}",
            hint="icshare doctor tells which feature is missing",
        )
    if plan.sharing is None:
        return
    _load_helpers(plan.sharing.helpers)
    command.find_program("dnsmasq")
    gateways = {segment.gateway for segment in plan.segments}
    taken = [
        owner
        for protocol in ("udp", "tcp")
        for owner in port_owners(_DOMAIN, protocol)
        if owner.pid not in own and _serves(owner, gateways)
    ]
    if plan.sharing.dhcp.enabled:
        taken += [owner for owner in port_owners(_BOOTPS, "udp") if owner.pid not in own and _serves(owner, gateways)]
    if taken:
        names = ", ".join(dict.fromkeys(_describe(owner) for owner in taken))
        raise ConflictError(
            f"the segment's DNS and DHCP need ports that are taken: {names}",
            hint="let that program listen on its own addresses only, or stop it while you share",
        )


def _load_helpers(helpers: Sequence[Helper]) -> None:
    """Load the halves of application layer gateways that rewrite addresses.

    The kernel loads those that track connections when a ruleset names them; the others it loads for a rule of iptables
    only, and without them a client's own address goes out in an FTP command. Where they are built in, or where we may
    not load them, nothing comes of it: the halves that track are what `ruleset.refusal` asked for.

    Source:
        ``nft_ct_helper_obj_init()`` and ``nf_nat_helper_try_module_get()`` of the kernel.
    """
    if not helpers:
        return
    with contextlib.suppress(NotSupportedError):
        command.run(["modprobe", "--quiet", "--all", *(f"nf_nat_{helper}" for helper in helpers)], check=False)


def installed() -> bool:
    """Tell whether nftables and dnsmasq are there; needs no privilege."""
    try:
        command.find_program("dnsmasq")
        nft.probe()
    except NotSupportedError:
        return False
    return True


def _serves(owner: PortOwner, gateways: AbstractSet[IPv4Address]) -> bool:
    """Tell whether *owner* would get a segment's packets; a socket bound to a device of its own does not."""
    address: IPv4Address | IPv6Address = owner.address
    return owner.device is None and (address.is_unspecified or address in gateways)


def _describe(owner: PortOwner) -> str:
    program = f"{owner.program} (pid {owner.pid})" if owner.program else "an unknown program"
    return f"{owner.protocol} {owner.address}:{owner.port} by {program}"
