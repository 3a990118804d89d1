"""Wi-Fi: what is asked of an access point, and what a radio can do.

Source:
    IEEE 802.11-2020 (SSID 9.4.2.2, passphrase J.4.1, country 9.4.2.8); ``linux/nl80211.h``; hostapd.conf of hostapd.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NewType

from icshare.errors import InvalidRequestError
from icshare.model.names import InterfaceName, interface_name

WORLD = "00"
"""The regulatory domain where nobody has said which country this is: what is allowed nearly everywhere."""

Ssid = NewType("Ssid", str)
"""The name of a wireless network: 1 to 32 bytes of UTF-8 without control characters."""

Country = NewType("Country", str)
"""ISO 3166-1 alpha-2 code in capitals: what the radio may do depends on it."""

_SECRET = re.compile(r"[0-9a-f]{16}")
_COUNTRY = re.compile(r"[A-Za-z]{2}")
_PASSPHRASE = re.compile(r"[ -~]{8,63}")


_AP_LINK = re.compile(r"ics-ap[0-9]{1,9}")


def ap_link(radio: int) -> InterfaceName:
    """Return the name of the link that is made for an access point on a radio that can have one beside all it does.

    Each radio has its own, so that an access point can move to another radio: the new link is made before the old goes.
    """
    return InterfaceName(f"ics-ap{radio}")


def is_ap_link(name: str) -> bool:
    """Tell whether *name* is one that `ap_link` gives."""
    return bool(_AP_LINK.fullmatch(name))


class InterfaceType(IntEnum):
    """``enum nl80211_iftype``."""

    UNSPECIFIED = 0
    ADHOC = 1
    STATION = 2
    AP = 3
    AP_VLAN = 4
    WDS = 5
    MONITOR = 6
    MESH_POINT = 7
    P2P_CLIENT = 8
    P2P_GO = 9
    P2P_DEVICE = 10
    OCB = 11
    NAN = 12


class Band(StrEnum):
    """Frequency bands that access points use, in GHz as people name them."""

    GHZ2 = "2.4"
    GHZ5 = "5"
    GHZ6 = "6"


class Passphrase:
    """A WPA passphrase, 8 to 63 printable ASCII characters. It shows itself only when asked by `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Take a text that `passphrase` has checked."""
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return "Passphrase(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Passphrase) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def ssid(text: str) -> Ssid:
    """Parse *text* as the name of a wireless network.

    Raises:
        InvalidRequestError: It is empty, longer than 32 bytes, or has characters that cannot be shown.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if not 1 <= size <= 32 or not text.isprintable():
        raise InvalidRequestError(
            f"{text!r:.80} is no name for a wireless network (1 to 32 bytes, no control characters)"
        )
    return Ssid(text)


def passphrase(text: str) -> Passphrase:
    """Parse *text* as a WPA passphrase; errors never show it.

    Raises:
        InvalidRequestError: It is too short or too long, or has characters other than printable ASCII.
    """
    if not _PASSPHRASE.fullmatch(text):
        raise InvalidRequestError(f"a passphrase has 8 to 63 printable ASCII characters, this one has {len(text)}")
    return Passphrase(text)


def country(text: str) -> Country:
    """Parse *text* as a country code, in capitals or not.

    Raises:
        InvalidRequestError: It is not two letters.
    """
    if not _COUNTRY.fullmatch(text):
        raise InvalidRequestError(f"{text!r:.20} is not a country code of two letters (ISO 3166-1), such as DE or US")
    return Country(text.upper())


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPoint:
    """The access point that is wanted beside, or as, the private connections.

    Attributes:
        interface: The Wi-Fi connection named: its radio is used; it is the link of the access point itself where no
            other can be made.
        ssid: Name of the network.
        secret: Identity of the stored passphrase, 16 hexadecimal digits chosen at random for each passphrase: a change
            of the passphrase is a change of the access point, and nothing that anybody may read tells the passphrase.
        band: Frequency band, None to choose one.
        channel: Channel number, None to choose one.
        hidden: The name is not announced.
        isolated: Clients cannot reach each other by the radio.
        country: Where the radio is, None for what the machine is set to.
    """

    interface: InterfaceName
    ssid: Ssid
    secret: str
    band: Band | None = None
    channel: int | None = None
    hidden: bool = False
    isolated: bool = False
    country: Country | None = None


def check_access_point(wanted: AccessPoint) -> None:
    """Check everything in *wanted* that could reach a renderer, a path or the kernel; for values read from a file.

    Raises:
        InvalidRequestError: Something is not what its type promises.
    """
    interface_name(wanted.interface)
    ssid(wanted.ssid)
    if wanted.country is not None and country(wanted.country) != wanted.country:
        raise InvalidRequestError(f"{wanted.country!r} is not written as we write a country")
    if not _SECRET.fullmatch(wanted.secret):
        raise InvalidRequestError("that is not the identity of a passphrase")
    if wanted.channel is not None and not 1 <= wanted.channel <= 233:
        raise InvalidRequestError(f"{wanted.channel} is not the number of a channel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel of a radio under the regulatory rules in force.

    Attributes:
        band: Its band.
        number: Its number in the band.
        frequency: Centre in MHz.
        disabled: It may not be used at all.
        no_ir: The radio may listen only: nothing may begin to send there.
        radar: It may be used only where no radar is heard for a minute (DFS).
    """

    band: Band
    number: int
    frequency: int
    disabled: bool = False
    no_ir: bool = False
    radar: bool = False

    @property
    def usable(self) -> bool:
        """An access point may be on it."""
        return not (self.disabled or self.no_ir or self.radar)

    def __str__(self) -> str:
        return f"channel {self.number} ({self.frequency} MHz)"


def channel_on(frequency: int) -> Channel | None:
    """Return the channel with its centre at *frequency* in MHz, as if it could be used; None outside of the bands.

    Source:
        IEEE 802.11-2020 annex E (starting frequencies), 17.3.8.4.2; channel 14 stands apart from the others.
    """
    if frequency == 2484:
        return Channel(band=Band.GHZ2, number=14, frequency=frequency)
    for band, start, last in ((Band.GHZ2, 2407, 13), (Band.GHZ5, 5000, 181), (Band.GHZ6, 5950, 233)):
        number, rest = divmod(frequency - start, 5)
        if not rest and 1 <= number <= last:
            return Channel(band=band, number=number, frequency=frequency)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """Interfaces that a radio can have at one time.

    Attributes:
        limits: For each group of types, how many interfaces of these there may be together.
        total: How many interfaces there may be in all.
        channels: On how many different channels they may be.
    """

    limits: Mapping[frozenset[InterfaceType], int]
    total: int
    channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Radio:
    """What a radio ("phy") can do.

    Attributes:
        index: Its number.
        name: Its name: phy0.
        types: Kinds of interfaces that it can have.
        channels: Its channels, by frequency.
        combinations: What it can have at one time beside a single interface; empty for one interface at a time.
        software: Kinds of interfaces that do not count for `combinations`.
        creates: Its driver can make further interfaces.
        sae: It can do WPA3 (management frame protection and SAE by hostapd).
        ht: It does 802.11n.
        vht: It does 802.11ac.
        he: It does 802.11ax as an access point.
    """

    index: int
    name: str
    types: frozenset[InterfaceType] = frozenset()
    channels: tuple[Channel, ...] = ()
    combinations: tuple[Combination, ...] = ()
    software: frozenset[InterfaceType] = frozenset()
    creates: bool = True
    sae: bool = True
    ht: bool = False
    vht: bool = False
    he: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A client of an access point, as its radio knows it.

    Attributes:
        signal: Strength of what it sends, in dBm; None if unknown.
        sent_rate: Rate at which it last sent, in kbit/s; None if unknown.
        received_rate: Rate at which it was last sent to, in kbit/s; None if unknown.
        connected_seconds: Time since it associated; None if unknown.
    """

    signal: int | None = None
    sent_rate: int | None = None
    received_rate: int | None = None
    connected_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where an access point comes to be.

    Attributes:
        interface: Its link.
        radio: Number of its radio.
        radio_name: Name of its radio.
        made: The link is made for it, and goes with it; else it is the connection that was named.
        channel: Its channel.
        networkmanager: NetworkManager makes it, as the connection that was named is its; else our own hostapd does.
        note: Why it is so, where people did not ask for it ("follows the station's channel 6 ..."); "" otherwise.
    """

    interface: InterfaceName
    radio: int
    radio_name: str
    made: bool
    channel: Channel
    networkmanager: bool = False
    note: str = ""
