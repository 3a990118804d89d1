"""icshare on the gateway of a lab: its command line, and a host that somebody has lived on before."""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import icshare
from icshare.host.command import PIPE, Completed, Process
from icshare.lab import GATEWAY, Lab, traces
from icshare.lab.plan import SECOND_UPLINK_ROUTER, UPLINK_ROUTER

ENVIRONMENT = {"PYTHONPATH": str(Path(icshare.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
COMMAND = (sys.executable, "-m", "icshare.cli.main")
DEADLINE = 15.0
"""Seconds after which what was to happen has not happened; a quiet machine takes a tenth of it."""

_LIFETIME = re.compile(r'("(?:valid|preferred)_life_time":)(?!4294967295)\d+')


def run(lab: Lab, *arguments: str, status: int | None = 0, env: dict[str, str] | None = None) -> Completed:
    """Run icshare on the gateway and expect that exit *status*, any when it is None."""
    argv = [*COMMAND, *arguments]
    done = lab.run(GATEWAY, argv, env={**ENVIRONMENT, **(env or {})}, check=False, timeout=60)
    assert status is None or done.returncode == status, done.stderr + done.stdout
    return done


def start(lab: Lab, *arguments: str) -> Process:
    """Start icshare on the gateway in the background."""
    return lab.popen(GATEWAY, [*COMMAND, *arguments], env=ENVIRONMENT, stdout=PIPE, stderr=PIPE)


def document(lab: Lab, *arguments: str) -> Any:
    """Return what icshare tells to programs."""
    return json.loads(run(lab, *arguments, "--json", status=None).stdout)


def wait_for(what: Callable[[], bool], failure: str) -> None:
    """Wait until *what* is so; every look is the work of a process, so nothing sleeps in between."""
    deadline = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < deadline, failure


def snapshot(lab: Lab) -> traces.Traces:
    """Return the gateway's traces, once the kernel has made up its mind about its addresses."""
    wait_for(lambda: traces.is_settled(lab, GATEWAY), "an IPv6 address stays tentative")
    return take(lab)


def take(lab: Lab) -> traces.Traces:
    """Return the gateway's traces, without the seconds that addresses of limited lifetime have left."""
    found = traces.take(lab, GATEWAY)
    return {**found, "addresses": tuple(_LIFETIME.sub(r"\1 limited", line) for line in found["addresses"])}


def assert_unchanged(lab: Lab, before: traces.Traces, when: str) -> None:
    """Assert that the gateway is as *before*, at last: the kernel needs a moment for its IPv6 addresses."""
    deadline = time.monotonic() + DEADLINE
    while changed := traces.differences(before, take(lab)):
        assert time.monotonic() < deadline, (when, changed)


def furnish(lab: Lab) -> None:
    """Give the gateway what an administrator may have set up: all of it has to survive."""
    for line in (
        "address add 10.5.0.1/16 dev lan0",
        "address add 10.6.0.1/24 dev lan0 valid_lft 40000 preferred_lft 30000",
        "address add 2001:db8:5::1/64 dev lan0 nodad",
        "route add 172.20.0.0/16 via 10.5.0.254 proto static metric 50",
        "route add 172.21.0.0/16 via 10.5.0.253 table 77",
        "rule add from 172.20.0.0/16 lookup 77 priority 1000",
        "neighbour add 10.5.0.77 lladdr 02:00:00:00:00:77 dev lan0 nud permanent",
        "link set lan1 down",
        "link set lan2 mtu 1400",
    ):
        lab.run(GATEWAY, ["ip", *line.split()])
    # The self-test asks the host's resolver, so the kernel gets to know the routers: let it know them before.
    for number in range(1 + lab.plan.second_uplink):
        router = UPLINK_ROUTER if number == 0 else SECOND_UPLINK_ROUTER
        lab.run(GATEWAY, ["ping", "-c", "1", "-W", "5", str(router)])
    settings = ["net.ipv4.conf.lan0.rp_filter=2", "net.ipv4.conf.lan2.forwarding=1"]
    # Whether its IPv6 addresses are taken is a question of seconds, after each time that a link was down.
    settings += [f"net.ipv6.conf.{link}.accept_dad=0" for link in ("all", "lan0", "lan1", "lan2")]
    lab.run(GATEWAY, ["busybox", "sysctl", "-qw", *settings])
    chain = "add chain inet admin input { type filter hook input priority 5; policy accept; }"
    rules = f"add table inet admin\n{chain}\nadd rule inet admin input tcp dport 9999 drop\n"
    lab.run(GATEWAY, ["nft", "-f", "-"], input=rules)
