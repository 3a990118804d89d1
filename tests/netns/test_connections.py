"""Connections of links that this kernel makes, and its own messages given back to it, in namespaces of our own.

A netlink socket stays in the namespace of the thread that made it, so each test runs its code in a fresh process that
`unshare` has put into new ones.
"""

import json
import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

from icshare.model.connection import Characteristics

pytestmark = pytest.mark.netns

DATA = Path(__file__).parents[1] / "data" / "links"

PRELUDE = """
import json, os, subprocess, sys
from icshare.host.netlink import NetlinkSocket
from icshare.host.sysfs import with_facts
from icshare.plan.connections import connections

def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True).returncode == 0

def listed():
    with NetlinkSocket() as kernel:
        return connections(with_facts(kernel.links()), kernel.addresses(), kernel.routes())

"""


def in_namespace(code: str, *, sysfs: bool = False, text: str = "") -> Any:
    """Run *code* in new namespaces and return the JSON that it prints; *text* is its standard input."""
    mount = "mount -t sysfs sysfs /sys && " if sysfs else ""
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    result = subprocess.run(
        [
            *("unshare", *user, "--net", "--mount", "--propagation", "private"),
            *("sh", "-c", f'{mount}exec "$@"', "sh", sys.executable, "-c", PRELUDE + textwrap.dedent(code)),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        input=text,
        env=dict(os.environ),
    )
    if "unshare failed" in result.stderr or "mount:" in result.stderr:
        pytest.skip(f"this machine gives no namespaces: {result.stderr.strip()}")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("sysfs", [True, False], ids=["with sysfs of the namespace", "with sysfs of another"])
def test_links_of_this_kernel_are_what_recorded_ones_are(sysfs: bool) -> None:
    """Every kind that takes nothing but ip-link(8) is made here; what this kernel does not know is left out."""
    cases = {path.parent.name: tomllib.loads(path.read_text(encoding="utf-8")) for path in DATA.glob("*/expected.toml")}
    plain = {
        name: (case["link"], case["made_by"].split("\n"))
        for name, case in cases.items()
        if case["recorded"] and all(line.startswith("ip link ") for line in case["made_by"].strip().splitlines())
    }
    found = in_namespace(
        """
        told = {}
        for case, (name, lines) in json.load(sys.stdin).items():
            before = {one.interface for one in listed()}
            if all([ip(*line.split()[1:]) for line in lines if line]):
                (one,) = [one for one in listed() if one.interface == name]
                flags = 0x70060 & one.characteristics
                told[case] = [one.media.name, flags, one.bridgeable, one.hidden]
            for name in {one.interface for one in listed()} - before:
                ip("link", "delete", name)
        print(json.dumps(told))
        """,
        sysfs=sysfs,
        text=json.dumps(plain),
    )
    assert {"loopback", "ethernet_pair", "bridge", "bridge_port"} <= set(found)
    for name, told in found.items():
        expected = cases[name]["expected"]
        flags = sum(Characteristics[flag] for flag in expected["flags"])
        assert told == [expected["media"], flags, expected["bridgeable"], expected["hidden"]], name


def test_a_member_of_a_bridge_names_the_bridge_and_follows_it() -> None:
    told = in_namespace(
        """
        ip("link", "add", "br7", "type", "bridge")
        ip("link", "add", "lan7", "type", "veth", "peer", "name", "far7")
        ip("link", "set", "lan7", "master", "br7")
        def verdict():
            (one,) = [one for one in listed() if one.interface == "lan7"]
            return [one.sharable.ok, one.as_private.ok, one.as_private.reason, bool(one.characteristics & 0x200)]
        first = verdict()
        ip("link", "set", "lan7", "nomaster")
        print(json.dumps([first, verdict()]))
        """
    )
    assert told == [[True, False, "bridge-member", True], [True, True, None, False]]


def test_status_follows_the_cable_the_switch_and_the_address() -> None:
    told = in_namespace(
        """
        def status():
            (one,) = [one for one in listed() if one.interface == "eth7"]
            return one.status.name
        ip("link", "add", "eth7", "type", "veth", "peer", "name", "far7")
        seen = [status()]
        ip("link", "set", "eth7", "up")
        seen.append(status())
        ip("address", "add", "169.254.7.1/16", "dev", "eth7")
        ip("link", "set", "far7", "up")
        import time
        deadline = time.monotonic() + 30
        while status() == "MEDIA_DISCONNECTED" and time.monotonic() < deadline:
            time.sleep(0.01)  # the kernel tells of carrier by a work queue
        seen.append(status())
        ip("address", "add", "192.0.2.7/24", "dev", "eth7")
        seen.append(status())
        print(json.dumps(seen))
        """
    )
    assert told == ["DISCONNECTED", "MEDIA_DISCONNECTED", "INVALID_ADDRESS", "CONNECTED"]


def test_the_default_flag_moves_with_the_best_route() -> None:
    told = in_namespace(
        """
        for name, net in (("eth7", "192.0.2"), ("eth8", "198.51.100")):
            ip("link", "add", name, "type", "veth", "peer", "name", "far" + name)
            ip("link", "set", name, "up"); ip("link", "set", "far" + name, "up")
            ip("address", "add", net + ".2/24", "dev", name)
        def best():
            return [one.interface for one in listed() if one.characteristics & 0x800]
        seen = [best()]
        ip("route", "add", "default", "via", "192.0.2.1", "metric", "200")
        seen.append(best())
        ip("route", "add", "default", "via", "198.51.100.1", "metric", "100")
        seen.append(best())
        print(json.dumps(seen))
        """
    )
    assert told == [[], ["eth7"], ["eth8"]]


def test_drivers_and_radios_are_asked_in_our_namespace() -> None:
    told = in_namespace(
        """
        from icshare.host.ethtool import driver_info
        from icshare.host.sysfs import wireless_interfaces
        ip("link", "add", "eth7", "type", "veth", "peer", "name", "far7")
        names = ("eth7", "gone7", "a name that no link can have")
        print(json.dumps([[driver_info(name).driver for name in names], len(wireless_interfaces())]))
        """
    )
    assert told == [["veth", "", ""], 0]


def test_what_the_kernel_showed_it_takes_back_and_shows_again() -> None:
    """Addresses, routes, rules and neighbours are deleted and replayed; the kernel's own listing is the judge."""
    before, emptied, after = in_namespace(
        """
        from icshare.wire import rtchange
        for line in sys.stdin.read().splitlines():
            assert ip(*line.split()), line
        def lines(*words):
            shown = subprocess.run(["ip", *words], capture_output=True, text=True).stdout
            # The kernel's own routes of IPv6 come when the link begins to carry, at a time of their own.
            lines = shown.replace(" linkdown", "").splitlines()
            own = ("local 2001:db8::1 ", "anycast 2001:db8:: ")
            return sorted(
                line for line in lines
                if "fe80" not in line and "ff00::/8" not in line and not line.startswith(own)
            )
        def shown():
            return [
                [line for line in lines("-o", "address", "show", "dev", "eth7") if "fe80" not in line],
                lines("route", "show", "table", "all", "dev", "eth7"), lines("route", "show", "type", "unreachable"),
                [line for line in lines("-6", "route", "show", "dev", "eth7") if "2001:db8:2" in line],
                lines("rule"), lines("-6", "rule"), lines("neighbour", "show", "nud", "permanent"),
            ]
        before = shown()
        with NetlinkSocket() as kernel:
            index = kernel.find_link("eth7").index
            addresses = [one for one in kernel.addresses() if one.index == index and "fe80" not in str(one.interface)]
            routes = [
                one for one in kernel.routes()
                if one.table != 255 and one.protocol != 2 and (one.index == index or one.nexthops or one.type == 7)
                and "fe80" not in str(one.destination) and "ff00" not in str(one.destination)
            ]
            rules = [one for one in kernel.rules() if 0 < one.priority < 1000]
            entries = [one for one in kernel.neighbours() if one.state & 0x80]
            for one in rules:
                kernel.request(rtchange.remove_rule(one))
            for one in entries:
                kernel.request(rtchange.delete_neighbour(one))
            for one in reversed(routes):
                kernel.request(rtchange.delete_route(one))
            for one in reversed(addresses):
                kernel.request(rtchange.delete_address(one))
            emptied = shown()
            for restore, values in (
                (rtchange.restore_address, addresses), (rtchange.restore_route, routes),
                (rtchange.restore_rule, rules), (rtchange.restore_neighbour, entries),
            ):
                for one in values:
                    kernel.request(restore(one))
        print(json.dumps([before, emptied, shown()]))
        """,
        text="""\
link add eth7 type veth peer name far7
link set far7 up
link set eth7 up
address add 192.0.2.1/24 dev eth7
address add 192.0.2.2/24 dev eth7 label eth7:two
address add 10.0.0.1 peer 10.0.0.2/32 dev eth7
address add 2001:db8::1/64 dev eth7 nodad
route add default via 192.0.2.254 dev eth7 proto dhcp metric 100 src 192.0.2.2 mtu 1400
route add 198.51.100.0/24 nexthop via 192.0.2.254 dev eth7 weight 1 nexthop via 10.0.0.2 dev eth7 weight 2
route add 203.0.113.0/24 via 192.0.2.253 dev eth7 table 1000
route add 203.0.113.0/24 via inet6 2001:db8::2 dev eth7 table 1001
route add unreachable 172.16.0.0/12
route add 2001:db8:2::/64 via 2001:db8::2 dev eth7
rule add iif eth7 pref 100 lookup 1000 suppress_prefixlength 0
rule add fwmark 7/255 pref 101 lookup 1001
-6 rule add pref 101 unreachable iif gone0
neighbour add 192.0.2.9 lladdr 52:54:00:00:00:99 dev eth7 nud permanent
""",
    )
    assert all(some for some in before)
    assert emptied != before
    assert emptied[0] == []
    assert after == before
