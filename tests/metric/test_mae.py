"""The mean absolute error."""

import math

import numpy as np
import pytest

from fdpipe.metric.mae import Mae
from tests.contracts.metric import Case, MetricContract
from tests.contracts.settings import built

VALUES = np.array([1.0, 2.0, 3.0, 4.0])
OFF = VALUES + np.array([1.0, -1.0, 3.0, 1.0])


class TestMae(MetricContract):
    @pytest.fixture
    def metric(self) -> Mae:
        return Mae()

    @pytest.fixture(
        params=[
            Case(answers={"value": OFF}, labels=VALUES, figure=1.5),
            Case(answers={"y": OFF[:, None].astype(np.float32)}, labels=VALUES.astype(int), figure=1.5),
            Case(answers={"value": OFF.reshape(2, 2)}, labels=VALUES.reshape(2, 2), figure=1.5),
        ]
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        found: Case = request.param
        return found

    @pytest.fixture
    def perfect(self) -> Case:
        return Case(answers={"value": VALUES}, labels=VALUES, figure=0)

    @pytest.fixture
    def worse(self) -> Case:
        return Case(answers={"value": OFF}, labels=VALUES, figure=1.5)


def test_its_file_builds() -> None:
    assert built("metric", "mae") == Mae()


def test_a_row_of_several_values_has_their_mean() -> None:
    assert Mae().of_rows({"value": OFF.reshape(2, 2)}, VALUES.reshape(2, 2)).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("answers", "labels"),
    [
        (np.ones((4, 3)), VALUES),
        (VALUES, np.array(list("abcd"))),
        (np.array([1.0, np.nan, 3.0, 4.0]), VALUES),
        (VALUES[:2], VALUES),
    ],
)
def test_what_cannot_be_subtracted_has_no_figure(answers: np.ndarray, labels: np.ndarray) -> None:
    assert math.isnan(Mae().score({"value": answers}, labels))
