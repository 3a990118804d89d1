"""Modem and null-modem cable as the public connection: real pppds at both ends of a line, and real chat scripts."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.vm.conftest import Modprobe
from tests.vm.nodes import LINE, LINE_ROUTER, Daemon, Node, lease, page
from tests.vm.test_pppoe import LARGE, LARGE_PAGE, NOTHING, left, listed, wait_until

from icshare.lab import DNS_ADDRESS, WEB_ADDRESS

MODEM = """\
{tty} 115200
connect "/usr/sbin/chat -f /etc/ppp/dial"
nocrtscts
noauth
noipdefault
defaultroute
usepeerdns
noccp
novj
"""
DIAL = 'TIMEOUT 10 ABORT BUSY ABORT "NO CARRIER" "" ATZ OK ATDT5550123 CONNECT "\\d\\c"\n'
ANSWER = 'TIMEOUT 60 ATZ OK ATDT5550123 "CONNECT 115200"\n'
BUSY = "TIMEOUT 60 ATZ OK ATDT5550123 BUSY\n"

# Windows' direct cable connection: the guest says CLIENT, and the host answers that it has understood.
CABLE = """\
{tty} 115200
local
connect "/usr/sbin/chat -f /etc/ppp/guest"
nocrtscts
noauth
noipdefault
usepeerdns
"""
GUEST = 'TIMEOUT 15 "" "CLIENT\\c" "CLIENTSERVER" "\\c"\n'
HOST = 'TIMEOUT 60 "CLIENT" "CLIENTSERVER\\c"\n'

Answer = Callable[[str], Daemon]


@pytest.fixture
def line(isp: Node, gateway: Node, modprobe: Modprobe) -> str:
    """Join provider and gateway by a serial line, and return the path of the gateway's end."""
    modprobe("ppp_async")
    here, there = (f"/run/tty-{node.name}" for node in (gateway, isp))
    isp.start("socat", "-d", "-d", *(f"PTY,link={end},raw,echo=0" for end in (here, there)), until="starting data")
    gateway.file("/etc/ppp/peers").mkdir(exist_ok=True)
    return here


@pytest.fixture
def answer(isp: Node, line: str) -> Answer:  # noqa: ARG001
    """Give a function that has the provider wait for a call, with a chat script."""
    tty = f"/run/tty-{isp.name}"

    def wait(script: str) -> Daemon:
        isp.file("/etc/ppp/answer").write_text(script)
        words = ("local", "nocrtscts", "noauth", "nodetach", "silent", "noccp", "novj", f"{LINE_ROUTER}:{LINE.ip}")
        chat = ("connect", "/usr/sbin/chat -f /etc/ppp/answer")
        return isp.start("pppd", tty, "115200", *words, "ms-dns", str(DNS_ADDRESS), "ifname", "ppp-line", *chat)

    return wait


def test_a_modem_dials_is_shared_and_dialled_again(
    isp: Node, gateway: Node, client: Node, line: str, answer: Answer
) -> None:
    gateway.file("/etc/ppp/peers/call").write_text(MODEM.format(tty=line))
    gateway.file("/etc/ppp/dial").write_text(DIAL)
    before = listed(gateway, "call")
    assert (before["media"], before["interface"]) == ("phone", "ppp-call")

    isp.file("/etc/ppp/busy").write_text(BUSY)
    tty = f"/run/tty-{isp.name}"
    isp.start("sh", "-c", f"exec chat -f /etc/ppp/busy < {tty} > {tty}")
    refused = gateway.icshare("share", "call", "lan0")
    assert refused.returncode == 1
    assert "cannot dial call: nobody answers the call: its connect script failed" in refused.stderr
    assert left(gateway) == NOTHING

    called = answer(ANSWER)
    gateway.document("share", "call", "lan0")
    outside = gateway.capture("ppp-call")
    lease(client, "eth0")
    assert page(client) == str(LINE.ip)
    size = client.run("curl", "-sS", "--max-time", "60", "-o", "/dev/null", "-w", "%{size_download}", LARGE_PAGE)
    assert int(size.stdout) == LARGE
    assert not [one for one in outside.lines() if "192.168." in one]

    called.end()  # the other end hangs up
    wait_until(gateway, "call", "disconnected")
    now = listed(gateway, "call")
    assert (now["guid"], now["role"]) == (before["guid"], "public")
    cut = client.run("curl", "-sS", "--max-time", "5", f"http://{WEB_ADDRESS}/", check=False)
    assert cut.returncode != 0
    answer(ANSWER)
    gateway.document("connect", "call")
    assert page(client) == str(LINE.ip)
    gateway.document("stop")
    gateway.document("disconnect", "call")  # which was dialled by hand the second time
    assert left(gateway) == NOTHING


def test_a_null_modem_cable_to_windows_is_shared(gateway: Node, client: Node, line: str, answer: Answer) -> None:
    gateway.file("/etc/ppp/peers/cable").write_text(CABLE.format(tty=line))
    gateway.file("/etc/ppp/guest").write_text(GUEST)
    answer(HOST)
    before = listed(gateway, "cable")
    assert (before["media"], before["kind"]) == ("direct", "serial cable (PPP)")
    gateway.document("share", "cable", "lan0")
    lease(client, "eth0")
    fetched = client.run("curl", "-sS", "--max-time", "30", f"http://{WEB_ADDRESS}/").stdout
    assert re.search(rf"You came from {LINE.ip},", fetched)
    assert listed(gateway, "cable")["media"] == "direct"
    gateway.document("stop")
    assert left(gateway) == NOTHING
    assert Path(line).exists()
