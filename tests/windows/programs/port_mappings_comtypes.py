"""Add port mappings by address and by name, to another port and of a high port; enable, find and delete them."""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, E402, T201
import sys

import comtypes
import comtypes.client

comtypes.client.GetModule("hnetcfg.dll")
from comtypes.gen import NETCONLib

NAT_PROTOCOL_TCP = 6
NAT_PROTOCOL_UDP = 17


def show(config):
    for mapping in config.EnumPortMappings(NETCONLib.ICSSC_DEFAULT):
        props = mapping.Properties
        target = props.TargetIPAddress or props.TargetName
        print(props.Name, props.IPProtocol, props.ExternalPort, props.InternalPort, target, props.Enabled, sep="|")


def delete(config, protocol, port):
    for mapping in config.EnumPortMappings(NETCONLib.ICSSC_DEFAULT):
        props = mapping.Properties
        if props.IPProtocol == protocol and props.ExternalPort == port:
            mapping.Delete()
            return True
    return False


def add(config, name, protocol, external, internal, target, kind):
    mapping = config.AddPortMapping(name, protocol, external, internal, 0, target, kind)
    print("new:", mapping.Properties.Name, mapping.Properties.Enabled)
    mapping.Enable()


def main():
    manager = comtypes.client.CreateObject("HNetCfg.HNetShare", interface=NETCONLib.INetSharingManager)
    for connection in manager.EnumEveryConnection:
        props = manager.NetConnectionProps[connection]
        if not props.Characteristics & (NETCONLib.NCCF_SHARED | NETCONLib.NCCF_FIREWALLED):
            continue
        config = manager.INetSharingConfigurationForINetConnection(connection)
        if "delete" not in sys.argv[1:]:
            add(config, "Ping", NAT_PROTOCOL_TCP, 555, 444, sys.argv[1], NETCONLib.ICSTT_IPADDRESS)
            add(config, "High", NAT_PROTOCOL_UDP, 40000, 40001, sys.argv[1], NETCONLib.ICSTT_IPADDRESS)
            add(config, "Named", NAT_PROTOCOL_TCP, 8080, 80, sys.argv[2], NETCONLib.ICSTT_NAME)
            show(config)
        if "keep" not in sys.argv[1:]:
            for protocol, port in ((NAT_PROTOCOL_TCP, 555), (NAT_PROTOCOL_UDP, 40000), (NAT_PROTOCOL_TCP, 8080)):
                print("deleted:", port, delete(config, protocol, port))
        print("left:", config.EnumPortMappings(NETCONLib.ICSSC_DEFAULT).Count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
