"""Disable sharing on every connection."""

# mypy: ignore-errors
# ruff: noqa: ANN201, T201
import sys

import pythoncom
from win32com.client import constants, gencache


def main():
    manager = gencache.EnsureDispatch("HNetCfg.HNetShare")
    for connection in manager.EnumEveryConnection:
        try:
            config = manager.INetSharingConfigurationForINetConnection(connection)
        except pythoncom.com_error:
            continue
        if config.SharingEnabled:
            config.DisableSharing()
            print("disabled:", manager.NetConnectionProps(connection).Name)
    left = (
        manager.EnumPublicConnections(constants.ICSSC_DEFAULT).Count
        + manager.EnumPrivateConnections(constants.ICSSC_DEFAULT).Count
    )
    print("still shared:", left)
    return left


if __name__ == "__main__":
    pythoncom.CoInitialize()
    try:
        sys.exit(main())
    finally:
        pythoncom.CoUninitialize()
