"""List the connections of the Connections folder with their properties."""

# mypy: ignore-errors
# ruff: noqa: ANN201, T201
import sys

import pythoncom
import win32com.client


def main():
    manager = win32com.client.Dispatch("HNetCfg.HNetShare")
    connections = manager.EnumEveryConnection
    print(connections.Count, "connections")
    for connection in connections:
        props = manager.NetConnectionProps(connection)
        print(
            props.Guid, props.Name, props.DeviceName, props.Status, props.MediaType, hex(props.Characteristics), sep="|"
        )
    return 0


if __name__ == "__main__":
    pythoncom.CoInitialize()
    try:
        sys.exit(main())
    finally:
        pythoncom.CoUninitialize()
