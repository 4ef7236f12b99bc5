"""Intervals hold the truth as often as they say, also where the run ends as soon as they decide."""

import numpy as np
import pytest

from fdpipe.artifacts import Interval, Pace
from fdpipe.race.intervals import FEWEST_SITTINGS, hopeless, interval, is_narrow, pace, undecided

PRECISION = 0.02


@pytest.mark.parametrize("count", [FEWEST_SITTINGS, 8, 12])
def test_it_holds_the_truth_as_often_as_it_says(count: int) -> None:
    random = np.random.default_rng(1)
    draws = [interval(random.normal(0.05, 0.02, count), 0.99, seed) for seed in range(300)]
    missed = sum(not found.low <= np.exp(0.05) <= found.high for found in draws)
    assert missed <= 9, "of 300 one in a hundred, and three deviations more"


def test_openings_that_are_sometimes_far_off_are_covered() -> None:
    random = np.random.default_rng(2)
    missed = 0
    for seed in range(300):
        logs = np.where(random.random(8) < 0.15, random.normal(0, 0.12, 8), random.normal(0, 0.02, 8))
        found = interval(logs, 0.99, seed)
        missed += not found.low <= 1 <= found.high
    assert missed <= 9


def simulated(truth: float, random: np.random.Generator, opening: float = 0.004) -> Pace:
    """A run as the benchmark ends it: after each sitting from the fewest on it may be decided."""
    logs = list(np.log(truth) + random.normal(0, opening, FEWEST_SITTINGS - 1))
    while len(logs) < 12:
        logs.append(np.log(truth) + random.normal(0, opening))
        found = interval(np.array(logs), 0.99, 0)
        if not undecided({1: [found]}, PRECISION):
            break
    return pace(found, PRECISION)


def test_two_of_the_same_are_rarely_called_different_though_the_run_may_end_at_any_sitting() -> None:
    random = np.random.default_rng(3)
    paces = [simulated(1.0, random) for _ in range(200)]
    assert sum(one in (Pace.FASTER, Pace.SLOWER) for one in paces) <= 10
    assert paces.count(Pace.ALIKE) > 100


@pytest.mark.parametrize(("truth", "expected"), [(0.98, Pace.FASTER), (1.02, Pace.SLOWER)])
def test_two_percent_are_found(truth: float, expected: Pace) -> None:
    random = np.random.default_rng(4)
    assert [simulated(truth, random) for _ in range(100)].count(expected) >= 95


def test_where_openings_differ_much_it_is_said_that_nothing_can_be_said() -> None:
    random = np.random.default_rng(5)
    assert [simulated(0.98, random, opening=0.1) for _ in range(50)].count(Pace.TOO_NOISY) >= 45


def test_more_confidence_is_wider_and_a_seed_repeats() -> None:
    logs = np.random.default_rng(2).normal(0, 0.1, 12)
    wide, narrow = interval(logs, 0.99, 0), interval(logs, 0.5, 0)
    assert wide.low < narrow.low <= narrow.middle <= narrow.high < wide.high
    assert interval(logs, 0.99, 0) == wide


def test_two_that_agree_are_not_exact() -> None:
    found = interval(np.zeros(2), 0.99, 0)
    assert found.low < 0.95 < 1.05 < found.high
    assert found.middle == 1


def test_one_sitting_that_was_disturbed_does_not_move_the_middle() -> None:
    assert interval(np.array([0.0] * 11 + [1.0]), 0.99, 0).middle == 1


def ratio(low: float, high: float) -> Interval:
    return Interval(low=low, middle=(low * high) ** 0.5, high=high)


def test_a_pace_is_what_the_interval_says() -> None:
    assert pace(ratio(0.5, 0.999), PRECISION) is Pace.FASTER
    assert pace(ratio(1.001, 1.5), PRECISION) is Pace.SLOWER
    assert pace(ratio(0.995, 1.005), PRECISION) is Pace.ALIKE
    assert pace(ratio(0.95, 1.05), PRECISION) is Pace.TOO_NOISY
    assert is_narrow(ratio(1.0, 1.02), PRECISION)
    assert not is_narrow(ratio(1.0, 1.021), PRECISION)


def test_what_is_narrow_or_surely_behind_is_decided() -> None:
    narrow, wide, behind = ratio(0.5, 0.505), ratio(0.5, 0.6), ratio(1.1, 1.5)
    assert undecided({1: [narrow], 2: [behind]}, PRECISION) == []
    assert undecided({1: [narrow], 2: [wide]}, PRECISION) == [2]
    assert undecided({1: [narrow, wide]}, PRECISION) == [1], "every size counts"
    assert undecided({1: [ratio(0.9, 1.1)]}, PRECISION) == [1]
    assert undecided({}, PRECISION) == []


def test_hopeless_is_what_another_surely_beats_at_every_size() -> None:
    fast, slow = ratio(0.5, 0.55), ratio(1.2, 1.3)
    assert hopeless({1: [slow]}) == {1: None}, "the baseline is far ahead"
    assert hopeless({1: [slow], 2: [fast]}) == {1: 2}, "the fastest is named"
    assert hopeless({1: [ratio(1.05, 1.08)]}) == {}, "it is near"
    assert hopeless({1: [slow, fast], 2: [fast, slow]}) == {}, "each is faster at a size"
    assert hopeless({1: [ratio(0.8, 1.1)], 2: [ratio(0.1, 0.11)]}) == {}, "whether it beats the baseline is not known"
    assert hopeless({1: [ratio(0.8, 0.9)], 2: [ratio(0.1, 0.11)]}) == {1: 2}


def test_at_most_half_leave_at_a_time_the_slowest_first() -> None:
    ratios = {number: [ratio(number + 1, number + 1.1)] for number in range(1, 5)}
    assert set(hopeless(ratios)) == {3, 4}
