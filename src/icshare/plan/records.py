"""The journal's lines: values to JSON and back, sans I/O.

One line is one fact, in order of time:

* ``{"journal": 1, "boot": ..., "namespace": ..., "since": ...}``: the first line; the number is the format's version;
* ``{"begin": n, "rank": r, "step": {...}}``: step *n* is about to run;
* ``{"gone": n}``: step *n* is no longer in force;
* ``{"complete": {...}}``: a sharing is in force and was verified.

A last line without its newline was being written when the writer died: the step it announces has not run, so it does
not count. Any other line that cannot be read means that the file is not what we wrote, and nothing is done on its word.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import msgspec

from icshare.errors import HostError, InvalidRequestError
from icshare.model.names import interface_name
from icshare.model.sharing import Segment, Sharing
from icshare.plan.diff import Entry
from icshare.plan.steps import AnyStep, LinkRef

VERSION = 1

_ADDRESS_TYPES = (IPv4Address, IPv4Interface, IPv4Network)


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Where and when the journal was begun.

    Attributes:
        journal: Version of the format.
        boot: The kernel's boot id; after another boot nothing of it is in force.
        namespace: Inode of the network namespace.
        since: Seconds since the epoch.
    """

    journal: int
    boot: str
    namespace: int
    since: float


class Begin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step is about to run."""

    begin: int
    rank: int
    step: AnyStep


class Gone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step is no longer in force."""

    gone: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force."""

    sharing: Sharing
    segments: tuple[Segment, ...]
    notes: tuple[str, ...] = ()


class Complete(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sharing is in force and was verified."""

    complete: Summary


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the lines of a journal add up to.

    Attributes:
        header: The first line.
        entries: The steps in force, by rank.
        summary: The last complete sharing, None without one.
        complete: Nothing was begun after it.
        next_number: Number for the next entry.
    """

    header: Header
    entries: tuple[Entry, ...]
    summary: Summary | None
    complete: bool
    next_number: int


def encode(line: Header | Begin | Gone | Complete) -> bytes:
    """Return *line* as JSON with its newline."""
    return msgspec.json.encode(line, enc_hook=_to_text) + b"\n"


def decode(content: bytes, name: str) -> State | None:
    """Return what the journal *content* says, None when it says nothing yet.

    Args:
        content: The whole file.
        name: The file's name, for errors.

    Raises:
        HostError: The content is damaged or of a newer version.
    """
    lines = content.split(b"\n")[:-1]
    if not lines:
        return None
    header = _header(lines[0], name)
    entries: dict[int, Entry] = {}
    summary: Summary | None = None
    complete = False
    number = 0
    for position, line in enumerate(lines[1:], start=2):
        match _line(line, name, position):
            case Begin() as begin:
                number = max(number, begin.begin)
                entries[begin.begin] = Entry(number=begin.begin, rank=begin.rank, step=begin.step)
                complete = False
            case Gone() as gone:
                entries.pop(gone.gone, None)
            case Complete() as done:
                summary = done.complete
                complete = True
    ordered = tuple(sorted(entries.values(), key=lambda entry: entry.rank))
    return State(header=header, entries=ordered, summary=summary, complete=complete, next_number=number + 1)


def _header(line: bytes, name: str) -> Header:
    try:
        header = msgspec.json.decode(line, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(name, 1, error) from error
    if header.journal != VERSION:
        raise HostError(
            f"{name} is a journal of version {header.journal}, this icshare reads version {VERSION}",
            hint="run stop with the version of icshare that made it",
        )
    return header


_LINES: dict[str, type[Begin | Gone | Complete]] = {"begin": Begin, "gone": Gone, "complete": Complete}


def _line(line: bytes, name: str, position: int) -> Begin | Gone | Complete:
    try:
        raw = msgspec.json.decode(line)
        kind = next((kind for kind in _LINES if isinstance(raw, dict) and kind in raw), None)
        if kind is None:
            raise msgspec.ValidationError("a line of no known kind")
        decoded = msgspec.convert(raw, _LINES[kind], dec_hook=_from_text)
        for found in _interface_names(decoded):
            interface_name(found)
    except (msgspec.MsgspecError, InvalidRequestError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(name, position, error) from error
    return decoded


def _damaged(name: str, position: int, error: Exception) -> HostError:
    return HostError(
        f"{name} is damaged at line {position}: {error}",
        hint="nothing was changed; to give the file up, remove it and reboot, or undo by hand what it lists",
    )


def _interface_names(line: Begin | Gone | Complete) -> Iterator[str]:
    match line:
        case Begin(step=step):
            for field in ("name", "master", "previous", "link"):
                value = getattr(step, field, None)
                if isinstance(value, LinkRef):
                    yield value.name
                elif isinstance(value, str) and not (field == "previous" and hasattr(step, "setting")):
                    yield value
        case Complete(complete=summary):
            yield summary.sharing.public
            yield from summary.sharing.privates
            for segment in summary.segments:
                yield segment.interface
                yield from segment.members
        case Gone():
            return


def _to_text(value: Any) -> str:  # noqa: ANN401 (msgspec's hook takes anything)
    if isinstance(value, _ADDRESS_TYPES):
        return str(value)
    raise AssertionError(f"{type(value)} has no place in a journal")


def _from_text(kind: type, value: Any) -> Any:  # noqa: ANN401 (msgspec's hook takes anything)
    if kind in _ADDRESS_TYPES and isinstance(value, str):
        return kind(value)
    raise msgspec.ValidationError(f"expected {kind.__name__}")
