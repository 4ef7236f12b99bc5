"""The correlation of ranks with the labels."""

from typing import ClassVar

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from fdpipe.metric._ranks import Of
from fdpipe.metric.rank_correlation import RankCorrelation
from tests.contracts.metric import Case, MetricContract

VALUES, ONES = np.array([10.0, 20.0, 30.0, 40.0]), np.ones(4)
# Ranks 1, 2, 3, 4 and 2, 1, 3, 4: the squared differences are 2, and one pair of six is in the other order.
MOVED = np.array([0.2, 0.1, 0.7, 7.0])
SPEARMAN, KENDALL = 1 - 6 * 2 / (4 * 15), 4 / 6


class TestRankCorrelation(MetricContract):
    metric = RankCorrelation()
    known: ClassVar[tuple[Case, ...]] = (
        Case(answers={"value": MOVED}, labels=VALUES, figure=SPEARMAN),
        Case(answers={"y": MOVED[:, None].astype(np.float32)}, labels=VALUES.astype(int), figure=SPEARMAN),
        Case(answers={"value": np.stack([MOVED, -VALUES], 1)}, labels=np.stack([VALUES] * 2, 1), figure=(SPEARMAN - 1) / 2),
    )
    without = tuple(Case(answers={"value": one}, labels=other) for one, other in ((VALUES, ONES), (ONES, VALUES)))
    perfect = Case(answers={"value": VALUES**3}, labels=VALUES, figure=1)
    worse = Case(answers={"value": MOVED}, labels=VALUES, figure=SPEARMAN)


def test_it_is_the_librarys() -> None:
    """With equal values in both."""
    random = np.random.default_rng(0)
    found, labels = random.integers(0, 20, size=(2, 100)).astype(float)
    assert RankCorrelation().score({"value": found}, labels) == pytest.approx(spearmanr(found, labels).statistic, rel=1e-12)
    wanted = kendalltau(found, labels).statistic
    assert RankCorrelation(of=Of.KENDALL).score({"value": found}, labels) == pytest.approx(wanted, rel=1e-12)


class TestOfPairs(TestRankCorrelation):
    metric = RankCorrelation(of=Of.KENDALL)
    known: ClassVar[tuple[Case, ...]] = (Case(answers={"value": MOVED}, labels=VALUES, figure=KENDALL),)
