"""The fast path starts: where its program is, what it is told, and that nothing of it is left by a stop."""

import textwrap

import pytest
from tests.netns.inside import Inside

pytestmark = [pytest.mark.netns, pytest.mark.programs]


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


def test_the_cache_has_its_size_from_the_machine(inside: Inside) -> None:
    found = inside("""
        fastpath.start(XDP)
        with looked() as there:
            (flows,) = maps(there, "flows")
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
        with looked() as (links, _):
            show(sorted(one.program.name for one in links.ours))
    """)
    assert found == ["icshare_tc", "icshare_tc_ip"]


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
        with looked() as links:
            (spare,) = maps(links, "spare")
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
        while True:  # a last acknowledgement may come while this is read
            there = arrived()
            reasons, (account, counter) = fastpath.reasons(), *fastpath.traffic().items()
            if arrived() == there:
                break
        with looked() as links:
            (accounts,) = maps(links, "accounts")
            given = [wire.slot(one) for one in accounts.items().values()]
        show([
            given, str(account.address), sum(reasons.values()) - (there - before),
            counter.sent_packets + counter.received_packets - reasons[wire.Reason.FAST],
            counter.sent_packets, counter.received_packets,
        ])
    """),
        wrapper=("unshare", "--net", "--mount"),
    )
    given, address, unseen, uncounted, sent, received = found
    assert given == [77], "a place that is free again is taken first"
    assert (address, unseen, uncounted) == ("192.168.137.2", 0, 0)
    assert min(sent, received) > 1000
