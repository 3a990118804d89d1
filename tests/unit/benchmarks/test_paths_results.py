"""What the benchmark of the paths says about the values it has."""

import pytest
from benchmarks.paths.results import MEASURES, PACKETS, Results, figure, summarise


@pytest.fixture
def results() -> Results:
    return Results(contenders=("a", "b"))


def test_a_single_value_is_its_own_median_without_spread() -> None:
    found = summarise([3.0])
    assert (found.median, found.low, found.high, found.spread) == (3, 3, 3, 0)


def test_the_spread_is_the_middle_half_as_a_part_of_the_median() -> None:
    found = summarise([5.0, 1.0, 2.0, 4.0, 3.0])
    assert (found.median, found.low, found.high) == (3, 2, 4)
    assert found.spread == pytest.approx(2 / 3)


def test_values_that_are_all_zero_have_no_spread() -> None:
    assert summarise([0.0, 0.0]).spread == 0


def test_a_ratio_is_taken_within_each_repeat(results: Results) -> None:
    # A machine that slows down from repeat to repeat: the ratio of the medians would be 1.
    for repeat, (one, other) in enumerate([(20, 10), (8, 4), (4, 20)]):
        results.add("a", PACKETS[0], repeat, one)
        results.add("b", PACKETS[0], repeat, other)
    found = results.ratio("a", "b", PACKETS[0])
    assert found is not None
    assert found.median == 2


def test_a_ratio_leaves_out_repeats_that_only_one_has(results: Results) -> None:
    results.add("a", PACKETS[0], 0, 6)
    results.add("a", PACKETS[0], 1, 8)
    results.add("b", PACKETS[0], 1, 2)
    results.add("b", PACKETS[0], 2, 100)
    found = results.ratio("a", "b", PACKETS[0])
    assert found is not None
    assert (found.low, found.high) == (4, 4)


def test_without_a_common_repeat_there_is_no_ratio(results: Results) -> None:
    results.add("a", PACKETS[0], 0, 6)
    assert results.ratio("a", "b", PACKETS[0]) is None
    results.add("b", PACKETS[0], 1, 6)
    assert results.ratio("a", "b", PACKETS[0]) is None


def test_what_was_not_measured_has_no_summary(results: Results) -> None:
    assert results.summary("a", PACKETS[0]) is None


def test_more_is_better_for_rates_and_less_for_times() -> None:
    assert MEASURES["1 flow up"].more_is_better
    assert not MEASURES["p99 loaded"].more_is_better


@pytest.mark.parametrize(
    ("value", "text"), [(0.2712, "0.271"), (3.0, "3"), (99.96, "100"), (4158.2, "4,158"), (10_400, "10,400")]
)
def test_figures_are_written_as_people_write_them(value: float, text: str) -> None:
    assert figure(value) == text
