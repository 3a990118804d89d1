"""The lab's network is a believable one: what a program on a node sees, and what the Internet sees of it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from icshare.errors import InvalidRequestError, NotSupportedError
from icshare.host import command
from icshare.lab import ECHO_ADDRESS, FAR_ADDRESS, SECOND_UPLINK, UPLINK, WEB_ADDRESS, Lab, topology

pytestmark = pytest.mark.netns

MakeLab = Callable[..., Lab]

ECHO_OVER_TCP = f"""
import socket
with socket.create_connection(("{ECHO_ADDRESS}", 7), timeout=5) as s, s.makefile("rb") as answers:
    s.sendall(b"ping\\n")
    print(s.getsockname()[1], answers.readline().decode().strip(), answers.readline().decode().strip())
"""

ECHO_OVER_UDP = f"""
import socket
with socket.socket(type=socket.SOCK_DGRAM) as s:
    s.settimeout(5)
    s.connect(("{ECHO_ADDRESS}", 7))
    s.send(b"ping")
    print(s.getsockname()[1], s.recv(100).decode().replace("\\n", " "))
"""

FTP_BOTH_WAYS = """
import ftplib, io
for passive in (True, False):
    ftp = ftplib.FTP("ftp.example.net", timeout=5)
    ftp.login()
    ftp.set_pasv(passive)
    ftp.storbinary("STOR file", io.BytesIO(b"content"))
    ftp.retrbinary("RETR file", lambda data: print(data.decode()))
    ftp.close()
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def give_address(lab: Lab, node: str, link: str, number: int) -> None:
    lab.run(node, ["ip", "address", "add", f"192.168.137.{number}/24", "dev", link])


def routes(lab: Lab) -> list[str]:
    return lab.run("gw", ["ip", "route", "show", "default"]).stdout.split("\n")[:-1]


# ----------------------------------------------------------------------------------------------------- the Internet


def test_the_gateway_resolves_a_name_and_fetches_its_page(lab: Lab) -> None:
    page = lab.run("gw", ["curl", "-sS", "http://www.example.net/"]).stdout
    (seen,) = lab.seen("web")
    assert (seen.source, seen.detail) == (UPLINK.ip, "GET /")
    assert page == f"Hello from the Internet! You came from {UPLINK.ip}, port {seen.port}.\n"


def test_a_file_of_any_size_can_be_fetched(lab: Lab) -> None:
    for size in (0, 1, 65536, 10_000_001):
        fetch = ["curl", "-sS", "-o", "/dev/null", "-w", "%{size_download}", f"http://{WEB_ADDRESS}/bytes/{size}"]
        assert lab.run("gw", fetch).stdout == str(size)


@pytest.mark.parametrize("target", ["/nothing", "/bytes/", "/bytes/-1", "/bytes/x", "/bytes/99999999999999"])
def test_what_the_web_server_does_not_have_is_not_found(lab: Lab, target: str) -> None:
    fetch = ["curl", "-sS", "-w", "%{http_code}", f"http://{WEB_ADDRESS}{target}"]
    assert lab.run("gw", fetch).stdout == "404"


@pytest.mark.parametrize(("service", "code"), [("echo-tcp", ECHO_OVER_TCP), ("echo-udp", ECHO_OVER_UDP)])
def test_the_echo_service_tells_address_and_port_and_echoes(lab: Lab, service: str, code: str) -> None:
    port, *answer = lab.run("gw", python(code)).stdout.split()
    assert answer == [str(UPLINK.ip), port, "ping"]
    (seen,) = lab.seen(service)
    assert (seen.source, seen.port) == (UPLINK.ip, int(port))


def test_names_resolve_both_ways_and_unknown_ones_do_not_exist(lab: Lab) -> None:
    assert lab.run("gw", ["getent", "ahostsv4", "echo.example.net"]).stdout.split()[0] == str(ECHO_ADDRESS)
    assert lab.run("gw", ["getent", "hosts", str(WEB_ADDRESS)]).stdout.split()[1] == "www.example.net"
    assert lab.run("gw", ["getent", "hosts", "nobody.example.org"], check=False).returncode == 2


def test_the_internet_has_no_way_back_to_a_private_address(lab: Lab) -> None:
    """A gateway that forwards without NAT must be seen to fail, or a test of NAT would prove nothing."""
    give_address(lab, "gw", "lan0", 1)
    give_address(lab, "c0", "eth0", 10)
    lab.run("c0", ["ip", "route", "add", "default", "via", "192.168.137.1"])
    lab.run("gw", ["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"])
    assert lab.run("c0", ["curl", "-sS", "--max-time", "0.5", f"http://{WEB_ADDRESS}/"], check=False).returncode != 0
    assert lab.seen() == ()


def test_ftp_works_actively_and_passively_without_nat(make_lab: MakeLab) -> None:
    pytest.importorskip("pyftpdlib")
    lab = make_lab(privates=1, ftp=True)
    assert lab.run("gw", python(FTP_BOTH_WAYS), timeout=30).stdout.split() == ["content", "content"]


def test_path_mtu_discovery_finds_the_far_link(make_lab: MakeLab) -> None:
    lab = make_lab(privates=1, far_mtu=1300)
    ping = ["ping", "-M", "do", "-c", "1", "-W", "2", "-s", "1400", str(FAR_ADDRESS)]
    assert "mtu = 1300" in lab.run("gw", ping, check=False).stdout
    assert lab.run("gw", ["curl", "-sS", "-o", "/dev/null", f"http://{FAR_ADDRESS}/bytes/100000"]).stdout == ""
    assert [entry.source for entry in lab.seen("web")] == [UPLINK.ip]


def test_the_public_links_have_the_mtu_that_was_asked_for(make_lab: MakeLab) -> None:
    lab = make_lab(privates=1, mtu=1400, second_uplink=True)
    for node, link in (("gw", "wan0"), ("gw", "wan1"), ("inet", "isp0"), ("inet", "isp1")):
        assert lab.run(node, ["cat", f"/sys/class/net/{link}/mtu"]).stdout == "1400\n"
    assert lab.run("gw", ["cat", "/sys/class/net/lan0/mtu"]).stdout == "1500\n"


# ------------------------------------------------------------------------------------------------------- the uplinks


def test_the_second_uplink_takes_over_when_the_first_is_unplugged(make_lab: MakeLab) -> None:
    lab = make_lab(privates=1, second_uplink=True)
    both = routes(lab)
    assert [("wan0" in both[0], "wan1" in both[1]), len(both)] == [(True, True), 2]
    lab.unplug_uplink()
    assert both[1:] == routes(lab)
    lab.run("gw", ["curl", "-sS", f"http://{WEB_ADDRESS}/"])
    assert [entry.source for entry in lab.seen()] == [SECOND_UPLINK.ip]
    lab.plug_uplink()
    assert both == routes(lab)
    assert lab.run("gw", ["cat", "/sys/class/net/wan0/operstate"]).stdout == "up\n"


def test_an_uplink_that_is_down_has_an_address_and_no_route(make_lab: MakeLab) -> None:
    lab = make_lab(privates=1, uplink_up=False)
    assert routes(lab) == []
    assert str(UPLINK) in lab.run("gw", ["ip", "address", "show", "wan0"]).stdout
    lab.plug_uplink()
    lab.run("gw", ["curl", "-sS", f"http://{WEB_ADDRESS}/"])


# ------------------------------------------------------------------------------------------------------- the clients


def test_a_client_reaches_the_gateway_on_its_own_link_only(lab: Lab) -> None:
    give_address(lab, "gw", "lan0", 1)
    for number, client in enumerate(lab.plan.clients):
        give_address(lab, client, "eth0", 10 + number)
    ping = ["ping", "-c", "1", "-W", "1", "192.168.137.1"]
    assert lab.run("c0", ping, check=False).returncode == 0
    assert lab.run("c1", ping, check=False).returncode == 1


def test_clients_of_one_private_meet_on_its_switch(make_lab: MakeLab) -> None:
    lab = make_lab(privates=2, clients_per_private=2)
    for number, client in enumerate(lab.plan.clients):
        give_address(lab, client, "eth0", 10 + number)
    give_address(lab, "gw", "lan1", 1)
    for node, target, reached in (("c0", 11, True), ("c2", 13, True), ("c3", 1, True), ("c0", 12, False)):
        ping = ["ping", "-c", "1", "-W", "1", f"192.168.137.{target}"]
        assert (lab.run(node, ping, check=False).returncode == 0) is reached, (node, target)


def test_every_link_is_known_to_be_up_when_the_lab_is(make_lab: MakeLab) -> None:
    """The kernel opens a bridge's port and a link's queue late; DHCP clients lost their first packet."""
    lab = make_lab(privates=1, clients_per_private=2, second_uplink=True)
    for node, links in topology.carriers(lab.plan).items():
        found = [lab.run(node, ["cat", f"/sys/class/net/{link}/operstate"]).stdout for link in links]
        assert found == ["up\n"] * len(links), node


def test_private_links_can_be_left_down(make_lab: MakeLab) -> None:
    lab = make_lab(privates=2, privates_up=False)
    links = lab.run("gw", ["ip", "-o", "link", "show", "up"]).stdout
    assert "wan0" in links
    assert "lan" not in links


# -------------------------------------------------------------------------------------------- what a program finds


def test_a_node_sees_its_own_links_name_and_resolver(lab: Lab) -> None:
    assert lab.run("gw", ["ls", "/sys/class/net"]).stdout.split() == ["lan0", "lan1", "lo", "wan0"]
    assert lab.run("c1", ["ls", "/sys/class/net"]).stdout.split() == ["eth0", "lo"]
    assert lab.run("c1", ["hostname"]).stdout == "c1\n"
    assert lab.run("c1", ["cat", "/etc/resolv.conf"]).stdout == ""
    assert lab.run("gw", ["cat", "/etc/resolv.conf"]).stdout == "nameserver 203.0.113.53\n"


def test_no_node_forwards_whatever_the_host_does(lab: Lab) -> None:
    for node in ("gw", "c0"):
        assert lab.run(node, ["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout == "0\n"


def test_what_a_node_writes_stays_with_it(lab: Lab) -> None:
    """What DHCP clients do: a new resolver file moved over the old one, leases, pid files."""
    name = f"icshare-test-{lab.plan.prefix}"
    code = f"""
import os
for place in ("/etc", "/run", "/var/lib", "/var/lib/dhcp", "/var/log"):
    open(f"{{place}}/{name}", "w").write("here")
os.rename("/etc/{name}", "/etc/resolv.conf")
"""
    lab.run("c0", python(code))
    for path in (f"/run/{name}", f"/var/lib/{name}", f"/var/lib/dhcp/{name}", f"/var/log/{name}", "/etc/resolv.conf"):
        assert lab.path("c0", path).read_text() == "here"
        assert not Path(path).exists() or path == "/etc/resolv.conf"
    assert Path("/etc/resolv.conf").read_text() != "here"
    assert lab.run("c1", ["cat", "/etc/resolv.conf"]).stdout == ""


def test_the_hosts_configuration_can_be_read_and_not_changed(lab: Lab) -> None:
    assert lab.run("c0", ["cat", "/etc/passwd"]).stdout == Path("/etc/passwd").read_text()
    assert lab.run("c0", ["cat", "/etc/os-release"]).stdout == Path("/etc/os-release").read_text()
    refused = lab.run("c0", ["touch", "/etc/alternatives/icshare-test"], check=False)
    assert "Read-only" in refused.stderr


def test_arguments_reach_the_program_as_they_are(lab: Lab) -> None:
    nasty = ["$(reboot)", "a b", "'", '"', "--", "-x", "", "*", "\n", "ü"]
    code = "import sys, json; print(json.dumps(sys.argv[1:]))"
    assert json.loads(lab.run("c0", [*python(code), *nasty]).stdout) == nasty


def test_a_command_starts_where_we_are(lab: Lab) -> None:
    assert lab.run("c0", ["pwd"]).stdout == f"{Path.cwd()}\n"
    assert lab.argv("c0", ["pwd"])[-2:] == ["--", "pwd"]


def test_the_status_of_a_command_is_handed_on(lab: Lab) -> None:
    assert lab.run("c0", ["sh", "-c", "exit 7"], check=False).returncode == 7
    with pytest.raises(command.CommandError) as caught:
        lab.run("c0", ["sh", "-c", "echo because >&2; exit 7"])
    assert (caught.value.status, caught.value.output) == (7, "because\n")


def test_background_programs_have_their_own_pid(lab: Lab) -> None:
    code = "import os; print(os.getpid(), flush=True); input()"
    process = lab.popen("c0", python(code), stdin=command.PIPE, stdout=command.PIPE)
    assert process.stdout is not None
    assert int(process.stdout.readline()) == process.pid
    command.end(process)


def test_a_node_or_program_that_is_not_there_is_named(lab: Lab) -> None:
    for node in ("c2", "far", "c-1", "../inet", ""):
        with pytest.raises(InvalidRequestError, match="node"):
            lab.run(node, ["true"])
    with pytest.raises(NotSupportedError, match="no-such-program"):
        lab.run("c0", ["no-such-program"])
    with pytest.raises(InvalidRequestError, match="own file"):
        lab.path("c0", "/usr/bin/env")
