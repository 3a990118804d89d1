"""Disable sharing on every connection."""

# mypy: ignore-errors
# ruff: noqa: ANN201, T201
import sys

import pythoncom
import win32com.client

ICSSC_DEFAULT = 0


def main():
    manager = win32com.client.Dispatch("HNetCfg.HNetShare")
    for connection in manager.EnumEveryConnection:
        try:
            config = manager.INetSharingConfigurationForINetConnection(connection)
        except pythoncom.com_error:
            continue
        if config.SharingEnabled:
            config.DisableSharing()
            print("disabled:", manager.NetConnectionProps(connection).Name)
    left = manager.EnumPublicConnections(ICSSC_DEFAULT).Count + manager.EnumPrivateConnections(ICSSC_DEFAULT).Count
    print("still shared:", left)
    return left


if __name__ == "__main__":
    pythoncom.CoInitialize()
    try:
        sys.exit(main())
    finally:
        pythoncom.CoUninitialize()
