"""Tell which connections can be shared: one of six media types, and not for incoming calls only."""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, T201
import sys

import pythoncom
import win32com.client

NCM_DIRECT = 1
NCM_ISDN = 2
NCM_LAN = 3
NCM_PHONE = 4
NCM_TUNNEL = 5
NCM_PPPOE = 6
NCCF_INCOMING_ONLY = 0x20


def is_sharable(manager, connection):
    props = manager.NetConnectionProps(connection)
    media = (NCM_DIRECT, NCM_ISDN, NCM_LAN, NCM_PHONE, NCM_TUNNEL, NCM_PPPOE)
    return props.MediaType in media and not props.Characteristics & NCCF_INCOMING_ONLY


def main():
    manager = win32com.client.Dispatch("HNetCfg.HNetShare")
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
