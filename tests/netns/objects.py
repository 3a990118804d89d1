"""Programs on the gateway of a lab that use the Windows object model on the real kernel, each a process of its own."""

import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from tests.netns import inhabited
from tests.netns.gateway import icshare_command, output, require_nobody, udhcpc
from tests.netns.test_outside import SERVE, running

from icshare.host.command import PIPE, Process
from icshare.lab import GATEWAY, INTERNET, SECOND_UPLINK, UPLINK, Lab

NOBODY = "65534"
PUBLIC, SECOND = UPLINK.ip, SECOND_UPLINK.ip
SIDES = {"public first": ["public('wan0')", "private('lan0')"], "private first": ["private('lan0')", "public('wan0')"]}
SHARED = {"wan0": ["public", True, []], "lan0": ["private", False, []]}
"""What `facts` tells when one of `SIDES` was done."""

PRELUDE = """
import json, sys
from icshare.netcon import *

manager = NetSharingManager()
told = None

def conn(name):
    (found,) = [one for one in manager.EnumEveryConnection if manager.NetConnectionProps(one).Name == name]
    return found

def config(name):
    return manager.INetSharingConfigurationForINetConnection(conn(name))

def public(name):
    return config(name).EnableSharing(ICSSHARINGTYPE_PUBLIC)

def private(name):
    return config(name).EnableSharing(ICSSHARINGTYPE_PRIVATE)

def add(name, title, external, internal, target, protocol=NAT_PROTOCOL_TCP):
    return config(name).AddPortMapping(title, protocol, external, internal, 0, target, ICSTT_IPADDRESS)

def mapping(name, title):
    (found,) = [one for one in config(name).EnumPortMappings(ICSSC_DEFAULT) if one.Properties.Name == title]
    return found

def mappings(name):
    found = [one.Properties for one in config(name).EnumPortMappings(ICSSC_DEFAULT)]
    return {one.Name: [one.IPProtocol, one.ExternalPort, one.InternalPort, one.TargetIPAddress, one.Enabled]
            for one in found}

def failing(call, *arguments):
    try:
        call(*arguments)
    except ComError as error:
        return [f"{error.hresult:#x}", error.text, list(error.reasons)]
    return None

def names(connections):
    return sorted(manager.NetConnectionProps(one).Name for one in connections)

# Side, firewall and enabled mappings of every connection that has a configuration.
def facts():
    found = {}
    for one in manager.EnumEveryConnection:
        try:
            configuration = manager.INetSharingConfigurationForINetConnection(one)
        except E_NOINTERFACE:
            continue
        side = configuration.SharingConnectionType.name[15:].lower() if configuration.SharingEnabled else ""
        enabled = [m.Properties.Name for m in configuration.EnumPortMappings(ICSSC_DEFAULT) if m.Properties.Enabled]
        found[manager.NetConnectionProps(one).Name] = [side, configuration.InternetFirewallEnabled, sorted(enabled)]
    return found
"""

# The same for as long as its input lasts, by objects made at the beginning: each line is an expression.
_LIVE = """
objects = {name: config(name) for name in sys.argv[1:]}
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
"""

# Says whether a TCP connection gets an answer: "word" is echoed, "nothing" is silence or a refusal.
_SAY = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])) as one:
        one.settimeout(float(sys.argv[3]))
        one.sendall(b"word\\n")
        print(one.recv(100).decode().strip() or "nothing")
except OSError:
    print("nothing")
"""

OFF: list[Any] = ["", False, []]
"""What `facts` tells of a connection that has no part in anything."""


def objects(lab: Lab, code: str, *, nobody: bool = False) -> Any:
    """Run *code* on the gateway in a process of its own, as nobody if so wanted; return its ``told``."""
    done = lab.run(GATEWAY, [*unprivileged(nobody), *_argv(code)], env=inhabited.ENVIRONMENT, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return msgspec.json.decode(done.stdout)


def start(lab: Lab, code: str) -> Process:
    """Start *code* on the gateway; it prints what it leaves in ``told``."""
    return lab.popen(GATEWAY, _argv(code), env=inhabited.ENVIRONMENT, stdout=PIPE)


def _argv(code: str) -> list[str]:
    return [sys.executable, "-c", f"{PRELUDE}\n{textwrap.dedent(code)}\nprint(json.dumps(told))"]


def facts(lab: Lab) -> dict[str, Any]:
    """Return what a program that has just started is told of every connection with a part in anything."""
    found: dict[str, Any] = objects(lab, "told = facts()")
    return {name: told for name, told in found.items() if told != OFF}


def live(*names: str) -> tuple[str, tuple[str, ...]]:
    """Return a program for `tests.netns.test_outside.running` that evaluates each line, and its arguments."""
    return f"{PRELUDE}\n{_LIVE}", names


def ask(process: Process, expression: str) -> Any:
    """Return what *expression* is to the program that runs since before."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{expression}\n".encode())
    process.stdin.flush()
    return msgspec.json.decode(process.stdout.readline())


def unprivileged(wanted: bool) -> list[str]:
    """Return what to put before a command to run it as nobody; skip where there is nobody."""
    if not wanted:
        return []
    require_nobody()
    return ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]


def say(lab: Lab, address: object, port: int, *, node: str = INTERNET, seconds: float = 1) -> str:
    """Return what a TCP port answers to "word": itself when somebody serves there, else "nothing"."""
    argv = [sys.executable, "-c", _SAY, str(address), str(port), str(seconds)]
    return lab.run(node, argv, timeout=30).stdout.strip()


def enable(lab: Lab, *calls: str) -> None:
    """Let each call, which must succeed, be the only one of a process."""
    for call in calls:
        assert objects(lab, f"told = {call}") == 0


def icshare(lab: Lab, *arguments: str) -> None:
    """Run the command line on the gateway; it must succeed."""
    done = icshare_command(lab, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@contextmanager
def shared(lab: Lab) -> Iterator[None]:
    """Share wan0 with lan0 by objects, and serve on c0 what is mapped there."""
    enable(lab, *SIDES["public first"])
    udhcpc(lab, "c0")
    with running(lab, "c0", SERVE, 444, 40_000):
        yield


def rules(lab: Lab) -> str:
    """Return the gateway's rules, without what they have learnt and counted."""
    return re.sub(r"\t\telements = \{[^}]*\}\n", "", output(lab, GATEWAY, "nft", "--stateless", "list", "ruleset"))


def mapped(lab: Lab) -> list[str]:
    """Return what the kernel has of port mappings."""
    return [
        output(lab, GATEWAY, "nft", "--stateless", "list", "map", "inet", "icshare", name)
        for name in ("port_mappings", "mapped_sources", "own_ports")
    ]
