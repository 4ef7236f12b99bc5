"""The root of the mean squared error."""

import math

import numpy as np
import pytest

from fdpipe.metric.rmse import Rmse
from tests.contracts.metric import Case, MetricContract
from tests.contracts.settings import built

VALUES = np.array([1.0, 2.0, 3.0, 4.0])
OFF = VALUES + np.array([1.0, -1.0, 3.0, 1.0])


def valued(answers: np.ndarray, labels: np.ndarray = VALUES, figure: float = 0.0) -> Case:
    return Case(answers={"value": answers}, labels=labels, figure=figure)


class TestRmse(MetricContract):
    @pytest.fixture
    def metric(self) -> Rmse:
        return Rmse()

    @pytest.fixture(
        params=[
            valued(OFF, figure=math.sqrt(3)),
            valued(OFF[:, None].astype(np.float32), figure=math.sqrt(3)),
            valued(OFF, VALUES[:, None].astype(int), figure=math.sqrt(3)),
            valued(OFF.reshape(2, 2), VALUES.reshape(2, 2), figure=math.sqrt(3)),
            Case(answers={"y": OFF}, labels=VALUES, figure=math.sqrt(3)),
        ]
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        found: Case = request.param
        return found

    @pytest.fixture
    def perfect(self) -> Case:
        return valued(VALUES)

    @pytest.fixture
    def worse(self) -> Case:
        return valued(OFF)


def test_its_file_builds() -> None:
    assert built("metric", "rmse") == Rmse()


@pytest.mark.parametrize(
    ("answers", "labels"),
    [(np.ones((4, 3)), VALUES), (VALUES, np.array(list("abcd"))), (np.array([1.0, np.nan, 3.0, 4.0]), VALUES)],
)
def test_what_cannot_be_subtracted_has_no_figure(answers: np.ndarray, labels: np.ndarray) -> None:
    assert math.isnan(Rmse().score({"value": answers}, labels))
