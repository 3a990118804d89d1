"""Contenders that are daemons: each is the real one, told by its own files what a user would tell it."""

import time
from contextlib import ExitStack

from benchmarks.paths.addresses import set_addresses
from benchmarks.paths.layered import Layered
from benchmarks.paths.passage import prove
from benchmarks.paths.rig import INTERNET_ADDRESS, LAN_ADDRESS, SECONDS, WAN_ADDRESS, CannotRunError, Rig

_LOOK_SECONDS = 0.2  # a look costs as much of a processor, which firewalld needs itself

_NM = """[main]
plugins=keyfile
dns=none
rc-manager=unmanaged
no-auto-default=*
auth-polkit=false
systemd-resolved=false
firewall-backend=nftables
[connectivity]
enabled=false
"""
_NM_LAN = f"""[connection]
id=lan
type=ethernet
interface-name=lan0
[ipv4]
method=shared
address1={LAN_ADDRESS}/24
[ipv6]
method=ignore
"""
_NM_WAN = f"""[connection]
id=wan
type=ethernet
interface-name=wan0
[ipv4]
method=manual
address1={WAN_ADDRESS}/24,{INTERNET_ADDRESS}
[ipv6]
method=ignore
"""


def networkmanager(stack: ExitStack, rig: Rig) -> None:
    """NetworkManager, with the method "shared" on the private link."""
    machine = Layered(stack, rig)
    machine.write("/etc/NetworkManager/NetworkManager.conf", _NM)
    for name, text in (("lan", _NM_LAN), ("wan", _NM_WAN)):
        machine.write(f"/etc/NetworkManager/system-connections/{name}.nmconnection", text)
    machine.start_bus()
    daemon = machine.start("NetworkManager", "--debug", "--log-level=INFO")
    online = machine.run("nm-online", "--wait-for-startup", "--quiet", "--timeout=20", check=False)
    if online.returncode != 0:
        raise CannotRunError(f"it does not start: {daemon.said()}")
    prove(rig, daemon)


_ND_LAN = f"""[Match]
Name=lan0
[Network]
Address={LAN_ADDRESS}/24
IPMasquerade=ipv4
DHCPServer=yes
LinkLocalAddressing=no
IPv6AcceptRA=no
"""
_ND_WAN = f"""[Match]
Name=wan0
[Network]
Address={WAN_ADDRESS}/24
Gateway={INTERNET_ADDRESS}
LinkLocalAddressing=no
IPv6AcceptRA=no
"""


def networkd(stack: ExitStack, rig: Rig) -> None:
    """systemd-networkd, with ``IPMasquerade=`` on the private link."""
    machine = Layered(stack, rig)
    for name, text in (("lan", _ND_LAN), ("wan", _ND_WAN)):
        machine.write(f"/etc/systemd/network/10-{name}.network", text)
        machine.file(f"/etc/systemd/network/10-{name}.network").chmod(0o644)
    machine.run("systemd-sysusers")  # as the package does where it is installed
    # systemd makes its directory in the name of the user that it becomes.
    for name in ("", "/links", "/leases", "/lldp"):
        machine.write(f"/run/systemd/netif{name}/.there", "")
    machine.run("chown", "-R", "systemd-network:systemd-network", "/run/systemd/netif")
    log = {"SYSTEMD_LOG_TARGET": "console", "SYSTEMD_LOG_COLOR": "0"}
    daemon = machine.start("/lib/systemd/systemd-networkd", env=log)
    wait = ["/lib/systemd/systemd-networkd-wait-online", "-i", "lan0", "-i", "wan0", "--timeout=20", "--quiet"]
    if machine.run(*wait, check=False).returncode != 0:
        raise CannotRunError(f"it does not configure its links: {daemon.said()}")
    prove(rig, daemon)


_FW = """DefaultZone=public
CleanupOnExit=yes
FirewallBackend=nftables
Lockdown=no
LogDenied=off
"""
_FW_ZONE = """<?xml version="1.0" encoding="utf-8"?>
<zone>
  <interface name="{link}"/>
  {rules}
</zone>
"""
# Zones forward to each other by policies only.
_FW_POLICY = """<?xml version="1.0" encoding="utf-8"?>
<policy target="ACCEPT">
  <ingress-zone name="internal"/>
  <egress-zone name="external"/>
</policy>
"""


def firewalld(stack: ExitStack, rig: Rig) -> None:
    """firewalld, with its zones "external", which masquerades, and "internal", and a policy from this to that.

    It sets no addresses; they are there before it starts.
    """
    set_addresses(rig)
    machine = Layered(stack, rig)
    machine.write("/etc/firewalld/firewalld.conf", _FW)
    for zone, link, rules in (
        ("external", "wan0", "<masquerade/>"),
        ("internal", "lan0", '<service name="dhcp"/><service name="dns"/>'),
    ):
        machine.write(f"/etc/firewalld/zones/{zone}.xml", _FW_ZONE.format(link=link, rules=rules))
    machine.write("/etc/firewalld/policies/sharing.xml", _FW_POLICY)
    machine.start_bus()
    daemon = machine.start("/usr/sbin/firewalld", "--nofork", "--nopid", "--log-target=console")
    deadline = time.monotonic() + 2 * SECONDS
    while machine.run("firewall-cmd", "--state", check=False).returncode != 0:
        if time.monotonic() > deadline or not daemon.runs:
            raise CannotRunError(f"it does not start: {daemon.said()}")
        time.sleep(_LOOK_SECONDS)
    prove(rig, daemon)
