"""Enable the Internet Connection Firewall on every connection that has none and can have one."""

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
        name = manager.NetConnectionProps[connection].Name
        try:
            config = manager.INetSharingConfigurationForINetConnection(connection)
            if not config.InternetFirewallEnabled:
                config.EnableInternetFirewall()
            print(name, config.InternetFirewallEnabled, sep=": ")
        except comtypes.COMError as error:
            print(name, hex(error.hresult & 0xFFFFFFFF), sep=": ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
