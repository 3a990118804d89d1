"""A lab with icshare on its gateway, driven as people drive it: by the command line, with clients nobody here wrote."""

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.netns import forced

import icshare
from icshare.host import command
from icshare.host.command import Completed, Process
from icshare.lab import GATEWAY, Lab, LabPlan, lab_name, traces
from icshare.lab.processes import namespace_of

NETWORK_GATEWAY = "192.168.137.1"

# Only a machine that hangs takes as long as this.
_TIMEOUT = 60.0
_ENVIRONMENT = {"PYTHONPATH": str(Path(icshare.__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
_ICSHARE = (sys.executable, "-m", "icshare.cli.main")


@contextmanager
def laboratory(name: str, **plan: Any) -> Iterator[Lab]:
    """Build a lab from the arguments of a plan for all the tests of one file."""
    with Lab.up(LabPlan(prefix=lab_name(f"t{os.getpid()}-{name}"), **plan)) as lab:
        forced.prepare(lab)
        yield lab


def icshare_command(lab: Lab, *arguments: str) -> Completed:
    """Run ``icshare`` on the gateway, whatever comes of it."""
    return lab.run(GATEWAY, [*_ICSHARE, *arguments], env=_ENVIRONMENT, check=False, timeout=_TIMEOUT)


def start_icshare(lab: Lab, *arguments: str) -> Process:
    """Start ``icshare`` on the gateway."""
    return lab.popen(GATEWAY, [*_ICSHARE, *arguments], env=_ENVIRONMENT, stderr=command.PIPE)


def processes_of(lab: Lab, node: str) -> list[int]:
    """Return the numbers of all processes in the network namespace of *node*."""
    space = Path("/run/netns", lab.namespace(node)).stat()
    everybody = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in everybody if namespace_of(pid) == (space.st_dev, space.st_ino)]


def kill_all(lab: Lab) -> int:
    """Kill every process of icshare on the gateway, as a crash would; return how many there were."""
    found = processes_of(lab, GATEWAY)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return len(found)


def share(lab: Lab, public: str, *privates: str) -> dict[str, Any]:
    """Share, and return the document that tells about it."""
    return document(lab, "share", public, *privates)


def document(lab: Lab, *arguments: str) -> dict[str, Any]:
    """Return the document that ``icshare`` prints, having done what it was asked for."""
    done = icshare_command(lab, *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    told: dict[str, Any] = msgspec.json.decode(done.stdout)
    return told


def output(lab: Lab, node: str, *argv: str, input: str | None = None) -> str:  # noqa: A002 - as in Lab.run
    """Return what *argv* prints on *node*; it must succeed."""
    return lab.run(node, argv, input=input, timeout=_TIMEOUT).stdout


def fails(lab: Lab, node: str, *argv: str) -> bool:
    """Tell whether *argv* fails on *node*."""
    return lab.run(node, argv, check=False, timeout=_TIMEOUT).returncode != 0


def json_of(lab: Lab, node: str, *argv: str) -> Any:
    """Return the JSON document that *argv* prints on *node*."""
    return msgspec.json.decode(output(lab, node, *argv) or "[]")


def page(lab: Lab, node: str, host: str = "www.example.net") -> str:
    """Return the address that the Internet's web server saw *node* come from."""
    told = output(lab, node, "curl", "-sS", "--max-time", "30", f"http://{host}/")
    found = re.search(r"You came from ([0-9.]+), port", told)
    assert found is not None, told
    return found[1]


# ------------------------------------------------------------------------------------------------------- other users


def require_nobody() -> None:
    """Skip where there is no other account, or this checkout is out of its reach."""
    if Path("/proc/self/uid_map").read_text(encoding="ascii").split()[2] == "1":
        pytest.skip("this user namespace has no other account")
    if not _nobody_can_read():
        pytest.skip("this checkout cannot be read by other users")


@cache
def _nobody_can_read() -> bool:
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", "import icshare.api"]
    return command.run(argv, env=_ENVIRONMENT, check=False, timeout=_TIMEOUT).returncode == 0


# ------------------------------------------------------------------------------------------------------- DHCP clients


def dhclient(lab: Lab, node: str) -> None:
    files = ["-pf", "/run/dhclient.pid", "-lf", "/var/lib/dhcp/dhclient.leases"]
    output(lab, node, "dhclient", "-4", "-1", *files, "eth0")


def udhcpc(lab: Lab, node: str) -> None:
    output(lab, node, "udhcpc", "-f", "-n", "-q", "-t", "20", "-T", "1", "-i", "eth0", "-x", f"hostname:{node}")


def dhcpcd(lab: Lab, node: str) -> None:
    output(lab, node, "dhcpcd", "-4", "-1", "--noarp", "--nodelay", "--noipv4ll", "-h", node, "eth0")


DHCP_CLIENTS: Mapping[str, Callable[[Lab, str], None]] = {"dhclient": dhclient, "udhcpc": udhcpc, "dhcpcd": dhcpcd}


def address(lab: Lab, node: str) -> str:
    """Return the IPv4 address of a client."""
    (link,) = json_of(lab, node, "ip", "-json", "-4", "address", "show", "dev", "eth0")
    (one,) = link["addr_info"]
    assert one["prefixlen"] == 24
    local: str = one["local"]
    return local


def neighbour(lab: Lab, node: str, other: str) -> str:
    """Return the hardware address that *node* has in its ARP table for *other*."""
    (entry,) = json_of(lab, node, "ip", "-json", "neigh", "show", "to", other, "dev", "eth0")
    found: str = entry["lladdr"]
    return found


# ------------------------------------------------------------------------------------------------------------- facts


# What counts by itself: a bridge's timers, how long an element of a set or an address with a lifetime will stay. And
# what rules have seen: whoever is on a link may send something at any time, be it a router solicitation.
_CLOCKS = re.compile(r'"([a-z_]*timer|expires|valid_life_time|preferred_life_time|bytes|packets)":[0-9.]+')


def settled(lab: Lab) -> traces.Traces:
    """Return the traces on the gateway as soon as the kernel has stopped changing them by itself."""
    while not traces.is_settled(lab, GATEWAY):
        time.sleep(0.02)
    return _take(lab)


def assert_unchanged(lab: Lab, before: traces.Traces) -> None:
    """Wait until the gateway is as it was; fail with what is different."""
    deadline = time.monotonic() + 10
    while changed := traces.differences(before, _take(lab)):
        assert time.monotonic() < deadline, changed
        time.sleep(0.02)


def _take(lab: Lab) -> traces.Traces:
    found = traces.take(lab, GATEWAY)
    return {what: tuple(sorted(_CLOCKS.sub("", line) for line in lines)) for what, lines in found.items()}


class Capture:
    """Every IPv4 packet on a link of a node from now on, as lines of `tests.netns.watch`."""

    def __init__(self, lab: Lab, node: str, link: str) -> None:
        argv = [sys.executable, "-IS", str(Path(__file__).with_name("watch.py")), link]
        self._process = lab.popen(node, argv, stdout=command.PIPE)
        assert self._read() == "watching"

    def until(self, what: str) -> list[str]:
        """Return all lines up to the first that *what*, a regular expression, is found in, and end."""
        lines = [self._read()]
        while not re.search(what, lines[-1]):
            lines.append(self._read())
        command.end(self._process)
        return lines

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        assert line, "the capture has ended"
        return line.strip()
