"""The fast path is changed while it runs: by us, by others, by a process that dies in the middle."""

import textwrap

import pytest
from tests.netns.inside import Inside

pytestmark = [pytest.mark.netns, pytest.mark.programs]


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
        with looked() as there:
            (accounts,), (counters,) = maps(there, "accounts"), maps(there, "counters")
            client = wire.ACCOUNT.pack(bytes(10) + b"\\xff\\xff" + IPv4Address("192.168.137.9").packed, 0, 0, 0)
            accounts.update(client, wire.key(3))
            counters.update(wire.key(3), wire.COUNTER.pack(10, 1, 20, 2) * libbpf.possible_cpus())
        before = fastpath.traffic()
        fastpath.start(TC)
        after = fastpath.traffic()
        (account, counter), = after.items()
        show([before == after, str(account.address), counter.sent_bytes // libbpf.possible_cpus()])
    """)
    assert found == [True, "192.168.137.9", 10]


def test_maps_of_another_layout_are_not_taken_over(inside: Inside) -> None:
    found = inside("""
        fastpath.start(XDP)
        with looked() as (links, held):
            layouts = dict(libbpf.Object(loader.shipped_object(), "fastpath").layouts())
            same = loader._kept(links, held, layouts)
            layouts["counters"] = replace(layouts["counters"], value_size=64)
            show([sorted(same) == sorted(loader.KEPT_MAPS), len(loader._kept(links, held, layouts))])
    """)
    assert found == [True, 0]


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
