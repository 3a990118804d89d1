"""What a lab looks like: its names, addresses and links, as values.

::

      far ── inet ──────────── gw ──┬── lan0 ── c0
     (opt.)  web   .80   isp0  wan0 ├── lan1 ── c1
             dns   .53   isp1  wan1 └── ...
             echo  .7         (opt.)
             ftp   .21 (opt.)

``inet`` is the whole Internet: the provider's router and every server. ``gw`` is the machine that shares its
connection. Public addresses are those set aside for documentation (RFC 5737), so a mistake cannot reach anybody.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from typing import NewType

from icshare.errors import InvalidRequestError

LabName = NewType("LabName", str)
NodeName = NewType("NodeName", str)

INTERNET = NodeName("inet")
FAR = NodeName("far")
GATEWAY = NodeName("gw")
SWITCH = NodeName("switch")

ROUTER_ADDRESS = IPv4Address("203.0.113.1")
ECHO_ADDRESS = IPv4Address("203.0.113.7")
FTP_ADDRESS = IPv4Address("203.0.113.21")
DNS_ADDRESS = IPv4Address("203.0.113.53")
WEB_ADDRESS = IPv4Address("203.0.113.80")

UPLINK = IPv4Interface("198.51.100.2/24")
UPLINK_ROUTER = IPv4Address("198.51.100.1")
SECOND_UPLINK = IPv4Interface("192.0.2.2/24")
SECOND_UPLINK_ROUTER = IPv4Address("192.0.2.1")
FAR_LINK_ROUTER = IPv4Interface("203.0.113.197/30")
FAR_LINK = IPv4Interface("203.0.113.198/30")
FAR_ADDRESS = FAR_LINK.ip

ZONE = "example.net"
HOSTS = {
    f"www.{ZONE}": WEB_ADDRESS,
    f"echo.{ZONE}": ECHO_ADDRESS,
    f"ftp.{ZONE}": FTP_ADDRESS,
    f"ns.{ZONE}": DNS_ADDRESS,
    f"router.{ZONE}": ROUTER_ADDRESS,
    f"far.{ZONE}": FAR_ADDRESS,
}

WEB_PORT = 80
ECHO_PORT = 7
FTP_PORT = 21

MAX_PRIVATES = 64
MAX_CLIENTS_PER_PRIVATE = 8
# The least MTU an IPv4 link may have is 68; under 576 no tool of today is tested. 9216 is the usual jumbo limit.
MIN_MTU = 576
MAX_MTU = 9216

DEFAULT_PREFIX = LabName("icslab")

_LAB_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_NODE_NAME = re.compile(r"inet|far|gw|switch|c(0|[1-9][0-9]{0,2})")


def lab_name(text: str) -> LabName:
    """Parse *text* as the prefix of a lab's namespaces.

    Raises:
        InvalidRequestError: Not 1 to 31 lower-case letters, digits and hyphens with a letter first.
    """
    if not _LAB_NAME.fullmatch(text):
        raise InvalidRequestError(
            f"{text!r} is not a lab name", hint="1 to 31 characters of a-z 0-9 -, a letter first: for example mylab"
        )
    return LabName(text)


def node_name(text: str) -> NodeName:
    """Parse *text* as the name of a lab's node.

    Raises:
        InvalidRequestError: Not ``inet``, ``gw``, ``far``, ``switch`` or ``c`` and a number.
    """
    if not _NODE_NAME.fullmatch(text):
        raise InvalidRequestError(
            f"{text!r} is not a node of a lab", hint="inet, gw, far, switch, c0, c1 ...; icshare lab status lists them"
        )
    return NodeName(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabPlan:
    """A lab to be built.

    Attributes:
        prefix: First part of the names of its namespaces; two labs with different prefixes live side by side.
        privates: Number of private links ``lan0``, ``lan1``... of the gateway, 1 to 64.
        clients_per_private: Clients on each private link, 1 to 8. More than one are joined by a switch. Client
            ``c<n>`` is on link ``n // clients_per_private``.
        mtu: MTU of the public links, 576 to 9216 bytes, at both ends.
        second_uplink: Give the gateway ``wan1`` as well, with a worse metric.
        uplink_up: Leave ``wan0`` up and with a default route. Its address is there either way.
        privates_up: Leave the gateway's private links up.
        far_mtu: Add the server ``far`` behind a link of this MTU, for path-MTU discovery. None leaves it out.
        ftp: Run an FTP server; needs pyftpdlib, which only the tests install.

    Raises:
        InvalidRequestError: A value is out of its range; the message names all that are.
    """

    prefix: LabName = DEFAULT_PREFIX
    privates: int = 2
    clients_per_private: int = 1
    mtu: int = 1500
    second_uplink: bool = False
    uplink_up: bool = True
    privates_up: bool = True
    far_mtu: int | None = None
    ftp: bool = False

    def __post_init__(self) -> None:
        lab_name(self.prefix)
        ranges = (
            ("privates", self.privates, 1, MAX_PRIVATES),
            ("clients per private", self.clients_per_private, 1, MAX_CLIENTS_PER_PRIVATE),
            ("the public MTU", self.mtu, MIN_MTU, MAX_MTU),
            ("the far MTU", MIN_MTU if self.far_mtu is None else self.far_mtu, MIN_MTU, MAX_MTU),
        )
        problems = [
            f"{what}: {value} (expected {least} to {most})"
            for what, value, least, most in ranges
            if not least <= value <= most
        ]
        if problems:
            raise InvalidRequestError("a lab cannot have " + "; ".join(problems))

    @property
    def clients(self) -> tuple[NodeName, ...]:
        """The clients, in the order of the private links they are on."""
        return tuple(NodeName(f"c{number}") for number in range(self.privates * self.clients_per_private))

    @property
    def nodes(self) -> tuple[NodeName, ...]:
        """Every node, the Internet first."""
        far = () if self.far_mtu is None else (FAR,)
        switch = (SWITCH,) if self.clients_per_private > 1 else ()
        return (INTERNET, *far, GATEWAY, *switch, *self.clients)

    def namespace(self, node: NodeName) -> str:
        """Return the name of *node*'s network namespace."""
        return f"{self.prefix}-{node}"
