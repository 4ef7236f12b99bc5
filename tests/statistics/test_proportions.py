"""Exact tests for labels, against what others compute and by enumeration."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binomtest, multinomial

from fdpipe.statistics.proportions import lower, needed, p_alike, p_within, score, upper


def test_no_disagreement_needs_as_many_rows_as_the_rule_of_three_says() -> None:
    assert p_within(0, 0, 298, 0.01) > 0.05 >= p_within(0, 0, 299, 0.01)
    assert upper(0, 0, 299, 0.05) == pytest.approx(1 - 0.05 ** (1 / 299), rel=0.01)
    assert needed(0, 0, 100, 0.01, 0.05) == 299


def test_more_disagreement_needs_more_rows() -> None:
    some = [needed(share, share, 10_000, 0.01, 0.05) for share in (0, 50, 100, 500)]
    assert all(one is not None for one in some)
    assert some == sorted(some)  # type: ignore[type-var]
    assert 541 <= (some[2] or 0) <= 700, "2 % disagreement: z² · 0.02 / 0.01² is 541 in large numbers"
    assert some[3] == pytest.approx(1.6449**2 * 0.1 / 0.01**2, rel=0.05)


def test_the_p_value_is_a_probability_by_enumeration() -> None:
    """Every outcome of 12 rows that is no worse than the one seen, at the rate at which they are likeliest."""
    rows, limit, lost, gained = 12, 0.2, 1, 2
    outcomes = [(b, c) for b, c in itertools.product(range(rows + 1), repeat=2) if b + c <= rows]
    seen = score(np.array([lost]), np.array([gained]), rows, limit)[0]
    extreme = [pair for pair in outcomes if score(np.array([pair[0]]), np.array([pair[1]]), rows, limit)[0] <= seen + 1e-9]

    def likely(rate: float) -> float:
        chances = (rate + limit, rate, 1 - limit - 2 * rate)
        return float(sum(multinomial.pmf([b, c, rows - b - c], rows, chances) for b, c in extreme))

    assert p_within(lost, gained, rows, limit) == pytest.approx(max(map(likely, np.linspace(0, 0.399, 60))), rel=0.01)


@pytest.mark.parametrize(("lost", "gained", "rows"), [(0, 0, 50), (3, 1, 80), (1, 30, 200), (40, 38, 500)])
def test_bounds_enclose_the_loss_and_mirror_each_other(lost: int, gained: int, rows: int) -> None:
    low, high = lower(lost, gained, rows, 0.05), upper(lost, gained, rows, 0.05)
    assert low < (lost - gained) / rows < high
    assert (low, high) == (-upper(gained, lost, rows, 0.05), -lower(gained, lost, rows, 0.05))
    assert p_within(lost, gained, rows, high) <= 0.05 < p_within(lost, gained, rows, high - 0.05 * (high - low))


def test_needed_is_enough_and_a_tenth_less_is_not() -> None:
    rows = needed(3, 1, 400, 0.02, 0.05)
    assert rows is not None
    assert p_within(round(3 * rows / 400), round(rows / 400), rows, 0.02) <= 0.05 + 0.01
    fewer = int(0.85 * rows)
    assert p_within(math.ceil(3 * fewer / 400), fewer // 400, fewer, 0.02) > 0.05


def test_few_rows_that_happened_to_gain_do_not_stand_for_many() -> None:
    assert p_within(0, 2, 60, 0.04) <= 0.05
    assert upper(0, 2, 60, 0.05) >= 1 - 0.05 ** (1 / 60)
    assert needed(0, 2, 60, 0.01, 0.05) == 299
    assert upper(0, 12, 60, 0.05) < 0, "it is surely better"


def test_a_loss_that_is_the_limit_is_never_decided() -> None:
    assert needed(5, 0, 500, 0.01, 0.05) is None


def test_a_surely_larger_loss_is_decided_too() -> None:
    rows = needed(12, 2, 300, 0.01, 0.05)
    assert rows is not None
    assert rows > 0


def test_differ_is_the_exact_binomial_test() -> None:
    assert p_alike(2, 9) == pytest.approx(binomtest(2, 11).pvalue)
    assert p_alike(0, 0) == p_alike(4, 4) == 1.0


@pytest.mark.parametrize("counts", [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_counts_that_cannot_be(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="lost and gained must be"):
        p_within(*counts, 0.01)


def test_a_limit_of_everything() -> None:
    assert (p_within(1, 0, 9, 1.0), p_within(1, 0, 9, -1.0)) == (0.0, 1.0)
