"""Checks of the acceptance list that need no kernel; the number is that of the list.

Checks with packets, addresses and reboots are tests of the machine, not of the object model.
"""

from collections.abc import Mapping

import pytest
from tests.unit.netcon.fake import (
    BRIDGE,
    CABLE,
    ETH0,
    ETH1,
    ETH2,
    MEMBER,
    NO_PRIVILEGE,
    WLAN0,
    FakeSystem,
    connection,
    guid,
)

from icshare.errors import PolicyError
from icshare.model.connection import Characteristics, MediaType, Role, Status
from icshare.model.firewall import FirewallOptions, IcmpOption
from icshare.netcon import (
    E_ACCESSDENIED,
    E_INVALIDARG,
    E_NOINTERFACE,
    ICSSC_DEFAULT,
    ICSSC_ENABLED,
    ICSSHARINGTYPE_PRIVATE,
    ICSSHARINGTYPE_PUBLIC,
    ICSTT_IPADDRESS,
    ICSTT_NAME,
    NAT_PROTOCOL_TCP,
    NAT_PROTOCOL_UDP,
    NCCF_INCOMING_ONLY,
    S_OK,
    INetConnection,
    INetSharingConfiguration,
    INetSharingPortMapping,
    NcIsValidConnectionName,
    NetSharingManager,
)

Conns = Mapping[int, INetConnection]


def config(manager: NetSharingManager, conn: INetConnection) -> INetSharingConfiguration:
    return manager.INetSharingConfigurationForINetConnection(conn)


def web(configuration: INetSharingConfiguration) -> INetSharingPortMapping:
    return configuration.AddPortMapping("web", NAT_PROTOCOL_TCP, 8080, 80, 0, "192.168.137.20", ICSTT_IPADDRESS)


@pytest.mark.check(1)
@pytest.mark.parametrize("incoming", [False, True])
@pytest.mark.parametrize("media", list(MediaType))
def test_check_01_sharable_is_the_table(media: MediaType, incoming: bool) -> None:
    flags = Characteristics.INCOMING_ONLY if incoming else Characteristics.NONE
    manager = NetSharingManager(FakeSystem(connection(1, "x0", media=media, flags=flags)))
    conn = next(iter(manager.EnumEveryConnection))
    props = manager.NetConnectionProps(conn)
    sharable = props.MediaType in {1, 2, 3, 4, 5, 6} and not props.Characteristics & NCCF_INCOMING_ONLY
    if sharable:
        assert not config(manager, conn).SharingEnabled
    elif media is not MediaType.BRIDGE:  # may be private beyond the rule
        with pytest.raises(E_NOINTERFACE) as raised:
            config(manager, conn)
        assert raised.value.reasons


@pytest.mark.check(2)
@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("flag", [Characteristics.FIREWALLED, Characteristics.BRIDGED, Characteristics.SHARED])
def test_check_02_nothing_else_counts(status: Status, flag: Characteristics) -> None:
    manager = NetSharingManager(FakeSystem(connection(1, "x0", flags=flag, status=status)))
    conn = next(iter(manager.EnumEveryConnection))
    assert not config(manager, conn).SharingEnabled


@pytest.mark.check(3)
def test_check_03_a_second_public_takes_the_role(manager: NetSharingManager, conns: Conns) -> None:
    first, second = config(manager, conns[ETH0]), config(manager, conns[WLAN0])
    first.EnableSharing(ICSSHARINGTYPE_PUBLIC)
    mapping = web(first)
    mapping.Enable()
    second.EnableSharing(ICSSHARINGTYPE_PUBLIC)
    assert not first.SharingEnabled
    assert not mapping.Properties.Enabled
    assert first.InternetFirewallEnabled
    assert second.SharingConnectionType == ICSSHARINGTYPE_PUBLIC
    assert list(manager.EnumPublicConnections(ICSSC_DEFAULT)) == [conns[WLAN0]]


@pytest.mark.check(4)
def test_check_04_public_brings_the_firewall_and_private_leaves_it(manager: NetSharingManager, conns: Conns) -> None:
    public, private, guarded = (config(manager, conns[one]) for one in (ETH0, ETH1, ETH2))
    guarded.EnableInternetFirewall()
    public.EnableSharing(ICSSHARINGTYPE_PUBLIC)
    private.EnableSharing(ICSSHARINGTYPE_PRIVATE)
    guarded.EnableSharing(ICSSHARINGTYPE_PRIVATE)
    assert [one.InternetFirewallEnabled for one in (public, private, guarded)] == [True, False, True]


@pytest.mark.check(5)
def test_check_05_disable_sharing_of_an_unshared_connection(manager: NetSharingManager, conns: Conns) -> None:
    configuration = config(manager, conns[ETH0])
    mapping = web(configuration)
    mapping.Enable()
    assert configuration.DisableSharing() == S_OK
    assert not mapping.Properties.Enabled
    assert len(configuration.EnumPortMappings(ICSSC_DEFAULT)) == 1


@pytest.mark.check(6)
def test_check_06_disable_sharing_leaves_the_firewall_on(manager: NetSharingManager, conns: Conns) -> None:
    configuration = config(manager, conns[ETH0])
    configuration.EnableSharing(ICSSHARINGTYPE_PUBLIC)
    configuration.DisableSharing()
    assert not configuration.SharingEnabled
    assert configuration.InternetFirewallEnabled


@pytest.mark.check(7)
def test_check_07_a_new_mapping_is_disabled_and_stays_when_disabled_again(
    manager: NetSharingManager, conns: Conns
) -> None:
    configuration = config(manager, conns[ETH0])
    mapping = web(configuration)
    seen = [mapping.Properties.Enabled]
    mapping.Enable()
    seen.append(mapping.Properties.Enabled)
    mapping.Disable()
    seen.append(mapping.Properties.Enabled)
    assert seen == [False, True, False]
    assert list(configuration.EnumPortMappings(ICSSC_DEFAULT)) == [mapping]


@pytest.mark.check(8)
@pytest.mark.parametrize("protocol", [0, 1, 2, 5, 7, 16, 18, 0x29, 0x2F, 0x32, 0x33, 0x71, 255, 256, -6])
def test_check_08_other_protocols_are_wrong(manager: NetSharingManager, conns: Conns, protocol: int) -> None:
    configuration = config(manager, conns[ETH0])
    with pytest.raises(E_INVALIDARG):
        configuration.AddPortMapping("x", protocol, 80, 80, 0, "192.168.137.20", ICSTT_IPADDRESS)
    assert configuration.EnumPortMappings(ICSSC_DEFAULT).Count == 0


@pytest.mark.check(9)
@pytest.mark.parametrize(("external", "internal"), [(555, 444), (32_768, 40_000), (65_535, 65_535), (1, 1)])
@pytest.mark.parametrize("protocol", [NAT_PROTOCOL_TCP, NAT_PROTOCOL_UDP])
def test_check_09_ports_survive_the_round_trip(
    manager: NetSharingManager, conns: Conns, external: int, internal: int, protocol: int
) -> None:
    configuration = config(manager, conns[ETH0])
    configuration.AddPortMapping("x", protocol, external, internal, 0, "desk", ICSTT_NAME)
    props = next(iter(configuration.EnumPortMappings(ICSSC_DEFAULT))).Properties
    assert (props.IPProtocol, props.ExternalPort, props.InternalPort) == (protocol, external, internal)


@pytest.mark.check(10)
@pytest.mark.parametrize("by_configuration", [False, True])
def test_check_10_remove_and_delete_are_one(manager: NetSharingManager, conns: Conns, by_configuration: bool) -> None:
    configuration = config(manager, conns[ETH0])
    mapping = web(configuration)
    assert (configuration.RemovePortMapping(mapping) if by_configuration else mapping.Delete()) == S_OK
    assert configuration.EnumPortMappings(ICSSC_DEFAULT).Count == 0


@pytest.mark.check(12)
@pytest.mark.parametrize("number", [ETH1, BRIDGE, MEMBER, CABLE])
def test_check_12_no_firewall_on_private_bridge_member_and_cable(
    manager: NetSharingManager, conns: Conns, system: FakeSystem, number: int
) -> None:
    system.roles[guid(ETH1)] = Role.PRIVATE
    configuration = config(manager, conns[number])
    with pytest.raises(E_INVALIDARG) as raised:
        configuration.EnableInternetFirewall()
    assert raised.value.reasons == ("no-firewall",)
    assert not configuration.InternetFirewallEnabled


@pytest.mark.check(13)
def test_check_13_reads_need_no_privilege_and_writes_do(
    manager: NetSharingManager, conns: Conns, system: FakeSystem
) -> None:
    configuration = config(manager, conns[ETH0])
    mapping = web(configuration)
    system.error = NO_PRIVILEGE
    before = system.state()
    read_everything(manager)
    for write in (
        lambda: configuration.EnableSharing(ICSSHARINGTYPE_PUBLIC),
        lambda: configuration.EnableSharing(ICSSHARINGTYPE_PRIVATE),
        configuration.DisableSharing,
        configuration.EnableInternetFirewall,
        configuration.DisableInternetFirewall,
        lambda: configuration.AddPortMapping("x", 6, 81, 0, 0, "desk", ICSTT_NAME),
        lambda: configuration.RemovePortMapping(mapping),
        mapping.Enable,
        mapping.Disable,
        mapping.Delete,
        lambda: mapping.update(name="y"),
        conns[ETH0].Connect,
        conns[ETH0].Disconnect,
        conns[ETH0].Delete,
        lambda: conns[ETH0].Rename("y"),
        lambda: manager.enable_ics(conns[ETH0], [conns[ETH1]]),
    ):
        with pytest.raises(E_ACCESSDENIED) as raised:
            write()
        assert raised.value.hresult == 0x80070005
        assert raised.value.hint == "run it as root"
    assert system.state() == before


def read_everything(manager: NetSharingManager) -> None:
    """Read every property of every object that there is."""
    assert manager.SharingInstalled
    for conn in manager.EnumEveryConnection:
        props = manager.NetConnectionProps(conn)
        assert all((props.Guid, props.Name, props.DeviceName, conn.GetProperties()))
        assert (props.Status, props.MediaType, props.Characteristics) is not None
        try:
            configuration = config(manager, conn)
        except E_NOINTERFACE:
            continue
        if configuration.SharingEnabled:
            assert configuration.SharingConnectionType in {ICSSHARINGTYPE_PUBLIC, ICSSHARINGTYPE_PRIVATE}
        assert configuration.InternetFirewallEnabled in {True, False}
        for mapping in configuration.EnumPortMappings(ICSSC_DEFAULT):
            assert mapping.Properties.Name


@pytest.mark.check(14)
def test_check_14_enumerations_may_be_empty(manager: NetSharingManager, conns: Conns) -> None:
    assert manager.EnumPublicConnections(ICSSC_DEFAULT).Count == 0
    assert manager.EnumPrivateConnections(ICSSC_DEFAULT).Count == 0
    config(manager, conns[WLAN0]).EnableSharing(ICSSHARINGTYPE_PUBLIC)
    for number in (ETH0, ETH1, ETH2):
        config(manager, conns[number]).EnableSharing(ICSSHARINGTYPE_PRIVATE)
    assert manager.EnumPublicConnections(ICSSC_DEFAULT).Count == 1
    assert list(manager.EnumPrivateConnections(ICSSC_DEFAULT)) == [conns[ETH0], conns[ETH1], conns[ETH2]]


@pytest.mark.check(15)
@pytest.mark.parametrize("flags", [ICSSC_ENABLED, 2, -1, 1 << 40, None, "0", 0.0, False])
def test_check_15_other_flags_are_wrong(manager: NetSharingManager, conns: Conns, flags: int) -> None:
    for enumerate_ in (
        manager.EnumPublicConnections,
        manager.EnumPrivateConnections,
        config(manager, conns[ETH0]).EnumPortMappings,
    ):
        with pytest.raises(E_INVALIDARG):
            enumerate_(flags)


@pytest.mark.check(17)
def test_check_17_an_absent_public_is_not_in_the_way(
    manager: NetSharingManager, conns: Conns, system: FakeSystem
) -> None:
    system.links[guid(ETH0)] = connection(ETH0, "eth0", status=Status.HARDWARE_NOT_PRESENT)
    system.roles[guid(ETH0)] = Role.PUBLIC
    absent = config(manager, next(iter(manager.EnumPublicConnections(ICSSC_DEFAULT))))
    assert absent.SharingConnectionType == ICSSHARINGTYPE_PUBLIC
    config(manager, conns[WLAN0]).EnableSharing(ICSSHARINGTYPE_PUBLIC)
    assert not absent.SharingEnabled
    assert absent.DisableSharing() == S_OK


@pytest.mark.check(25)
@pytest.mark.parametrize(
    "name", ["a", " a ", "Local Area Connection* 1".replace("*", ""), "\u00e4", "\ud800", "x" * 256]
)
def test_check_25_valid_names(name: str) -> None:
    assert NcIsValidConnectionName(name)


@pytest.mark.check(25)
@pytest.mark.parametrize(
    "name", [None, "", " ", "   ", *(f"a{one}b" for one in '\\/:\t*?<>|"\0'), "x" * 257, "😀" * 129, 7]
)
def test_check_25_names_that_are_none(name: str | None) -> None:
    assert not NcIsValidConnectionName(name)


@pytest.mark.check(25)
def test_check_25_every_other_code_unit_is_valid() -> None:
    forbidden = {*'\\/:\t*?<>|"\0', " "}
    assert {chr(code) for code in range(0x10000) if not NcIsValidConnectionName(chr(code))} == forbidden


@pytest.mark.check(26)
def test_check_26_a_policy_forbids_with_its_reason(
    manager: NetSharingManager, conns: Conns, system: FakeSystem
) -> None:
    system.error = PolicyError("the administrator's policy forbids sharing")
    with pytest.raises(E_ACCESSDENIED) as raised:
        config(manager, conns[ETH0]).EnableSharing(ICSSHARINGTYPE_PUBLIC)
    assert raised.value.reasons == ("policy",)


def test_the_firewall_keeps_its_options_when_enabled_again(
    manager: NetSharingManager, conns: Conns, system: FakeSystem
) -> None:
    options = FirewallOptions(icmp=(IcmpOption.INBOUND_ECHO_REQUEST,))
    system.firewalls[guid(ETH0)] = options
    config(manager, conns[ETH0]).EnableInternetFirewall()
    assert system.firewalls[guid(ETH0)] == options
    config(manager, conns[ETH0]).DisableInternetFirewall()
    assert config(manager, conns[ETH0]).DisableInternetFirewall() == S_OK
    assert not config(manager, conns[ETH0]).InternetFirewallEnabled
