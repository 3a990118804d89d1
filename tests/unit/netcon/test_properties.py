"""Whatever a program passes, the answer is a result or an HRESULT, and after an HRESULT nothing has changed."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.netcon.fake import small_host

from icshare.netcon import (
    ComError,
    ConnectionManager,
    INetConnectionConnectUi,
    NcIsValidConnectionName,
    NetSharingManager,
)

_NUMBERS = st.one_of(st.sampled_from([0, 1, 2, 6, 17, 80, 65_535, 65_536]), st.integers(), st.integers(0, 65_535))
_TEXTS = st.one_of(st.sampled_from(["web", "desk", "192.168.137.20", "", "02:00:00:00:00:01"]), st.text())
_OTHERS = st.one_of(st.none(), st.booleans(), st.floats(), st.binary(), st.builds(object), st.lists(st.integers()))
_ANYTHING: st.SearchStrategy[Any] = st.one_of(_NUMBERS, _TEXTS, _OTHERS)


def _writers(system: Any) -> list[tuple[Callable[..., object], int]]:
    """Return every member that takes arguments, and how many it takes."""
    manager = NetSharingManager(system)
    conn, other = list(manager.EnumEveryConnection)[:2]
    config = manager.INetSharingConfigurationForINetConnection(conn)
    mapping = config.AddPortMapping("x", 6, 80, 0, 0, "desk", 0)
    interface = INetConnectionConnectUi()
    interface.SetConnection(other)

    def update(*values: Any) -> None:
        names = ("name", "protocol", "external", "internal", "count", "target")
        mapping.update(**dict(zip(names, values, strict=True)))

    return [
        (config.EnableSharing, 1),
        (config.EnumPortMappings, 1),
        (config.AddPortMapping, 7),
        (config.RemovePortMapping, 1),
        (update, 6),
        (conn.Rename, 1),
        (conn.Duplicate, 1),
        (interface.SetConnection, 1),
        (interface.Connect, 2),
        (interface.Disconnect, 2),
        (manager.EnumPublicConnections, 1),
        (manager.EnumPrivateConnections, 1),
        (manager.NetConnectionProps, 1),
        (manager.INetSharingConfigurationForINetConnection, 1),
        (manager.enable_ics, 2),
        (manager.EnumEveryConnection._NewEnum.Next, 1),
        (manager.EnumEveryConnection._NewEnum.Skip, 1),
        (ConnectionManager(system).EnumConnections, 1),
    ]


@given(which=st.integers(0, 17), arguments=st.lists(_ANYTHING, min_size=7, max_size=7))
def test_only_hresults_come_out_and_an_error_changes_nothing(which: int, arguments: list[Any]) -> None:
    system = small_host()
    member, number = _writers(system)[which]
    before = system.state()
    try:
        member(*arguments[:number])
    except ComError:
        assert system.state() == before


@given(
    name=_TEXTS,
    protocol=st.sampled_from([6, 17]),
    external=st.integers(0, 65_536),
    internal=st.integers(0, 65_536),
    target=st.one_of(_TEXTS, st.ip_addresses(v=4).map(str)),
    kind=st.sampled_from([0, 1]),
)
def test_a_mapping_reads_as_it_was_made(
    name: str, protocol: int, external: int, internal: int, target: str, kind: int
) -> None:
    system = small_host()
    manager = NetSharingManager(system)
    config = manager.INetSharingConfigurationForINetConnection(next(iter(manager.EnumEveryConnection)))
    try:
        props = config.AddPortMapping(name, protocol, external, internal, 0, target, kind).Properties
    except ComError:
        assert not system.mappings.defined
        return
    assert (props.Name, props.IPProtocol, props.ExternalPort) == (name, protocol, external)
    assert props.InternalPort == (internal or external)
    assert (props.TargetIPAddress if kind else props.TargetName) == target.removesuffix(".")
    assert not props.Enabled


@given(_ANYTHING)
def test_any_name_has_an_answer(name: Any) -> None:
    assert NcIsValidConnectionName(name) in {True, False}
