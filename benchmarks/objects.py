"""The object model: properties read in one second while sharing, each read anew from the system."""

from collections.abc import Callable
from functools import partial
from json import loads

from benchmarks.figures import Figures, Measures, rates_table
from benchmarks.gateways import MappedGateway

GOALS = {
    "connection's Name": 1000.0,
    "connection's MediaType": 1000.0,
    "SharingEnabled": 3000.0,
    "InternetFirewallEnabled": 3000.0,
    "mapping's Enabled": 3000.0,
}

_READ = """
import json, time
from icshare.netcon import ICSSC_DEFAULT, NetSharingManager
manager = NetSharingManager()
(public,) = manager.EnumPublicConnections(ICSSC_DEFAULT)
props = manager.NetConnectionProps(public)
config = manager.INetSharingConfigurationForINetConnection(public)
mapping = next(iter(config.EnumPortMappings(ICSSC_DEFAULT))).Properties
reads = {
    "connection's Name": lambda: props.Name,
    "connection's MediaType": lambda: props.MediaType,
    "SharingEnabled": lambda: config.SharingEnabled,
    "InternetFirewallEnabled": lambda: config.InternetFirewallEnabled,
    "mapping's Enabled": lambda: mapping.Enabled,
}
rates = {}
for name, read in reads.items():
    count, began = 0, time.monotonic()
    while (now := time.monotonic()) < began + 0.2:
        read()
        count += 1
    rates[name] = count / (now - began)
print(json.dumps(rates))
"""


class Objects:
    """Property reads on one gateway."""

    def __init__(self, gateway: MappedGateway) -> None:
        """Take the gateway."""
        self._gateway = gateway
        self._rates: dict[str, float] = {}

    @property
    def measures(self) -> Measures:
        """What is measured, in the order of one repeat; the first takes them all."""
        first, *others = GOALS
        found: dict[str, Callable[[], float]] = {first: lambda: self._take(first)}
        for name in others:
            found[name] = partial(self._rates.__getitem__, name)
        return found

    def report(self, figures: Figures) -> int:
        """Print the rates."""
        return rates_table("properties read in one second", [figures[name] for name in GOALS], GOALS)

    def _take(self, name: str) -> float:
        self._rates = loads(self._gateway.told(_READ))
        return self._rates[name]
