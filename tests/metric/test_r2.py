"""The coefficient of determination."""

import math

import numpy as np
import pytest
from sklearn.metrics import r2_score

from fdpipe.metric.r2 import R2
from tests.contracts.metric import Case, MetricContract
from tests.contracts.settings import built

VALUES = np.array([1.0, 2.0, 3.0, 4.0])
OFF = VALUES + np.array([1.0, -1.0, 0.0, 1.0])
# The squared errors are 3, and the squared distances from 2.5 are 5.


class TestR2(MetricContract):
    @pytest.fixture
    def metric(self) -> R2:
        return R2()

    @pytest.fixture(
        params=[
            Case(answers={"value": OFF}, labels=VALUES, figure=0.4),
            Case(answers={"y": OFF[:, None].astype(np.float32)}, labels=VALUES.astype(int), figure=0.4),
            Case(answers={"value": np.full(4, 2.5)}, labels=VALUES, figure=0.0),
            Case(answers={"value": np.stack([OFF, VALUES], 1)}, labels=np.stack([VALUES, VALUES], 1), figure=0.7),
        ]
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        found: Case = request.param
        return found

    @pytest.fixture
    def perfect(self) -> Case:
        return Case(answers={"value": VALUES}, labels=VALUES, figure=1)

    @pytest.fixture
    def worse(self) -> Case:
        return Case(answers={"value": OFF}, labels=VALUES, figure=0.4)


def test_its_file_builds() -> None:
    assert built("metric", "r2") == R2()


def test_it_is_the_librarys() -> None:
    random = np.random.default_rng(0)
    found, labels = random.normal(size=(50, 3)), random.normal(size=(50, 3)) * [1, 10, 0.1]
    assert R2().score({"value": found}, labels) == pytest.approx(r2_score(labels, found), rel=1e-12)


@pytest.mark.parametrize(
    ("answers", "labels"),
    [(VALUES, np.ones(4)), (VALUES[:1], VALUES[:1]), (VALUES * np.nan, VALUES), (VALUES, np.array(list("abcd")))],
)
def test_without_variance_there_is_nothing_to_explain(answers: np.ndarray, labels: np.ndarray) -> None:
    assert math.isnan(R2().score({"value": answers}, labels))
