"""The correlation of ranks with the original's."""

from typing import ClassVar

import numpy as np

from fdpipe.metric._ranks import Of
from fdpipe.metric.rank_agreement import RankAgreement
from tests.contracts.metric import Case, MetricContract

VALUES = np.array([10.0, 20.0, 30.0, 40.0])
# Ranks 1, 2, 3, 4 and 2, 1, 3, 4: the squared differences are 2, and one pair of six is in the other order.
MOVED = np.array([0.2, 0.1, 0.7, 7.0])
SPEARMAN, KENDALL = 1 - 6 * 2 / (4 * 15), 4 / 6


class TestRankAgreement(MetricContract):
    metric = RankAgreement()
    known: ClassVar[tuple[Case, ...]] = (
        Case(answers={"value": MOVED}, labels=VALUES, figure=SPEARMAN),
        Case(answers={"y": MOVED[:, None].astype(np.float32)}, labels=VALUES.astype(int), figure=SPEARMAN),
        Case(answers={"value": np.stack([MOVED, -VALUES], 1)}, labels=np.stack([VALUES] * 2, 1), figure=(SPEARMAN - 1) / 2),
    )
    without = (Case(answers={"value": np.ones(4)}, labels=VALUES),)
    perfect = Case(answers={"value": VALUES**3}, labels=VALUES, figure=1)
    worse = Case(answers={"value": MOVED}, labels=VALUES, figure=SPEARMAN)


class TestOfPairs(TestRankAgreement):
    metric = RankAgreement(of=Of.KENDALL)
    known: ClassVar[tuple[Case, ...]] = (Case(answers={"value": MOVED}, labels=VALUES, figure=KENDALL),)
