"""Tell which connections can be shared: one of six media types, and not for incoming calls only."""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, T201
import sys

import pythoncom
from win32com.client import constants, gencache


def is_sharable(manager, connection):
    props = manager.NetConnectionProps(connection)
    media = (
        constants.NCM_DIRECT,
        constants.NCM_ISDN,
        constants.NCM_LAN,
        constants.NCM_PHONE,
        constants.NCM_TUNNEL,
        constants.NCM_PPPOE,
    )
    return props.MediaType in media and not props.Characteristics & constants.NCCF_INCOMING_ONLY


def main():
    manager = gencache.EnsureDispatch("HNetCfg.HNetShare")
    if not manager.SharingInstalled:
        print("Internet Connection Sharing is not installed")
        return 1
    for connection in manager.EnumEveryConnection:
        answer = "sharable" if is_sharable(manager, connection) else "not sharable"
        print(manager.NetConnectionProps(connection).Name, answer, sep=": ")
    return 0


if __name__ == "__main__":
    pythoncom.CoInitialize()
    try:
        sys.exit(main())
    finally:
        pythoncom.CoUninitialize()
