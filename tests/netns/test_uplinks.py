"""What clients notice of the public connection: small MTUs, one that is down, one that goes away, one of two."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.netns.gateway import (
    Capture,
    dhclient,
    document,
    fails,
    icshare_command,
    json_of,
    neighbour,
    output,
    page,
    share,
    udhcpc,
)

from icshare.host.privileges import is_mapped
from icshare.host.processes import find_processes
from icshare.lab import (
    DNS_ADDRESS,
    ECHO_ADDRESS,
    FAR_ADDRESS,
    GATEWAY,
    SECOND_UPLINK,
    UPLINK,
    UPLINK_ROUTER,
    WEB_ADDRESS,
    Lab,
)

pytestmark = [pytest.mark.netns, pytest.mark.packets]

MakeLab = Callable[..., Lab]

OWN_ACCOUNT = pytest.mark.skipif(
    not is_mapped("uid_map", 65_527), reason="the name server has no account of its own: this user namespace has one"
)
TO_RESOLVER = rf"> {DNS_ADDRESS}:53 "
TO_ECHO = rf"> {ECHO_ADDRESS}[: ]"
# Silence is proved by what was captured before a packet that was sent later, so no time has to be long enough.
SOON = ["--max-time", "1"]


def mtu(lab: Lab, node: str, link: str) -> int:
    return int(output(lab, node, "cat", f"/sys/class/net/{link}/mtu"))


def try_everything(lab: Lab, node: str) -> None:
    """Let *node* send TCP, UDP and ICMP to the echo service; all of it must be in vain."""
    assert fails(lab, node, "ping", "-c", "1", "-W", "1", str(ECHO_ADDRESS))
    for protocol in ([], ["-u"]):
        argv = ["nc", *protocol, "-w", "1", str(ECHO_ADDRESS), "7"]
        assert lab.run(node, argv, input="in vain\n", check=False).stdout == ""


# --------------------------------------------------------------------------------------------- a second public link


@pytest.mark.parametrize("everywhere", ["all", "wan1"])
def test_status_sees_that_answers_are_dropped_by_the_reverse_path_filter(make_lab: MakeLab, everywhere: str) -> None:
    """It called a sharing well whose clients were cut off by a distribution's file of sysctls."""
    lab = make_lab(second_uplink=True)
    share(lab, "wan1", "lan0")
    udhcpc(lab, "c0")
    if everywhere == "wan1":
        output(lab, GATEWAY, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1")
        share(lab, "wan1", "lan0")
    output(lab, GATEWAY, "sysctl", "-qw", f"net.ipv4.conf.{everywhere}.rp_filter=1")
    assert "rp_filter is strict" in icshare_command(lab, "status").stdout
    share(lab, "wan1", "lan0")
    assert document(lab, "status")["healthy"]
    assert page(lab, "c0") == str(SECOND_UPLINK.ip)


def test_status_sees_that_the_gateway_of_a_second_uplink_is_another_one_now(make_lab: MakeLab) -> None:
    lab = make_lab(second_uplink=True)
    share(lab, "wan1", "lan0")
    udhcpc(lab, "c0")
    other = SECOND_UPLINK.network.broadcast_address - 1
    output(lab, "inet", "ip", "address", "add", f"{other}/{SECOND_UPLINK.network.prefixlen}", "dev", "isp1")
    (old,) = json_of(lab, GATEWAY, "ip", "-json", "route", "show", "default", "dev", "wan1")
    output(
        lab,
        GATEWAY,
        "ip",
        "route",
        "replace",
        "default",
        "via",
        str(other),
        "dev",
        "wan1",
        "metric",
        str(old["metric"]),
    )
    assert f"wan1 leads to the Internet by {other}" in icshare_command(lab, "status").stdout
    share(lab, "wan1", "lan0")
    assert document(lab, "status")["healthy"]
    assert page(lab, "c0") == str(SECOND_UPLINK.ip)


# --------------------------------------------------------------------------------------------------------------- MTU


def test_clients_are_told_a_smaller_public_mtu(make_lab: MakeLab) -> None:
    """DHCP option 26, and dhclient obeys: its packets need neither fragments nor clamping."""
    lab = make_lab(mtu=1400)
    share(lab, "wan0", "lan0", "lan1")
    dhclient(lab, "c0")
    assert "option interface-mtu 1400;" in lab.path("c0", "/var/lib/dhcp/dhclient.leases").read_text()
    assert mtu(lab, "c0", "eth0") == 1400
    assert page(lab, "c0") == str(UPLINK.ip)


def test_clients_are_told_no_mtu_when_their_own_will_do(make_lab: MakeLab) -> None:
    lab = make_lab(privates=1)
    share(lab, "wan0", "lan0")
    dhclient(lab, "c0")
    assert "interface-mtu" not in lab.path("c0", "/var/lib/dhcp/dhclient.leases").read_text().split("lease {", 1)[1]
    assert mtu(lab, "c0", "eth0") == 1500


@pytest.mark.check(23)
def test_the_mss_is_clamped_both_ways_where_ends_do_not_know_the_public_mtu(make_lab: MakeLab) -> None:
    """As with PPPoE: only the gateway knows, both ends offer 1460 bytes."""
    lab = make_lab(privates=1)
    output(lab, "gw", "ip", "link", "set", "wan0", "mtu", "1400")
    share(lab, "wan0", "lan0")
    udhcpc(lab, "c0")
    output(lab, "c0", "ip", "link", "set", "eth0", "mtu", "1500")
    outside, inside = Capture(lab, "inet", "isp0"), Capture(lab, "c0", "eth0")
    size = output(
        lab, "c0", "curl", "-sS", "-o", "/dev/null", "-w", "%{size_download}", f"http://{WEB_ADDRESS}/bytes/3000000"
    )
    assert size == "3000000"
    left, arrived = inside.until("tcp SA mss"), outside.until("tcp SA mss")
    assert [line.split()[-1] for line in left if "mss" in line] == ["1460", "1360"], "SYN as sent, answer as it came"
    assert [line.split()[-1] for line in arrived if "mss" in line] == ["1360", "1460"], "SYN as it came, answer as sent"


def test_path_mtu_discovery_works_through_nat(make_lab: MakeLab) -> None:
    """A link far away is smaller: the ICMP error that says so reaches the client, and pages come whole both ways."""
    lab = make_lab(privates=1, far_mtu=1300)
    share(lab, "wan0", "lan0")
    udhcpc(lab, "c0")
    far = str(FAR_ADDRESS)
    assert (
        "mtu = 1300"
        in lab.run("c0", ["ping", "-M", "do", "-c", "1", "-W", "10", "-s", "1400", far], check=False).stdout
    )
    output(lab, "c0", "ip", "route", "flush", "cache")
    size = output(lab, "c0", "curl", "-sS", "-o", "/dev/null", "-w", "%{size_download}", f"http://{far}/bytes/3000000")
    assert size == "3000000"
    text = "a line of the upload\n" * 50_000
    assert output(lab, "c0", "nc", "-N", far, "7", input=text).split("\n", 1)[1] == text


# ----------------------------------------------------------------------------------------------------- down and away


@pytest.mark.check(18)
def test_a_public_connection_that_is_down_is_shared_with_a_warning_and_used_once_it_is_up(make_lab: MakeLab) -> None:
    lab = make_lab(uplink_up=False)
    told = share(lab, "wan0", "lan0", "lan1")
    assert [note for note in told["notes"] if "wan0 is not connected" in note] != []
    for node in ("c0", "c1"):
        dhclient(lab, node)
    assert output(lab, "c0", "dig", "+short", "c1.home.arpa") != ""
    output(lab, "c0", "ping", "-c", "1", "-W", "10", "c1")
    assert fails(lab, "c0", "curl", "-sS", *SOON, f"http://{WEB_ADDRESS}/")
    (check,) = (one for one in document(lab, "status")["checks"] if "wan0" in one["text"] and one["grade"] != "ok")
    assert check["grade"] == "warning"

    lab.plug_uplink()  # and no command of ours
    for node in ("c0", "c1"):
        assert page(lab, node) == str(UPLINK.ip)
    found = document(lab, "status")
    assert (found["healthy"], [one["text"] for one in found["checks"] if one["grade"] != "ok"]) == (True, [])


@pytest.mark.check(18)
def test_nothing_leaves_by_another_way_when_the_public_connection_goes_away(make_lab: MakeLab) -> None:
    """The kill switch. The gateway itself moves on to its second uplink; clients wait for the first."""
    lab = make_lab(second_uplink=True)
    share(lab, "wan0", "lan0", "lan1")
    udhcpc(lab, "c0")
    assert page(lab, "c0") == str(UPLINK.ip)
    lab.unplug_uplink()
    capture = Capture(lab, "inet", "isp1")
    try_everything(lab, "c0")
    assert page(lab, "gw") == str(SECOND_UPLINK.ip)
    seen = capture.until(rf"> {WEB_ADDRESS}:80 tcp .*F")
    assert [line for line in seen if str(ECHO_ADDRESS) in line or "192.168.137." in line] == []

    lab.plug_uplink()
    assert page(lab, "c0") == str(UPLINK.ip)


def test_a_connection_that_was_open_does_not_move_to_another_way_either(make_lab: MakeLab) -> None:
    lab = make_lab(privates=1, second_uplink=True)
    share(lab, "wan0", "lan0")
    udhcpc(lab, "c0")
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "wb", buffering=0) as keyboard, os.fdopen(ours, "rb") as end:
        session = lab.popen("c0", ["nc", str(ECHO_ADDRESS), "7"], stdin=end, stdout=-1)
        assert session.stdout is not None
        assert session.stdout.readline().startswith(str(UPLINK.ip).encode())
        keyboard.write(b"before\n")
        assert session.stdout.readline() == b"before\n"
        lab.unplug_uplink()
        inside, outside = Capture(lab, "c0", "eth0"), Capture(lab, "inet", "isp1")
        keyboard.write(b"meanwhile\n")
        inside.until(TO_ECHO)
        assert page(lab, "gw") == str(SECOND_UPLINK.ip)
        seen = outside.until(rf"> {WEB_ADDRESS}:80 tcp .*F")
        assert [line for line in seen if str(ECHO_ADDRESS) in line] == []
    session.kill()
    session.wait()
    session.stdout.close()


# ------------------------------------------------------------------------------------------------------- one of two


def test_clients_leave_by_the_public_connection_also_when_another_carries_the_default_route(make_lab: MakeLab) -> None:
    lab = make_lab(second_uplink=True)
    told = share(lab, "wan1", "lan0", "lan1")
    assert [note for note in told["notes"] if "wan1 alone" in note] != []
    for node in ("c0", "c1"):
        dhclient(lab, node)
        assert page(lab, node) == str(SECOND_UPLINK.ip)
    assert page(lab, "gw") == str(UPLINK.ip)
    # The segment is as much of a network as ever.
    output(lab, "c0", "ping", "-c", "1", "-W", "10", "c1")
    assert neighbour(lab, "c0", "192.168.137.1") == "02:1c:5a:02:00:00"

    capture = Capture(lab, "inet", "isp0")
    output(lab, "gw", "ip", "link", "set", "wan1", "down")
    try_everything(lab, "c0")
    assert page(lab, "gw") == str(UPLINK.ip)
    seen = capture.until(rf"> {WEB_ADDRESS}:80 tcp .*F")
    assert [line for line in seen if str(ECHO_ADDRESS) in line or "192.168.137." in line] == []


@OWN_ACCOUNT
def test_names_are_asked_for_by_the_public_connection_alone(make_lab: MakeLab) -> None:
    """Our name server asked by the host's own default route: whoever provides that saw every name."""
    lab = make_lab(privates=1, second_uplink=True)
    share(lab, "wan1", "lan0")
    udhcpc(lab, "c0")
    public, other = Capture(lab, "inet", "isp1"), Capture(lab, "inet", "isp0")
    assert output(lab, "c0", "dig", "+short", "www.example.net") == f"{WEB_ADDRESS}\n"
    assert output(lab, "c0", "dig", "+short", "+tcp", "+nosearch", "mx", "example.net") == ""
    assert public.until(TO_RESOLVER)
    assert page(lab, "gw") == str(UPLINK.ip)
    asked = [line for line in other.until(rf"> {WEB_ADDRESS}:80 tcp .*F") if re.search(TO_RESOLVER, line)]
    assert [line for line in asked if not line.startswith(f"{UPLINK.ip}:") or "tcp" in line] == []

    other = Capture(lab, "inet", "isp0")
    output(lab, "gw", "ip", "link", "set", "wan1", "down")
    assert re.search("status: (REFUSED|SERVFAIL)", output(lab, "c0", "dig", "+tries=1", "+time=20", "echo.example.net"))
    output(lab, "gw", "curl", "-sS", f"http://{WEB_ADDRESS}/")
    seen = other.until(rf"> {WEB_ADDRESS}:80 tcp .*F")
    assert [line for line in seen if re.search(TO_RESOLVER, line)] == []


@OWN_ACCOUNT
def test_the_name_server_is_a_user_of_its_own_with_two_of_roots_powers(make_lab: MakeLab) -> None:
    lab = make_lab(privates=1)
    share(lab, "wan0", "lan0")
    network = output(lab, "gw", "readlink", "/proc/self/ns/net").strip()
    ours = find_processes(lambda argv: len(argv) > 1 and argv[1].startswith("--conf-file=/run/icshare/dnsmasq-"))
    own = [
        dict(line.split(":\t", 1) for line in Path(f"/proc/{one.pid}/status").read_text().splitlines())
        for one in ours
        if str(Path(f"/proc/{one.pid}/ns/net").readlink()) == network
    ]
    assert {one["Uid"] for one in own} == {"\t".join(["65527"] * 4)}
    # CAP_NET_BIND_SERVICE is 10, CAP_NET_ADMIN is 12.
    assert {int(one[kind], 16) for one in own for kind in ("CapPrm", "CapEff", "CapBnd")} == {1 << 10 | 1 << 12}
    assert {one["NoNewPrivs"] for one in own} == {"1"}


@OWN_ACCOUNT
def test_names_are_asked_for_by_no_other_way_when_the_public_connection_goes_away(make_lab: MakeLab) -> None:
    lab = make_lab(privates=1, second_uplink=True)
    share(lab, "wan0", "lan0")
    udhcpc(lab, "c0")
    lab.unplug_uplink()
    capture = Capture(lab, "inet", "isp1")
    assert re.search("status: (REFUSED|SERVFAIL)", output(lab, "c0", "dig", "+tries=1", "+time=20", "echo.example.net"))
    output(lab, "gw", "curl", "-sS", f"http://{WEB_ADDRESS}/")
    seen = capture.until(rf"> {WEB_ADDRESS}:80 tcp .*F")
    assert [line for line in seen if re.search(TO_RESOLVER, line)] == []
    lab.plug_uplink()
    assert page(lab, "c0") == str(UPLINK.ip)


@OWN_ACCOUNT
def test_status_tells_when_no_name_server_is_behind_the_public_connection(make_lab: MakeLab) -> None:
    lab = make_lab(privates=1, second_uplink=True)
    resolv = lab.path("gw", "/etc/resolv.conf")
    before = resolv.read_text()
    resolv.write_text(f"nameserver {UPLINK_ROUTER}\nnameserver 127.0.0.1\n")
    share(lab, "wan1", "lan0")
    told = [one["text"] for one in document(lab, "status")["checks"] if one["name"] == "resolvers"]
    assert told == [
        (
            f"clients resolve only each other's names: {UPLINK_ROUTER} is behind wan0, not behind wan1; "
            "127.0.0.1 is a program on this host, which may ask by another connection"
        )
    ]
    resolv.write_text(before)
    udhcpc(lab, "c0")
    assert page(lab, "c0") == str(SECOND_UPLINK.ip)
    assert [one for one in document(lab, "status")["checks"] if one["name"] == "resolvers"] == []


def test_status_tells_when_a_public_connection_beside_the_default_route_has_come_back(make_lab: MakeLab) -> None:
    """The kernel takes the clients' own default route away with the link, and no process of ours puts it back."""
    lab = make_lab(privates=1, second_uplink=True)
    share(lab, "wan1", "lan0")
    dhclient(lab, "c0")
    own = output(lab, "gw", "ip", "route", "show", "default", "dev", "wan1").split()
    output(lab, "gw", "ip", "link", "set", "wan1", "down")
    output(lab, "gw", "ip", "link", "set", "wan1", "up")
    output(lab, "gw", "ip", "route", "add", *own, "dev", "wan1")
    status = icshare_command(lab, "status")
    assert status.returncode == 1
    assert "the clients' own one is gone" in status.stdout
    share(lab, "wan1", "lan0")
    assert icshare_command(lab, "status").returncode == 0
    assert page(lab, "c0") == str(SECOND_UPLINK.ip)


def test_status_tells_when_a_rule_of_the_kill_switch_is_gone_and_sharing_again_mends_it(make_lab: MakeLab) -> None:
    lab = make_lab(privates=1, second_uplink=True)
    share(lab, "wan1", "lan0")
    assert icshare_command(lab, "status").returncode == 0
    output(lab, "gw", "ip", "rule", "delete", "priority", "13702")
    status = icshare_command(lab, "status")
    assert status.returncode == 1
    assert "rule: add 13702" in status.stdout
    share(lab, "wan1", "lan0")
    assert icshare_command(lab, "status").returncode == 0


def test_auto_is_the_connection_that_carries_the_best_default_route(make_lab: MakeLab) -> None:
    lab = make_lab(privates=1, second_uplink=True)
    assert share(lab, "auto", "lan0")["public"] == "wan0"
    lab.unplug_uplink()
    assert share(lab, "auto", "lan0")["public"] == "wan1"
    udhcpc(lab, "c0")
    assert page(lab, "c0") == str(SECOND_UPLINK.ip)
