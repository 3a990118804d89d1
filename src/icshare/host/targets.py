"""What the targets of port mappings are looked up in: leases, neighbours, the hosts file, this host itself."""

import os
import time
from collections.abc import Mapping, Sequence
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from icshare.errors import HostError
from icshare.host.netlink import NetlinkSocket
from icshare.model.client import Lease, parse_leases
from icshare.model.sharing import Segment
from icshare.plan.targets import Known, known

HOSTS = Path("/etc/hosts")
_MAX_BYTES = 16 * 1024 * 1024


def read_known(segments: tuple[Segment, ...], leases: Path, domain: str) -> Known:
    """Return what targets can be looked up in at the moment; needs no privilege.

    Args:
        segments: The segments in force.
        leases: The lease file of our DHCP server.
        domain: Domain of the clients' names.

    Raises:
        HostError: The kernel or a file could not be read.
    """
    with NetlinkSocket() as netlink:
        own = [one.interface.ip for one in netlink.addresses() if isinstance(one.interface.ip, IPv4Address)]
        indexes = {link.index for link in netlink.links() if link.name in {one.interface for one in segments}}
        neighbours = [one for one in netlink.neighbours() if one.index in indexes]
    name = os.uname().nodename
    return known(
        leases=read_leases(leases, time.time()),
        neighbours=neighbours,
        hosts=parse_hosts(_read(HOSTS)),
        domain=domain,
        own_names={name, name.partition(".")[0]},
        own_addresses=own,
        segments=segments,
    )


def read_leases(path: Path, now: float) -> tuple[Lease, ...]:
    """Return the leases in *path* that have not run out at *now*, seconds since the epoch; () without a file.

    Raises:
        HostError: The file could not be read.
    """
    return tuple(one for one in parse_leases(_read(path)) if one.expires == 0 or one.expires > now)


def parse_hosts(text: str) -> Mapping[str, Sequence[IPv4Address]]:
    """Parse a hosts file: IPv4 addresses by name, lower case, in the order of the file.

    Source:
        hosts(5).
    """
    found: dict[str, list[IPv4Address]] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            address = IPv4Address(words[0])
        except AddressValueError:
            continue
        for name in words[1:]:
            found.setdefault(name.lower().removesuffix("."), []).append(address)
    return found


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror}") from error
