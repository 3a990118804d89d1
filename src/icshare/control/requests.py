"""What is asked for by name: which connections are meant, and the sharing that is made of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Network

from icshare.errors import ConflictError, RefusedError
from icshare.model.connection import Connection, Reason
from icshare.model.fastpath import Mode
from icshare.model.names import InterfaceName, interface_name, is_interface_name
from icshare.model.regulation import Regulation
from icshare.model.settings import Settings
from icshare.model.sharing import Sharing
from icshare.model.snapshot import Snapshot
from icshare.model.wifi import AccessPoint, Country
from icshare.plan.connections import best_default
from icshare.plan.designated import make_sharing
from icshare.plan.regulation import refuse_forbidden

AUTO = "auto"
"""As public connection: the link that carries the best default route."""


class Requests:
    """Makes sharings of names."""

    def __init__(
        self,
        *,
        connections: Callable[[], Sequence[Connection]],
        baseline: Callable[[], Snapshot],
        read_regulation: Callable[[Country], Regulation],
        settings: Settings,
    ) -> None:
        """Take what tells of connections, of the host as it would be without us, and of the rules of a country."""
        self._connections = connections
        self._baseline = baseline
        self._read_regulation = read_regulation
        self._settings = settings

    def usable(self, public: str, privates: Sequence[str]) -> list[Connection]:
        """Return the connections that are meant, the public one first unless it is `AUTO`.

        None of them when something speaks against one; what that is, the planner tells when the sharing is made.
        """
        known = self._connections()
        found = [] if public == AUTO else [(called(known, public), True)]
        found += [(called(known, name), False) for name in privates]
        usable = [one for one, first in found if one and (one.as_public if first else one.as_private).ok]
        return usable if len(usable) == len(found) else []

    def sharing(
        self,
        public: str,
        privates: Sequence[str],
        subnet: IPv4Network | None,
        access_point: AccessPoint | None,
        fast_path: Mode | None = None,
    ) -> Sharing:
        """Return the sharing that is meant, with the settings filled in.

        Args:
            public: Interface name of the public connection or name of a pppd peer, or `AUTO`.
            privates: Likewise of the private connections.
            subnet: The segment's subnet, None for the setting.
            access_point: The access point to make; on the radio of the public connection, too.
            fast_path: How the later packets of connections may go, None for the setting.

        Raises:
            RefusedError: Names that cannot be interface names, all of them.
            InvalidRequestError: The access point's country is unknown, or forbids its channel.
            NotSupportedError: A country is asked for, and there is no regulatory database.
            ConflictError: `AUTO`, and no link carries a default route.
        """
        known = self._connections()
        public = public if public == AUTO else _interface(known, public)
        privates = tuple(_interface(known, name) for name in privates)
        unusable = [name for name in dict.fromkeys((public, *privates)) if not is_interface_name(name)]
        if unusable:
            raise RefusedError(
                [(Reason.UNUSABLE_NAME, f"{name!r} is not a usable interface name") for name in unusable],
                hint="1 to 15 characters of A-Z a-z 0-9 _ . @ -; icshare list shows the names of this host",
            )
        names = tuple(interface_name(name) for name in privates)
        if access_point is not None and access_point.country is not None:
            refuse_forbidden(self._read_regulation(access_point.country), access_point)
        radio = access_point.interface if access_point else None  # which may be public as well
        others = tuple(name for name in names if name != radio)
        chosen = self._default_connection(others) if public == AUTO else interface_name(public)
        if chosen == radio:
            names = others
        settings = replace(
            self._settings,
            subnet=self._settings.subnet if subnet is None else subnet,
            fast_path=fast_path or self._settings.fast_path,
        )
        return make_sharing(chosen, names, settings, access_point)

    def _default_connection(self, privates: Sequence[str]) -> InterfaceName:
        baseline = self._baseline()
        kept = replace(baseline, links=tuple(link for link in baseline.links if link.name not in privates))
        index = best_default(kept.routes, kept.links)
        link = kept.link_by_index(index) if index is not None else None
        if link is None:
            raise ConflictError(
                "no connection carries a default route, so there is none to choose as public",
                hint="name the public connection, or connect one to the Internet first",
            )
        return interface_name(link.name)


def called(connections: Iterable[Connection], name: str) -> Connection | None:
    """Return the connection that *name* calls: the one with that interface, else the pppd peer; None without."""
    known = list(connections)
    return next((one for key in ("interface", "peer") for one in known if getattr(one, key) == name), None)


def _interface(connections: Iterable[Connection], name: str) -> str:
    found = called(connections, name)
    return name if found is None else found.interface
