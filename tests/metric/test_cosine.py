"""The cosine with the original's answers."""

import math

import numpy as np
import pytest

from fdpipe.metric.cosine import Cosine
from tests.contracts.metric import Case, MetricContract
from tests.contracts.settings import built

ORIGINAL = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
TURNED = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
COSINES = (1 / math.sqrt(2), 1.0, 1 / math.sqrt(2))


class TestCosine(MetricContract):
    @pytest.fixture
    def metric(self) -> Cosine:
        return Cosine()

    @pytest.fixture(
        params=[
            Case(answers={"embedding": TURNED.astype(np.float32)}, labels=ORIGINAL, figure=sum(COSINES) / 3),
            Case(answers={"y": TURNED[:, None, :]}, labels=ORIGINAL[:, None, :], figure=sum(COSINES) / 3),
            Case(answers={"y": np.array([[0.0, 0.0], [0.0, 0.0]])}, labels=np.array([[0.0, 0.0], [1.0, 0.0]]), figure=0.5),
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
        return Case(answers={"embedding": TURNED}, labels=ORIGINAL, figure=sum(COSINES) / 3)


def test_its_file_builds() -> None:
    assert built("metric", "cosine") == Cosine()


@pytest.mark.parametrize(
    ("answers", "labels"), [(ORIGINAL, ORIGINAL[:2]), (ORIGINAL[:, 0], ORIGINAL[:, 0]), (ORIGINAL * np.nan, ORIGINAL)]
)
def test_what_has_no_angle_has_no_figure(answers: np.ndarray, labels: np.ndarray) -> None:
    assert math.isnan(Cosine().score({"y": answers}, labels))
