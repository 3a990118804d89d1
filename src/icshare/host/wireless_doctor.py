"""What on this machine stands in the way of a Wi-Fi access point; only looked at where there is a radio."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from icshare.errors import HostError, NotSupportedError
from icshare.host import command, networkmanager, regulatory, rfkill
from icshare.model.status import Check, Grade
from icshare.model.wifi import WORLD


def examine_wireless(
    interfaces: Sequence[str],
    *,
    country: str = "",
    find_program: Callable[[str], str] = command.find_program,
    manages: Callable[[str], bool] = networkmanager.manages,
    databases: Sequence[Path] = regulatory.PLACES,
    switches: Path = rfkill.SYSFS,
) -> Iterator[Check]:
    """Look for what stands in the way of an access point.

    Args:
        interfaces: The Wi-Fi links of this machine.
        country: Regulatory domain in force, "" if unknown.
        find_program: Finds a program or raises `NotSupportedError`.
        manages: Tells whether NetworkManager manages a link.
        databases: Where the regulatory database may be.
        switches: Where sysfs tells of radios that are switched off.
    """
    if not interfaces:
        return
    found = [
        *_hostapd(interfaces, find_program, manages),
        *(_warning(one.reason, one.remedy) for one in rfkill.blocked_radios(switches)),
        *_database(databases),
        *_country(country),
    ]
    yield from found
    if not found:
        yield Check(name="wifi", grade=Grade.OK, text=f"an access point can be tried on {', '.join(interfaces)}")


def _hostapd(
    interfaces: Sequence[str], find_program: Callable[[str], str], manages: Callable[[str], bool]
) -> Iterator[Check]:
    try:
        find_program("hostapd")
    except NotSupportedError:
        try:
            own = [name for name in interfaces if not manages(name)]
        except HostError:  # NetworkManager does not answer
            own = list(interfaces)
        if own:
            yield _warning(f"hostapd is not installed: no access point on {', '.join(own)}", "apt install hostapd")


def _database(databases: Sequence[Path]) -> Iterator[Check]:
    try:
        found = regulatory.read_database(databases) is not None
    except HostError as error:
        yield _warning(error.message)
        return
    if not found:
        text = "there is no regulatory database: channels of 5 and 6 GHz cannot be used by an access point"
        yield _warning(text, regulatory.INSTALL)


def _country(country: str) -> Iterator[Check]:
    if country == WORLD:
        text = "the country is not set: an access point can use the channels 1 to 11 of 2.4 GHz only"
        yield _warning(text, "icshare share ... --ssid NAME --country CC, or iw reg set CC")


def _warning(text: str, remedy: str = "") -> Check:
    return Check(name="wifi", grade=Grade.WARNING, text=text, remedy=remedy)
