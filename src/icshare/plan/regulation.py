"""What the rules of a country say about channels, and about an access point before any radio is asked."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from icshare.errors import InvalidRequestError
from icshare.model.regulation import Regulation
from icshare.model.wifi import AccessPoint, Band, Channel

_HALF_CHANNEL_KHZ = 10_000

_NUMBERS = {
    Band.GHZ2: tuple(range(1, 15)),
    Band.GHZ5: (*range(36, 65, 4), *range(100, 145, 4), *range(149, 178, 4)),
    Band.GHZ6: tuple(range(1, 234, 4)),
}
"""Channels of 20 MHz. Source: IEEE 802.11-2020 annex E, operating classes 81 to 125; 802.11ax-2021, 131."""


def channels_under(regulation: Regulation, channels: Iterable[Channel]) -> tuple[Channel, ...]:
    """Return *channels* with the flags that they have under *regulation*, whatever flags they have now.

    A driver may forbid more: that is seen only after the country is set.

    Source:
        ``__freq_reg_info`` and ``handle_channel`` in the kernel's ``net/wireless/reg.c``: the first rule that has room
        for 20 MHz counts.
    """
    return tuple(_under(regulation, one) for one in channels)


def _under(regulation: Regulation, channel: Channel) -> Channel:
    centre = channel.frequency * 1000
    for rule in regulation.rules:
        if rule.start <= centre - _HALF_CHANNEL_KHZ and centre + _HALF_CHANNEL_KHZ <= rule.end:
            return replace(channel, disabled=False, no_ir=rule.no_ir, radar=rule.radar)
    return replace(channel, disabled=True, no_ir=False, radar=False)


def channel_at(band: Band, number: int) -> Channel:
    """Return channel *number* of *band* with its centre frequency, as if everything were allowed.

    Source:
        IEEE 802.11-2020 annex E.1 (starting frequency and number); 802.11ax-2021 27.3.23.2 for 6 GHz.
    """
    start = {Band.GHZ2: 2407, Band.GHZ5: 5000, Band.GHZ6: 5950}[band]
    frequency = 2484 if (band, number) == (Band.GHZ2, 14) else start + 5 * number
    return Channel(band=band, number=number, frequency=frequency)


def refuse_forbidden(regulation: Regulation, wanted: AccessPoint) -> None:
    """Check that the channel or band that is asked for may be an access point's under *regulation*.

    Where neither is asked for, one that may be is chosen later. A number without a band may be of any band but 6 GHz,
    whose numbers are those of the other bands as well.

    Raises:
        InvalidRequestError: It may not; the hint tells which may.
    """
    bands = (Band.GHZ2, Band.GHZ5) if wanted.band is None else (wanted.band,)
    asked = [channel_at(band, number) for band in bands for number in _asked(wanted, band)]
    if any(_usable(one) for one in channels_under(regulation, asked)):
        return
    words = [f"{wanted.band} GHz"] if wanted.band else []
    words += [f"channel {wanted.channel}"] if wanted.channel else []
    allowed = "; ".join(_allowed(regulation)) or "none"
    raise InvalidRequestError(
        f"no access point may be on {', '.join(words) or 'any channel'} in {regulation.country}",
        hint=f"channels that may be used there: {allowed}",
    )


def _asked(wanted: AccessPoint, band: Band) -> tuple[int, ...]:
    if wanted.channel is None:
        return _NUMBERS[band]
    return (wanted.channel,) if wanted.channel in _NUMBERS[band] else ()


def _usable(channel: Channel) -> bool:
    return not (channel.disabled or channel.no_ir)


def _allowed(regulation: Regulation) -> Iterator[str]:
    for band, numbers in _NUMBERS.items():
        found = channels_under(regulation, [channel_at(band, number) for number in numbers])
        if usable := [one.number for one in found if _usable(one)]:
            yield f"{band} GHz: {', '.join(_ranges(usable, numbers))}"


def _ranges(usable: list[int], numbers: tuple[int, ...]) -> Iterator[str]:
    """Yield the numbers with neighbours put together: "36-64"."""
    first = last = usable[0]
    for number in usable[1:]:
        if numbers.index(number) != numbers.index(last) + 1:
            yield _range(first, last)
            first = number
        last = number
    yield _range(first, last)


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
