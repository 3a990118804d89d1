"""Steps that change radios: the country, the links that radios have, the access point."""

from typing import Annotated, Self

import msgspec
from msgspec.structs import asdict, replace

from icshare.model.names import InterfaceName
from icshare.plan.steps.step import LinkRef, Step, digest

# A journal is decoded with these limits: what lies outside of them was not written by us. (\Z: $ lets a newline pass.)
_Radio = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_Type = Annotated[int, msgspec.Meta(ge=0, le=12)]
_Country = Annotated[str, msgspec.Meta(pattern=r"^([A-Z]{2}|00)\Z")]
_Secret = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]


class SetCountry(Step, frozen=True, tag="set-country"):
    """Set the regulatory domain of the machine: a country, or 00 for the world."""

    country: _Country
    previous: _Country

    @property
    def key(self) -> str:
        return "country"

    def describe(self) -> str:
        return f"regulatory domain: {self.previous} -> {self.country}"

    def inverse(self) -> Self:
        return replace(self, country=self.previous, previous=self.country)


class _AccessPointLink(Step, frozen=True):
    """What making and deleting the link of the access point have in common.

    Attributes:
        radio: Number of its radio.
        networkmanager: NetworkManager is to make the access point on it; else it has to leave the link alone.
    """

    name: InterfaceName
    radio: _Radio
    networkmanager: bool = False

    @property
    def key(self) -> str:
        return f"link {self.name} on radio {self.radio}"


class CreateAccessPointLink(_AccessPointLink, frozen=True, tag="create-access-point-link"):
    """Make a link for the access point on a radio, beside those that the radio has."""

    def describe(self) -> str:
        return f"link {self.name}: create on radio {self.radio}"

    def inverse(self) -> "DeleteAccessPointLink":
        return DeleteAccessPointLink(**asdict(self))


class DeleteAccessPointLink(_AccessPointLink, frozen=True, tag="delete-access-point-link"):
    """Delete the link that was made for the access point."""

    def describe(self) -> str:
        return f"link {self.name}: delete"

    def inverse(self) -> CreateAccessPointLink:
        return CreateAccessPointLink(**asdict(self))


class SetInterfaceType(Step, frozen=True, tag="set-interface-type"):
    """Make a Wi-Fi link one of another type (``enum nl80211_iftype``).

    It has to be down meanwhile, and loses what a link loses then.

    Attributes:
        up: It was up before, so it is up afterwards; in both directions.
    """

    link: LinkRef
    type: _Type
    previous: _Type
    up: bool

    @property
    def key(self) -> str:
        return f"type of {self.link.key}"

    def describe(self) -> str:
        return f"link {self.link}: Wi-Fi type {self.previous} -> {self.type}"

    def inverse(self) -> Self:
        return replace(self, type=self.previous, previous=self.type)


class _AccessPoint(Step, frozen=True):
    """What starting and stopping the access point have in common.

    Attributes:
        link: The link that it serves on.
        text: The whole configuration of hostapd, or the profile for NetworkManager; without the passphrase.
        secret: Identity of the passphrase, which is looked up when the step runs.
        networkmanager: NetworkManager makes it.
    """

    link: InterfaceName
    text: str
    secret: _Secret
    networkmanager: bool = False

    @property
    def key(self) -> str:
        return "access point"

    @property
    def version(self) -> str:
        """What tells what runs from what is wanted; nothing of the passphrase is in it."""
        return digest(f"{self.text}{self.secret}\n")


class StartAccessPoint(_AccessPoint, frozen=True, tag="start-access-point"):
    """Start hostapd with a configuration, or have NetworkManager do it, in place of the access point that there is."""

    def describe(self) -> str:
        by = " by NetworkManager" if self.networkmanager else ""
        return f"access point: start on {self.link}{by} ({self.version})"

    def inverse(self) -> "StopAccessPoint":
        return StopAccessPoint(**asdict(self))


class StopAccessPoint(_AccessPoint, frozen=True, tag="stop-access-point"):
    """Stop the access point and remove what was made for it."""

    def describe(self) -> str:
        return "access point: stop"

    def inverse(self) -> StartAccessPoint:
        return StartAccessPoint(**asdict(self))
