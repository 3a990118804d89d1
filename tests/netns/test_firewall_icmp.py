"""The ten ICMP options of the connection firewall, by packets made by hand; what no option may break goes on."""

import sys
from collections.abc import Iterator

import pytest
from tests.netns import inhabited
from tests.netns.gateway import laboratory, output
from tests.netns.test_outside import running, settle_client

from icshare.lab import ECHO_ADDRESS, FAR_ADDRESS, GATEWAY, INTERNET, UPLINK, UPLINK_ROUTER, Lab
from icshare.model.firewall import IcmpOption

pytestmark = [pytest.mark.netns, pytest.mark.packets]

PUBLIC = str(UPLINK.ip)
PUBLIC6, ROUTER6 = "2001:db8:1::2", "2001:db8:1::1"

# What each option is about, as "IP version/type.code".
INBOUND = {
    IcmpOption.INBOUND_ECHO_REQUEST: {"4/8.0", "6/128.0"},
    IcmpOption.INBOUND_TIMESTAMP_REQUEST: {"4/13.0"},
    IcmpOption.INBOUND_MASK_REQUEST: {"4/17.0"},
    IcmpOption.INBOUND_ROUTER_REQUEST: {"4/10.0", "6/133.0"},
    IcmpOption.REDIRECT: {"4/5.1", "6/137.0"},
}
OUTBOUND = {
    IcmpOption.OUTBOUND_DESTINATION_UNREACHABLE: {"4/3.1", "4/3.3", "6/1.3"},
    IcmpOption.OUTBOUND_SOURCE_QUENCH: {"4/4.0"},
    IcmpOption.OUTBOUND_PARAMETER_PROBLEM: {"4/12.0", "6/4.1"},
    IcmpOption.OUTBOUND_TIME_EXCEEDED: {"4/11.0", "6/3.0"},
    IcmpOption.OUTBOUND_PACKET_TOO_BIG: {"4/3.4", "6/2.0"},
}

# Sends ICMP messages (arguments: IPv4 and IPv6 destination, messages) about a packet that nobody has ever sent.
CRAFT = """
import contextlib, ipaddress, socket, struct, sys
four, six, *messages = sys.argv[1:]
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
udp = struct.pack("!HHHH", 1234, 4321, 8, 0)
about4 = struct.pack("!BBHHHBBH", 0x45, 0, 28, 7, 0, 64, 17, 0) + ipaddress.ip_address(four).packed
about4 += ipaddress.ip_address("203.0.113.99").packed + udp
about6 = struct.pack("!IHBB", 0x60000000, 8, 17, 64) + ipaddress.ip_address(six).packed
about6 += ipaddress.ip_address("2001:db8:99::1").packed + udp
sockets = {
    "4": socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "6": socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6),
}
sockets["6"].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
for message in messages:
    version, _, rest = message.partition("/")
    kind, code = map(int, rest.split("."))
    if version == "4":
        body = bytes(16) if kind in {8, 10, 13, 17} else (socket.inet_aton(four) if kind == 5 else bytes(4)) + about4
        whole = struct.pack("!BBH", kind, code, 0) + body
        whole = whole[:2] + struct.pack("!H", checksum(whole)) + whole[4:]
        with contextlib.suppress(PermissionError):  # this host's own firewall dropped it
            sockets["4"].sendto(whole, (four, 0))
    else:
        body = bytes(16) if kind in {128, 133} else bytes(36) if kind == 137 else bytes(4) + about6
        with contextlib.suppress(PermissionError):
            sockets["6"].sendto(struct.pack("!BBH", kind, code, 0) + body, (six, 0))
"""
# Prints every ICMP message that reaches this host, up to one of the given kind.
HEAR = """
import select, socket, sys
four = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
six = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
print("ready", flush=True)
last = None
while last != sys.argv[1]:
    for one in select.select([six, four], [], [])[0]:
        data = one.recv(2048)
        rest, version = (data[(data[0] & 15) * 4:], 4) if one is four else (data, 6)
        last = f"{version}/{rest[0]}.{rest[1]}"
        print(last, flush=True)
"""
# A datagram to a port; prints the error that came back for it, or "silence". With a size it may not be fragmented.
DATAGRAM = """
import errno, socket, sys
one = socket.socket(type=socket.SOCK_DGRAM)
one.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
one.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
one.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(sys.argv[4]))
one.settimeout(1)
one.connect((sys.argv[1], int(sys.argv[2])))
one.send(bytes(int(sys.argv[3])))
try:
    one.recv(100)
    print("answer")
except TimeoutError:
    print("silence")
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@pytest.fixture(scope="module")
def lab(lab_allowed: None) -> Iterator[Lab]:  # noqa: ARG001 - asked for, not used
    with laboratory("icmp", privates=1, far_mtu=1300) as lab:
        for node, address, link in ((GATEWAY, PUBLIC6, "wan0"), (INTERNET, ROUTER6, "isp0")):
            output(lab, node, "ip", "address", "add", f"{address}/64", "dev", link, "nodad")
        settle_client(lab)
        yield lab
        inhabited.run(lab, "stop")


def allow(lab: Lab, *options: IcmpOption) -> None:
    """Have the firewall on, without sharing, with these options and no others."""
    inhabited.run(lab, "stop")
    inhabited.run(lab, "firewall", "on", "wan0")
    words = [word for option in options or ("none",) for word in ("--icmp", str(option))]
    inhabited.run(lab, "firewall", "set", "wan0", *words)


def heard(lab: Lab, at: str, to: tuple[str, str], messages: set[str]) -> set[str]:
    """Return which of *messages*, sent from the other side, reach node *at*."""
    other = INTERNET if at == GATEWAY else GATEWAY
    # A ping of the gateway's is last: its answer, or itself, tells the listener that no more is to come.
    last = "4/0.0" if at == GATEWAY else "4/8.0"
    with running(lab, at, HEAR, last) as listener:
        output(lab, other, sys.executable, "-c", CRAFT, *to, *sorted(messages))
        output(lab, GATEWAY, "ping", "-c", "1", "-W", "5", str(UPLINK_ROUTER))
        assert listener.stdout is not None
        return {line.decode().strip() for line in iter(listener.stdout.readline, b"")} & messages


def inward(lab: Lab) -> set[str]:
    return heard(lab, GATEWAY, (PUBLIC, PUBLIC6), set[str]().union(*INBOUND.values()))


def outward(lab: Lab) -> set[str]:
    return heard(lab, INTERNET, (str(UPLINK_ROUTER), ROUTER6), set[str]().union(*OUTBOUND.values()))


def datagram(lab: Lab, to: object, port: int, *, size: int = 4, ttl: int = 64) -> str:
    return output(lab, INTERNET, sys.executable, "-c", DATAGRAM, str(to), str(port), str(size), str(ttl)).strip()


def test_without_a_firewall_all_pass(lab: Lab) -> None:
    inhabited.run(lab, "stop")
    assert inward(lab) == set().union(*INBOUND.values())
    assert outward(lab) == set().union(*OUTBOUND.values())


def test_with_every_option_off_none_passes(lab: Lab) -> None:
    allow(lab)
    assert inward(lab) == set()
    assert outward(lab) == set()


@pytest.mark.parametrize("option", list(INBOUND))
def test_an_inbound_option_lets_in_what_it_is_about_and_nothing_else(lab: Lab, option: IcmpOption) -> None:
    allow(lab, option)
    assert inward(lab) == INBOUND[option]
    assert outward(lab) == set()


@pytest.mark.parametrize("option", list(OUTBOUND))
def test_an_outbound_option_lets_out_what_it_is_about_and_nothing_else(lab: Lab, option: IcmpOption) -> None:
    allow(lab, option)
    assert outward(lab) == OUTBOUND[option]
    assert inward(lab) == set()


# ------------------------------------------------------------------------------------------ what the kernel itself says


def test_a_mapped_port_that_nobody_listens_on_says_so_only_with_the_option(lab: Lab) -> None:
    allow(lab)
    inhabited.run(lab, "map", "add", "own", "udp", "7070", PUBLIC, "--connection", "wan0")
    try:
        assert datagram(lab, PUBLIC, 7070) == "silence"
        inhabited.run(lab, "firewall", "set", "wan0", "--icmp", IcmpOption.OUTBOUND_DESTINATION_UNREACHABLE)
        assert datagram(lab, PUBLIC, 7070) == "ECONNREFUSED"
        assert datagram(lab, PUBLIC, 7071) == "silence"
    finally:
        inhabited.run(lab, "map", "remove", "own")


@pytest.mark.parametrize(
    ("option", "size", "ttl", "error"),
    [
        (IcmpOption.OUTBOUND_TIME_EXCEEDED, 4, 1, "EHOSTUNREACH"),
        (IcmpOption.OUTBOUND_PACKET_TOO_BIG, 1400, 64, "EMSGSIZE"),
    ],
)
def test_the_way_to_a_client_is_told_only_with_the_option(
    lab: Lab, option: IcmpOption, size: int, ttl: int, error: str
) -> None:
    """The sender is one hop from the gateway's public address, so a mapped packet of TTL 1 ends there."""
    allow(lab)
    inhabited.run(lab, "share", "wan0", "lan0")
    inhabited.run(lab, "map", "add", "client", "udp", "7072", "192.168.137.10")
    output(lab, GATEWAY, "ip", "link", "set", "lan0", "mtu", "1280")
    try:
        assert datagram(lab, PUBLIC, 7072, size=size, ttl=ttl) == "silence"
        inhabited.run(lab, "firewall", "set", "wan0", "--icmp", option)
        assert datagram(lab, PUBLIC, 7072, size=size, ttl=ttl) == error
    finally:
        output(lab, GATEWAY, "ip", "link", "set", "lan0", "mtu", "1500")
        inhabited.run(lab, "map", "remove", "client")
        output(lab, INTERNET, "ip", "route", "flush", "cache")


# --------------------------------------------------------------------------------------------------- what has to go on


@pytest.mark.parametrize("node", [GATEWAY, "c0"])
def test_path_mtu_discovery_works_with_every_option_off(lab: Lab, node: str) -> None:
    allow(lab)
    inhabited.run(lab, "share", "wan0", "lan0")
    output(lab, node, "ip", "route", "flush", "cache")
    ping = ["ping", "-M", "do", "-c", "1", "-W", "5", "-s", "1400", str(FAR_ADDRESS)]
    assert "mtu = 1300" in lab.run(node, ping, check=False).stdout
    size = ["curl", "-sS", "--max-time", "30", "-o", "/dev/null", "-w", "%{size_download}"]
    assert output(lab, node, *size, f"http://{FAR_ADDRESS}/bytes/300000") == "300000"


def test_who_answers_a_client_learns_the_mtu_of_its_link_with_every_option_off(lab: Lab) -> None:
    """The gateway itself says that a packet is too big for the client's link; without that the answer is lost."""
    allow(lab)
    inhabited.run(lab, "share", "wan0", "lan0")
    output(lab, GATEWAY, "ip", "link", "set", "lan0", "mtu", "1280")
    try:
        answer = (
            "import socket, sys; s = socket.socket(type=2); s.bind((sys.argv[1], 9100))\n"
            "s.setsockopt(0, 10, 2)\n"
            "print('ready', flush=True); _, who = s.recvfrom(9); s.sendto(b'small', who); s.connect(who)\n"
            "s.recv(9); s.send(bytes(1400)); s.settimeout(5)\n"
            "try: s.recv(9)\n"
            "except OSError as error: print(error.errno, flush=True)\n"
        )
        ask = (
            "import socket, sys; s = socket.socket(type=2); s.settimeout(5); s.connect((sys.argv[1], 9100))\n"
            "s.send(b'ask'); s.recv(9); s.send(b'more')"
        )
        with running(lab, INTERNET, answer, ECHO_ADDRESS) as server:
            output(lab, "c0", sys.executable, "-c", ask, str(ECHO_ADDRESS))
            assert server.stdout is not None
            assert server.stdout.readline() == b"90\n"  # EMSGSIZE
    finally:
        output(lab, GATEWAY, "ip", "link", "set", "lan0", "mtu", "1500")
