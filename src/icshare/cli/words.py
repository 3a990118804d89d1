"""Quantities and enumerations in words for people."""

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from icshare.model.connection import Status

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

_STATES = {"HARDWARE_NOT_PRESENT": "absent", "HARDWARE_DISABLED": "off", "MEDIA_DISCONNECTED": "no carrier"}


def quantity(count: int, singular: str) -> str:
    """Return *count* things: "1 change", "2 changes"."""
    return f"{count} {singular}" if count == 1 else f"{count} {singular}s"


def bytes_in_words(count: int) -> str:
    """Return *count* bytes with a decimal unit and three digits: "999 B", "1.20 kB", "34.1 MB"."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    if unit == 0:
        return f"{count} B"
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {_UNITS[unit]}"


def rate_in_words(kilobits: int) -> str:
    """Return *kilobits* a second as Mbit/s: "6.5 Mbit/s", "144 Mbit/s"."""
    megabits = kilobits / 1000
    return f"{megabits:.{1 if megabits < 99.95 else 0}f} Mbit/s"


def span_in_words(seconds: float) -> str:
    """Return a span of time by its one or two largest units: "12 s", "5 min", "3 h 12 min", "2 d 4 h"."""
    whole = max(int(seconds), 0)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        hours, minutes = whole // _HOUR, whole % _HOUR // _MINUTE
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = whole // _DAY, whole % _DAY // _HOUR
    return f"{days} d {hours} h" if hours else f"{days} d"


def ago(now: float, since: float | None) -> str:
    """Return how long ago *since* was, "-" when it is not known."""
    return "-" if since is None else span_in_words(now - since)


def label(member: Enum) -> str:
    """Return an enumeration's member in words: "media disconnected"."""
    return member.name.lower().replace("_", " ")


def state(status: "Status") -> str:
    """Return what a connection's status is called on Linux: "no carrier" and not "media disconnected"."""
    return _STATES.get(status.name, label(status))
