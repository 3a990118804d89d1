"""The identifiers by which programs find the objects: CLSIDs, ProgIDs, IIDs and dispatch ids.

Source:
    ``netcon.h`` and the type library NETCONLib 1.0 of the Windows SDK.
"""

from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

LIBID_NETCONLib = UUID("43e734ca-043d-4a70-9a2c-a8f254063d91")
"""The type library, version 1.0."""

CLSID_NetSharingManager = UUID("5c63c1ad-3956-4ff8-8486-40034758315b")
"""Class of `NetSharingManager`."""

CLSID_ConnectionManager = UUID("ba126ad1-2166-11d1-b1d0-00805fc1270e")
"""Class of `ConnectionManager`."""

CLSID_UPnPNAT = UUID("ae1e00aa-3fd5-403c-8a27-2bbdc30cd0e1")
"""Class of the NAT traversal API."""

PROGIDS: Mapping[str, UUID] = MappingProxyType(
    {
        "HNetCfg.HNetShare": CLSID_NetSharingManager,
        "HNetCfg.HNetShare.1": CLSID_NetSharingManager,
        "HNetCfg.NATUPnP": CLSID_UPnPNAT,
    }
)
"""Names of classes, as programs spell them; Windows compares them without regard to case."""


def _netcon(number: int) -> UUID:
    """Return the interface id of the older block of netcon.h with *number* as its last byte of the first field."""
    return UUID(f"c08956{number:02x}-1cd3-11d1-b1c5-00805fc1270e")


IIDS: Mapping[str, UUID] = MappingProxyType(
    {
        "IUnknown": UUID("00000000-0000-0000-c000-000000000046"),
        "IDispatch": UUID("00020400-0000-0000-c000-000000000046"),
        "IEnumNetConnection": _netcon(0xA0),
        "INetConnection": _netcon(0xA1),
        "INetConnectionManager": _netcon(0xA2),
        "INetConnectionConnectUi": _netcon(0xA3),
        "IEnumNetSharingPortMapping": _netcon(0xB0),
        "INetSharingPortMapping": _netcon(0xB1),
        "IEnumNetSharingPublicConnection": _netcon(0xB4),
        "IEnumNetSharingPrivateConnection": _netcon(0xB5),
        "INetSharingConfiguration": _netcon(0xB6),
        "INetSharingManager": _netcon(0xB7),
        "IEnumNetSharingEveryConnection": _netcon(0xB8),
        "INetSharingPortMappingProps": UUID("24b7e9b5-e38f-4685-851b-00892cf5f940"),
        "INetConnectionProps": UUID("f4277c95-ce5b-463d-8167-5662d9bcaa72"),
        "INetSharingPortMappingCollection": UUID("02e4a2de-da20-4e34-89c8-ac22275a010b"),
        "INetSharingEveryConnectionCollection": UUID("33c4643c-7811-46fa-a89a-768597bd7223"),
        "INetSharingPublicConnectionCollection": UUID("7d7a6355-f372-4971-a149-bfc927be762a"),
        "INetSharingPrivateConnectionCollection": UUID("38ae69e0-4409-402a-a2cb-e965c727f840"),
    }
)
"""Interface ids."""

_COLLECTION = {"_NewEnum": -4, "Count": 1}

DISPIDS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "INetSharingManager": {
            "SharingInstalled": 1,
            "EnumPublicConnections": 2,
            "EnumPrivateConnections": 3,
            "INetSharingConfigurationForINetConnection": 6,
            "EnumEveryConnection": 7,
            "NetConnectionProps": 8,
        },
        "INetSharingEveryConnectionCollection": _COLLECTION,
        "INetSharingPublicConnectionCollection": _COLLECTION,
        "INetSharingPrivateConnectionCollection": _COLLECTION,
        "INetSharingPortMappingCollection": _COLLECTION,
        "INetConnectionProps": {
            "Guid": 1,
            "Name": 2,
            "DeviceName": 3,
            "Status": 4,
            "MediaType": 5,
            "Characteristics": 6,
        },
        "INetSharingConfiguration": {
            "SharingEnabled": 1,
            "SharingConnectionType": 2,
            "DisableSharing": 3,
            "EnableSharing": 4,
            "InternetFirewallEnabled": 5,
            "DisableInternetFirewall": 6,
            "EnableInternetFirewall": 7,
            "EnumPortMappings": 8,
            "AddPortMapping": 9,
            "RemovePortMapping": 10,
        },
        "INetSharingPortMapping": {"Disable": 1, "Enable": 2, "Properties": 3, "Delete": 4},
        "INetSharingPortMappingProps": {
            "Name": 1,
            "IPProtocol": 2,
            "ExternalPort": 3,
            "InternalPort": 4,
            "Options": 5,
            "TargetName": 6,
            "TargetIPAddress": 7,
            "Enabled": 8,
        },
    }
)
"""Dispatch ids of the members that scripts see, in the order of the type library."""


def braced(guid: UUID) -> str:
    """Return *guid* as Windows writes it: ``{XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}``, upper case."""
    return f"{{{guid}}}".upper()
