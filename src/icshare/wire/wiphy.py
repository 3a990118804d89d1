"""What radios can do: the capabilities that nl80211 tells of each, put together from many messages. No socket here.

A radio has more to tell than fits into one message, so the kernel splits it: the lists of types and of combinations
come whole in one message each, the channels of a band over several.

Source:
    ``NL80211_CMD_GET_WIPHY`` in ``linux/nl80211.h``; ``cfg80211_iter_combinations()`` of the kernel (what counts).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from struct import Struct

from icshare.errors import HostError
from icshare.model.wifi import Channel, Combination, InterfaceType, Radio, channel_on
from icshare.wire.genetlink import HEADER
from icshare.wire.netlink import NLM_F_DUMP, Request, attribute, attribute_list, attributes, read_text, read_u32

_CMD_GET_WIPHY, _CMD_NEW_INTERFACE = 1, 7
_ATTR_WIPHY, _ATTR_WIPHY_NAME, _ATTR_BANDS, _ATTR_TYPES, _ATTR_COMMANDS = 1, 2, 22, 32, 50
_ATTR_CIPHERS, _ATTR_COMBINATIONS, _ATTR_SOFTWARE_TYPES, _ATTR_DEVICE_AP_SME, _ATTR_SPLIT_DUMP = 57, 120, 121, 141, 174
_BAND_FREQUENCIES, _BAND_HT, _BAND_VHT, _BAND_TYPE_DATA = 1, 4, 8, 9
_DATA_TYPES, _DATA_HE = 1, 2
_FREQUENCY, _DISABLED, _NO_IR, _RADAR = 1, 2, 3, 5
_COMBINATION_LIMITS, _COMBINATION_TOTAL, _COMBINATION_CHANNELS = 1, 2, 4
_LIMIT_MAX, _LIMIT_TYPES = 1, 2
_CIPHER_AES_CMAC = 0x000FAC06
_U32 = Struct("=I")

_KNOWN = frozenset(InterfaceType)


def dump_radios(family: int) -> Request:
    """Ask for the radios of the network namespace; *family* is the number from `genetlink.parse_family`."""
    payload = HEADER.pack(_CMD_GET_WIPHY, 0) + attribute(_ATTR_SPLIT_DUMP, b"")
    return Request(type=family, flags=NLM_F_DUMP, payload=payload, purpose="list the radios")


def parse_radios(payloads: Iterable[bytes]) -> tuple[Radio, ...]:
    """Return the radios that the answers to `dump_radios` tell of, by number.

    Raises:
        HostError: An answer is malformed.
    """
    parts: dict[int, _Parts] = {}
    for payload in payloads:
        found = attributes(payload, HEADER.size)
        if _ATTR_WIPHY not in found:
            raise HostError("nl80211 told of a radio without its number")
        index = read_u32(found[_ATTR_WIPHY])
        parts.setdefault(index, _Parts()).take(found)
    return tuple(parts[index].radio(index) for index in sorted(parts))


@dataclass(slots=True)
class _Parts:
    """What has been heard of one radio so far."""

    name: str = ""
    types: frozenset[InterfaceType] = frozenset()
    software: frozenset[InterfaceType] = frozenset()
    combinations: tuple[Combination, ...] = ()
    commands: frozenset[int] = frozenset()
    ciphers: frozenset[int] = frozenset()
    device_sme: bool = False
    channels: dict[int, Channel] = field(default_factory=dict)
    ht: bool = False
    vht: bool = False
    he: bool = False

    def take(self, found: dict[int, bytes]) -> None:
        if _ATTR_WIPHY_NAME in found:
            self.name = read_text(found[_ATTR_WIPHY_NAME])
        if _ATTR_TYPES in found:
            self.types = _types(found[_ATTR_TYPES])
        if _ATTR_SOFTWARE_TYPES in found:
            self.software = _types(found[_ATTR_SOFTWARE_TYPES])
        if _ATTR_COMBINATIONS in found:
            self.combinations = tuple(_combination(value) for _, value in attribute_list(found[_ATTR_COMBINATIONS]))
        if _ATTR_COMMANDS in found:
            self.commands = frozenset(read_u32(value) for _, value in attribute_list(found[_ATTR_COMMANDS]))
        if _ATTR_CIPHERS in found:
            value = found[_ATTR_CIPHERS]
            self.ciphers = frozenset(number for (number,) in _U32.iter_unpack(value[: len(value) // 4 * 4]))
        self.device_sme = self.device_sme or _ATTR_DEVICE_AP_SME in found
        for _, band in attribute_list(found.get(_ATTR_BANDS, b"")):
            self._take_band(attributes(band))

    def _take_band(self, found: dict[int, bytes]) -> None:
        self.ht = self.ht or _BAND_HT in found
        self.vht = self.vht or _BAND_VHT in found
        for _, data in attribute_list(found.get(_BAND_TYPE_DATA, b"")):
            inner = attributes(data)
            self.he = self.he or (_DATA_HE in inner and InterfaceType.AP in _types(inner.get(_DATA_TYPES, b"")))
        for _, value in attribute_list(found.get(_BAND_FREQUENCIES, b"")):
            channel = _channel(attributes(value))
            if channel is not None:
                self.channels[channel.frequency] = channel

    def radio(self, index: int) -> Radio:
        return Radio(
            index=index,
            name=self.name,
            types=self.types,
            channels=tuple(channel for _, channel in sorted(self.channels.items())),
            combinations=self.combinations,
            software=self.software,
            creates=_CMD_NEW_INTERFACE in self.commands,
            # SAE and the keys for management frames are hostapd's work, so its driver has to leave them to it.
            sae=_CIPHER_AES_CMAC in self.ciphers and not self.device_sme,
            ht=self.ht,
            vht=self.vht,
            he=self.he,
        )


def _types(value: bytes) -> frozenset[InterfaceType]:
    """Return the types that a list of flags names; those of newer kernels are left out."""
    return frozenset(InterfaceType(kind) for kind, _ in attribute_list(value) if kind in _KNOWN)


def _combination(value: bytes) -> Combination:
    found = attributes(value)
    return Combination(
        limits=dict(_limits(found.get(_COMBINATION_LIMITS, b""))),
        total=read_u32(found.get(_COMBINATION_TOTAL, b"")),
        channels=read_u32(found.get(_COMBINATION_CHANNELS, b"")),
    )


def _limits(value: bytes) -> Iterator[tuple[frozenset[InterfaceType], int]]:
    for _, limit in attribute_list(value):
        found = attributes(limit)
        yield _types(found.get(_LIMIT_TYPES, b"")), read_u32(found.get(_LIMIT_MAX, b""))


def _channel(found: dict[int, bytes]) -> Channel | None:
    """Return the channel, None in a band that access points do not use or of the halves and quarters of others."""
    channel = channel_on(read_u32(found.get(_FREQUENCY, b"")))
    if channel is None:
        return None
    return Channel(
        band=channel.band,
        number=channel.number,
        frequency=channel.frequency,
        disabled=_DISABLED in found,
        no_ir=_NO_IR in found,
        radar=_RADAR in found,
    )
