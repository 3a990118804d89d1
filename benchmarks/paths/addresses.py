"""The gateway's addresses, for contenders that set none themselves."""

from benchmarks.paths.rig import INTERNET_ADDRESS, LAN_ADDRESS, WAN_ADDRESS, Rig


def set_addresses(rig: Rig) -> None:
    """Give the gateway of *rig* its addresses and its default route."""
    for link, address in (("lan0", LAN_ADDRESS), ("wan0", WAN_ADDRESS)):
        rig.run(rig.gateway, ["ip", "address", "add", f"{address}/24", "dev", link])
    rig.run(rig.gateway, ["ip", "route", "add", "default", "via", INTERNET_ADDRESS])
