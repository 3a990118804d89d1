"""The connection firewall (ICF): what it lets in besides answers, and what it writes down.

Source:
    MicrosoftDocs/win32 "About ICS and ICF"; Windows Firewall API, INetFwIcmpSettings (the ten ICMP options).
"""

from dataclasses import dataclass
from enum import StrEnum

from icshare.model.names import InterfaceName


class IcmpOption(StrEnum):
    """The ten ICMP options, all off by default; named as ``INetFwIcmpSettings`` names them."""

    INBOUND_ECHO_REQUEST = "inbound-echo-request"
    INBOUND_TIMESTAMP_REQUEST = "inbound-timestamp-request"
    INBOUND_MASK_REQUEST = "inbound-mask-request"
    INBOUND_ROUTER_REQUEST = "inbound-router-request"
    OUTBOUND_DESTINATION_UNREACHABLE = "outbound-destination-unreachable"
    OUTBOUND_SOURCE_QUENCH = "outbound-source-quench"
    OUTBOUND_PARAMETER_PROBLEM = "outbound-parameter-problem"
    OUTBOUND_TIME_EXCEEDED = "outbound-time-exceeded"
    REDIRECT = "redirect"
    OUTBOUND_PACKET_TOO_BIG = "outbound-packet-too-big"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallOptions:
    """How the firewall of a connection is set.

    Attributes:
        icmp: ICMP options that are on, in the order of `IcmpOption`.
        log_dropped: Write dropped packets into the log.
        log_opened: Write connections that were let through into the log.
    """

    icmp: tuple[IcmpOption, ...] = ()
    log_dropped: bool = False
    log_opened: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Firewall:
    """The firewall of one connection that is present.

    Attributes:
        interface: The connection's link.
        options: How it is set.
        login_port: TCP port of the administrator's own login through this connection; it stays open.
    """

    interface: InterfaceName
    options: FirewallOptions = FirewallOptions()
    login_port: int | None = None
