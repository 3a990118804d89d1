"""List the connections of the Connections folder with their properties."""

# mypy: ignore-errors
# ruff: noqa: ANN201, E402, T201
import sys

import comtypes
import comtypes.client

comtypes.client.GetModule("hnetcfg.dll")
from comtypes.gen import NETCONLib


def main():
    manager = comtypes.client.CreateObject("HNetCfg.HNetShare", interface=NETCONLib.INetSharingManager)
    connections = manager.EnumEveryConnection
    print(connections.Count, "connections")
    for connection in connections:
        props = manager.NetConnectionProps[connection]
        print(
            props.Guid, props.Name, props.DeviceName, props.Status, props.MediaType, hex(props.Characteristics), sep="|"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
