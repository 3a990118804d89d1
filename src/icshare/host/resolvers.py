"""The host's name servers."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

RESOLV_CONF = Path("/etc/resolv.conf")


def name_servers(path: Path = RESOLV_CONF) -> tuple[IPv4Address | IPv6Address, ...]:
    """Return the name servers of resolv.conf(5), in order; lines that do not name one are passed over."""
    found = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                found.append(ip_address(words[1].partition("%")[0]))
            except ValueError:
                continue
    return tuple(found)
