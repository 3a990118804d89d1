"""Print every IPv4 packet on a link, one line each: a program, ``watch.py LINK``.

tcpdump sheds root's privileges, which a user namespace of an ordinary user forbids. This has only its few lines::

    198.51.100.2:40000 > 203.0.113.80:80 tcp S mss 1360

Sources: packet(7); RFC 791, RFC 9293 section 3.1 (flags S, A, F, R) and 3.2 (maximum segment size), RFC 768.
"""

import socket
import struct
import sys

ETH_P_IP = 0x0800
FLAGS = {2: "S", 16: "A", 1: "F", 4: "R"}


def main(link: str) -> None:
    """Watch *link* until killed; the first line says that nothing is missed from now on."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as packets:
        # ETH_P_ALL, not ETH_P_IP: what the host itself sends is seen under the former only.
        packets.bind((link, 3))
        say("watching")
        while True:
            packet, (_, protocol, *_) = packets.recvfrom(65536)
            if protocol == ETH_P_IP:
                say(line(packet))


def say(text: str) -> None:
    """Print *text* at once: somebody is waiting for it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def line(packet: bytes) -> str:
    """Return the line for an IPv4 packet."""
    source, destination = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    below = packet[(packet[0] & 15) * 4 :]
    if packet[9] == socket.IPPROTO_ICMP:
        return f"{source} > {destination} icmp {below[0]}"
    if packet[9] not in {socket.IPPROTO_TCP, socket.IPPROTO_UDP}:
        return f"{source} > {destination} protocol {packet[9]}"
    ports = struct.unpack("!HH", below[:4])
    ends = f"{source}:{ports[0]} > {destination}:{ports[1]}"
    if packet[9] == socket.IPPROTO_UDP:
        return f"{ends} udp"
    flags = "".join(letter for bit, letter in FLAGS.items() if below[13] & bit)
    return f"{ends} tcp {flags}{mss(below[20 : (below[12] >> 4) * 4])}"


def mss(options: bytes) -> str:
    """Return the maximum segment size among TCP *options* in words, "" when there is none."""
    while options and options[0] != 0:
        if options[0] == 1:
            options = options[1:]
            continue
        if options[0] == 2:
            return f" mss {int.from_bytes(options[2:4])}"
        options = options[options[1] :]
    return ""


if __name__ == "__main__":
    main(sys.argv[1])
