"""Loading and attaching the fast path's program, against the real kernel in namespaces of their own.

Each test runs its code in a fresh process that `unshare` has put into a new network namespace: programs go with its
links.
"""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = [pytest.mark.netns, pytest.mark.programs]

PRELUDE = """
import ctypes, json, os, socket, subprocess, sys, time
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from icshare.errors import ConflictError, HostError, NotSupportedError
from icshare.host import fastpath
from icshare.host.fastpath import attachments, libbpf, loader
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

def text(*links, **others):
    links = [
        {"name": name, "l3": name, "hook": hook, "public": name.startswith("wan")} for hook, name in links
    ]
    return json.dumps({"version": 1, "links": links, "networks": [], **others})

def attached():
    with ExitStack() as held:
        kernel = held.enter_context(NetlinkSocket())
        links = attachments.look(kernel, held)
        names = {link.index: name for name, link in links.present.items()}
        return sorted([names[one.index], str(one.hook), one.program.id] for one in links.ours)

def places():
    return [f"{hook} {name}" for name, hook, _ in attached()]

def state():
    filters = [sh(f"tc filter show dev {name} ingress") for _, name in socket.if_nameindex()]
    return sh("ip -d link show; tc qdisc show") + "".join(filters)

def config():
    with ExitStack() as held:
        kernel = held.enter_context(NetlinkSocket())
        (one,) = loader._maps(attachments.look(kernel, held), held, ".data.config")
        return wire.decode_config(one.lookup(bytes(4)))

def foreign_program():
    # r0 = XDP_PASS; exit
    code = bytes([0xB7, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0])
    load = libbpf._load_library().bpf_prog_load
    load.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p]
    fd = load(6, b"icshare_xdp", b"GPL", code, 2, None)
    assert fd >= 0, fd
    return fd

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


@pytest.fixture
def inside() -> Inside:
    """Give a function that runs code in a new network namespace and returns what it passed to ``show()``."""

    def run(code: str, *, wrapper: tuple[str, ...] = ("unshare", "--net")) -> Any:
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

    return run


@pytest.mark.parametrize(
    ("which", "places"),
    [
        ("XDP", ["xdp lan0", "xdp wan0"]),
        ("TC", ["tc lan0", "tc wan0"]),
        ("BOTH", ["tc lan0", "xdp lan0", "tc wan0"]),
    ],
)
def test_the_program_is_on_the_links_and_leaves_no_trace(inside: Inside, which: str, places: list[str]) -> None:
    found = inside(f"""
        before = state()
        fastpath.start({which})
        there, running, programs = places(), fastpath.running() == digest({which}), [one[2] for one in attached()]
        fastpath.stop()
        deadline = time.monotonic() + 10
        while any(map(is_loaded, programs)):  # the kernel frees them when it may
            assert time.monotonic() < deadline
            time.sleep(0.01)
        show([there, running, state() == before, fastpath.running(), attached()])
    """)
    assert found == [places, True, True, None, []]


def test_nothing_runs_where_nothing_was_started(inside: Inside) -> None:
    found = inside("""
        fastpath.stop()
        fastpath.refresh()
        show([fastpath.running(), len(fastpath.traffic()), sum(fastpath.reasons().values())])
    """)
    assert found == [None, 0, 0]


def test_starting_what_runs_changes_nothing(inside: Inside) -> None:
    assert inside("""
        fastpath.start(BOTH)
        before = attached()
        fastpath.start(BOTH)
        show(attached() == before)
    """)


@pytest.mark.parametrize(("first", "second"), [("XDP", "TC"), ("TC", "XDP"), ("XDP", "BOTH"), ("BOTH", "TC")])
def test_another_configuration_takes_the_place_of_the_first(inside: Inside, first: str, second: str) -> None:
    found = inside(f"""
        before = state()
        fastpath.start({second})
        wanted = places()
        fastpath.start({first})
        fastpath.start({second})
        there, running = places(), fastpath.running() == digest({second})
        fastpath.stop()
        show([there == wanted, running, state() == before])
    """)
    assert found == [True, True, True]


def test_what_was_counted_survives_a_change(inside: Inside) -> None:
    found = inside("""
        fastpath.start(XDP)
        with ExitStack() as held:
            kernel = held.enter_context(NetlinkSocket())
            maps = loader._maps(attachments.look(kernel, held), held, "accounts")
            client = wire.ACCOUNT.pack(bytes(10) + b"\\xff\\xff" + IPv4Address("192.168.137.9").packed, 0, 0, 0)
            maps[0].update(client, wire.key(3))
            (counters,) = loader._maps(attachments.look(kernel, held), held, "counters")
            counters.update(wire.key(3), wire.COUNTER.pack(10, 1, 20, 2) * libbpf.possible_cpus())
        before = fastpath.traffic()
        fastpath.start(TC)
        after = fastpath.traffic()
        (account, counter), = after.items()
        show([before == after, str(account.address), counter.sent_bytes // libbpf.possible_cpus()])
    """)
    assert found == [True, "192.168.137.9", 10]


GRANTING = """
table inet grants {
    chain srcnat {
        type nat hook postrouting priority srcnat
        oifname wan0 masquerade
    }
    chain fast {
        type filter hook postrouting priority 299
        ct status assured ct direction original ct mark set ct mark | 0x10000000
        ct status assured ct direction reply ct mark set ct mark | 0x20000000
    }
}
"""


@pytest.mark.parametrize("hook", ["xdp", "tc"])
def test_packets_of_a_connection_are_counted_and_none_is_lost_from_the_count(inside: Inside, hook: str) -> None:
    found = inside(
        f"GRANTING, HOOK = {GRANTING!r}, {hook!r}\n"
        + textwrap.dedent("""
        sh("mount -t tmpfs tmpfs /run && mkdir /run/netns")
        setns = ctypes.CDLL(None, use_errno=True).setns
        here = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = {}
        for side, own, gateway in (("lan", "192.168.137.2", "192.168.137.1"), ("wan", "203.0.113.1", "203.0.113.2")):
            sh(f"ip netns add {side} && ip link set {side}0-peer netns {side}")
            sh(f"sysctl -qw net.ipv6.conf.{side}0.disable_ipv6=1 net.ipv4.conf.all.forwarding=1")
            sh(f"ip addr add {gateway}/24 dev {side}0")
            inner = f"ip netns exec {side}"
            sh(f"{inner} sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
            sh(f"{inner} ip addr add {own}/24 dev {side}0-peer && {inner} ip link set {side}0-peer up")
            sh(f"{inner} ip route add default via {gateway}")
            sh(f"{inner} ethtool -K {side}0-peer tx off gro on tso off")
            there[side] = os.open(f"/run/netns/{side}", os.O_RDONLY)
        subprocess.run(["nft", "-f", "-"], input=GRANTING, text=True, check=True)

        def elsewhere(side):
            assert setns(there[side], 0) == 0
            made = socket.socket()
            made.settimeout(10)
            assert setns(here, 0) == 0
            return made

        def arrived():
            links = json.loads(sh("ip -s -j link show"))
            return sum(one["stats64"]["rx"]["packets"] for one in links if one["ifname"] in {"lan0", "wan0"})

        configuration = json.loads(text((HOOK, "lan0"), (HOOK, "wan0")))
        configuration["networks"] = [{"network": "192.168.137.0/24", "l3": "lan0"}]
        before = arrived()
        fastpath.start(json.dumps(configuration))
        server, client = elsewhere("wan"), elsewhere("lan")
        server.bind(("203.0.113.1", 7))
        server.listen()
        client.connect(("203.0.113.1", 7))
        answering, _ = server.accept()
        answering.settimeout(10)
        for _ in range(3000):  # those before the ruleset has granted are a few hundred
            client.sendall(b"x" * 100)
            answering.sendall(answering.recv(1000))
            client.recv(1000)
        reasons, (account, counter) = fastpath.reasons(), *fastpath.traffic().items()
        show([
            str(account.address), sum(reasons.values()) - (arrived() - before),
            counter.sent_packets + counter.received_packets - reasons[wire.Reason.FAST],
            counter.sent_packets, counter.received_packets,
        ])
    """),
        wrapper=("unshare", "--net", "--mount"),
    )
    address, unseen, uncounted, sent, received = found
    assert (address, unseen, uncounted) == ("192.168.137.2", 0, 0)
    assert min(sent, received) > 1000


def test_maps_of_another_layout_are_not_taken_over(inside: Inside) -> None:
    found = inside("""
        fastpath.start(XDP)
        with ExitStack() as held:
            kernel = held.enter_context(NetlinkSocket())
            links = attachments.look(kernel, held)
            layouts = dict(libbpf.Object(loader.shipped_object(), "fastpath").layouts())
            same = loader._kept(links, held, layouts)
            layouts["counters"] = replace(layouts["counters"], value_size=64)
            show([sorted(same) == sorted(loader.KEPT_MAPS), len(loader._kept(links, held, layouts))])
    """)
    assert found == [True, 0]


def test_a_foreign_xdp_program_is_respected(inside: Inside) -> None:
    """It even has the name of ours; what it lacks is our configuration."""
    found = inside("""
        with NetlinkSocket() as kernel:
            kernel.request(rtattach.attach_xdp(socket.if_nametoindex("wan0"), foreign_program()))
        before = state()
        refused = refusal(fastpath.start, XDP)
        fastpath.stop()
        show([refused, state() == before])
    """)
    assert found[0].startswith("ConflictError: wan0 has an XDP program that is not icshare's")
    assert found[1]


def test_a_foreign_program_in_generic_mode_is_respected(inside: Inside) -> None:
    found = inside("""
        fd = foreign_program()
        request = rtattach.attach_xdp(socket.if_nametoindex("wan0"), fd)
        flags = (0x1 | 0x2).to_bytes(4, sys.byteorder)  # only where nothing is, and in generic mode
        with NetlinkSocket() as kernel:
            kernel.request(replace(request, payload=request.payload[:-4] + flags))
        before = state()
        refused = refusal(fastpath.start, XDP)
        show([refused, state() == before, "xdpgeneric" in before])
    """)
    assert found[0].startswith("ConflictError: wan0 has an XDP program")
    assert found[1:] == [True, True]


FOREIGN_FILTER = "tc filter add dev wan0 ingress prio {} handle 1 bpf bytecode '1,6 0 0 0'"


def test_a_foreign_filter_and_its_clsact_stay(inside: Inside) -> None:
    found = inside(f"""
        sh("tc qdisc add dev wan0 clsact")
        sh("{FOREIGN_FILTER.format(5)}")
        before = state()
        fastpath.start(TC)
        fastpath.stop()
        show([state() == before, "pref 5" in before])
    """)
    assert found == [True, True]


def test_a_foreign_filter_that_came_later_keeps_our_clsact(inside: Inside) -> None:
    found = inside(f"""
        fastpath.start(TC)
        sh("{FOREIGN_FILTER.format(5)}")
        fastpath.stop()
        show([places(), "pref 5" in state(), sh("tc qdisc show").count("clsact")])
    """)
    assert found == [[], True, 1]


def test_an_empty_clsact_of_somebody_else_stays(inside: Inside) -> None:
    assert inside("""
        sh("tc qdisc add dev wan0 clsact")
        before = state()
        fastpath.start(TC)
        fastpath.start(XDP)
        fastpath.start(TC)
        fastpath.stop()
        show(state() == before)
    """)


def test_a_foreign_filter_in_our_place_is_respected(inside: Inside) -> None:
    found = inside(f"""
        sh("tc qdisc add dev wan0 clsact")
        sh("{FOREIGN_FILTER.format(13700)}")
        before = state()
        refused = refusal(fastpath.start, TC)
        fastpath.stop()
        show([refused, state() == before])
    """)
    assert found[0].startswith("ConflictError: wan0 has a tc filter with priority 13700 that is not icshare's")
    assert found[1]


@pytest.mark.parametrize("before", ["", "fastpath.start(XDP)", "fastpath.start(TC)", "fastpath.start(BOTH)"])
def test_a_driver_that_refuses_leaves_all_as_it_was(inside: Inside, before: str) -> None:
    found = inside(f"""
        sh("ip link add bridge0 type bridge")
        {before}
        before, there, running = state(), attached(), fastpath.running()
        refused = refusal(fastpath.start, text(("tc", "wan0"), ("xdp", "lan0"), ("tc", "lan0"), ("xdp", "bridge0")))
        show([refused, state() == before, attached() == there, fastpath.running() == running])
    """)
    assert found[0].startswith("HostError: the fast path cannot be attached to bridge0 (xdp): ")
    assert "does not support XDP in native mode" in found[0]
    assert found[1:] == [True, True, True]


def test_a_missing_link_is_named_and_nothing_attached(inside: Inside) -> None:
    found = inside("""
        show([refusal(fastpath.start, text(("tc", "wan0"), ("tc", "eth9"))), places()])
    """)
    assert found == ["HostError: the fast path cannot be attached: there is no link eth9", []]


KILLED = """
    child = os.fork()
    if not child:
        carry_out, left = NetlinkSocket.request_all, [{left}]

        def killed(self, requests):
            done = carry_out(self, requests[: left[0]])
            left[0] -= len(done)
            if not left[0]:
                os.kill(os.getpid(), 9)
            return done

        NetlinkSocket.request_all = killed
        fastpath.{does}
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
"""


@pytest.mark.parametrize("then", ["start(BOTH)", "stop()"])
@pytest.mark.parametrize(
    ("running", "does", "left"),
    [
        ("", "start(XDP)", 1),
        ("", "start(TC)", 2),
        ("fastpath.start(XDP)", "start(TC)", 2),
        ("fastpath.start(XDP)", "start(TC)", 4),
        ("fastpath.start(XDP)", "start(TC)", 5),
        ("fastpath.start(BOTH)", "start(XDP)", 1),
        ("fastpath.start(XDP)", "stop()", 1),
        ("fastpath.start(TC)", "stop()", 2),
    ],
)
def test_a_process_killed_between_two_attachments_is_made_good(
    inside: Inside, running: str, does: str, left: int, then: str
) -> None:
    code = f"before = state()\n{running}\n{textwrap.dedent(KILLED).format(left=left, does=does)}\n"
    code += textwrap.dedent(f"""
        half = fastpath.running()
        fastpath.{then}
        whole = fastpath.running()
        there = places()
        fastpath.stop()
        show([half, whole is not None, len(there), state() == before])
    """)
    half, whole, count, clean = inside(code)
    assert half is None
    assert (whole, count) == {"start(BOTH)": (True, 3), "stop()": (False, 0)}[then]
    assert clean


def test_a_link_that_was_replaced_gets_its_program_again(inside: Inside) -> None:
    found = inside("""
        fastpath.start(BOTH)
        sh("ip link delete lan0")
        gone = fastpath.running()
        veth("lan0")
        fresh = fastpath.running()
        fastpath.start(BOTH)
        show([gone, fresh, fastpath.running() == digest(BOTH), places()])
    """)
    assert found == [None, None, True, ["tc lan0", "xdp lan0", "tc wan0"]]


@pytest.mark.parametrize("lost", ["ip link set dev lan0 xdp off", "tc qdisc delete dev lan0 clsact"])
def test_a_program_that_somebody_took_away_is_missed_and_put_back(inside: Inside, lost: str) -> None:
    found = inside(f"""
        fastpath.start(BOTH)
        sh("{lost}")
        missed = fastpath.running()
        fastpath.start(BOTH)
        show([missed, fastpath.running() == digest(BOTH), places()])
    """)
    assert found == [None, True, ["tc lan0", "xdp lan0", "tc wan0"]]


def test_another_hardware_address_is_noticed(inside: Inside) -> None:
    found = inside("""
        fastpath.start(XDP)
        sh("ip link set dev lan0 address 02:00:00:00:00:99")
        noticed = fastpath.running()
        fastpath.start(XDP)
        show([noticed, fastpath.running() == digest(XDP)])
    """)
    assert found == [None, True]


def test_a_refresh_is_another_generation_and_nothing_else(inside: Inside) -> None:
    found = inside("""
        fastpath.start(BOTH)
        before, there = config(), attached()
        fastpath.refresh()
        after = config()
        show([after == replace(before, generation=before.generation + 1), attached() == there, fastpath.running()])
    """)
    assert found[:2] == [True, True]
    assert found[2] is not None


def test_the_kernel_is_waited_for_without_membarrier_as_well(inside: Inside) -> None:
    """A kernel with nohz_full refuses it."""
    assert (
        inside("""
        libbpf._membarrier = lambda: False
        fastpath.start(TC)
        fastpath.refresh()
        show(config().generation)
    """)
        == 2
    )


def test_timeouts_of_conntrack_are_followed(inside: Inside) -> None:
    found = inside("""
        fastpath.start(XDP)
        before, there = config(), attached()
        Path("/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream").write_text("77")
        fastpath.start(XDP)
        show([config() == replace(before, udp_stream_ms=77000), attached() == there, before.tcp_established_ms > 0])
    """)
    assert found == [True, True, True]


def test_the_cache_has_its_size_from_the_machine(inside: Inside) -> None:
    found = inside("""
        fastpath.start(XDP)
        with ExitStack() as held:
            kernel = held.enter_context(NetlinkSocket())
            (flows,) = loader._maps(attachments.look(kernel, held), held, "flows")
            show([config().flows, flows.layout.max_entries, libbpf.possible_cpus(), config().hz])
    """)
    flows, entries, cpus, hz = found
    assert flows & flows - 1 == 0
    assert 4096 <= flows <= 65536
    assert entries == flows * cpus
    assert hz in {100, 250, 300, 1000}


def test_packets_without_ethernet_have_a_program_of_their_own(inside: Inside) -> None:
    found = inside("""
        sh("ip tuntap add tun0 mode tun && ip link set tun0 up")
        fastpath.start(text(("tc", "tun0"), ("tc", "lan0")))
        with ExitStack() as held:
            kernel = held.enter_context(NetlinkSocket())
            show(sorted(one.program.name for one in attachments.look(kernel, held).ours))
    """)
    assert found == ["icshare_tc", "icshare_tc_ip"]


def test_without_the_privilege_nothing_is_attached_and_the_reason_told(inside: Inside) -> None:
    found = inside(
        """
        before = state()
        refused = refusal(fastpath.start, XDP)
        show([refused, state() == before, fastpath.running(), fastpath.probe(["lan0"]).kernel.bpf])
    """,
        wrapper=("unshare", "--user", "--map-root-user", "--net"),
    )
    assert found[0].startswith("NotSupportedError: the kernel does not take the fast path's program: ")
    assert found[1:] == [True, None, False]


def test_a_process_with_the_network_alone_may_not_start_it_and_hinders_nobody(inside: Inside) -> None:
    """The follower is such a process: it keeps CAP_NET_ADMIN."""
    found = inside("""
        fastpath.start(BOTH)
        there, generation = attached(), config().generation
        child = os.fork()
        if not child:
            from icshare.host.privileges import keep_only
            from icshare.host.processes import CAP_NET_ADMIN

            keep_only({CAP_NET_ADMIN})
            fastpath.refresh()
            seen = [fastpath.running(), len(fastpath.traffic()), refusal(fastpath.start, TC), refusal(fastpath.stop)]
            show(seen)
            sys.stdout.flush()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert attached() == there and config().generation == generation
    """)
    assert found[:2] == [None, 0]
    assert found[2].endswith("CAP_SYS_ADMIN is missing")
    assert found[3].startswith("PrivilegeError: cannot look at the BPF program")


def test_children_of_one_that_has_probed_begin_with_maps_of_their_own(inside: Inside) -> None:
    """They took the program that it had prepared, all the same one: the second found links of the first in its map."""
    found = inside("""
        def starts(configuration):
            child = os.fork()
            if not child:
                fastpath.start(configuration)
                kept = fastpath.running() == digest(configuration)
                fastpath.stop()
                os._exit(not kept)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

        assert fastpath.probe(["lan0"]).kernel.bpf
        first = starts(TC)
        sh("ip link del wan0")
        veth("wan1")
        show([first, starts(text(("tc", "lan0"), ("tc", "wan1")))])
    """)
    assert found == [True, True]


def test_a_child_of_one_that_has_probed_holds_no_program(inside: Inside) -> None:
    """Else the maps would take their memory for as long as it lives."""
    found = inside("""
        def programs():
            names = [one.name for one in Path("/proc/self/fd").iterdir()]
            return sum(os.path.realpath(f"/proc/self/fd/{name}").endswith("bpf-prog") for name in names)

        assert fastpath.probe(["lan0"]).kernel.bpf
        here = programs()
        child = os.fork()
        if not child:
            os._exit(programs())
        show([here, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), programs()])
    """)
    assert found == [1, 0, 1]


def test_what_links_can_do_is_told_with_reasons(inside: Inside) -> None:
    found = inside("""
        sh("ip link add bridge0 type bridge; ip tuntap add tun0 mode tun; ip link set lan0-peer down")
        sh("ethtool -K wan0-peer gro on; tc qdisc add dev wan0 clsact")
        with NetlinkSocket() as kernel:
            kernel.request(rtattach.attach_xdp(socket.if_nametoindex("lan0"), foreign_program()))
        before = state()
        able = fastpath.probe(["lan0", "wan0", "bridge0", "tun0", "eth9"])
        links = {one.name: one for one in able.links}
        show(
            [
                sorted(links), able.kernel.bpf, able.kernel.why_not_bpf, state() == before,
                [links["lan0"].driver, links["lan0"].native_xdp, links["lan0"].foreign_xdp, links["lan0"].sendable],
                [links["wan0"].sendable, links["wan0"].foreign_xdp, links["wan0"].foreign_filters],
                [links["bridge0"].native_xdp, links["bridge0"].why_not_native],
                [links["tun0"].ethernet, links["tun0"].why_not_native],
            ]
        )
    """)
    assert found[0] == ["bridge0", "lan0", "tun0", "wan0"]
    assert found[1:4] == [True, "", True]
    assert found[4][:3] == ["veth", True, True]
    assert found[5] == [True, False, False]
    assert found[6] == [False, "the driver bridge has no native XDP"]
    assert found[7] == [False, "its packets have no Ethernet header"]


def test_programs_of_ours_are_not_foreign(inside: Inside) -> None:
    found = inside("""
        fastpath.start(BOTH)
        able = fastpath.probe(["lan0"])
        (lan0,) = able.links
        show([able.kernel.bpf, lan0.foreign_xdp, lan0.foreign_filters, lan0.foreign_in_our_place])
    """)
    assert found == [True, False, False, False]
