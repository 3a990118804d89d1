"""Access points by NetworkManager, where it owns the radio.

Theory of operation
-------------------
Two programs that drive one radio fight for it. So where NetworkManager manages a Wi-Fi link, the access point is a
profile of its own, made in memory, activated, and gone when it is deactivated ("volatile"). It is not bound to the
caller's life on the bus, because nothing of ours stays resident. The profile's UUID follows from the run directory, so
that any later process finds the access point again, also one that only knows that it may have been begun; and what is
in force is read from the profile itself, which carries the version that it was made of.

`AccessPointBackend` is what this and an access point of our own have in common.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID, uuid5

from icshare.errors import ConflictError, HostError, NotSupportedError, PrivilegeError
from icshare.host.dbus import CallRefusedError, Heard, Service
from icshare.model.wifi import Passphrase
from icshare.plan.steps import digest
from icshare.render.nmprofile import USER_KEY, parse_profile, profile_settings

_NAME: Final = "org.freedesktop.NetworkManager"
_ROOT: Final = "/org/freedesktop/NetworkManager"
_SETTINGS: Final = f"{_ROOT}/Settings"
_PROFILES: Final = f"{_NAME}.Settings"
_DEVICE: Final = f"{_NAME}.Device"
_WIRELESS: Final = f"{_DEVICE}.Wireless"
_ACTIVE: Final = f"{_NAME}.Connection.Active"
_PROFILE: Final = f"{_NAME}.Settings.Connection"
_NAMESPACE: Final = UUID("3f0e0f5c-7d5e-5c58-9a4e-6d6b7a1c9f10")

_NOTICE_SECONDS: Final = 5.0
_READY_SECONDS: Final = 10.0
_ACTIVATION_SECONDS: Final = 45.0
_DEACTIVATION_SECONDS: Final = 20.0

_WIFI: Final = 2
_CAN_BE_AP: Final = 0x40
_ACTIVATED, _DEACTIVATED = 2, 4
_DEVICE_UNMANAGED, _DEVICE_DISCONNECTED, _DEVICE_FAILED = 10, 30, 120

_GONE: Final = frozenset(
    {
        "org.freedesktop.DBus.Error.UnknownObject",
        "org.freedesktop.DBus.Error.UnknownMethod",
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.NetworkManager.ConnectionNotActive",
        "org.freedesktop.NetworkManager.UnknownDevice",
        "org.freedesktop.NetworkManager.Settings.InvalidConnection",
    }
)
_DENIED: Final = frozenset(
    {
        "org.freedesktop.DBus.Error.AccessDenied",
        "org.freedesktop.NetworkManager.PermissionDenied",
        "org.freedesktop.NetworkManager.Settings.PermissionDenied",
    }
)

_UNREADY: Final = {
    10: "it is told to leave it alone (nmcli device set ... managed yes)",
    20: "Wi-Fi is switched off, or wpa_supplicant does not run",
}
"""NMDeviceState, of devices that are not ready."""
_DEVICE_REASONS: Final = {
    2: "the radio is managed by NetworkManager only now",
    3: "NetworkManager does not manage the radio any more",
    4: "the radio could not be set up",
    7: "the passphrase was not taken",
    8: "wpa_supplicant gave up",
    9: "wpa_supplicant did not take the settings",
    10: "wpa_supplicant failed: the radio does not do this channel, or not beside what it does already",
    11: "wpa_supplicant did not start the access point in time",
    35: "the radio's firmware is missing",
    36: "the radio was unplugged",
    37: "NetworkManager sleeps, or networking is switched off",
    38: "the profile was deleted",
    39: "somebody disconnected it",
    60: "another profile took the radio",
}
"""NMDeviceStateReason."""
_ACTIVE_REASONS: Final = {
    2: "somebody disconnected it",
    3: "the radio was taken away from it",
    6: "it took too long",
    9: "the passphrase was not taken",
    11: "the profile was deleted",
    14: "the radio was unplugged",
}
"""NMActiveConnectionStateReason."""


class AccessPointBackend(Protocol):
    """Who makes access points; each has its own kind of text, which tells everything but the passphrase."""

    def start(self, text: str, secret: str) -> None:
        """Make the access point of *text*, in place of ours that there is; it announces itself when this returns.

        Args:
            text: What it is.
            secret: Identity of its passphrase.

        Raises:
            HostError: It could not be made, the message says why; there is none then.
        """
        ...

    def running(self) -> str | None:
        """Return the `version` of our access point that is in force, None when there is none.

        Raises:
            HostError: That could not be found out.
        """
        ...

    def stop(self) -> None:
        """End our access point; that there is none is no error.

        Raises:
            HostError: It does not end.
        """
        ...


def version(text: str, secret: str) -> str:
    """Return what tells the access point of *text* and *secret* from others; nothing of the passphrase is in it."""
    return digest(f"{text}{secret}\n")


def managed_links() -> frozenset[str]:
    """Return the names of the Wi-Fi links that NetworkManager manages; none where it does not run.

    Raises:
        HostError: It runs and does not answer.
    """
    service = Service.find(_NAME)
    if service is None:
        return frozenset()
    with service:
        found = set()
        for device in service.get(_ROOT, _NAME, "Devices"):
            with _tolerated(_GONE):
                if service.get(device, _DEVICE, "DeviceType") == _WIFI and service.get(device, _DEVICE, "Managed"):
                    found.add(str(service.get(device, _DEVICE, "Interface")))
        return frozenset(found)


def manages(interface: str) -> bool:
    """Tell whether NetworkManager runs and manages the Wi-Fi link *interface*. Errors as for `managed_links`."""
    return interface in managed_links()


def refuse_unusable(interface: str) -> None:
    """Check that NetworkManager could make an access point of the link *interface* that it manages.

    Raises:
        ConflictError: Wi-Fi is switched off in NetworkManager.
        NotSupportedError: The radio can be no access point.
        HostError: NetworkManager does not answer.
    """
    service = Service.find(_NAME)
    if service is None:
        return
    with service:
        device = _device(service, interface)
        if device is None:
            return
        if not service.get(_ROOT, _NAME, "WirelessEnabled"):
            raise ConflictError("Wi-Fi is switched off in NetworkManager", hint="nmcli radio wifi on")
        if not service.get(device, _WIRELESS, "WirelessCapabilities") & _CAN_BE_AP:
            raise NotSupportedError(f"the radio of {interface} can be no access point")


def leave_alone(interface: str) -> None:
    """Have NetworkManager leave a link of ours alone that was made a moment ago; where it does not run, do nothing.

    It takes every Wi-Fi link that it is not told to leave, and makes a station of it; when it lets go of one it takes
    away what is on it. What it is told so it forgets with the link.

    Raises:
        HostError: It does not let go of the link.
    """
    service = Service.find(_NAME)
    if service is None:
        return
    deadline = time.monotonic() + _NOTICE_SECONDS
    with service, service.heard(_NAME, "DeviceAdded") as added, service.heard(_DEVICE, "StateChanged") as moved:
        while (device := _device(service, interface)) is None:
            if added(deadline - time.monotonic()) is None:
                return  # it does not see this network namespace
        if not service.get(device, _DEVICE, "Managed"):
            return
        service.call(device, "org.freedesktop.DBus.Properties", "Set", "ssv", (_DEVICE, "Managed", ("b", False)))
        deadline = time.monotonic() + _READY_SECONDS
        while service.get(device, _DEVICE, "State") != _DEVICE_UNMANAGED:
            if moved(deadline - time.monotonic()) is None:
                raise HostError(f"NetworkManager does not let go of {interface}")


class NetworkManagerAccessPoint:
    """The access point of one run directory, by NetworkManager."""

    def __init__(self, run_directory: Path, find_passphrase: Callable[[str], Passphrase | None]) -> None:
        """Take the place; nothing is made yet.

        Args:
            run_directory: Whose access point it is.
            find_passphrase: Tells a passphrase by its identity (`PassphraseStore.find`).
        """
        self._uuid = access_point_uuid(run_directory)
        self._find_passphrase = find_passphrase

    def start(self, text: str, secret: str) -> None:
        """Make the access point of *text* (`render.nmprofile`); see `AccessPointBackend`."""
        profile = parse_profile(text)
        passphrase = self._find_passphrase(secret)
        if passphrase is None:
            raise HostError(f"the passphrase of {profile.ssid!r} is not kept any more")
        service = Service.find(_NAME)
        if service is None:
            raise HostError("NetworkManager does not run any more")
        with service:
            self._end(service)
            device = _await_device(service, profile.interface)
            try:
                self._activate(service, device, profile_settings(profile, passphrase, version(text, secret)))
            except BaseException:
                self._end(service)
                raise

    def running(self) -> str | None:
        """Return the version of the access point in force, None when there is none; see `AccessPointBackend`."""
        service = Service.find(_NAME)
        if service is None:
            return None
        with service:
            for active in self._actives(service):
                with _tolerated(_GONE):
                    if service.get(active, _ACTIVE, "State") == _ACTIVATED:
                        profile = service.get(active, _ACTIVE, "Connection")
                        (settings,) = service.call(profile, _PROFILE, "GetSettings")
                        return _version(settings)
        return None

    def stop(self) -> None:
        """End the access point; see `AccessPointBackend`."""
        service = Service.find(_NAME)
        if service is not None:
            with service:
                self._end(service)

    def _activate(self, service: Service, device: str, settings: object) -> None:
        """Activate a profile and wait until it is; what fails has the device's reason, or the connection's."""
        options = {"persist": ("s", "volatile"), "bind-activation": ("s", "none")}
        deadline = time.monotonic() + _ACTIVATION_SECONDS
        with service.heard(_ACTIVE, "StateChanged") as changed, service.heard(_DEVICE, "StateChanged") as moved:
            try:
                _, active, _ = service.call(
                    _ROOT, _NAME, "AddAndActivateConnection2", "a{sa{sv}}ooa{sv}", (settings, device, "/", options)
                )
            except CallRefusedError as error:
                if error.name in _DENIED:
                    raise PrivilegeError(f"NetworkManager forbids it: {error.message}") from error
                raise HostError(f"NetworkManager makes no access point: {error.message}") from error
            state, reason = service.get(active, _ACTIVE, "State"), 0
            while state != _ACTIVATED:
                if state == _DEACTIVATED:
                    raise HostError(f"NetworkManager could not make the access point: {_why(moved, device, reason)}")
                heard = changed(deadline - time.monotonic())
                if heard is None:
                    raise HostError(
                        f"NetworkManager did not make the access point within {_ACTIVATION_SECONDS:.0f} s",
                        hint="journalctl -u NetworkManager tells what it waits for",
                    )
                if heard[0] == active:
                    state, reason = heard[1]

    def _end(self, service: Service) -> None:
        """Deactivate ours, and wait until it is and its profile is gone."""
        deadline = time.monotonic() + _DEACTIVATION_SECONDS
        with (
            service.heard(_ACTIVE, "StateChanged") as changed,
            service.heard(_PROFILES, "ConnectionRemoved") as removed,
        ):
            for active in self._actives(service):
                with _tolerated(_GONE):
                    service.call(_ROOT, _NAME, "DeactivateConnection", "o", (active,))
                    state = service.get(active, _ACTIVE, "State")
                    while state != _DEACTIVATED:
                        heard = self._wait(changed, deadline)
                        state = heard[1][0] if heard[0] == active else state
            asked = False
            while (profile := self._profile(service)) is not None:
                if not asked:  # one that was active goes by itself, maybe while we ask
                    with _tolerated(None):
                        service.call(profile, _PROFILE, "Delete")
                    asked = True
                else:
                    self._wait(removed, deadline)

    def _wait(self, heard: Heard, deadline: float) -> tuple[str, tuple[Any, ...]]:
        found = heard(deadline - time.monotonic())
        if found is None:
            raise HostError(f"NetworkManager does not end its access point {self._uuid}")
        return found

    def _profile(self, service: Service) -> str | None:
        """Return the path of our profile, None when there is none."""
        path: str | None = None
        with _tolerated(_GONE):
            (path,) = service.call(_SETTINGS, _PROFILES, "GetConnectionByUuid", "s", (str(self._uuid),))
        return path

    def _actives(self, service: Service) -> list[str]:
        """Return the active connections of our profile: one, or none."""
        found = []
        for active in service.get(_ROOT, _NAME, "ActiveConnections"):
            with _tolerated(_GONE):
                if service.get(active, _ACTIVE, "Uuid") == str(self._uuid):
                    found.append(active)
        return found


def access_point_uuid(run_directory: Path) -> UUID:
    """Return the UUID of the profile that belongs to a run directory."""
    return uuid5(_NAMESPACE, str(run_directory))


def _device(service: Service, interface: str) -> str | None:
    path: str | None = None
    with _tolerated(_GONE):
        (path,) = service.call(_ROOT, _NAME, "GetDeviceByIpIface", "s", (interface,))
    return path


def _await_device(service: Service, interface: str) -> str:
    """Return the device of a link when it is ready: one that was just made is not, and may not be known yet.

    Raises:
        HostError: It is not known, or does not become ready.
    """
    deadline = time.monotonic() + _READY_SECONDS
    with service.heard(_NAME, "DeviceAdded") as added, service.heard(_DEVICE, "StateChanged") as moved:
        while (device := _device(service, interface)) is None:
            if added(deadline - time.monotonic()) is None:
                raise HostError(f"NetworkManager knows no link {interface}")
        state = service.get(device, _DEVICE, "State")
        while state < _DEVICE_DISCONNECTED:
            heard = moved(deadline - time.monotonic())
            if heard is None:
                words = _UNREADY.get(state, f"state {state}")
                raise HostError(f"NetworkManager cannot use {interface}: {words}")
            state = heard[1][0] if heard[0] == device else state
        return device


@contextmanager
def _tolerated(names: AbstractSet[str] | None) -> Iterator[None]:
    """Let refusals of those names pass, of None all of them: what a call is about is gone, or goes this moment."""
    try:
        yield
    except CallRefusedError as error:
        if names is not None and error.name not in names:
            raise


def _version(settings: Mapping[str, Mapping[str, tuple[str, object]]]) -> str:
    """Return the version that a profile of ours carries, "" when somebody has changed that."""
    _, data = settings.get("user", {}).get("data", ("", {}))
    return str(data.get(USER_KEY, "")) if isinstance(data, dict) else ""


def _why(moved: Heard, device: str, reason: int) -> str:
    """Return in words why an activation ended: the device knows more than the connection."""
    last = 0
    while (heard := moved(0.0)) is not None:
        path, (state, _, why) = heard
        if path == device and state == _DEVICE_FAILED:
            last = why
    fallback = _ACTIVE_REASONS.get(reason, f"reason {reason} of its connection")
    return _DEVICE_REASONS.get(last, f"reason {last} of its device") if last else fallback
