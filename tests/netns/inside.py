"""The fast path's program is loaded and attached against the real kernel, in a network namespace that is new each time.

The code of a test runs in a process of its own that `unshare` has put there, with two links and three configurations
for them; programs go with its links.
"""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

PRELUDE = """
import ctypes, json, os, socket, subprocess, sys, time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from icshare.errors import ConflictError, HostError, NotSupportedError
from icshare.host import fastpath
from icshare.host.fastpath import attachments, counting, libbpf, loader
from icshare.host.fastpath.state import maps_named
from icshare.host.netlink import NetlinkSocket
from icshare.plan.steps import digest
from icshare.wire import fastpath as wire
from icshare.wire import rtattach

def show(value):
    print(json.dumps(value))

def sh(line):
    return subprocess.run(line, shell=True, check=True, capture_output=True, text=True).stdout

def veth(name):
    sh(f"ip link add {name} type veth peer name {name}-peer && ip link set {name} up && ip link set {name}-peer up")
    while "state UP" not in sh(f"ip link show {name}"):  # the kernel tells of carrier by a work queue
        time.sleep(0.01)

def text(*links, **others):
    links = [
        {"name": name, "l3": name, "hook": hook, "public": name.startswith("wan")} for hook, name in links
    ]
    return json.dumps({"version": 1, "links": links, "networks": [], **others})

@contextmanager
def looked():
    with ExitStack() as held:
        yield attachments.look(held.enter_context(NetlinkSocket()), held), held

def maps(links_and_held, name):
    return maps_named(*links_and_held, name)

def attached():
    with looked() as (links, _):
        names = {link.index: name for name, link in links.present.items()}
        return sorted([names[one.index], str(one.hook), one.program.id] for one in links.ours)

def places():
    return [f"{hook} {name}" for name, hook, _ in attached()]

def state():
    filters = [sh(f"tc filter show dev {name} ingress") for _, name in socket.if_nameindex()]
    return sh("ip -d link show; tc qdisc show") + "".join(filters)

def config():
    with looked() as there:
        (one,) = maps(there, ".data.config")
        return wire.decode_config(one.lookup(bytes(4)))

def program_that_returns(verdict, kind, name):
    # r0 = verdict; exit
    code = bytes([0xB7, 0, 0, 0]) + verdict.to_bytes(4, "little", signed=True) + bytes([0x95, 0, 0, 0, 0, 0, 0, 0])
    load = libbpf._load_library().bpf_prog_load
    load.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p]
    fd = load(kind, name, b"GPL", code, 2, None)
    assert fd >= 0, fd
    return fd

def foreign_program():
    return program_that_returns(2, 6, b"icshare_xdp")  # XDP_PASS, BPF_PROG_TYPE_XDP

def foreign_program_above(below):
    # On a macvlan, in generic mode: what is below cannot change its own then.
    sh(f"ip link add above0 link {below} type macvlan mode bridge")
    attach = libbpf._load_library().bpf_xdp_attach
    attach.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_uint32, ctypes.c_void_p]
    assert attach(socket.if_nametoindex("above0"), foreign_program(), 2, None) == 0  # XDP_FLAGS_SKB_MODE

def tcx_program(link, place):
    program = program_that_returns(-1, 3, b"somebody")  # TCX_NEXT, BPF_PROG_TYPE_SCHED_CLS
    fd = libbpf._load_library().bpf_link_create(program, link, place, None)
    return fd if fd >= 0 else None

def is_loaded(program):
    fd = libbpf.open_program(program)
    if fd is not None:
        os.close(fd)
    return fd is not None

def refusal(of, *arguments):
    try:
        of(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""

sh("nft 'add table inet x; add chain inet x y { type filter hook forward priority 0; }'")
sh("nft 'add rule inet x y ct state new'")
for name in ("lan0", "wan0"):
    veth(name)
XDP = text(("xdp", "lan0"), ("xdp", "wan0"))
TC = text(("tc", "lan0"), ("tc", "wan0"))
BOTH = text(("xdp", "lan0"), ("tc", "lan0"), ("tc", "wan0"))
"""

Inside = Callable[..., Any]
"""Runs code in a new network namespace and returns what it passed to ``show()``."""


def in_new_namespace(code: str, *, wrapper: tuple[str, ...] = ("unshare", "--net")) -> Any:
    if os.geteuid() != 0:
        pytest.skip("programs are loaded by root only")
    result = subprocess.run(
        [*wrapper, sys.executable, "-c", PRELUDE + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(os.environ),
    )
    if "unshare failed" in result.stderr or "a user namespace or a policy forbids it" in result.stderr:
        pytest.skip(f"no programs are loaded here: {result.stderr.strip().splitlines()[-1]}")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)
