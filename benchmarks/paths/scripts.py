"""Contenders that are shell scripts: the rules that they write, in the order in which the kernel then has them.

Such a script inserts its rules at the front of a chain, one by one. It sets addresses and starts dnsmasq and hostapd as
well; of that only the addresses matter to a packet.

Source:
    linux-router, ``lnxrouter -i lan0 -o wan0 --no-virt`` (disable_unwanted_forwarding, start_nat, allow_dns_port,
    allow_dhcp); create_ap, ``create_ap -m nat lan0 wan0``; the commits are below.
"""

from contextlib import ExitStack
from ipaddress import IPv4Interface
from typing import Final

from benchmarks.paths.addresses import set_addresses
from benchmarks.paths.passage import prove
from benchmarks.paths.rig import LAN_ADDRESS, Rig

COMMITS: Final = {"linux-router rules": "commit 0457325", "create_ap rules": "commit 462c09f"}
"""What the rules were read from."""

_NET: Final = str(IPv4Interface(f"{LAN_ADDRESS}/24").network)
_DNS_PORT: Final = 5353

_LINUX_ROUTER: Final = (
    "filter FORWARD -i lan0 ! -o wan0 -j REJECT",
    "filter FORWARD ! -i wan0 -o lan0 -j REJECT",
    f"nat POSTROUTING -s {_NET} ! -d {_NET} -o wan0 -j MASQUERADE",
    f"filter FORWARD -i lan0 -s {_NET} -o wan0 -j ACCEPT",
    f"filter FORWARD -o lan0 -d {_NET} -i wan0 -j ACCEPT",
    f"filter INPUT -i lan0 -s {_NET} -d {LAN_ADDRESS} -p tcp -m tcp --dport 53 -j ACCEPT",
    f"filter INPUT -i lan0 -s {_NET} -d {LAN_ADDRESS} -p udp -m udp --dport 53 -j ACCEPT",
    "filter INPUT -i lan0 -p udp -m udp --dport 67 -j ACCEPT",
)
_CREATE_AP: Final = (
    f"nat POSTROUTING -s {_NET} ! -o lan0 -j MASQUERADE",
    f"filter FORWARD -i lan0 -s {_NET} -j ACCEPT",
    f"filter FORWARD -i wan0 -d {_NET} -j ACCEPT",
    f"filter INPUT -p tcp -m tcp --dport {_DNS_PORT} -j ACCEPT",
    f"filter INPUT -p udp -m udp --dport {_DNS_PORT} -j ACCEPT",
    f"nat PREROUTING -s {_NET} -d {LAN_ADDRESS} -p tcp -m tcp --dport 53 -j REDIRECT --to-ports {_DNS_PORT}",
    f"nat PREROUTING -s {_NET} -d {LAN_ADDRESS} -p udp -m udp --dport 53 -j REDIRECT --to-ports {_DNS_PORT}",
    "filter INPUT -p udp -m udp --dport 67 -j ACCEPT",
)


def linux_router(stack: ExitStack, rig: Rig) -> None:
    """Load the rules of linux-router, each with the comment by which it finds them again."""
    _share(rig, *(f"{rule} -m comment --comment lrt1lan0" for rule in _LINUX_ROUTER))
    del stack  # it all goes with the namespace


def create_ap(stack: ExitStack, rig: Rig) -> None:
    """Load the rules of create_ap."""
    _share(rig, *_CREATE_AP)
    del stack


def _share(rig: Rig, *rules: str) -> None:
    set_addresses(rig)
    for rule in rules:
        table, chain, *words = rule.split()
        rig.run(rig.gateway, ["iptables-nft", "-w", "-t", table, "-I", chain, *words])
    rig.run(rig.gateway, ["busybox", "sysctl", "-qw", "net.ipv4.ip_forward=1"])
    prove(rig)
