"""Clients that nobody here wrote use a shared connection: DHCP, DNS, web, ping, traceroute, netcat, FTP."""

import re
import sys
import time
from collections.abc import Iterator

import pytest
from tests.netns.forced import write_settings
from tests.netns.gateway import (
    DHCP_CLIENTS,
    NETWORK_GATEWAY,
    address,
    dhclient,
    document,
    fails,
    icshare_command,
    json_of,
    laboratory,
    neighbour,
    output,
    page,
    share,
    udhcpc,
)

from icshare.lab import DNS_ADDRESS, ECHO_ADDRESS, FAR_ADDRESS, UPLINK, WEB_ADDRESS, Lab

pytestmark = [pytest.mark.netns, pytest.mark.packets]

# c0 and c1 are behind lan0, c2 and c3 behind lan1.
RESERVED = {"c3": "192.168.137.50"}
HOLDS = {"c0": "dhclient", "c1": "udhcpc", "c2": "dhcpcd", "c3": "udhcpc"}
NAMES = {"c0": "c0", "c1": "c1", "c2": "c2", "c3": "printer"}

TOML = """
[sharing]
helpers = ["ftp"]

[[dhcp.reservations]]
mac = "02:1c:5a:03:00:03"
address = "192.168.137.50"
name = "printer"
"""

FTP = """user anonymous nobody
put {file} {name}
get {name} {copy}
ls
bye
"""


@pytest.fixture(scope="module")
def office(lab_allowed: None) -> Iterator[Lab]:  # noqa: ARG001 - asked for, not used
    """Give a lab that shares with two links, on each of which a switch joins two clients without addresses yet."""
    with laboratory("clients", clients_per_private=2, ftp=True, far_mtu=1300) as lab:
        write_settings(lab, TOML)
        share(lab, "wan0", "lan0", "lan1")
        yield lab


@pytest.fixture(scope="module")
def leased(office: Lab) -> Lab:
    """Give the lab with a lease for every client, each from the DHCP client that it has."""
    for node, client in HOLDS.items():
        begun = time.monotonic()
        DHCP_CLIENTS[client](office, node)
        sys.stdout.write(f"{client}: first lease after {time.monotonic() - begun:.2f} s\n")
    return office


# -------------------------------------------------------------------------------------------------------------- DHCP


@pytest.mark.parametrize("node", HOLDS)
def test_every_dhcp_client_takes_an_address_a_gateway_and_a_resolver(leased: Lab, node: str) -> None:
    (route,) = json_of(leased, node, "ip", "-json", "-4", "route", "show", "default")
    assert (route["dev"], route["gateway"]) == ("eth0", NETWORK_GATEWAY)
    assert address(leased, node).startswith("192.168.137.")
    configured = re.findall("(?m)^nameserver (.*)$", leased.path(node, "/etc/resolv.conf").read_text())
    assert configured == [NETWORK_GATEWAY]


def test_every_client_has_an_address_of_its_own(leased: Lab) -> None:
    own = {address(leased, node) for node in HOLDS}
    assert len(own) == len(HOLDS)
    assert NETWORK_GATEWAY not in own


def test_a_reservation_is_kept_for_its_hardware_address(leased: Lab) -> None:
    for node, reserved in RESERVED.items():
        assert address(leased, node) == reserved


def test_a_client_that_asks_again_keeps_its_address(leased: Lab) -> None:
    before = address(leased, "c1")
    udhcpc(leased, "c1")
    assert address(leased, "c1") == before


def test_the_gateway_lists_everybody_with_name_and_address(leased: Lab) -> None:
    found = {one["mac"]: one for one in document(leased, "clients")["clients"]}
    for number, (node, name) in enumerate(NAMES.items()):
        one = found[f"02:1c:5a:03:00:{number:02x}"]
        assert (one["name"], one["address"], one["leased"]) == (name, address(leased, node), True)


# --------------------------------------------------------------------------------------------------------------- DNS


def test_dig_resolves_the_internets_names_by_the_gateway(leased: Lab) -> None:
    answer = output(leased, "c0", "dig", "www.example.net")
    assert f"SERVER: {NETWORK_GATEWAY}#53" in answer
    assert output(leased, "c0", "dig", "+short", "www.example.net").split() == [str(WEB_ADDRESS)]
    assert output(leased, "c0", "dig", "+tcp", "+short", "www.example.net").split() == [str(WEB_ADDRESS)]
    assert "status: NXDOMAIN" in output(leased, "c0", "dig", "nobody.example.org")


def test_dig_reaches_another_dns_server_too(leased: Lab) -> None:
    asked = ["dig", f"@{DNS_ADDRESS}", "+short", "echo.example.net"]
    assert output(leased, "c0", *asked).split() == [str(ECHO_ADDRESS)]


@pytest.mark.parametrize(("node", "name"), NAMES.items())
def test_the_clients_names_resolve_both_ways(leased: Lab, node: str, name: str) -> None:
    own = address(leased, node)
    for asking in HOLDS:
        assert output(leased, asking, "dig", "+short", f"{name}.home.arpa").split() == [own]
        assert output(leased, asking, "dig", "+short", "-x", own).split() == [f"{name}.home.arpa."]


def test_the_gateway_has_a_name_and_unknown_local_names_do_not_exist(leased: Lab) -> None:
    assert output(leased, "c2", "dig", "+short", "gateway.home.arpa").split() == [NETWORK_GATEWAY]
    assert "status: NXDOMAIN" in output(leased, "c2", "dig", "nobody.home.arpa")
    assert "status: NXDOMAIN" in output(leased, "c2", "dig", "-x", "192.168.137.254")


# ------------------------------------------------------------------------------------------------------ the Internet


def test_curl_fetches_pages_and_the_server_sees_the_public_address_only(leased: Lab) -> None:
    for node in HOLDS:
        assert page(leased, node) == str(UPLINK.ip)
    fetch = ["curl", "-sS", "-o", "/dev/null", "-w", "%{size_download}"]
    assert output(leased, "c0", *fetch, f"http://{WEB_ADDRESS}/bytes/20000001") == "20000001"
    assert {seen.source for seen in leased.seen()} == {UPLINK.ip}


def test_ping_reaches_the_internet_by_name_and_by_address(leased: Lab) -> None:
    for target in ("www.example.net", str(ECHO_ADDRESS)):
        assert " 0% packet loss" in output(leased, "c0", "ping", "-c", "3", "-i", "0.05", "-W", "10", target)


@pytest.mark.parametrize("method", [[], ["-I"], ["-T"]], ids=["udp", "icmp", "tcp"])
def test_traceroute_shows_the_gateway_and_the_internet(leased: Lab, method: list[str]) -> None:
    """So the ICMP errors that the Internet sends to the public address find the client that they are about."""
    found = output(leased, "c0", "traceroute", *method, "-n", "-q", "1", "-w", "10", str(FAR_ADDRESS))
    hops = re.findall(r"(?m)^ *\d+ +([0-9.]+) ", found)
    assert hops[0] == NETWORK_GATEWAY
    assert hops[-1] == str(FAR_ADDRESS)
    assert len(hops) == 3


@pytest.mark.parametrize("node", HOLDS)
def test_netcat_gets_its_echo_over_tcp_and_udp(leased: Lab, node: str) -> None:
    over_tcp = output(leased, node, "nc", "-N", "echo.example.net", "7", input="to and fro\n").splitlines()
    over_udp = output(leased, node, "nc", "-u", "-W", "1", "echo.example.net", "7", input="to and fro\n").splitlines()
    for came_from, echo in (over_tcp, over_udp):
        assert came_from.split()[0] == str(UPLINK.ip)
        assert echo == "to and fro"


def test_many_clients_of_one_server_are_told_apart(leased: Lab) -> None:
    """Two clients that send from the same port to the same service get their own answers."""
    asked = {
        node: output(leased, node, "nc", "-u", "-W", "1", "-p", "40000", "echo.example.net", "7", input=node)
        for node in HOLDS
    }
    assert {node: answer.splitlines()[1] for node, answer in asked.items()} == {node: node for node in HOLDS}
    ports = [answer.split()[1] for answer in asked.values()]
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize("mode", ["-p", "-A"], ids=["passive", "active"])
def test_an_ftp_session_goes_through(leased: Lab, mode: str) -> None:
    files = {name: leased.path("c1", f"/run/{name}{mode}") for name in ("sent", "got")}
    files["sent"].write_text("content\n" * 1000)
    script = FTP.format(file=f"/run/sent{mode}", name=f"file{mode}", copy=f"/run/got{mode}")
    said = output(leased, "c1", "tnftp", mode, "-n", "-v", "ftp.example.net", input=script)
    assert said.count("226 Transfer complete") == 3
    assert ("passive mode" in said) is (mode == "-p")
    assert files["got"].read_text() == files["sent"].read_text()


# ------------------------------------------------------------------------------------------------------- one segment


def test_two_privates_make_one_segment(leased: Lab) -> None:
    """Clients on different links meet without a router: one hop, and ARP shows the other's own hardware address."""
    for node, other, number in (("c0", "c2", 2), ("c3", "c1", 1)):
        assert " 0% packet loss" in output(leased, node, "ping", "-c", "2", "-i", "0.05", "-W", "10", NAMES[other])
        found = output(leased, node, "traceroute", "-n", "-q", "1", "-w", "10", address(leased, other))
        assert re.findall(r"(?m)^ *\d+ +([0-9.]+) ", found) == [address(leased, other)]
        assert neighbour(leased, node, address(leased, other)) == f"02:1c:5a:03:00:{number:02x}"


def test_the_status_is_healthy_after_all_this(leased: Lab) -> None:
    found = document(leased, "status")
    assert found["healthy"], found["checks"]
    assert [segment["members"] for segment in found["segments"]] == [["lan0", "lan1"]]
    assert [check["name"] for check in found["checks"] if check["grade"] != "ok"] == []


# ------------------------------------------------------------------------------------------------- its own laboratory


@pytest.mark.usefixtures("lab_allowed")
def test_without_the_helper_active_ftp_fails_and_sharing_again_attaches_it() -> None:
    """So it is the helper that made the active session possible, and one setting is all it takes."""
    with laboratory("ftp", privates=1, ftp=True) as lab:
        share(lab, "wan0", "lan0")
        dhclient(lab, "c0")
        argv = ["tnftp", "-A", "-n", "-v", "ftp.example.net"]
        script = "user anonymous nobody\nls\nbye\n"
        assert "226 Transfer complete" not in lab.run("c0", argv, input=script, check=False).stdout
        write_settings(lab, '[sharing]\nhelpers = ["ftp"]\n')
        share(lab, "wan0", "lan0")
        assert "226 Transfer complete" in lab.run("c0", argv, input=script, check=False).stdout


@pytest.mark.usefixtures("lab_allowed")
def test_after_stop_the_clients_are_cut_off_and_sharing_again_serves_them_anew() -> None:
    with laboratory("again", privates=1) as lab:
        for _ in range(2):
            share(lab, "wan0", "lan0")
            udhcpc(lab, "c0")
            assert page(lab, "c0") == str(UPLINK.ip)
            assert icshare_command(lab, "stop").returncode == 0
            assert fails(lab, "c0", "curl", "-sS", "--max-time", "0.5", f"http://{WEB_ADDRESS}/")
