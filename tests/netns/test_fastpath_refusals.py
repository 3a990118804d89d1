"""What the fast path refuses and why: what is of others stays as it was, and so does what is ours when a link fails."""

import pytest
from tests.netns.inside import Inside

pytestmark = [pytest.mark.netns, pytest.mark.programs]


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


def test_what_the_kernel_holds_is_told_and_nothing_is_changed_until_it_lets_go(inside: Inside) -> None:
    """It calls it EEXIST, which was taken for gone: stop left programs and called everything as before."""
    found = inside("""
        fastpath.start(XDP)
        foreign_program_above("lan0")
        before = state()
        stopped, prepared = refusal(fastpath.stop), refusal(fastpath.preflight, TC)
        changed = refusal(fastpath.start, TC)
        held = [state() == before, places(), refusal(fastpath.preflight, XDP)]
        sh("ip link set dev above0 xdpgeneric off")
        fastpath.preflight(TC)
        fastpath.stop()
        show([stopped, prepared, changed, held, places()])
    """)
    words = "ConflictError: the kernel holds the fast path on lan0: above0 above it has an XDP program as well"
    assert found[:3] == [words] * 3
    assert found[3] == [True, ["xdp lan0", "xdp wan0"], ""]
    assert found[4] == []


def test_a_program_that_is_held_by_a_link_nobody_can_see_is_not_called_gone(inside: Inside) -> None:
    found = inside("""
        fastpath.start(XDP)
        foreign_program_above("lan0")
        elsewhere = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec cat"], stdin=-1, stdout=-1)
        elsewhere.stdout.readline()
        sh(f"ip link set above0 netns {elsewhere.pid}")
        stopped = refusal(fastpath.stop)
        held = places()
        sh(f"nsenter --target {elsewhere.pid} --net ip link delete above0")
        elsewhere.communicate()
        fastpath.stop()
        show([stopped, held, places()])
    """)
    assert (
        found[0] == "ConflictError: the kernel holds the fast path on lan0: a link above it has an XDP program as well"
    )
    assert "xdp lan0" in found[1]
    assert found[2] == []


def test_a_filter_in_another_chain_is_not_ours(inside: Inside) -> None:
    found = inside("""
        fastpath.start(TC)
        sh("tc filter add dev lan0 ingress chain 5 pref 13700 handle 1 bpf bytecode '1,6 0 0 0'")
        (one,) = fastpath.probe(["lan0"]).links
        fastpath.stop()
        left = state()
        sh(f"tc filter del {one.foreign_filters[0].place}")
        show([[each.place for each in one.foreign_filters], places(), "chain 5" in left, "chain 5" in state()])
    """)
    assert found == [["dev lan0 ingress chain 5 pref 13700 handle 0x1 bpf"], [], True, False]


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


def test_what_others_police_with_stays_and_ours_hangs_on_it(inside: Inside) -> None:
    found = inside(f"""
        sh("tc qdisc add dev wan0 ingress")
        sh("{FOREIGN_FILTER.format(5).replace("ingress", "parent ffff:")}")
        before = state().replace("parent ffff: ", "")  # the kernel tells by what name it was last called
        (policed,) = fastpath.probe(["wan0"]).links
        fastpath.start(TC)
        there = places()
        fastpath.start(TC)
        fastpath.stop()
        show([there, state() == before, [[one.place, one.late] for one in policed.foreign_filters]])
    """)
    assert found == [["tc lan0", "tc wan0"], True, [["dev wan0 ingress pref 5", False]]]


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
                [links["wan0"].sendable, links["wan0"].foreign_xdp, len(links["wan0"].foreign_filters)],
                [links["bridge0"].native_xdp, links["bridge0"].why_not_native],
                [links["tun0"].ethernet, links["tun0"].why_not_native],
            ]
        )
    """)
    assert found[0] == ["bridge0", "lan0", "tun0", "wan0"]
    assert found[1:4] == [True, "", True]
    assert found[4][:3] == ["veth", True, "xdp"]
    assert found[5] == [True, "", 0]
    assert found[6] == [False, "the driver bridge has no native XDP"]
    assert found[7] == [False, "its packets have no Ethernet header"]


def test_programs_of_ours_are_not_foreign(inside: Inside) -> None:
    found = inside("""
        fastpath.start(BOTH)
        able = fastpath.probe(["lan0"])
        (lan0,) = able.links
        show([able.kernel.bpf, lan0.foreign_xdp, lan0.foreign_filters, lan0.foreign_tcx])
    """)
    assert found == [True, "", [], False]


@pytest.mark.parametrize("place", [46, 47])  # ingress and egress
def test_programs_of_tcx_are_seen_for_as_long_as_they_are_there(inside: Inside, place: int) -> None:
    found = inside(f"""
        fd = tcx_program(socket.if_nametoindex("lan0"), {place})
        first = fastpath.probe(["lan0", "wan0"])
        if fd is not None:
            os.close(fd)
        again = fastpath.probe(["lan0"])
        show([fd is not None, *(one.foreign_tcx for one in (*first.links, *again.links))])
    """)
    if not found[0]:
        pytest.skip("this kernel has no tcx (before Linux 6.6)")
    assert found[1:] == [True, False, False]
