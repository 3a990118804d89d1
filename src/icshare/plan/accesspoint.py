"""Where an access point comes to be: on which link of its radio, and on which channel; or why it cannot be.

A link of its own is made for it where the radio can have one beside what it does already: what is there stays as it is,
and goes on. Only where that cannot be does the link that was named become the access point, if nobody uses it.

Where NetworkManager manages the link that was named it makes the access point, by a profile of ours: two programs that
drive one radio would fight for it.

A radio that can be on one channel at a time leaves no choice while a station of it is connected: the access point
follows. It is said so, and another channel is refused.

Source:
    ``cfg80211_iter_combinations()`` and ``ieee80211_check_combinations()`` of the kernel: interfaces that are up count.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from icshare.model.link import Link
from icshare.model.sharing import Sharing
from icshare.model.snapshot import Snapshot
from icshare.model.wifi import (
    WORLD,
    AccessPoint,
    Band,
    Channel,
    Combination,
    Country,
    InterfaceType,
    Placement,
    Radio,
    ap_link,
    channel_on,
)

_PREFERRED = (1, 6, 11)
"""Channels of the 2.4 GHz band that do not overlap."""

_BANDS = (Band.GHZ2, Band.GHZ5)

ChannelsIn = Callable[[Country, Sequence[Channel]], tuple[Channel, ...]]
"""Tells what channels may be used for in a country that is not the one in force."""


class Obstacle(StrEnum):
    """Machine-readable reasons why there can be no such access point."""

    NOT_WIRELESS = "not-wireless"
    NO_ACCESS_POINT_MODE = "no-access-point-mode"
    RADIO_IN_USE = "radio-in-use"
    FOLLOWS_STATION = "follows-station"
    BAND = "band-unsupported"
    CHANNEL = "channel-unusable"
    LINK_TAKEN = "access-point-name-taken"


def unknown_country(_: Country, channels: Sequence[Channel]) -> tuple[Channel, ...]:
    """Return *channels* as if none were forbidden: what a country forbids is not known before it is set."""
    return tuple(replace(one, disabled=False, no_ir=False, radar=False) for one in channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Where the access point comes to be, or why it cannot.

    Attributes:
        placement: Where; None when something speaks against it.
        problems: ``(reason, text)`` of all that does.
    """

    placement: Placement | None = None
    problems: tuple[tuple[str, str], ...] = ()


def place(sharing: Sharing, baseline: Snapshot, channels_in: ChannelsIn = unknown_country) -> Verdict:
    """Return where the access point of *sharing* comes to be.

    Args:
        sharing: What is wanted, with an access point whose connection exists.
        baseline: The host as it would be without us.
        channels_in: Asked when the access point is to be in another country than the machine is set to.
    """
    wanted = sharing.access_point
    link = baseline.link(wanted.interface) if wanted else None
    assert wanted is not None, "there is none to place"
    assert link is not None, "it was looked for before"
    radio = baseline.radio(link.facts.radio)
    if radio is None:
        return Verdict(problems=((Obstacle.NOT_WIRELESS, f"{link.name} has no radio for an access point"),))
    if InterfaceType.AP not in radio.types:
        modes = ", ".join(_mode(kind) for kind in sorted(radio.types)) or "nothing that is known"
        text = f"the radio of {link.name}, {radio.name}, cannot be an access point; it can be: {modes}"
        return Verdict(problems=((Obstacle.NO_ACCESS_POINT_MODE, text),))
    if wanted.country is not None and wanted.country != baseline.country:
        radio = replace(radio, channels=channels_in(wanted.country, radio.channels))
    return _Site(wanted=wanted, link=link, radio=radio, baseline=baseline, public=sharing.public).verdict()


def _mode(kind: InterfaceType) -> str:
    return kind.name.lower().replace("_", " ")


def fits(radio: Radio, kinds: Sequence[InterfaceType], channels: int) -> bool:
    """Tell whether *radio* can have interfaces of these *kinds* up at one time, on so many different channels."""
    counted = Counter(kind for kind in kinds if kind not in radio.software)
    if counted.total() <= 1:
        return True
    return any(_allows(one, counted, channels) for one in radio.combinations)


def _allows(combination: Combination, counted: Counter[InterfaceType], channels: int) -> bool:
    known = frozenset().union(*combination.limits)
    return (
        channels <= combination.channels
        and counted.total() <= combination.total
        and counted.keys() <= known
        and all(sum(counted[kind] for kind in kinds) <= most for kinds, most in combination.limits.items())
    )


@dataclass(slots=True, kw_only=True)
class _Site:
    """One radio, and what is wanted of it."""

    wanted: AccessPoint
    link: Link
    radio: Radio
    baseline: Snapshot
    public: str
    problems: list[tuple[str, str]] = field(default_factory=list)

    def verdict(self) -> Verdict:
        made, followed = self._where()
        channel = self._follow(followed) if followed else self._choose()
        if self.problems:
            return Verdict(problems=tuple(self.problems))
        assert channel is not None, "there is a channel or a problem"
        notes = []
        if not made:
            notes.append(
                f"{self.link.name} itself becomes the access point: "
                f"its radio, {self.radio.name}, can have no other link for it"
            )
        if followed:
            notes.append(
                f"the access point is on {channel}, as {_who(followed)} is: "
                f"their radio, {self.radio.name}, can be on one channel at a time"
            )
        managed = self.link.name in self.baseline.managed
        if managed:
            notes.append(f"NetworkManager, which manages {self.link.name}, makes the access point")
        return Verdict(
            placement=Placement(
                interface=ap_link(self.radio.index) if made else self.wanted.interface,
                radio=self.radio.index,
                radio_name=self.radio.name,
                made=made,
                channel=channel,
                networkmanager=managed,
                note="; ".join(notes),
            )
        )

    def _where(self) -> tuple[bool, Link | None]:
        """Tell whether a link is made for it, and which link's channel it has to follow."""
        present = [one for one in self.baseline.links if one.up and one.facts.radio == self.radio.index]
        creates = self.radio.creates and bool(self.radio.combinations)
        if creates and self._fits(present, free=True):
            self._refuse_taken()
            return True, None
        tuned = [one for one in present if one.facts.frequency is not None]
        if creates and tuned and self._fits(present, free=False):
            self._refuse_taken()
            return True, tuned[0]
        others = [one for one in present if one is not self.link]
        if self._is_free(self.link) and self._fits(others, free=True):
            return False, None
        tuned = [one for one in others if one.facts.frequency is not None]
        if self._is_free(self.link) and tuned and self._fits(others, free=False):
            return False, tuned[0]
        users = [_use(one) for one in present] if not self._is_free(self.link) else [_use(one) for one in others]
        text = f"the radio {self.radio.name} cannot be an access point beside {' and '.join(users)}"
        self.problems.append((Obstacle.RADIO_IN_USE, text))
        return True, None

    def _fits(self, present: Sequence[Link], *, free: bool) -> bool:
        """Tell whether the access point fits beside the links *present*, on any channel or on one of theirs."""
        kinds = [_kind(one) for one in present]
        frequencies = {one.facts.frequency for one in present if one.facts.frequency is not None}
        return fits(self.radio, [*kinds, InterfaceType.AP], len(frequencies) + free)

    def _is_free(self, link: Link) -> bool:
        """Tell whether a link can be taken from what it does now: it is not connected, and not needed otherwise."""
        return link.facts.frequency is None and link.name != self.public and link.master is None

    def _refuse_taken(self) -> None:
        name = ap_link(self.radio.index)
        if self.baseline.link(name) is not None:
            text = f"a link called {name} exists that icshare did not make; rename or delete it"
            self.problems.append((Obstacle.LINK_TAKEN, text))

    def _follow(self, followed: Link) -> Channel | None:
        frequency = followed.facts.frequency
        channel = next((one for one in self.radio.channels if one.frequency == frequency), None)
        if channel is None:
            text = f"{_who(followed)} is at {frequency} MHz, where there can be no access point"
            self.problems.append((Obstacle.CHANNEL, text))
            return None
        wanted_number = self.wanted.channel or channel.number
        wanted_band = self.wanted.band or channel.band
        if (wanted_number, wanted_band) != (channel.number, channel.band):
            asked = " and ".join(_asked(self.wanted))
            text = (
                f"{asked} cannot be had: {_who(followed)} is on {channel}, "
                f"and its radio, {self.radio.name}, can be on one channel at a time"
            )
            self.problems.append((Obstacle.FOLLOWS_STATION, text))
        if not channel.usable:
            text = f"{_who(followed)} is on {channel}, which the access point had to follow, but {_why_not(channel)}"
            self.problems.append((Obstacle.CHANNEL, text + self._advice()))
        return channel

    def _choose(self) -> Channel | None:
        bands = [band for band in _BANDS if any(one.band is band for one in self.radio.channels)]
        if self.wanted.band is not None and self.wanted.band not in bands:
            has = " and ".join(f"{band} GHz" for band in bands) or "no band"
            why = "needs more than is done here" if self.wanted.band is Band.GHZ6 else "is none of its bands"
            text = f"{self.wanted.band} GHz {why}: the radio {self.radio.name} can have an access point in {has}"
            self.problems.append((Obstacle.BAND, text))
            return None
        candidates = [
            one for one in self.radio.channels if one.band in ([self.wanted.band] if self.wanted.band else bands)
        ]
        if self.wanted.channel is not None:
            return self._asked_for(candidates)
        usable = [one for one in candidates if one.usable]
        if not usable:
            where = f" in the {self.wanted.band} GHz band" if self.wanted.band else ""
            text = f"the radio {self.radio.name} has no channel for an access point{where}"
            self.problems.append((Obstacle.CHANNEL, text + self._advice()))
            return None
        return _quietest(usable, self.baseline)

    def _asked_for(self, candidates: Sequence[Channel]) -> Channel | None:
        found = next((one for one in candidates if one.number == self.wanted.channel), None)
        if found is not None and found.usable:
            return found
        name = f"channel {self.wanted.channel}" + (f" at {self.wanted.band} GHz" if self.wanted.band else "")
        why = f"the radio {self.radio.name} has none such" if found is None else _why_not(found)
        usable = "; ".join(_listed(candidates)) or "none"
        text = f"{name} cannot be used: {why}; channels that can: {usable}"
        self.problems.append((Obstacle.CHANNEL, text + self._advice()))
        return None

    def _advice(self) -> str:
        if self.wanted.country is not None or self.baseline.country != WORLD:
            return ""
        return "; the machine is set to no country, and most channels are forbidden then: say where it is by --country"


def _kind(link: Link) -> InterfaceType:
    """Return the type of a Wi-Fi link; one of a type that is newer than this counts as a station."""
    number = link.facts.wireless_type
    return InterfaceType(number) if number in set(InterfaceType) - {0} else InterfaceType.STATION


def _asked(wanted: AccessPoint) -> Iterator[str]:
    if wanted.channel is not None:
        yield f"channel {wanted.channel}"
    if wanted.band is not None:
        yield f"the {wanted.band} GHz band"


def _who(link: Link) -> str:
    return f"{link.name} ({link.facts.ssid})" if link.facts.ssid else link.name


def _use(link: Link) -> str:
    kind = _mode(_kind(link))
    channel = channel_on(link.facts.frequency) if link.facts.frequency is not None else None
    return f"{_who(link)}, which is a {kind}" + (f" on {channel}" if channel else "")


def _why_not(channel: Channel) -> str:
    if channel.disabled:
        return "it is forbidden here"
    if channel.no_ir:
        return "nothing may begin to send there"
    return "radar has to be looked for there first, which takes a minute and more and is not done here"


def _listed(channels: Sequence[Channel]) -> Iterator[str]:
    for band in _BANDS:
        numbers = [str(one.number) for one in channels if one.band is band and one.usable]
        if numbers:
            yield f"{', '.join(numbers)} ({band} GHz)"


def _quietest(usable: Sequence[Channel], baseline: Snapshot) -> Channel:
    """Return a channel of the lowest band: one of those that do not overlap, on which no radio of this host is."""
    first = [one for one in usable if one.band is usable[0].band]
    preferred = [one for one in first if one.band is not Band.GHZ2 or one.number in _PREFERRED] or first
    taken = {link.facts.frequency for link in baseline.links}
    return next((one for one in preferred if one.frequency not in taken), preferred[0])
