from collections.abc import Mapping
from uuid import UUID

import pytest
from tests.unit.netcon.fake import (
    BRIDGE,
    ETH0,
    ETH1,
    ETH2,
    LOOPBACK,
    MEMBER,
    NAMED,
    SERVER,
    UNKNOWN,
    VETH,
    WLAN0,
    FakeSystem,
    connection,
    guid,
)

from icshare.errors import GoneError, HostError
from icshare.model.connection import Role, Status
from icshare.model.mapping import MappingState, Protocol, mac_target
from icshare.netcon import (
    E_FAIL,
    E_INVALIDARG,
    E_NOINTERFACE,
    E_NOTIMPL,
    E_POINTER,
    E_UNEXPECTED,
    ERROR_ALREADY_EXISTS,
    ERROR_CONNECTION_ALREADY_SHARED,
    ERROR_SHARING_NO_PRIVATE_LAN,
    GUID_NULL,
    ICSSC_DEFAULT,
    ICSSHARINGTYPE_PRIVATE,
    ICSSHARINGTYPE_PUBLIC,
    ICSTT_IPADDRESS,
    ICSTT_NAME,
    NCCF_FIREWALLED,
    NCCF_SHARED,
    NCME_DEFAULT,
    NCME_HIDDEN,
    NCS_HARDWARE_DISABLED,
    NCUC_NO_UI,
    S_FALSE,
    S_OBJECT_NO_LONGER_VALID,
    S_OK,
    ConnectionManager,
    INetConnection,
    INetConnectionConnectUi,
    INetSharingConfiguration,
    NcFreeNetconProperties,
    NetSharingManager,
)

Conns = Mapping[int, INetConnection]


@pytest.fixture
def config(manager: NetSharingManager, conns: Conns) -> INetSharingConfiguration:
    return manager.INetSharingConfigurationForINetConnection(conns[ETH0])


# ----------------------------------------------------------------------------------------------- the manager


def test_every_connection_but_hidden_ones(manager: NetSharingManager, conns: Conns) -> None:
    found = manager.EnumEveryConnection
    assert found.Count == len(found) == 9
    assert set(found) == set(conns.values()) - {conns[LOOPBACK]}


def test_objects_of_one_connection_are_equal(manager: NetSharingManager, conns: Conns) -> None:
    first, again = next(iter(manager.EnumEveryConnection)), next(iter(manager.EnumEveryConnection))
    assert first == again == conns[ETH0]
    assert first != conns[ETH1]
    assert hash(first) == hash(again)
    assert repr(first) == "<INetConnection {AB000000-0000-0000-0000-000000000001}>"


@pytest.mark.parametrize("other", ["eth0", 1, 1.0, object(), b"", UUID(int=1)])
def test_objects_of_another_kind(manager: NetSharingManager, config: INetSharingConfiguration, other: object) -> None:
    for member in (
        manager.NetConnectionProps,
        manager.INetSharingConfigurationForINetConnection,
        config.RemovePortMapping,
        INetConnectionConnectUi().SetConnection,
    ):
        with pytest.raises(E_NOINTERFACE):
            member(other)  # type: ignore[arg-type]
        with pytest.raises(E_POINTER):
            member(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [LOOPBACK, SERVER])
def test_no_configuration_of_what_cannot_be_shared(manager: NetSharingManager, conns: Conns, number: int) -> None:
    with pytest.raises(E_NOINTERFACE, match="cannot be shared") as raised:
        manager.INetSharingConfigurationForINetConnection(conns[number])
    assert raised.value.reasons in {("media-type",), ("incoming-only",)}


def test_a_bridge_may_be_private_and_a_member_has_a_reason(manager: NetSharingManager, conns: Conns) -> None:
    bridge = manager.INetSharingConfigurationForINetConnection(conns[BRIDGE])
    bridge.EnableSharing(ICSSHARINGTYPE_PRIVATE)
    assert bridge.SharingConnectionType == ICSSHARINGTYPE_PRIVATE
    with pytest.raises(E_INVALIDARG) as raised:
        manager.INetSharingConfigurationForINetConnection(conns[MEMBER]).EnableSharing(ICSSHARINGTYPE_PRIVATE)
    assert raised.value.reasons == ("bridge-member",)
    assert raised.value.hint == "take another one"


def test_enable_ics_is_one_request(manager: NetSharingManager, conns: Conns, system: FakeSystem) -> None:
    manager.enable_ics(conns[WLAN0], [conns[ETH0], conns[ETH1]])
    assert system.shared == [("wlan0", ("eth0", "eth1"), True)]
    manager.enable_ics(conns[WLAN0], [conns[ETH0], conns[ETH1]], replace=False)
    with pytest.raises(ERROR_CONNECTION_ALREADY_SHARED, match="eth1"):
        manager.enable_ics(conns[WLAN0], [conns[ETH0]], replace=False)
    manager.enable_ics(conns[WLAN0], [conns[ETH0]])
    assert list(manager.EnumPrivateConnections(ICSSC_DEFAULT)) == [conns[ETH0]]


def test_enable_ics_failing_changes_nothing(manager: NetSharingManager, conns: Conns, system: FakeSystem) -> None:
    manager.enable_ics(conns[WLAN0], [conns[ETH0]])
    system.links[guid(ETH2)] = connection(ETH2, "eth2", status=Status.HARDWARE_NOT_PRESENT)
    before = system.state()
    for public, privates, code in (
        (conns[ETH0], [conns[ETH2]], ERROR_SHARING_NO_PRIVATE_LAN),
        (conns[ETH0], [], E_INVALIDARG),
        (conns[ETH0], [conns[ETH0]], E_INVALIDARG),
        (conns[ETH0], [conns[MEMBER]], E_INVALIDARG),
        (conns[ETH0], None, E_INVALIDARG),
        (conns[ETH0], [None], E_POINTER),
        (None, [conns[ETH0]], E_POINTER),
        ("eth0", [conns[ETH0]], E_NOINTERFACE),
    ):
        with pytest.raises(code):
            manager.enable_ics(public, privates)  # type: ignore[arg-type]
    system.error = HostError("the machine refused it")
    with pytest.raises(E_FAIL, match="refused"):
        manager.enable_ics(conns[ETH0], [conns[ETH1]])
    assert system.state() == before


def test_names_as_windows_gives_them(system: FakeSystem) -> None:
    manager = NetSharingManager(system, windows_names=True)
    names = [manager.NetConnectionProps(one).Name for one in manager.EnumEveryConnection]
    assert names[:2] == ["Ethernet", "Ethernet 2"]


def test_a_host_that_cannot_be_read(
    manager: NetSharingManager, config: INetSharingConfiguration, conns: Conns, system: FakeSystem
) -> None:
    mapping = config.AddPortMapping("x", 6, 80, 0, 0, "desk", ICSTT_NAME)
    props = mapping.Properties
    system.unreadable = True
    for read in (
        lambda: manager.SharingInstalled,
        lambda: manager.EnumEveryConnection,
        lambda: manager.EnumPublicConnections(ICSSC_DEFAULT),
        lambda: manager.NetConnectionProps(conns[ETH0]),
        lambda: config.SharingEnabled,
        lambda: config.InternetFirewallEnabled,
        lambda: config.EnumPortMappings(ICSSC_DEFAULT),
        lambda: props.Enabled,
        lambda: props.ResolvedAddress,
    ):
        with pytest.raises(E_FAIL):
            read()


# ------------------------------------------------------------------------------------------------ connections


def test_properties_are_live(
    manager: NetSharingManager, config: INetSharingConfiguration, conns: Conns, system: FakeSystem
) -> None:
    props = manager.NetConnectionProps(conns[ETH0])
    snapshot = conns[ETH0].GetProperties()
    assert props.Guid == "{AB000000-0000-0000-0000-000000000001}"
    assert (props.Name, props.DeviceName) == ("name of eth0", "device of eth0")
    assert not props.Characteristics & (NCCF_SHARED | NCCF_FIREWALLED)
    config.EnableSharing(ICSSHARINGTYPE_PUBLIC)
    assert props.Characteristics & NCCF_SHARED
    assert props.Characteristics & NCCF_FIREWALLED
    assert conns[ETH0].Rename("uplink") == S_OK
    assert conns[ETH0].Disconnect() == S_OK
    assert (props.Name, props.Status) == ("uplink", NCS_HARDWARE_DISABLED)
    assert snapshot.pszwName == "name of eth0"
    assert conns[ETH0].Connect() == S_OK
    system.roles[guid(ETH0)] = Role.PRIVATE  # another process
    assert config.SharingConnectionType == ICSSHARINGTYPE_PRIVATE
    assert conns[ETH0].GetUiObjectClassId() == GUID_NULL
    NcFreeNetconProperties(snapshot)
    NcFreeNetconProperties(None)


def test_a_vanished_connection(manager: NetSharingManager, conns: Conns, system: FakeSystem) -> None:
    conn = conns[VETH]
    config = manager.INetSharingConfigurationForINetConnection(conn)
    props = manager.NetConnectionProps(conn)
    config.EnableSharing(ICSSHARINGTYPE_PUBLIC)
    assert conn.Delete() == S_OK
    for member in (
        lambda: props.Guid,
        lambda: props.Status,
        lambda: config.SharingEnabled,
        lambda: config.SharingConnectionType,
        lambda: config.InternetFirewallEnabled,
        lambda: config.EnableSharing(ICSSHARINGTYPE_PUBLIC),
        config.EnableInternetFirewall,
        lambda: config.AddPortMapping("x", 6, 80, 0, 0, "desk", ICSTT_NAME),
        lambda: manager.NetConnectionProps(conn),
        lambda: manager.INetSharingConfigurationForINetConnection(conn),
        conn.Connect,
        lambda: conn.Rename("x"),
        lambda: conn.Duplicate("x"),
        conn.GetProperties,
        conn.GetUiObjectClassId,
    ):
        with pytest.raises(E_UNEXPECTED, match="no longer exists"):
            member()
    for nothing_to_do in (conn.Disconnect, conn.Delete, config.DisableSharing, config.DisableInternetFirewall):
        assert nothing_to_do() == S_OBJECT_NO_LONGER_VALID
    assert guid(VETH) not in system.roles


def test_a_connection_that_vanishes_meanwhile(config: INetSharingConfiguration, system: FakeSystem) -> None:
    system.error = GoneError("the connection no longer exists")
    assert config.DisableSharing() == S_OBJECT_NO_LONGER_VALID
    assert config.DisableInternetFirewall() == S_OBJECT_NO_LONGER_VALID
    with pytest.raises(E_UNEXPECTED):
        config.EnableSharing(ICSSHARINGTYPE_PUBLIC)


def test_hardware_is_neither_deleted_nor_duplicated(conns: Conns) -> None:
    with pytest.raises(E_NOTIMPL):
        conns[ETH0].Delete()
    with pytest.raises(E_NOTIMPL):
        conns[ETH0].Duplicate("copy")


@pytest.mark.parametrize(
    ("name", "code"), [(None, E_POINTER), ("a/b", E_INVALIDARG), ("  ", E_INVALIDARG), (7, E_INVALIDARG)]
)
def test_wrong_names(conns: Conns, name: str, code: type[Exception]) -> None:
    with pytest.raises(code):
        conns[ETH0].Rename(name)
    with pytest.raises(code):
        conns[ETH0].Duplicate(name)


def test_the_connect_ui_asks_nobody(manager: NetSharingManager, conns: Conns) -> None:
    ui = INetConnectionConnectUi()
    with pytest.raises(E_UNEXPECTED):
        ui.Connect(None, NCUC_NO_UI)
    ui.SetConnection(conns[ETH0])
    assert ui.Disconnect(None, NCUC_NO_UI) == S_OK
    assert manager.NetConnectionProps(conns[ETH0]).Status == NCS_HARDWARE_DISABLED
    assert ui.Connect(0, 0) == S_OK
    with pytest.raises(E_INVALIDARG):
        ui.Connect(None, 4)


# ------------------------------------------------------------------------------------ collections, enumerators


def test_collections_are_snapshots(manager: NetSharingManager, config: INetSharingConfiguration) -> None:
    public = manager.EnumPublicConnections(ICSSC_DEFAULT)
    mappings = config.EnumPortMappings(ICSSC_DEFAULT)
    config.EnableSharing(ICSSHARINGTYPE_PUBLIC)
    config.AddPortMapping("x", 6, 80, 0, 0, "desk", ICSTT_NAME)
    assert (public.Count, list(public), mappings.Count, list(mappings)) == (0, [], 0, [])
    for collection in (
        manager.EnumPublicConnections(ICSSC_DEFAULT),
        manager.EnumPrivateConnections(ICSSC_DEFAULT),
        config.EnumPortMappings(ICSSC_DEFAULT),
        manager.EnumEveryConnection,
    ):
        assert list(collection._NewEnum) == list(collection)
        assert not hasattr(collection, "Item")
        assert not hasattr(collection, "__getitem__")


def test_enumerators_as_com_has_them(manager: NetSharingManager) -> None:
    elements = tuple(manager.EnumEveryConnection)
    enumerator = manager.EnumEveryConnection._NewEnum
    assert enumerator.Next(0) == (S_OK, ())
    assert enumerator.Next() == (S_OK, elements[:1])
    assert enumerator.Skip(2) == S_OK
    clone = enumerator.Clone()
    assert type(clone) is type(enumerator)
    assert enumerator.Next(6) == (S_OK, elements[3:])
    assert enumerator.Next(1) == (S_FALSE, ())
    assert enumerator.Skip(1) == S_FALSE
    assert clone.Next(100) == (S_FALSE, elements[3:])
    assert clone.Reset() == S_OK
    assert clone.Skip(10) == S_FALSE
    clone.Reset()
    assert tuple(clone) == elements
    for wrong in (-1, 1 << 32, None, "1", True, 1.0):
        with pytest.raises(E_INVALIDARG):
            clone.Next(wrong)  # type: ignore[arg-type]
        with pytest.raises(E_INVALIDARG):
            clone.Skip(wrong)  # type: ignore[arg-type]


def test_the_connection_manager_enumerates_raw(system: FakeSystem, conns: Conns) -> None:
    manager = ConnectionManager(system)
    assert conns[LOOPBACK] not in list(manager.EnumConnections(NCME_DEFAULT))
    assert set(manager.EnumConnections(NCME_HIDDEN)) == set(conns.values())
    for wrong in (2, -1, None, "0", False):
        with pytest.raises(E_INVALIDARG):
            manager.EnumConnections(wrong)  # type: ignore[arg-type]


# -------------------------------------------------------------------------------------------------- sharing


@pytest.mark.parametrize("wrong", [2, -1, 1 << 70, None, True, False, 0.0, 1.0, "0", "public", object(), [0]])
def test_unknown_sides(config: INetSharingConfiguration, system: FakeSystem, wrong: int) -> None:
    before = system.state()
    with pytest.raises(E_INVALIDARG):
        config.EnableSharing(wrong)
    assert system.state() == before


def test_no_side_without_sharing(config: INetSharingConfiguration) -> None:
    assert not config.SharingEnabled
    with pytest.raises(E_UNEXPECTED, match="not shared"):
        assert config.SharingConnectionType


# ------------------------------------------------------------------------------------------------- mappings

GOOD = ("web", 6, 8080, 80, 0, "192.168.137.20", ICSTT_IPADDRESS)


@pytest.mark.parametrize(
    ("position", "wrong"),
    [
        (position, wrong)
        for position, values in enumerate(
            [
                ("", "  ", None, 7, "x" * 256, "a\nb", "\0", "\ud800"),
                (0, 1, 5, 47, 256, -6, None, "6", 6.0, True, "tcp"),
                (0, -1, 65_536, 1 << 80, None, "80", 80.0, True),
                (-1, 65_536, 1 << 80, None, "80", 80.0, True),
                (1, -1, 1 << 32, None, "0", False),
                ("", "desk", "192.168.137", "192.168.137.256", "0.0.0.0", "224.0.0.1", "::1", None, 3_232_270_100),
                (2, -1, None, "0", True, ICSTT_NAME),
            ]
        )
        for wrong in values
    ],
)
def test_wrong_mappings(config: INetSharingConfiguration, system: FakeSystem, position: int, wrong: object) -> None:
    arguments: list[object] = [*GOOD]
    arguments[position] = wrong
    before = system.state()
    with pytest.raises(E_INVALIDARG):
        config.AddPortMapping(*arguments)  # type: ignore[arg-type]
    assert system.state() == before


def test_internal_port_0_is_the_external_one(config: INetSharingConfiguration) -> None:
    mapping = config.AddPortMapping("x", 17, 40_000, 0, 0, "desk", ICSTT_NAME)
    assert mapping.Properties.InternalPort == 40_000


def test_one_mapping_of_a_port(config: INetSharingConfiguration, system: FakeSystem) -> None:
    config.AddPortMapping(*GOOD)
    before = system.state()
    with pytest.raises(ERROR_ALREADY_EXISTS):
        config.AddPortMapping(*GOOD)
    assert system.state() == before
    config.AddPortMapping("web", 17, *GOOD[2:])


def test_properties_of_mappings(config: INetSharingConfiguration) -> None:
    by_address = config.AddPortMapping(*GOOD).Properties
    assert (by_address.Name, by_address.IPProtocol, by_address.Options) == ("web", 6, 0)
    assert (by_address.TargetName, by_address.TargetIPAddress) == ("", "192.168.137.20")
    assert by_address.ResolvedAddress == "192.168.137.20"
    by_name = config.AddPortMapping("x", 17, 90, 0, 0, "desk", ICSTT_NAME).Properties
    assert (by_name.TargetName, by_name.TargetIPAddress, by_name.ResolvedAddress) == ("desk", "", NAMED)
    nowhere = config.AddPortMapping("x", 17, 91, 0, 0, UNKNOWN, ICSTT_NAME)
    assert nowhere.Properties.ResolvedAddress == ""
    assert nowhere.status().state is MappingState.DISABLED


def test_mappings_that_windows_has_no_words_for(config: INetSharingConfiguration, system: FakeSystem) -> None:
    system.mappings.add(
        guid(ETH0), name="x", protocol=Protocol.TCP, external=9000, count=10, target=mac_target("02:00:00:00:00:01")
    )
    mapping = next(iter(config.EnumPortMappings(ICSSC_DEFAULT)))
    props = mapping.Properties
    assert (props.ExternalPort, props.TargetName, props.TargetIPAddress) == (9000, "", "")
    assert props.ResolvedAddress == NAMED
    assert mapping.definition().count == 10


def test_update_changes_a_mapping_in_place(config: INetSharingConfiguration) -> None:
    mapping = config.AddPortMapping(*GOOD)
    mapping.Enable()
    props = mapping.Properties
    mapping.update(name="game", protocol=17, external=50_000, internal=60_000, target="desk")
    assert (props.Name, props.IPProtocol, props.ExternalPort, props.InternalPort) == ("game", 17, 50_000, 60_000)
    assert (props.TargetName, props.TargetIPAddress, props.Enabled) == ("desk", "", True)
    mapping.update()
    mapping.update(count=5)
    assert mapping.definition().count == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": 7},
        {"protocol": 1},
        {"external": 0},
        {"internal": 65_536},
        {"count": 0},
        {"count": 60_000},
        {"target": ""},
        {"target": "300.1.1.1"},
        {"target": 7},
    ],
)
def test_wrong_updates(config: INetSharingConfiguration, system: FakeSystem, wrong: dict[str, object]) -> None:
    mapping = config.AddPortMapping(*GOOD)
    before = system.state()
    with pytest.raises(E_INVALIDARG):
        mapping.update(**wrong)  # type: ignore[arg-type]
    assert system.state() == before


def test_a_mapping_that_is_gone(config: INetSharingConfiguration) -> None:
    mapping = config.AddPortMapping(*GOOD)
    props = mapping.Properties
    config.RemovePortMapping(mapping)
    for member in (
        lambda: config.RemovePortMapping(mapping),
        mapping.Delete,
        mapping.Enable,
        mapping.Disable,
        mapping.status,
        lambda: mapping.Properties,
        lambda: mapping.update(name="x"),
        lambda: props.Name,
        lambda: props.Options,
        lambda: props.Enabled,
        lambda: props.ResolvedAddress,
    ):
        with pytest.raises(E_UNEXPECTED, match="no longer exists"):
            member()


def test_the_mapping_of_another_connection(
    manager: NetSharingManager, config: INetSharingConfiguration, conns: Conns
) -> None:
    other = manager.INetSharingConfigurationForINetConnection(conns[ETH1])
    mapping = other.AddPortMapping(*GOOD)
    with pytest.raises(E_INVALIDARG, match="another connection"):
        config.RemovePortMapping(mapping)
    assert list(other.EnumPortMappings(ICSSC_DEFAULT)) == [mapping]
    assert {mapping} == set(other.EnumPortMappings(ICSSC_DEFAULT))
    assert repr(mapping) == "<INetSharingPortMapping 1>"
