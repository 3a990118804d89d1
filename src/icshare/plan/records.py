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
from typing import Annotated, Any, assert_never

import msgspec

from icshare.errors import HostError, InvalidRequestError
from icshare.model.fastpath import PairPath
from icshare.model.firewall import Firewall
from icshare.model.names import host_name, interface_name, mac_address
from icshare.model.sharing import Segment, Sharing
from icshare.model.wifi import check_access_point
from icshare.plan.diff import Entry
from icshare.plan.steps import (
    AddAddress,
    AddNeighbour,
    AddRoute,
    AddRule,
    AnyStep,
    CreateAccessPointLink,
    CreateBridge,
    DeleteAccessPointLink,
    DeleteBridge,
    DropFirewall,
    DropRuleset,
    ForgetProbe,
    LoadFirewall,
    LoadRuleset,
    ProbeDhcp,
    RemoveAddress,
    RemoveNeighbour,
    RemoveRoute,
    RemoveRule,
    SetConntrack,
    SetCountry,
    SetInterfaceType,
    SetMaster,
    SetSysctl,
    SetUp,
    StartAccessPoint,
    StartFastPath,
    StartLog,
    StartService,
    StopAccessPoint,
    StopFastPath,
    StopLog,
    StopService,
)

VERSION = 1

_ADDRESS_TYPES = (IPv4Address, IPv4Interface, IPv4Network)


_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class _Version(msgspec.Struct, frozen=True):
    """The one field that every version of the format keeps."""

    journal: int


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
    namespace: _Count
    since: Annotated[float, msgspec.Meta(ge=0, le=2**40)]


class Begin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step is about to run."""

    begin: _Count
    rank: _Count
    step: AnyStep


class Gone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step is no longer in force."""

    gone: _Count


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force."""

    sharing: Sharing | None
    segments: tuple[Segment, ...]
    firewalls: tuple[Firewall, ...] = ()
    notes: tuple[str, ...] = ()
    paths: tuple[PairPath, ...] = ()


class Complete(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sharing is in force and was verified."""

    complete: Summary


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the lines of a journal add up to.

    Attributes:
        header: The first line.
        entries: The steps in force, by rank.
        summary: The last complete sharing, None without one.
        complete: Nothing was begun or taken back after it.
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
                complete = False
            case Complete() as done:
                summary = done.complete
                complete = True
            case never:
                assert_never(never)
    ordered = tuple(sorted(entries.values(), key=lambda entry: entry.rank))
    return State(header=header, entries=ordered, summary=summary, complete=complete, next_number=number + 1)


def _header(line: bytes, name: str) -> Header:
    try:
        version = msgspec.json.decode(line, type=_Version).journal
        if version == VERSION:
            return msgspec.json.decode(line, type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(name, 1, error) from error
    raise HostError(
        f"{name} is a journal of version {version}, this icshare reads version {VERSION}",
        hint="run stop with the version of icshare that made it",
    )


_LINES: dict[str, type[Begin | Gone | Complete]] = {"begin": Begin, "gone": Gone, "complete": Complete}


def _line(line: bytes, name: str, position: int) -> Begin | Gone | Complete:
    try:
        raw = msgspec.json.decode(line)
        kind = next((kind for kind in _LINES if isinstance(raw, dict) and kind in raw), None)
        if kind is None:
            raise msgspec.ValidationError("a line of no known kind")
        decoded = msgspec.convert(raw, _LINES[kind], dec_hook=_from_text)
        _check_names(decoded)
    except (msgspec.MsgspecError, InvalidRequestError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(name, position, error) from error
    return decoded


def _damaged(name: str, position: int, error: Exception) -> HostError:
    return HostError(
        f"{name} is damaged at line {position}: {error}",
        hint="nothing was changed; to give the file up, remove it and reboot, or undo by hand what it lists",
    )


def _check_names(line: Begin | Gone | Complete) -> None:
    """Check every name that could reach a renderer, a path or the kernel.

    Raises:
        InvalidRequestError: One of them is not a name.
    """
    match line:
        case Begin(step=step):
            for found in _interfaces_of(step):
                interface_name(found)
        case Complete(complete=summary):
            for found in _interfaces_in(summary):
                interface_name(found)
            if summary.sharing is not None:
                _check_settings(summary.sharing)
        case Gone():
            pass
        case never:
            assert_never(never)


def _check_settings(sharing: Sharing) -> None:
    for reservation in sharing.dhcp.reservations:
        mac_address(reservation.mac)
        if reservation.name is not None:
            host_name(reservation.name)
    for label in sharing.dns.domain.split("."):
        host_name(label)
    if sharing.access_point is not None:
        check_access_point(sharing.access_point)


def _interfaces_of(step: AnyStep) -> Iterator[str]:  # noqa: C901 (one case per kind of step)
    match step:
        case CreateBridge(name=name) | DeleteBridge(name=name):
            yield name
        case AddRule(link=name) | RemoveRule(link=name):
            yield from () if name is None else (name,)
        case ProbeDhcp(link=name, members=members) | ForgetProbe(link=name, members=members):
            yield from (name, *members)
        case SetMaster(link=link, master=master, previous=previous):
            yield from (link.name, *(name for name in (master, previous) if name is not None))
        case SetUp() | SetSysctl() | AddAddress() | RemoveAddress() | AddRoute() | RemoveRoute():
            yield step.link.name
        case AddNeighbour() | RemoveNeighbour():
            yield step.link.name
        case LoadRuleset() | DropRuleset() | StartService() | StopService():
            pass
        case LoadFirewall() | DropFirewall() | StartLog() | StopLog() | SetCountry():
            pass
        case StartFastPath() | StopFastPath() | SetConntrack():  # the text is parsed where it is used
            pass
        case CreateAccessPointLink(name=name) | DeleteAccessPointLink(name=name):
            yield name
        case SetInterfaceType():
            yield step.link.name
        case StartAccessPoint(link=name) | StopAccessPoint(link=name):
            yield name
        case _:
            assert_never(step)


def _interfaces_in(summary: Summary) -> Iterator[str]:
    if summary.sharing is not None:
        yield from (summary.sharing.public, *summary.sharing.privates)
    for firewall in summary.firewalls:
        yield firewall.interface
    for pair in summary.paths:
        yield from (pair.public, pair.private)
    for segment in summary.segments:
        yield from (segment.interface, *segment.members)
        if segment.access_point is not None:
            yield segment.access_point.interface


def _to_text(value: Any) -> str:  # noqa: ANN401 (msgspec's hook takes anything)
    if isinstance(value, _ADDRESS_TYPES):
        return str(value)
    raise AssertionError(f"{type(value)} has no place in a journal")


def _from_text(kind: type, value: Any) -> Any:  # noqa: ANN401 (msgspec's hook takes anything)
    if kind in _ADDRESS_TYPES and isinstance(value, str):
        return kind(value)
    raise msgspec.ValidationError(f"expected {kind.__name__}")
