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
from icshare.host.nft import Nftables
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

def client(number):
    return wire.ACCOUNT.pack(bytes(10) + b"\\xff\\xff" + IPv4Address(f"192.168.137.{number}").packed, 0, 0, 0)

def count(account, slot, sent, received):
    # One of the running programs has counted for an account, on one CPU.
    with ExitStack() as held:
        kernel = held.enter_context(NetlinkSocket())
        links = attachments.look(kernel, held)
        maps = attachments.open_maps(links.ours[0].program, held)
        maps["accounts"].update(account, wire.key(slot))
        zeros = wire.COUNTER.pack(0, 0, 0, 0) * (libbpf.possible_cpus() - 1)
        maps["counters"].update(wire.key(slot), wire.COUNTER.pack(sent, 1, received, 1) + zeros)

def bytes_told():
    return {str(to.address): [one.sent_bytes, one.received_bytes] for to, one in fastpath.traffic().items()}

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
        count(client(9), 3, 10, 20)
        before = bytes_told()
        fastpath.start(TC)
        show([before, bytes_told(), sh("nft list tables")])
    """)
    assert found == [{"192.168.137.9": [10, 20]}, {"192.168.137.9": [10, 20]}, "table inet x\n"]


def test_what_was_counted_survives_a_stop_for_as_long_as_the_table_stays(inside: Inside) -> None:
    """It was forgotten, so that the bytes of a client went backwards."""
    found = inside("""
        sh("nft add table inet icshare")
        told = []
        for round in (1, 2, 3):
            fastpath.start(XDP)
            count(client(9), 3, 10, 20)
            count(client(round), 4, round, 0)
            fastpath.stop()
            told.append(bytes_told())
        fastpath.start(TC)
        told.append(bytes_told())
        sh("nft delete table inet icshare")
        told.append(bytes_told())
        fastpath.stop()
        show([told, sh("nft list tables")])
    """)
    told, tables = found
    firsts = [{f"192.168.137.{number}": [number, 0] for number in range(1, rounds + 1)} for rounds in (1, 2, 3, 3)]
    nines = [{"192.168.137.9": [sum_, 2 * sum_]} for sum_ in (10, 20, 30, 30)]
    assert told == [*(one | other for one, other in zip(firsts, nines, strict=True)), {}]
    assert tables == "table inet x\n"


def test_nothing_is_written_down_where_nothing_was_counted(inside: Inside) -> None:
    found = inside("""
        sh("nft add table inet icshare")
        before = sh("nft list ruleset")
        for one in (XDP, TC):
            fastpath.start(one)
            fastpath.stop()
        show(sh("nft list ruleset") == before)
    """)
    assert found


def test_what_was_counted_survives_new_maps(inside: Inside) -> None:
    """A version with another layout begins with empty ones."""
    found = inside("""
        sh("nft add table inet icshare")
        fastpath.start(TC)
        count(client(9), 3, 10, 20)
        loader._kept = lambda *_: {}
        fastpath.start(BOTH)
        told = [bytes_told()]
        count(client(9), 5, 1, 2)
        told.append(bytes_told())
        fastpath.start(XDP)
        told.append(bytes_told())
        fastpath.stop()
        show([*told, bytes_told()])
    """)
    assert found == [{"192.168.137.9": one} for one in ([10, 20], [11, 22], [11, 22], [11, 22])]


@pytest.mark.parametrize("moment", ["before it is written", "after it was written", "in the middle", "at the end"])
@pytest.mark.parametrize("action", ["stop()", "start(BOTH)"])
def test_a_kill_at_any_moment_counts_nothing_twice_and_forgets_nothing(
    inside: Inside, action: str, moment: str
) -> None:
    """Programs are taken away, or others with new maps take their place."""
    found = inside(f"""
        ACTION, MOMENT = "{action}", "{moment}"
        sh("nft add table inet icshare")
        loader._kept = lambda *_: {{}}
        for round in (1, 2):
            fastpath.start(TC)
            count(client(9), 3, 10, 20)
            if round == 1:
                fastpath.stop()
        write, take_away = loader.ledger.write, loader.detach

        def write_or_die(nft, books):
            if MOMENT.startswith("after"):
                write(nft, books)
            os._exit(9)

        def take_and_die(kernel, links, attachments):
            take_away(kernel, links, [*attachments][: 1 if MOMENT == "in the middle" else None])
            os._exit(9)

        if os.fork() == 0:
            if MOMENT.endswith("written"):
                loader.ledger.write = write_or_die
            else:
                loader.detach = take_and_die
            eval("fastpath." + ACTION)
            os._exit(0)
        died = os.waitstatus_to_exitcode(os.wait()[1]) == 9
        told = [bytes_told()]
        for one in ("start(TC)", "start(XDP)", "stop()", "start(TC)", "stop()"):
            eval("fastpath." + one)
            told.append(bytes_told())
        show([died, told])
    """)
    assert found == [True, [{"192.168.137.9": [20, 40]}] * 6]


def test_the_places_of_what_is_forgotten_are_given_to_others(inside: Inside) -> None:
    """Accounts were never closed, so that after 16,383 mappings and clients nobody else went fast."""
    found = inside("""
        def mapping(number):
            return wire.Account(IPv4Address("192.168.137.9"), 80, number, 6)

        def key(account):
            address = bytes(10) + b"\\xff\\xff" + account.address.packed
            return wire.ACCOUNT.pack(address, account.port, account.external, account.protocol)

        def spare():
            with ExitStack() as held:
                kernel = held.enter_context(NetlinkSocket())
                links = attachments.look(kernel, held)
                (queue,) = loader._maps(links, held, "spare")
                (counters,) = loader._maps(links, held, "counters")
                pop = libbpf._load_library().bpf_map_lookup_and_delete_elem
                pop.argtypes, found = [ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p], []
                value = ctypes.create_string_buffer(4)
                while pop(queue.fd, None, value) == 0:
                    counted = wire.sum_counters(counters.lookup(value.raw))
                    found.append([wire.slot(value.raw), counted == wire.Counter()])
                return found

        def told():
            return sorted(to.external for to in fastpath.traffic())

        sh("nft add table inet icshare")
        fastpath.start(TC)
        for number in (1, 2, 3):
            count(key(mapping(number)), number, 10, 20)
        fastpath.stop()
        fastpath.start(TC)
        for number in (2, 3, 4):
            count(key(mapping(number)), 10 + number, 10, 20)
        generation = config().generation
        before, nft = told(), Nftables().__enter__()
        fastpath.forget({mapping(5)}, nft)
        unmoved = config().generation == generation
        fastpath.forget({mapping(1), mapping(2), mapping(4), mapping(5)}, nft)
        counter = fastpath.traffic()[mapping(3)]
        show([before, unmoved, told(), counter.sent_bytes, config().generation - generation, sorted(spare())])
    """)
    assert found == [[1, 2, 3, 4], True, [3], 20, 1, [[12, True], [14, True]]]


def test_who_has_little_room_left_for_accounts_begins_with_new_maps(inside: Inside) -> None:
    found = inside("""
        sh("nft add table inet icshare")
        fastpath.start(TC)
        count(client(9), 3, 10, 20)
        with ExitStack() as held:
            kernel = held.enter_context(NetlinkSocket())
            (opened,) = loader._maps(attachments.look(kernel, held), held, "accounts")
            for number in range(opened.layout.max_entries // 2):
                opened.update(wire.ACCOUNT.pack(bytes(16), number, 0, 6), wire.key(1000))
            full = opened.id
        fastpath.start(XDP)
        with ExitStack() as held:
            kernel = held.enter_context(NetlinkSocket())
            (opened,) = loader._maps(attachments.look(kernel, held), held, "accounts")
            show([opened.id != full, len(opened.items()), bytes_told()])
    """)
    assert found == [True, 0, {"192.168.137.9": [10, 20]}]


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
        # As a sharing sets it: conntrack does not see all segments, and must not call the later ones invalid.
        sh("sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=1")

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
        with ExitStack() as held:
            kernel = held.enter_context(NetlinkSocket())
            (spare,) = loader._maps(attachments.look(kernel, held), held, "spare")
            spare.push(wire.key(77))
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
        with ExitStack() as held:
            kernel = held.enter_context(NetlinkSocket())
            (accounts,) = loader._maps(attachments.look(kernel, held), held, "accounts")
            given = [wire.slot(one) for one in accounts.items().values()]
        show([
            given,
            str(account.address), sum(reasons.values()) - (arrived() - before),
            counter.sent_packets + counter.received_packets - reasons[wire.Reason.FAST],
            counter.sent_packets, counter.received_packets,
        ])
    """),
        wrapper=("unshare", "--net", "--mount"),
    )
    given, address, unseen, uncounted, sent, received = found
    assert given == [77], "a place that was free again is taken first"
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
