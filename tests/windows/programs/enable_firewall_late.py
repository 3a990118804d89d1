"""Enable the Internet Connection Firewall on every connection that has none and can have one."""

# mypy: ignore-errors
# ruff: noqa: ANN201, T201
import sys

import pythoncom
import win32com.client


def main():
    manager = win32com.client.Dispatch("HNetCfg.HNetShare")
    for connection in manager.EnumEveryConnection:
        name = manager.NetConnectionProps(connection).Name
        try:
            config = manager.INetSharingConfigurationForINetConnection(connection)
            if not config.InternetFirewallEnabled:
                config.EnableInternetFirewall()
            print(name, config.InternetFirewallEnabled, sep=": ")
        except pythoncom.com_error as error:
            print(name, hex(error.excepinfo[5] & 0xFFFFFFFF), sep=": ")
    return 0


if __name__ == "__main__":
    pythoncom.CoInitialize()
    try:
        sys.exit(main())
    finally:
        pythoncom.CoUninitialize()
