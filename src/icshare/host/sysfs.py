"""What rtnetlink does not tell about a link, from sysfs, procfs, nl80211 and the driver.

``/sys`` shows the network namespace of the process that mounted it, which need not be ours: a name found there counts
only if index, type and address are those that rtnetlink gave. Otherwise the facts come from the link's kind, the driver
(``SIOCETHTOOL``), its parent and nl80211, all of which do speak for our namespace; they tell less: a ``DEVTYPE`` only
where kind or parent give it away, and the mode of a tun link by its type and bus.

Source:
    kernel documentation, ABI/testing/sysfs-class-net; ``linux/if_tun.h``.
"""

import errno
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from icshare.errors import HostError
from icshare.host.ethtool import DriverInfo, driver_info
from icshare.host.linkowners import LinkOwners
from icshare.host.netlink import NetlinkSocket
from icshare.model.link import ARPHRD_ETHER, IfIndex, Link, LinkFacts
from icshare.wire import genetlink, nl80211
from icshare.wire.nl80211 import WirelessInterface

_ARPHRD_PPP = 512
_ARPHRD_SLIP = frozenset({256, 257, 258, 259, 264})
_ARPHRD_MONITOR = frozenset({801, 802, 803})
_STATION = 2
_IFF_TUN, _IFF_TAP = 1, 2
_KINDS_WITH_DEVTYPE = frozenset({"bond", "bridge", "geneve", "macsec", "ppp", "vlan", "vxlan", "wireguard", "wwan"})
_BLUETOOTH_DEVICE = re.compile(r"hci\d+(:\d+)?")  # controller, and the connection's handle


def with_facts(
    links: Sequence[Link],
    *,
    root: Path = Path("/"),
    radios: Callable[[], Sequence[WirelessInterface]] | None = None,
    driver: Callable[[str], DriverInfo] = driver_info,
    owners: LinkOwners | None = None,
) -> tuple[Link, ...]:
    """Return *links* with their facts filled in.

    Args:
        links: All links of the network namespace, as rtnetlink gave them; or some, with the *owners* of all.
        root: Where ``sys``, ``proc``, ``run`` and ``etc`` are; not ``/`` for a recorded tree.
        radios: Lists the Wi-Fi interfaces; asked only if a link may be one. None asks the kernel.
        driver: Asks a driver by ioctl; only for links that sysfs does not show.
        owners: Tells of the processes behind links; None looks anew.

    Raises:
        HostError: The kernel answered nonsense. What merely cannot be read is left out.
    """
    owners = owners or LinkOwners(root, [link.name for link in links])
    shown = [_facts_by_sysfs(link, root) for link in links]
    asked = any(
        _may_be_wireless(link) if facts is None else facts.wireless for link, facts in zip(links, shown, strict=True)
    )
    wireless = {one.index: one for one in (radios or wireless_interfaces)()} if asked else {}
    filled = []
    for link, facts in zip(links, shown, strict=True):
        known = _with_procfs(link, facts or _facts_by_ioctl(link, driver), root, owners)
        filled.append(replace(link, facts=_with_radio(known, wireless.get(link.index), wireless)))
    return tuple(filled)


def wireless_interfaces() -> tuple[WirelessInterface, ...]:
    """Return the Wi-Fi interfaces of the current network namespace; none where no Wi-Fi driver is loaded.

    Raises:
        HostError: The kernel answered nonsense.
    """
    try:
        with NetlinkSocket(genetlink.NETLINK_GENERIC) as kernel:
            family = genetlink.parse_family(kernel.request(genetlink.get_family(nl80211.FAMILY))[0].payload)
            answers = kernel.dump(nl80211.dump_interfaces(family))
    except HostError as error:
        if error.errno in {errno.ENOENT, errno.EPROTONOSUPPORT, errno.EOPNOTSUPP}:
            return ()
        raise
    found = (nl80211.parse_interface(answer.payload) for answer in answers)
    return tuple(one for one in found if one is not None)


def _facts_by_sysfs(link: Link, root: Path) -> LinkFacts | None:
    """Return the facts of *link* by sysfs, None if sysfs shows another namespace or nothing."""
    directory = root / "sys" / "class" / "net" / link.name
    if not _is_shown(link, directory):
        return None
    uevent = dict(line.partition("=")[::2] for line in _read(directory / "uevent").splitlines())
    devtype = uevent.get("DEVTYPE", "")
    flags = _read(directory / "tun_flags").strip() if link.kind == "tun" else ""
    device = _readlink(directory / "device")
    return LinkFacts(
        devtype=devtype,
        driver=_readlink(directory / "device" / "driver").rpartition("/")[2] if device else "",
        wireless=devtype == "wlan" or bool(_readlink(directory / "phy80211")),
        tun_flags=int(flags, 16) if re.fullmatch("0x[0-9a-f]{1,8}", flags) else None,
        hardware=bool(device),
    )


def _is_shown(link: Link, directory: Path) -> bool:
    """Tell whether *directory* is about *link* and not about one of the same name in another namespace."""
    if "/" in link.name or link.name in {"", ".", ".."}:
        return False
    shown = [_read(directory / name).strip() for name in ("ifindex", "type", "address")]
    return shown == [str(link.index), str(link.type), link.address]


def _facts_by_ioctl(link: Link, driver: Callable[[str], DriverInfo]) -> LinkFacts:
    info = driver(link.name)
    flags = None
    if link.kind == "tun":
        flags = _IFF_TAP if info.bus == "tap" or link.type == ARPHRD_ETHER else _IFF_TUN
    return LinkFacts(
        devtype=link.kind if link.kind in _KINDS_WITH_DEVTYPE else _devtype_by_parent(link),
        driver="" if link.kind else info.driver,
        tun_flags=flags,
        hardware=not link.kind and bool(link.parent_device or info.bus),
    )


def _devtype_by_parent(link: Link) -> str:
    """Return the device type that the parent gives away: rtnetlink names it in every namespace."""
    if link.parent_bus == "gadget":
        return "gadget"
    # Bluetooth is a class and no bus, so only the name tells.
    return "bluetooth" if not link.kind and _BLUETOOTH_DEVICE.fullmatch(link.parent_device) else ""


def with_dialled(links: Sequence[Link], owners: LinkOwners) -> tuple[Link, ...]:
    """Return *links* with the facts that tell who was dialled, for those that were: what identifies them."""
    return tuple(
        replace(link, facts=replace(link.facts, ppp=owners.ppp(link.name))) if _is_ppp(link) else link for link in links
    )


def _is_ppp(link: Link) -> bool:
    return link.type == _ARPHRD_PPP or link.kind == "ppp"


def _with_procfs(link: Link, facts: LinkFacts, root: Path, owners: LinkOwners) -> LinkFacts:
    """Add what only processes and their files tell, for the few kinds of link that they tell about."""
    if _is_ppp(link):
        return replace(facts, ppp=owners.ppp(link.name))
    if link.type in _ARPHRD_SLIP:
        return replace(facts, ppp=owners.slip())
    if link.kind == "tun":
        return replace(facts, tun_owner=owners.tun(link.name))
    if link.kind == "openvswitch":
        return replace(facts, switch=(root / "run" / "openvswitch" / f"{link.name}.mgmt").exists())
    if link.type == ARPHRD_ETHER and not link.kind and not facts.hardware:
        circuits = _read(root / "proc" / "net" / "atm" / "br2684")
        return replace(facts, atm=f"dev {link.name}:" in circuits)
    return facts


def _with_radio(
    facts: LinkFacts, own: WirelessInterface | None, others: Mapping[IfIndex, WirelessInterface]
) -> LinkFacts:
    if own is None:
        return facts
    stations = [one.index for one in others.values() if one.radio == own.radio and one.type == _STATION]
    return replace(
        facts,
        wireless=True,
        wireless_type=own.type,
        four_address=own.four_address,
        radio=own.radio,
        frequency=own.frequency,
        ssid=own.ssid,
        first_on_phy=own.type != _STATION or own.index == min(stations),
    )


def _may_be_wireless(link: Link) -> bool:
    return link.type in _ARPHRD_MONITOR or (link.type == ARPHRD_ETHER and not link.kind)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="backslashreplace")
    except (OSError, ValueError):  # gone meanwhile; no such attribute; a name that no path can hold
        return ""


def _readlink(path: Path) -> str:
    try:
        return str(path.readlink())
    except (OSError, ValueError):
        return ""
