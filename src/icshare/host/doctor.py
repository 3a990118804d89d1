"""What on this machine stands in the way of sharing, and the command that mends it."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path as FilePath

from icshare.errors import NotSupportedError, PrivilegeError
from icshare.host import checks, command, ruleset
from icshare.host.abilities import abilities
from icshare.host.service import Service
from icshare.host.settings import require_net_admin
from icshare.host.sockets import port_owners
from icshare.host.wireless_doctor import examine_wireless
from icshare.model.fastpath import Path
from icshare.model.names import interface_name, is_interface_name
from icshare.model.sharing import DEFAULT_SUBNET, Helper
from icshare.model.snapshot import Snapshot
from icshare.model.status import Check, Grade, Health
from icshare.plan.bypass import Obstacle, goes_past
from icshare.plan.connections import best_default
from icshare.plan.fastpath import UNMETERED
from icshare.ports import Record
from icshare.render.fastpath import Hook
from icshare.render.nft import TABLE

_LEGACY_TABLES = FilePath("/proc/net/ip_tables_names")
_FORWARDING = FilePath("/proc/sys/net/ipv4/ip_forward")
_APPARMOR = FilePath("/sys/kernel/security/apparmor/profiles")


def examine(snapshot: Snapshot, record: Record | None, service: Service) -> Health:
    """Look for what stands in the way of sharing on this machine, and at the present sharing if there is one."""
    found = [
        *_privilege(),
        *_programs(),
        *_kernel(),
        *_sysctls(),
        *_ports({process.pid for process in service.processes()}),
        *_uplink(snapshot, record),
        *_subnet(snapshot, record),
        *_fast_path(snapshot, record),
        *_legacy(),
        *_apparmor(),
        *examine_wireless([link.name for link in snapshot.links if link.facts.wireless], country=snapshot.country),
    ]
    if record is not None:
        found += checks.check(snapshot, record.wanted, record.segments, service).checks
        found += checks.fast_path(snapshot, record)
    if record is None and snapshot.ruleset is not None:
        found.append(
            Check(
                name="leftover",
                grade=Grade.WARNING,
                text="table inet icshare is loaded though nothing is on record as shared",
                remedy=f"nft delete table inet {TABLE}",
            )
        )
    return Health(checks=tuple(found))


def _ok(name: str, text: str) -> Check:
    return Check(name=name, grade=Grade.OK, text=text)


def _warning(name: str, text: str, remedy: str = "") -> Check:
    return Check(name=name, grade=Grade.WARNING, text=text, remedy=remedy)


def _failed(name: str, text: str, remedy: str = "") -> Check:
    return Check(name=name, grade=Grade.FAILED, text=text, remedy=remedy)


def _privilege() -> Iterator[Check]:
    try:
        require_net_admin()
    except PrivilegeError as error:
        yield _warning("privilege", f"{error.message}; some things were not looked at", error.hint or "")
    else:
        yield _ok("privilege", "this process may change the network")


def _programs() -> Iterator[Check]:
    try:
        path = command.find_program("dnsmasq")
    except NotSupportedError as error:
        yield _failed("dnsmasq", error.message, "apt install dnsmasq-base")
        return
    version = command.run([path, "--version"], check=False).stdout.partition("\n")[0].split("  ")[0]
    yield _ok("dnsmasq", version or f"{path} is installed")


_NEEDS = {
    "masquerading": "chain c {\ntype nat hook postrouting priority srcnat;\nip saddr 192.0.2.0/24 masquerade\n}",
    "connection tracking": "chain c {\ntype filter hook forward priority filter;\nct state established accept\n}",
    "MSS clamping": (
        "chain c {\ntype filter hook forward priority mangle;\ntcp flags syn tcp option maxseg size set rt mtu\n}"
    ),
    "rejecting": "chain c {\ntype filter hook forward priority filter;\nreject with icmpx no-route\n}",
    "dynamic sets": "set s {\ntype ipv4_addr; size 16; flags dynamic,timeout; timeout 1d; counter;\n}",
}
"""What the ruleset uses of the kernel, each in the smallest table that needs it."""

_UDP_HELPERS = frozenset({Helper.TFTP, Helper.SIP})


def _helper(helper: Helper) -> str:
    protocol = "udp" if helper in _UDP_HELPERS else "tcp"
    return f'ct helper h {{\ntype "{helper}" protocol {protocol};\n}}'


def _kernel() -> Iterator[Check]:
    try:
        refusals = {what: _refusal(body) for what, body in _NEEDS.items()}
        missing = [f"ALG {helper}" for helper in Helper if _refusal(_helper(helper)) is not None]
    except PrivilegeError:
        return
    except NotSupportedError as error:
        yield _failed("nftables", error.message, error.hint or "")
        return
    for what, refusal in refusals.items():
        if refusal is not None:
            yield _failed(
                "nftables",
                f"this kernel has no {what}: {refusal}",
                "boot a kernel with nftables' NAT, or load its modules",
            )
    if not any(refusals.values()):
        yield _ok("nftables", "the kernel has all that the ruleset needs")
    if missing:
        yield _warning(
            "helpers", f"not available in this kernel: {', '.join(missing)}", "load nf_conntrack_ftp and its kin"
        )


def _refusal(body: str) -> str | None:
    return ruleset.refusal(f"table inet icshare-probe {{\n{body}\n}}\n")


def _sysctls() -> Iterator[Check]:
    """A container often has /proc/sys read-only; nothing can be shared there."""
    path = _FORWARDING
    if not path.exists():
        yield _failed("ipv4", "this kernel has no IPv4", "boot one that has")
    elif not _writable(path):
        yield _warning(
            "sysctl",
            f"{path.parent} cannot be written by this process",
            "run it with sudo; in a container mount /proc/sys writable",
        )


def _writable(path: FilePath) -> bool:
    try:
        with path.open("r+b"):
            return True
    except OSError:
        return False


def _ports(own: AbstractSet[int]) -> Iterator[Check]:
    taken = [
        owner
        for port, protocol in ((53, "udp"), (53, "tcp"), (67, "udp"))
        for owner in port_owners(port, protocol)  # type: ignore[arg-type]
        if owner.pid not in own and owner.device is None and owner.address.is_unspecified
    ]
    for owner in taken:
        program = f"{owner.program} (pid {owner.pid})" if owner.program else "an unknown program"
        yield _failed(
            "ports",
            f"{owner.protocol} port {owner.port} is taken on every address by {program}",
            f"let {owner.program or 'it'} listen on its own addresses only (bind-interfaces), or stop it",
        )
    if not taken:
        yield _ok("ports", "the ports of DNS and DHCP are free for a segment")


def _uplink(snapshot: Snapshot, record: Record | None) -> Iterator[Check]:
    index = best_default(snapshot.routes, snapshot.links)
    link = snapshot.link_by_index(index) if index is not None else None
    if link is not None:
        yield _ok("uplink", f"{link.name} carries the default route")
    elif record is None:
        yield _warning("uplink", "no connection carries a default route", "connect one to the Internet")


def _subnet(snapshot: Snapshot, record: Record | None) -> Iterator[Check]:
    if record is not None:
        return
    names = {link.index: link.name for link in snapshot.links}
    for address in snapshot.addresses:
        if address.interface.version == 4 and address.interface.network.overlaps(DEFAULT_SUBNET):
            yield _warning(
                "subnet",
                f"{DEFAULT_SUBNET} is in use on {names.get(address.index, '?')}; another subnet will be chosen",
            )
            return


def _fast_path(snapshot: Snapshot, record: Record | None) -> Iterator[Check]:
    """Tell what a sharing gets of the fast path, and what would bring more; without one, what this machine can do."""
    if record is not None and record.sharing is not None:
        alike: dict[tuple[str, str, str], list[str]] = {}
        for pair in record.paths:
            if pair.path is not Path.XDP:
                way = "no fast path" if pair.path is Path.KERNEL else f"{pair.path} and not XDP"
                alike.setdefault((way, pair.reason, pair.remedy), [pair.public]).append(pair.private)
        for (way, reason, remedy), names in alike.items():
            yield _could(f"{', '.join(names[:-1])} and {names[-1]} have {way}: {reason}", remedy)
        return
    hardware = [link.name for link in snapshot.links if link.facts.hardware and is_interface_name(link.name)]
    found = abilities([interface_name(name) for name in hardware])
    if found is None:
        return
    kernel = found.kernel
    if found.metering:
        yield _could(f"a sharing would get no fast path: {found.metering}", UNMETERED)
    elif not kernel.bpf:
        instead = "a flowtable" if kernel.flowtable else "no fast path"
        text = f"a sharing would get {instead}, as programs of eBPF cannot run: {kernel.why_not_bpf}"
        yield _could(text, kernel.bpf_remedy)
    else:
        yield _could("this kernel runs the fast path's programs")
        for one in found.links:
            why = one.why_not_native or one.why_not_sendable
            obstacles = [Obstacle(why)] if why else list(goes_past(one, Hook.XDP, found.hooked))
            if one.ethernet and obstacles:
                yield _could(f"{one.name} would get no XDP: {obstacles[0].text}", obstacles[0].remedy)


def _could(text: str, remedy: str = "") -> Check:
    """Return a finding that stands in nobody's way, but may be bettered."""
    return Check(name="fast path", grade=Grade.OK, text=text, remedy=remedy)


def _legacy() -> Iterator[Check]:
    """Rules of iptables-legacy are not in nftables' listing: they can drop, and nobody would see them there."""
    try:
        tables = _LEGACY_TABLES.read_text(encoding="ascii").split()
    except OSError:
        return
    if tables:
        yield _warning(
            "legacy",
            f"iptables-legacy has rules in {', '.join(tables)}, which cannot be judged from here",
            "iptables-legacy-save shows them; a DROP policy of FORWARD there cuts clients off",
        )


def _apparmor() -> Iterator[Check]:
    try:
        profiles = _APPARMOR.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    if any(
        line.startswith(("dnsmasq ", "/usr/sbin/dnsmasq ")) and "(enforce)" in line for line in profiles.splitlines()
    ):
        yield _warning(
            "apparmor",
            "AppArmor confines dnsmasq; its profile must allow /run/icshare",
            "add '/run/icshare/* rw,' to /etc/apparmor.d/local/usr.sbin.dnsmasq and reload it",
        )
