"""After a stop nothing of the fast path is left: no program or map in the kernel, no filter, no setting."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import msgspec
import pytest
from tests.netns.fastlab import fetch
from tests.netns.forced import take_packets_of_xdp
from tests.netns.gateway import (
    assert_unchanged,
    document,
    icshare_command,
    json_of,
    kill_all,
    output,
    page,
    settled,
    start_icshare,
    udhcpc,
)

from icshare.host.fastpath import libbpf
from icshare.lab import GATEWAY, Lab
from icshare.lab.traces import Traces
from icshare.model.fastpath import Mode

pytestmark = [pytest.mark.netns, pytest.mark.programs]

MakeLab = Callable[..., Lab]

# Programs and maps are freed when no packet can be in them any more, and by a worker of the kernel.
PATIENCE = 30.0


def at_rest(lab: Lab) -> Traces:
    page(lab, GATEWAY)  # its router is in its ARP table from now on
    document(lab, "status")  # makes our directories, which are no part of what is compared
    return settled(lab)


def programs(lab: Lab) -> set[int]:
    """Return the numbers of all programs on the gateway's links."""
    links = json_of(lab, GATEWAY, "ip", "-json", "link", "show")
    found = {link["xdp"]["prog"]["id"] for link in links if "xdp" in link}
    for link in links:
        filters = json_of(lab, GATEWAY, "tc", "-json", "filter", "show", "dev", link["ifname"], "ingress")
        found |= {one["options"]["prog"]["id"] for one in filters if "prog" in one.get("options", {})}
    return found


def maps(some: set[int]) -> set[int]:
    """Return the numbers of all maps of some programs."""
    found: set[int] = set()
    for number in some:
        fd = libbpf.open_program(number)
        assert fd is not None
        try:
            found |= set(libbpf.describe(fd).maps)
        finally:
            os.close(fd)
    return found


def left(some_programs: set[int], some_maps: set[int]) -> list[str]:
    """Return which of them the kernel still has."""
    found = []
    with ExitStack() as held:
        for number in some_programs:
            fd = libbpf.open_program(number)
            if fd is not None:
                held.callback(os.close, fd)
                found.append(f"program {number}")
        for number in some_maps:
            one = libbpf.open_map(number)
            if one is not None:
                held.enter_context(one)
                found.append(f"map {number}")
    return found


def assert_a_stop_undoes_all(lab: Lab, before: Traces, some_programs: set[int], some_maps: set[int]) -> None:
    """Stop, and wait until the gateway is as before and the kernel has freed all of the programs and maps."""
    assert icshare_command(lab, "stop").returncode == 0
    assert_unchanged(lab, before)
    deadline = time.monotonic() + PATIENCE
    while found := left(some_programs, some_maps):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


@pytest.mark.parametrize("mode", [Mode.XDP, Mode.TC])
def test_after_a_stop_no_program_no_map_no_filter_and_no_setting_is_left(make_lab: MakeLab, mode: Mode) -> None:
    lab = make_lab()
    take_packets_of_xdp(lab)
    before = at_rest(lab)
    document(lab, "share", "wan0", "lan0", "lan1", "--fast-path", mode)
    running = programs(lab)
    held = maps(running)
    assert running
    assert len(left(running, held)) == len(running) + len(held)
    document(lab, "share", "wan0", "lan0", "--fast-path", mode)  # another configuration: some are exchanged
    running |= programs(lab)
    held |= maps(programs(lab))
    assert_a_stop_undoes_all(lab, before, running, held)


@pytest.mark.parametrize("mode", [Mode.XDP, Mode.TC])
def test_it_works_on_while_no_process_of_ours_runs_and_is_ended_by_the_next(make_lab: MakeLab, mode: Mode) -> None:
    lab = make_lab(privates=1)
    take_packets_of_xdp(lab)
    before = at_rest(lab)
    document(lab, "share", "wan0", "lan0", "--fast-path", mode)
    udhcpc(lab, "c0")
    running = programs(lab)
    assert kill_all(lab)
    fetch(lab, "c0", 20_000_000)
    assert programs(lab) == running
    # That the name server is missing is an error of status, which is told nevertheless.
    status = msgspec.json.decode(icshare_command(lab, "status", "--json").stdout)
    assert status["fast_packets"] > 100
    assert_a_stop_undoes_all(lab, before, running, maps(running))


@pytest.mark.parametrize("mode", [Mode.XDP, Mode.TC])
def test_the_traces_of_a_program_do_not_tell_when_it_was_loaded(make_lab: MakeLab, mode: Mode) -> None:
    """The kernel numbers a program anew each time; what ip(8) tells of one on a link has the moment, too."""
    lab = make_lab(privates=1)
    take_packets_of_xdp(lab)
    found = []
    for _ in range(2):
        document(lab, "share", "wan0", "lan0", "--fast-path", mode)
        taken = settled(lab)
        found.append(taken["links"] + taken["queueing"])
        assert icshare_command(lab, "stop").returncode == 0
    assert sum("icshare_" in line for line in found[0]) == 2
    assert found[0] == found[1]


def test_a_share_that_is_killed_while_it_loads_or_attaches_programs_is_undone_by_a_stop(make_lab: MakeLab) -> None:
    """The kills between two steps are those of test_crash; these are in the midst of the last one."""
    lab = make_lab(privates=1)
    take_packets_of_xdp(lab)
    before = at_rest(lab)
    moments: Mapping[str, Callable[[], bool]] = {
        "loading": lambda: output(lab, GATEWAY, "sysctl", "-n", "net.netfilter.nf_conntrack_tcp_be_liberal") == "1\n",
        "attaching": lambda: bool(programs(lab)),
    }
    for what, reached in moments.items():
        process = start_icshare(lab, "share", "wan0", "lan0", "--fast-path", Mode.XDP)
        deadline = time.monotonic() + PATIENCE
        while not reached():
            assert time.monotonic() < deadline, what
        process.kill()
        process.communicate()
        running = programs(lab)
        assert_a_stop_undoes_all(lab, before, running, maps(running))
