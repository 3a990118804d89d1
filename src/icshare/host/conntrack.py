"""Cut connections that a port mapping let in: what is forgotten by connection tracking is translated no more.

Closing a port keeps new connections out. Those that are open go on, because their translation stands in the table of
connections and not in the ruleset. So whoever takes a mapping away cuts them here afterwards.
"""

import errno
from collections.abc import Iterable
from ipaddress import IPv4Address

from icshare.errors import HostError, NotSupportedError
from icshare.host.netlink import NetlinkSocket
from icshare.plan.placing import Socket
from icshare.wire.conntrack import (
    IPS_DST_NAT,
    IPS_SRC_NAT,
    NETLINK_NETFILTER,
    Entry,
    delete_entry,
    dump_entries,
    parse_entry,
)

# What a kernel answers that has no NETLINK_NETFILTER, and one that has no nf_conntrack_netlink.
_UNSUPPORTED = frozenset({errno.EPROTONOSUPPORT, errno.EINVAL, errno.EOPNOTSUPP})


def cut(sockets: Iterable[Socket]) -> int:
    """Cut the connections that use the mappings of *sockets*, in the current network namespace.

    These are the connections that came in by an external port, and those that the mapped socket itself opened to the
    outside under its external port. Connections of this host with itself stay, unless they were translated.

    Returns:
        How many connections were cut.

    Raises:
        PrivilegeError: CAP_NET_ADMIN is missing.
        NotSupportedError: The kernel does not give access to its table of connections.
        HostError: The kernel refused for another reason.
    """
    wanted: frozenset[_Port] = frozenset(sockets)
    if not wanted:
        return 0
    own = _own_addresses() if any(target is None for _, _, target, _ in wanted) else frozenset()
    try:
        with NetlinkSocket(NETLINK_NETFILTER) as netlink:
            entries = (parse_entry(message.payload) for message in netlink.dump(dump_entries()))
            found = [entry for entry in entries if entry is not None and _uses(entry, wanted, own)]
            return sum(_delete(netlink, entry) for entry in found)
    except HostError as error:
        if error.errno in _UNSUPPORTED:
            raise NotSupportedError(
                f"this kernel does not let connections be cut: {error}", hint="it needs CONFIG_NF_CT_NETLINK"
            ) from error
        raise


_Port = tuple[int, int, IPv4Address | None, int]
"""A `Socket` as a connection tells of it, which may be of any protocol."""


def _uses(entry: Entry, wanted: frozenset[_Port], own: frozenset[IPv4Address]) -> bool:
    """Tell whether a connection uses a mapping; *own* are our addresses, none if no mapping leads to this host."""
    original, reply = entry.original, entry.reply
    inward = (entry.protocol, original.destination_port, reply.source, reply.source_port)
    outward = (entry.protocol, reply.destination_port, original.source, original.source_port)
    if (inward in wanted and entry.status & IPS_DST_NAT) or outward in wanted:
        return True
    if original.destination in own and reply.source in own:
        known = (inward[0], inward[1], None, inward[3]) in wanted
        return known and (original.source not in own or bool(entry.status & IPS_DST_NAT))
    # A socket of this host that keeps its own port was not opened under a mapping.
    translated = original.source in own and bool(entry.status & IPS_SRC_NAT)
    return translated and (outward[0], outward[1], None, outward[3]) in wanted


def _own_addresses() -> frozenset[IPv4Address]:
    with NetlinkSocket() as netlink:
        found = (address.interface.ip for address in netlink.addresses())
        return frozenset(address for address in found if isinstance(address, IPv4Address))


def _delete(netlink: NetlinkSocket, entry: Entry) -> bool:
    try:
        netlink.request(delete_entry(entry))
    except HostError as error:
        if error.errno == errno.ENOENT:  # it ended by itself
            return False
        raise
    return True
