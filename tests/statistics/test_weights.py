"""Bounds of a mean from its rows alone."""

import numpy as np
import pytest
from scipy.stats import beta, norm

from fdpipe.statistics.weights import MOST_VALUES, Sample, bounds, needed


def sample(losses: np.ndarray, worst: float = 1.0) -> Sample:
    return Sample.of(losses.astype(float), worst, -worst)


@pytest.mark.parametrize("lost", [0, 1, 5])
def test_of_all_or_nothing_it_is_clopper_and_pearson(lost: int) -> None:
    _, high = bounds(sample(np.arange(200) < lost), 0.05, draws=40_000)
    assert high == pytest.approx(beta.ppf(0.95, lost + 1, 200 - lost), rel=0.02)


def test_of_many_rows_it_is_normal() -> None:
    losses = np.random.default_rng(0).normal(0.5, 2.0, 20_000)
    found = sample(losses)
    assert len(found.values) == MOST_VALUES
    assert found.total == 20_000
    assert found.mean == pytest.approx(losses.mean())
    low, high = bounds(found, 0.05)
    reach = norm.ppf(0.95) * losses.std() / np.sqrt(20_000)
    assert low == pytest.approx(losses.mean() - reach, abs=reach / 8)
    assert high == pytest.approx(losses.mean() + reach, abs=reach / 8)


def test_grouping_rows_keeps_what_was_not_seen() -> None:
    """None of 5,000 rows, of which no two lost quite the same, lost anything: three rows may have."""
    _, high = bounds(sample(np.random.default_rng(0).normal(0, 1e-9, 5000)), 0.05)
    assert high == pytest.approx(3 / 5000, rel=0.05)


def test_the_same_seed_gives_the_same() -> None:
    losses = np.random.default_rng(0).normal(0, 1, 50)
    assert bounds(sample(losses), 0.05, seed=3) == bounds(sample(losses), 0.05, seed=3)
    assert bounds(sample(losses), 0.05, seed=3) != bounds(sample(losses), 0.05, seed=4)


def test_needed_is_about_enough() -> None:
    losses = np.random.default_rng(0).exponential(1.0, 100) - 1.0
    rows = needed(sample(losses, worst=5.0), losses.mean() + 0.1, 0.05)
    assert rows is not None
    many = np.tile(losses, round(rows / 100))
    assert bounds(sample(many, worst=5.0), 0.05)[1] == pytest.approx(losses.mean() + 0.1, abs=0.01)


def test_needed_where_nothing_was_lost_and_where_the_limit_was() -> None:
    assert needed(sample(np.zeros(10)), 0.01, 0.05) == pytest.approx(299, rel=0.1)
    assert needed(sample(np.full(10, 0.5)), 0.5, 0.05) is None
    assert needed(sample(np.full(10, 0.9)), 0.5, 0.05) == pytest.approx(10, abs=8)
