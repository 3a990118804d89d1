"""The elements of mappings in the kernel: changed through a context that stays open, in whatever namespace one is."""

import json
import os
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from icshare.host import command

pytestmark = pytest.mark.netns

_Run = Callable[[str], Any]

PRELUDE = """
import gc, json, os, sys, threading
from ipaddress import IPv4Address
from icshare.errors import HostError
from icshare.host.mapping_table import KernelMappings
from icshare.host.nft import Nftables
from icshare.model.mapping import Protocol
from icshare.plan.placing import Socket
from icshare.render.mappings import Element

SETS = '''
table inet icshare {
    map port_mappings { type inet_proto . inet_service : ipv4_addr . inet_service; counter; }
    map own_ports { type inet_proto . inet_service : inet_service; counter; }
    set mapped_ports { type inet_proto . inet_service; }
    set mapped_received { type inet_proto . inet_service . ipv4_addr . inet_service; }
    map mapped_sources { type ipv4_addr . inet_proto . inet_service : inet_service; }
    set cut { type ipv4_addr . inet_proto . inet_service; timeout 1d; }
}
'''

def load():
    with Nftables() as nft:
        nft.load(SETS)

def element(external, address="192.168.137.2"):
    return Element("icshare", "port_mappings", ("tcp", external), (address, 80))

def present():
    return sorted([one.key[1], one.value[0]] for one in KernelMappings().present())

def sockets():
    files = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
    return sum(os.path.lexists(file) and os.readlink(file).startswith("socket:") for file in files)

load()
table = KernelMappings()
"""


@pytest.fixture
def run(lab_allowed: None) -> _Run:  # noqa: ARG001 - asked for, not used
    """Give a function that runs code in a network namespace of its own, and returns what that prints as JSON."""

    def run(code: str) -> Any:
        argv = ["unshare", "--net", sys.executable, "-c", PRELUDE + textwrap.dedent(code)]
        return json.loads(command.run(argv, env=dict(os.environ), timeout=60).stdout)

    return run


def test_elements_come_and_go_and_one_context_is_open(run: _Run) -> None:
    assert run("""
        before = sockets()
        for number in range(1, 6):
            table.change([], [element(number)], [])
        table.change([element(2)], [element(9)], [Socket(Protocol.TCP, 2, IPv4Address("192.168.137.2"), 80)])
        opened = sockets() - before
        table.change([], [], [])
        found = present()
        del table
        gc.collect()
        print(json.dumps([found, opened, sockets() - before]))
    """) == [[[one, "192.168.137.2"] for one in (1, 3, 4, 5, 9)], 1, 0]


def test_what_is_in_the_way_gives_way_and_what_is_gone_need_not_go(run: _Run) -> None:
    assert run("""
        table.change([], [element(1), element(2)], [])
        KernelMappings().change([element(2)], [], [])
        table.change([element(2)], [element(1, "192.168.137.3"), element(4)], [])
        table.change([element(2)], [], [])
        print(json.dumps(present()))
    """) == [[1, "192.168.137.3"], [4, "192.168.137.2"]]


def test_a_refusal_changes_nothing_and_the_next_change_works(run: _Run) -> None:
    assert run("""
        try:
            table.change([], [element(1), Element("icshare", "no_such_map", ("tcp", 1), (2,))], [])
            refused = False
        except HostError:
            refused = True
        table.change([], [element(3)], [])
        print(json.dumps([refused, present()]))
    """) == [True, [[3, "192.168.137.2"]]]


def test_a_thread_in_another_namespace_changes_what_is_there(run: _Run) -> None:
    assert run("""
        import ctypes
        table.change([], [element(1)], [])
        libc, found, home = ctypes.CDLL(None, use_errno=True), {}, os.open("/proc/self/ns/net", os.O_RDONLY)
        def elsewhere():
            assert libc.unshare(0x40000000) == 0
            load()
            table.change([], [element(2)], [])
            found["there"] = present()
            assert libc.setns(home, 0x40000000) == 0
            table.change([], [element(3)], [])
            found["back"] = present()
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        print(json.dumps(found))
    """) == {"there": [[2, "192.168.137.2"]], "back": [[1, "192.168.137.2"], [3, "192.168.137.2"]]}


def test_processes_after_a_fork_do_not_take_each_others_answers(run: _Run) -> None:
    assert (
        run("""
        table.change([], [element(1)], [])
        child = os.fork()
        for number in range(100):
            table.change([], [element((2000 if child else 3000) + number)], [])
        if not child:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(json.dumps(len(present())))
    """)
        == 201
    )
