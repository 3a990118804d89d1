"""Tell which connections can be shared: one of six media types, and not for incoming calls only."""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, E402, T201
import sys

import comtypes
import comtypes.client

comtypes.client.GetModule("hnetcfg.dll")
from comtypes.gen import NETCONLib


def is_sharable(manager, connection):
    props = manager.NetConnectionProps[connection]
    media = (
        NETCONLib.NCM_DIRECT,
        NETCONLib.NCM_ISDN,
        NETCONLib.NCM_LAN,
        NETCONLib.NCM_PHONE,
        NETCONLib.NCM_TUNNEL,
        NETCONLib.NCM_PPPOE,
    )
    return props.MediaType in media and not props.Characteristics & NETCONLib.NCCF_INCOMING_ONLY


def main():
    manager = comtypes.client.CreateObject("HNetCfg.HNetShare", interface=NETCONLib.INetSharingManager)
    if not manager.SharingInstalled:
        print("Internet Connection Sharing is not installed")
        return 1
    for connection in manager.EnumEveryConnection:
        answer = "sharable" if is_sharable(manager, connection) else "not sharable"
        print(manager.NetConnectionProps[connection].Name, answer, sep=": ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
