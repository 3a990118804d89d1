"""The state log's lines: facts to JSON and back, sans I/O.

One line is one fact, or a list of facts that came to pass together, in order of time:

* ``{"state": 1, "log": ..., "next": n}``: the first line; the number is the format's version, *log* tells one file from
  the one that takes its place, *n* is a number that no mapping before had;
* ``{"fact": "designated", "designation": {...}}``: who is public and private;
* ``{"fact": "protected", "connection": ..., "options": {...}}``: a firewall is on, or off without options;
* ``{"fact": "mapped", "mapping": {...}}``: a mapping is defined so from now on;
* ``{"fact": "removed", "number": n}``: a mapping is gone;
* ``{"fact": "named", "connection": ..., "name": ...}``: a connection was given a Windows-like name;
* ``{"fact": "seen", "connection": ..., "interface": ...}``: a connection was last seen under that interface name.

A last line without its newline was being written when the writer died: it does not count. Any other line that cannot be
read means that the file is not what we wrote, and nothing is done on its word.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network
from typing import Annotated, Any, assert_never
from uuid import UUID

import msgspec

from icshare.errors import HostError, InvalidRequestError
from icshare.model.firewall import FirewallOptions
from icshare.model.mapping import (
    PortMapping,
    Target,
    TargetKind,
    address_target,
    check_mapping_name,
    check_ports,
    mac_target,
    name_target,
)
from icshare.model.names import interface_name, subnet
from icshare.model.state import Designation
from icshare.model.wifi import check_access_point

VERSION = 1

MAX_NUMBER = 2**53 - 2
"""Highest number of a mapping."""

_DAMAGED_HINT = "mend that line, or move the file away to begin anew without roles and mappings"
_UNREADABLE = (msgspec.MsgspecError, InvalidRequestError, UnicodeDecodeError, RecursionError)

# Most targets are addresses, and this is much faster than to parse them; what it does not take is parsed.
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_HOST_ADDRESS = re.compile(rf"(?:22[0-3]|2[01][0-9]|1[0-9][0-9]|[1-9][0-9]?)(?:\.{_OCTET}){{3}}")
_TARGETS: dict[TargetKind, Callable[[str], Target]] = {
    TargetKind.ADDRESS: address_target,
    TargetKind.NAME: name_target,
    TargetKind.MAC: mac_target,
}

_Number = Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER)]


class _Version(msgspec.Struct, frozen=True):
    """The one field that every version of the format keeps."""

    state: int


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line.

    Attributes:
        state: Version of the format.
        log: Random text that no other file has.
        next: Number for the next mapping, when the file was begun.
    """

    state: int = VERSION
    log: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,64}$")]
    next: Annotated[int, msgspec.Meta(ge=1, le=MAX_NUMBER + 1)] = 1


class Designated(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="fact", tag="designated"
):
    """Who is public and private from now on."""

    designation: Designation


class Protected(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="fact", tag="protected"
):
    """A connection's firewall is on with *options* from now on, or off with None."""

    connection: UUID
    options: FirewallOptions | None


class Mapped(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="fact", tag="mapped"):
    """A mapping is defined so from now on."""

    mapping: PortMapping


class Removed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="fact", tag="removed"):
    """A mapping is gone."""

    number: _Number


class Named(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="fact", tag="named"):
    """A connection was given a Windows-like name."""

    connection: UUID
    name: str


class Seen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="fact", tag="seen"):
    """A connection was last seen under an interface name."""

    connection: UUID
    interface: str


Fact = Designated | Protected | Mapped | Removed | Named | Seen


def encode_header(header: Header) -> bytes:
    """Return the first line, with its newline."""
    return msgspec.json.encode(header) + b"\n"


def encode(facts: Sequence[Fact]) -> bytes:
    """Return *facts*, which come to pass together, as one line with its newline."""
    return msgspec.json.encode(facts[0] if len(facts) == 1 else facts, enc_hook=_to_text) + b"\n"


def decode_header(line: bytes, name: str) -> Header:
    """Return what the first line says.

    Args:
        line: The line, with or without its newline.
        name: The file's name, for errors.

    Raises:
        HostError: It is damaged or of a newer version.
    """
    try:
        version = msgspec.json.decode(line, type=_Version).state
        if version == VERSION:
            return msgspec.json.decode(line, type=Header)
    except _UNREADABLE as error:
        raise _damaged(name, 1, error) from error
    raise HostError(
        f"{name} is a state file of version {version}, this icshare reads version {VERSION}",
        hint="use the version of icshare that made it, or move the file away to begin anew",
    )


def decode(content: bytes, name: str, first: int = 2) -> list[Fact]:
    """Return the facts that whole lines say, in order.

    Args:
        content: The lines, each with its newline.
        name: The file's name, for errors.
        first: Number of the first of them, for errors.

    Raises:
        HostError: The content is damaged.
    """
    try:
        return _checked(_DECODER.decode_lines(content))
    except _UNREADABLE:
        facts: list[Fact] = []
        for position, line in enumerate(content.split(b"\n")[:-1], start=first):
            try:
                facts += _checked([_DECODER.decode(line)])
            except _UNREADABLE as error:
                raise _damaged(name, position, error) from error
        return facts


def check(fact: Fact) -> None:
    """Check everything in *fact* that could reach a renderer or the kernel.

    Raises:
        InvalidRequestError: Something is outside of what has a meaning.
    """
    match fact:
        case Mapped(mapping=mapping):
            _check_mapping(mapping)
        case Designated(designation=designation):
            _check_designation(designation)
        case Named(name=name):
            check_mapping_name(name)
        case Seen(interface=interface):
            interface_name(interface)
        case Protected() | Removed():
            pass
        case never:
            assert_never(never)


def _check_designation(designation: Designation) -> None:
    if designation.subnet is not None:
        subnet(str(designation.subnet))
    members = [*designation.privates, *([designation.public] if designation.public else [])]
    if len(set(members)) != len(members):
        raise InvalidRequestError("a connection has two parts in one sharing")
    if (designation.access_point is None) != (designation.wireless is None):
        raise InvalidRequestError("an access point is on no connection")
    if designation.access_point is not None:
        check_access_point(designation.access_point)
        if designation.wireless not in members:
            raise InvalidRequestError("an access point is on a connection that has no part")


def _check_mapping(mapping: PortMapping) -> None:
    if not 1 <= mapping.number <= MAX_NUMBER:
        raise InvalidRequestError(f"{mapping.number} is not the number of a mapping")
    check_ports(mapping.external, mapping.internal, mapping.count)
    check_mapping_name(mapping.name)
    target = mapping.target
    if target.kind is TargetKind.ADDRESS and _HOST_ADDRESS.fullmatch(target.value):
        return
    if _TARGETS[target.kind](target.value) != target:
        raise InvalidRequestError(f"{target.value!r} is not written as we write the target of a mapping")


def _checked(lines: Iterable[Fact | list[Fact]]) -> list[Fact]:
    facts: list[Fact] = []
    for line in lines:
        if isinstance(line, list):
            facts += line
        else:
            facts.append(line)
    for fact in facts:
        if isinstance(fact, Mapped):  # most are, and `check` takes longer to see it
            _check_mapping(fact.mapping)
        else:
            check(fact)
    return facts


def _damaged(name: str, position: int, error: Exception) -> HostError:
    return HostError(f"{name} is damaged at line {position}: {error}", hint=_DAMAGED_HINT)


def _to_text(value: Any) -> str:  # noqa: ANN401 (msgspec's hook takes anything)
    assert isinstance(value, IPv4Network), f"{type(value)} has no place in a state file"
    return str(value)


def _from_text(kind: type, value: Any) -> Any:  # noqa: ANN401 (msgspec's hook takes anything)
    if kind is IPv4Network and isinstance(value, str):
        return IPv4Network(value)
    raise msgspec.ValidationError(f"expected {kind.__name__}")


_DECODER = msgspec.json.Decoder(Fact | list[Fact], dec_hook=_from_text)
