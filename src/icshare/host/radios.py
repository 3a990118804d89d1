"""The radios of this network namespace: what they can do, the country, the links that they have.

A country is asked for and comes later: the kernel looks its rules up in a file first, and tells every radio. So whoever
sets it looks until it is in force.
"""

import errno
import time
from typing import Final, Self

from icshare.errors import HostError
from icshare.host.netlink import NetlinkSocket
from icshare.model.link import IFF_UP, IfIndex, Link
from icshare.model.names import InterfaceName
from icshare.model.wifi import InterfaceType, Radio
from icshare.wire import genetlink, nl80211, rtchange
from icshare.wire.netlink import Request
from icshare.wire.wiphy import dump_radios, parse_radios

_COUNTRY_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.02
_NO_RADIOS: Final = frozenset({errno.ENOENT, errno.EPROTONOSUPPORT, errno.EOPNOTSUPP})


class Radios:
    """nl80211 in the current network namespace; use it as a context manager."""

    def __init__(self) -> None:
        """Open the socket.

        Raises:
            HostError: There is no Wi-Fi here: ``errno`` is ENOENT; or the kernel gives no socket.
        """
        self._kernel = NetlinkSocket(genetlink.NETLINK_GENERIC)
        try:
            self._family = genetlink.parse_family(self._kernel.request(genetlink.get_family(nl80211.FAMILY))[0].payload)
        except BaseException:
            self._kernel.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._kernel.close()

    def all(self) -> tuple[Radio, ...]:
        """Return every radio.

        Raises:
            HostError: The kernel answered nonsense.
        """
        return parse_radios(answer.payload for answer in self._kernel.dump(dump_radios(self._family)))

    def country(self) -> str:
        """Return the regulatory domain in force; errors as for `all`."""
        return nl80211.parse_country(self._kernel.request(nl80211.get_country(self._family))[0].payload)

    def set_country(self, country: str) -> None:
        """Set the regulatory domain; it is in force when this returns.

        Raises:
            HostError: The kernel refused, or does not know the country.
            PrivilegeError: A capability is missing.
        """
        if self.country() == country:
            return
        self._kernel.request(nl80211.set_country(self._family, country))
        deadline = time.monotonic() + _COUNTRY_SECONDS
        while self.country() != country:
            if time.monotonic() > deadline:
                raise HostError(
                    f"the kernel does not take the country {country}",
                    hint="install its regulatory database (Debian: apt install wireless-regdb)",
                )
            time.sleep(_LOOK_SECONDS)

    def create_link(self, radio: int, name: InterfaceName) -> None:
        """Make a link for an access point; errors as for `set_country`."""
        self._request(nl80211.create_access_point_link(self._family, radio, name))

    def delete_link(self, index: IfIndex) -> None:
        """Delete a link of a radio; one that is gone is no error. Errors as for `set_country`."""
        self._request(nl80211.delete_interface(self._family, index), errno.ENODEV)

    def set_type(self, routes: NetlinkSocket, link: Link, kind: InterfaceType, *, up: bool) -> None:
        """Make a link one of another type, and leave it *up*; errors as for `set_country`."""
        present = nl80211.parse_interface(
            self._kernel.request(nl80211.get_interface(self._family, link.index))[0].payload
        )
        if present is None or present.type != kind:
            if link.flags & IFF_UP:
                routes.request(rtchange.set_up(link.index, up=False))
            self._request(nl80211.set_interface_type(self._family, link.index, kind))
        if up:
            routes.request(rtchange.set_up(link.index, up=True))

    def _request(self, request: Request, *tolerated: int) -> None:
        try:
            self._kernel.request(request)
        except HostError as error:
            if error.errno not in tolerated:
                raise


def set_country(country: str) -> None:
    """Set the regulatory domain, as `Radios.set_country`; where there is no radio any more there is none to set."""
    try:
        with Radios() as radios:
            radios.set_country(country)
    except HostError as error:
        if error.errno not in _NO_RADIOS:
            raise


def look() -> tuple[tuple[Radio, ...], str]:
    """Return the radios and the regulatory domain; nothing and "" where no Wi-Fi driver is loaded.

    Raises:
        HostError: The kernel answered nonsense.
    """
    try:
        with Radios() as radios:
            return radios.all(), radios.country()
    except HostError as error:
        if error.errno in _NO_RADIOS:
            return (), ""
        raise
