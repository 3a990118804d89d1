"""Which goals of the fast path are met."""

import pytest
from benchmarks.paths.contenders import FLOWTABLE, OFF, PLAIN, TC, XDP
from benchmarks.paths.goals import GOALS, NETWORK_MANAGER, OURS, Goal, judge
from benchmarks.paths.peers import PEERS
from benchmarks.paths.results import CONNECTIONS, LOADED, PACKETS, Results
from benchmarks.paths.table import absent_lines, goal_lines, lines, missed

PEER = "create_ap rules"


@pytest.fixture
def results() -> Results:
    return Results(contenders=(PLAIN, OFF, TC, XDP, *PEERS))


def goal(ours: str, name: str, measure: str) -> Goal:
    (found,) = (one for one in GOALS if (one.ours, one.name) == (ours, name) and measure in one.measures)
    return found


def test_a_rate_is_to_be_at_least_so_many_times_the_other(results: Results) -> None:
    results.add(PLAIN, PACKETS[0], 0, 1.0)
    results.add(XDP, PACKETS[0], 0, 2.0)
    verdict = judge(goal(XDP, PLAIN, PACKETS[0]), results)[0]
    assert (verdict.measure, verdict.other, verdict.times, verdict.met) == (PACKETS[0], PLAIN, 2, True)
    results.add(XDP, PACKETS[0], 0, 1.99)
    assert judge(goal(XDP, PLAIN, PACKETS[0]), results)[0].met is False


def test_the_fastest_peer_is_what_counts(results: Results) -> None:
    results.add(XDP, PACKETS[0], 0, 12.0)
    results.add(NETWORK_MANAGER, PACKETS[0], 0, 2.0)
    results.add(PEER, PACKETS[0], 0, 5.0)
    results.add(PLAIN, PACKETS[0], 0, 50.0)  # is no peer
    verdict = judge(goal(XDP, "every peer", PACKETS[0]), results)[0]
    assert (verdict.other, verdict.times, verdict.met) == (PEER, 2.4, False)


def test_a_time_is_to_be_no_longer_than_that_of_the_quickest_peer(results: Results) -> None:
    measure = LOADED[1]
    results.add(XDP, measure, 0, 2.0)
    results.add(NETWORK_MANAGER, measure, 0, 4.0)
    assert judge(goal(XDP, "every peer", measure), results)[0].met is True
    results.add(PEER, measure, 0, 1.0)
    verdict = judge(goal(XDP, "every peer", measure), results)[0]
    assert (verdict.other, verdict.times, verdict.met) == (PEER, 2, False)


def test_peers_that_only_translate_do_not_count_where_filtering_does(results: Results) -> None:
    results.add(OFF, CONNECTIONS, 0, 2.0)
    results.add(NETWORK_MANAGER, CONNECTIONS, 0, 1.0)
    results.add("networkd IPMasquerade", CONNECTIONS, 0, 9.0)
    assert judge(goal(OFF, "every peer that filters", CONNECTIONS), results)[0].met is True


def test_nothing_to_compare_is_neither_met_nor_missed(results: Results) -> None:
    assert {one.met for demanded in GOALS for one in judge(demanded, results)} == {None}
    assert missed(results) == 0


def test_a_goal_missed_by_one_measure_is_missed(results: Results) -> None:
    for measure, rate in zip(PACKETS, (3.0, 3.0, 1.5, 3.0, 3.0, 1.0), strict=True):
        results.add(PLAIN, measure, 0, 1.0)
        results.add(XDP, measure, 0, rate)
    assert missed(results) == 1
    (line,) = (one for one in goal_lines(results) if "MISSED" in one)
    assert line == (
        "  icshare xdp >= 2 x plain routing, small packets: 3.00  3.00  1.50  3.00  3.00  1.00: MISSED by 50% in 2 of 6"
    )


def test_everybody_who_is_named_takes_part() -> None:
    names = {one for demanded in GOALS for one in demanded.others(Results(contenders=(*OURS, *PEERS)))}
    assert {*PEERS} < names


def test_the_report_names_who_was_not_measured_and_why(results: Results) -> None:
    results.absent[FLOWTABLE] = "this kernel has no flowtables"
    results.unable["pasta", PACKETS[0]] = results.unable["pasta", PACKETS[1]] = "it has a link of its own"
    assert [*absent_lines(results)][1:] == [
        "not measured",
        "  icshare flowtable: this kernel has no flowtables",
        "  pasta (1 flow up; 1 flow down): it has a link of its own",
    ]


def test_ratios_come_first_in_the_report(results: Results) -> None:
    results.add(PLAIN, PACKETS[0], 0, 2e6)
    results.add(XDP, PACKETS[0], 0, 5e6)
    found = [line for line in lines(results) if line.startswith("icshare xdp ")]
    assert [line.split()[2] for line in found] == ["2.50", "5"]
