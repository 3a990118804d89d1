import dataclasses
from enum import IntEnum, IntFlag

import pytest

from icshare import netcon
from icshare.model.connection import Characteristics, MediaType, Status
from icshare.netcon import NETCON_CHARACTERISTIC_FLAGS, NETCON_MEDIATYPE, NETCON_PROPERTIES, NETCON_STATUS
from icshare.netcon.identifiers import DISPIDS, IIDS, PROGIDS, CLSID_NetSharingManager, braced


@pytest.mark.parametrize(
    ("theirs", "prefix", "ours"),
    [
        (NETCON_MEDIATYPE, "NCM_", MediaType),
        (NETCON_STATUS, "NCS_", Status),
        (NETCON_CHARACTERISTIC_FLAGS, "NCCF_", Characteristics),
    ],
)
def test_our_model_has_windows_values(
    theirs: type[IntEnum | IntFlag], prefix: str, ours: type[IntEnum | IntFlag]
) -> None:
    model = {f"{prefix}{name}": int(member) for name, member in ours.__members__.items()}
    assert model.items() <= {name: int(member) for name, member in theirs.__members__.items()}.items()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NCM_SHAREDACCESSHOST_RAS", 9),
        ("NCS_CONNECT_FAILED", 15),
        ("NCCF_INCOMING_ONLY", 0x20),
        ("NCCF_SHARED", 0x100),
        ("NCCF_FIREWALLED", 0x400),
        ("NCCF_SHARED_PRIVATE", 0x2000),
        ("NCCF_RESERVED", 0x8000),
        ("NCCF_BLUETOOTH_MASK", 0xF0000),
        ("NCCF_LAN_MASK", 0xF00000),
        ("NCT_BRIDGE", 6),
        ("ICSSHARINGTYPE_PUBLIC", 0),
        ("ICSSHARINGTYPE_PRIVATE", 1),
        ("ICSSC_DEFAULT", 0),
        ("ICSSC_ENABLED", 1),
        ("ICSTT_NAME", 0),
        ("ICSTT_IPADDRESS", 1),
        ("NCME_HIDDEN", 1),
        ("NCUC_ENABLE_DISABLE", 2),
        ("NAT_PROTOCOL_TCP", 6),
        ("NAT_PROTOCOL_UDP", 17),
        ("NETCON_MAX_NAME_LEN", 256),
        ("S_OBJECT_NO_LONGER_VALID", 2),
        ("VARIANT_TRUE", -1),
        ("VARIANT_FALSE", 0),
    ],
)
def test_constants_have_their_values(name: str, value: int) -> None:
    assert getattr(netcon, name) == value


def test_every_member_is_a_constant_too() -> None:
    for kind in (
        netcon.NETCON_MEDIATYPE,
        netcon.NETCON_CHARACTERISTIC_FLAGS,
        netcon.NETCON_STATUS,
        netcon.NETCON_TYPE,
        netcon.SHARINGCONNECTIONTYPE,
        netcon.SHARINGCONNECTION_ENUM_FLAGS,
        netcon.ICS_TARGETTYPE,
        netcon.NETCONMGR_ENUM_FLAGS,
        netcon.NETCONUI_CONNECT_FLAGS,
    ):
        for name, member in kind.__members__.items():
            assert getattr(netcon, name) is member


def test_everything_exported_is_there_once() -> None:
    assert len(set(netcon.__all__)) == len(netcon.__all__)
    assert all(hasattr(netcon, name) for name in netcon.__all__)


def test_properties_have_windows_order() -> None:
    assert [field.name for field in dataclasses.fields(NETCON_PROPERTIES)] == [
        "guidId",
        "pszwName",
        "pszwDeviceName",
        "Status",
        "MediaType",
        "dwCharacter",
        "clsidThisObject",
        "clsidUiObject",
    ]


def test_identifiers() -> None:
    assert PROGIDS["HNetCfg.HNetShare"] == PROGIDS["HNetCfg.HNetShare.1"] == CLSID_NetSharingManager
    assert braced(CLSID_NetSharingManager) == "{5C63C1AD-3956-4FF8-8486-40034758315B}"
    assert braced(IIDS["INetConnection"]) == "{C08956A1-1CD3-11D1-B1C5-00805FC1270E}"
    assert len(set(IIDS.values())) == len(IIDS)


def test_dispatch_ids_name_members_that_exist() -> None:
    for interface, members in DISPIDS.items():
        assert interface in IIDS
        assert all(hasattr(getattr(netcon, interface), member) for member in members)
