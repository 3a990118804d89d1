"""Disable sharing on every connection."""

# mypy: ignore-errors
# ruff: noqa: ANN201, E402, T201
import sys

import comtypes
import comtypes.client

comtypes.client.GetModule("hnetcfg.dll")
from comtypes.gen import NETCONLib


def main():
    manager = comtypes.client.CreateObject("HNetCfg.HNetShare", interface=NETCONLib.INetSharingManager)
    for connection in manager.EnumEveryConnection:
        try:
            config = manager.INetSharingConfigurationForINetConnection(connection)
        except comtypes.COMError:
            continue
        if config.SharingEnabled:
            config.DisableSharing()
            print("disabled:", manager.NetConnectionProps[connection].Name)
    left = (
        manager.EnumPublicConnections(NETCONLib.ICSSC_DEFAULT).Count
        + manager.EnumPrivateConnections(NETCONLib.ICSSC_DEFAULT).Count
    )
    print("still shared:", left)
    return left


if __name__ == "__main__":
    sys.exit(main())
