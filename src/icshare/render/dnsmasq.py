"""The configuration of our dnsmasq: DHCP and DNS for the segments, nothing else.

It is bound to the segments' interfaces and addresses (``bind-dynamic``: a bridge that is made again is bound again),
never to 0.0.0.0:53. ``no-ping`` because the server's own address probe delays a first lease by three seconds; that two
clients never get one address is kept by the lease file. ``dns-loop-detect`` and the refusal of its own addresses as
upstream keep queries from circling.

Source:
    dnsmasq(8); RFC 2132 (options); RFC 8375 (home.arpa).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from icshare.model.leasing import lease_pool
from icshare.model.names import InterfaceName
from icshare.model.sharing import Segment, Sharing

_OPTION_ROUTER = "option:router"
_OPTION_DNS = "option:dns-server"
_OPTION_MTU = "option:mtu"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFiles:
    """Paths that dnsmasq uses; all inside our run directory but the resolvers' files.

    Attributes:
        pid: Its own number.
        leases: What it has leased.
        resolv: The name servers to ask, as in resolv.conf(5); of several files the one that was written last counts.
        direct: When those are a program on this host: whom that program asks, None when nobody says.
    """

    pid: str
    leases: str
    resolv: tuple[str, ...]
    direct: str | None = None


def configuration(
    sharing: Sharing,
    segments: Sequence[Segment],
    files: ServiceFiles,
    *,
    user: str,
    mtus: Mapping[InterfaceName, int],
    on_demand: bool = False,
) -> str:
    """Return the text of dnsmasq's configuration file.

    Args:
        sharing: What is wanted.
        segments: The segments to serve.
        files: Where dnsmasq keeps its files.
        user: Account to run as.
        mtus: MTU in bytes to tell the clients of a segment, by its interface; none for a segment whose own will do.
        on_demand: Ask nobody of its own accord: a question dials.
    """
    asking = () if on_demand else ("dns-loop-detect",)
    return "".join(f"{line}\n" for line in _lines(sharing, segments, files, user, mtus, asking))


def _lines(
    sharing: Sharing,
    segments: Sequence[Segment],
    files: ServiceFiles,
    user: str,
    mtus: Mapping[InterfaceName, int],
    asking: Sequence[str],
) -> Iterator[str]:
    domain = sharing.dns.domain
    yield "# made by icshare; changes are lost"
    yield f"user={user}"
    yield f"pid-file={files.pid}"
    yield "bind-dynamic"
    yield "except-interface=lo"
    for segment in segments:
        yield f"interface={segment.interface}"
        if not (segment.ethernet and sharing.dhcp.enabled):
            yield f"no-dhcp-interface={segment.interface}"
    yield ""
    yield "# DNS"
    if sharing.dns.servers:
        yield "no-resolv"
        for server in sharing.dns.servers:
            yield f"server={server}"
    else:
        for path in files.resolv:
            yield f"resolv-file={path}"
    yield f"domain={domain}"
    yield f"local=/{domain}/"
    for segment in segments:
        yield f"host-record=gateway.{domain},{segment.gateway}"
    yield "expand-hosts"
    yield "domain-needed"
    yield "bogus-priv"
    yield from asking
    yield "cache-size=1000"
    if sharing.dhcp.enabled and any(segment.ethernet for segment in segments):
        yield ""
        yield "# DHCP"
        yield "dhcp-authoritative"
        yield "no-ping"
        yield "quiet-dhcp"
        yield f"dhcp-leasefile={files.leases}"
        for segment in segments:
            if segment.ethernet:
                yield from _dhcp(sharing, segment, mtus.get(segment.interface), main=segment is segments[0])


def _dhcp(sharing: Sharing, segment: Segment, mtu: int | None, *, main: bool) -> Iterator[str]:
    settings = sharing.dhcp
    tag = _tag(segment.interface)
    pool = lease_pool(
        segment.network, first=settings.pool_first if main else None, last=settings.pool_last if main else None
    )
    yield f"dhcp-range=set:{tag},{pool.first},{pool.last},{segment.network.netmask},{settings.lease_seconds}s"
    yield f"dhcp-option=tag:{tag},{_OPTION_ROUTER},{segment.gateway}"
    yield f"dhcp-option=tag:{tag},{_OPTION_DNS},{segment.gateway}"
    if mtu is not None:
        yield f"dhcp-option=tag:{tag},{_OPTION_MTU},{mtu}"
    for reservation in settings.reservations if main else ():
        parts: list[str | IPv4Address] = [reservation.mac]
        parts += [reservation.address] if reservation.address else []
        parts += [reservation.name] if reservation.name else []
        yield f"dhcp-host={','.join(map(str, parts))}"


def _tag(interface: InterfaceName) -> str:
    """Return a dnsmasq tag for *interface*: letters and digits only, distinct for distinct names."""
    return "".join(letter if letter.isalnum() else f"_{ord(letter):02x}" for letter in interface)
