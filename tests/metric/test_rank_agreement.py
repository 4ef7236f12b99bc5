"""The correlation of ranks with the original's."""

import math

import numpy as np
import pytest

from fdpipe.metric._ranks import Of
from fdpipe.metric.rank_agreement import RankAgreement
from tests.contracts.metric import Case, MetricContract
from tests.contracts.settings import built

VALUES = np.array([10.0, 20.0, 30.0, 40.0])
# Ranks 1, 2, 3, 4 and 2, 1, 3, 4: the squared differences are 2, and one pair of six is in the other order.
MOVED = np.array([0.2, 0.1, 0.7, 7.0])
SPEARMAN, KENDALL = 1 - 6 * 2 / (4 * 15), 4 / 6


class TestRankAgreement(MetricContract):
    @pytest.fixture
    def metric(self) -> RankAgreement:
        return RankAgreement()

    @pytest.fixture(
        params=[
            Case(answers={"value": MOVED}, labels=VALUES, figure=SPEARMAN),
            Case(answers={"y": MOVED[:, None].astype(np.float32)}, labels=VALUES.astype(int), figure=SPEARMAN),
            Case(answers={"value": np.stack([MOVED, -VALUES], 1)}, labels=np.stack([VALUES] * 2, 1), figure=(SPEARMAN - 1) / 2),
        ]
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        found: Case = request.param
        return found

    @pytest.fixture
    def perfect(self) -> Case:
        return Case(answers={"value": VALUES**3}, labels=VALUES, figure=1)

    @pytest.fixture
    def worse(self) -> Case:
        return Case(answers={"value": MOVED}, labels=VALUES, figure=SPEARMAN)


def test_its_file_builds() -> None:
    assert built("metric", "rank_agreement") == RankAgreement()


def test_kendall_counts_pairs() -> None:
    assert RankAgreement(of=Of.KENDALL).score({"value": MOVED}, VALUES) == pytest.approx(KENDALL)


def test_what_has_no_order_has_no_figure() -> None:
    assert math.isnan(RankAgreement().score({"value": np.ones(4)}, VALUES))
