"""Share a connection with others; if any step fails, put back what was shared before."""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, E402, T201
import sys

import comtypes
import comtypes.client

comtypes.client.GetModule("hnetcfg.dll")
from comtypes.gen import NETCONLib


def configuration(manager, connection):
    return manager.INetSharingConfigurationForINetConnection(connection)


def shared_now(manager):
    public = [
        manager.NetConnectionProps[connection].Guid
        for connection in manager.EnumPublicConnections(NETCONLib.ICSSC_DEFAULT)
    ]
    private = [
        manager.NetConnectionProps[connection].Guid
        for connection in manager.EnumPrivateConnections(NETCONLib.ICSSC_DEFAULT)
    ]
    return public, private


def disable_all(manager):
    for connection in manager.EnumPrivateConnections(NETCONLib.ICSSC_DEFAULT):
        configuration(manager, connection).DisableSharing()
    for connection in manager.EnumPublicConnections(NETCONLib.ICSSC_DEFAULT):
        configuration(manager, connection).DisableSharing()


def share(manager, by_guid, public, private):
    disable_all(manager)
    for guid in public:
        configuration(manager, by_guid[guid]).EnableSharing(NETCONLib.ICSSHARINGTYPE_PUBLIC)
    for guid in private:
        configuration(manager, by_guid[guid]).EnableSharing(NETCONLib.ICSSHARINGTYPE_PRIVATE)


def main():
    manager = comtypes.client.CreateObject("HNetCfg.HNetShare", interface=NETCONLib.INetSharingManager)
    if not manager.SharingInstalled:
        print("Internet Connection Sharing is not installed")
        return 1
    by_guid, by_name = {}, {}
    for connection in manager.EnumEveryConnection:
        props = manager.NetConnectionProps[connection]
        by_guid[props.Guid] = connection
        by_name[props.Name.lower()] = props.Guid
    wanted = [by_name[name.lower()] for name in sys.argv[1:]]
    old_public, old_private = shared_now(manager)
    try:
        share(manager, by_guid, wanted[:1], wanted[1:])
    except comtypes.COMError as error:
        print("failed:", hex(error.hresult & 0xFFFFFFFF))
        share(manager, by_guid, old_public, old_private)
        print("restored:", shared_now(manager) == (old_public, old_private))
        return 1
    for guid in wanted:
        config = configuration(manager, by_guid[guid])
        print(guid, config.SharingEnabled, config.SharingConnectionType, config.InternetFirewallEnabled)
    return 0


if __name__ == "__main__":
    sys.exit(main())
