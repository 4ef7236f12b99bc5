"""The cosine of the row that suffers most."""

import math

import numpy as np
import pytest

from fdpipe.metric.smallest_cosine import SmallestCosine
from tests.contracts.metric import Case, MetricContract
from tests.contracts.settings import built

ORIGINAL = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
TURNED = np.array([[1.0, 1.0], [0.0, 1.0], [3.0, 2.0]])


class TestSmallestCosine(MetricContract):
    @pytest.fixture
    def metric(self) -> SmallestCosine:
        return SmallestCosine()

    @pytest.fixture(
        params=[
            Case(answers={"embedding": TURNED.astype(np.float32)}, labels=ORIGINAL, figure=1 / math.sqrt(2)),
            Case(answers={"y": -ORIGINAL}, labels=ORIGINAL, figure=-1.0),
        ]
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        found: Case = request.param
        return found

    @pytest.fixture
    def perfect(self) -> Case:
        return Case(answers={"embedding": ORIGINAL * 2}, labels=ORIGINAL, figure=1.0)

    @pytest.fixture
    def worse(self) -> Case:
        return Case(answers={"embedding": TURNED}, labels=ORIGINAL, figure=1 / math.sqrt(2))


def test_its_file_builds() -> None:
    assert built("metric", "smallest_cosine") == SmallestCosine()


def test_one_row_of_nan_is_no_figure() -> None:
    assert math.isnan(SmallestCosine().score({"y": ORIGINAL * [[1], [np.nan], [1]]}, ORIGINAL))
