"""The share of what is relevant among the first answers."""

import math

import numpy as np
import pytest

from fdpipe.metric.recall_at_k import RecallAtK
from tests.contracts.metric import Case, MetricContract
from tests.contracts.settings import built

SCORES = np.array([[0.9, 0.8, 0.1, 0.2], [0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.5, 0.5]])
RELEVANT = np.array([[1, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1, 0]])
# With two items each: one of three, two of two, one of two (of equal ones the first come first).
RECALLS = (1 / 3, 1.0, 1 / 2)


class TestRecallAtK(MetricContract):
    @pytest.fixture
    def metric(self) -> RecallAtK:
        return RecallAtK(k=2)

    @pytest.fixture(
        params=[
            Case(answers={"scores": SCORES.astype(np.float32)}, labels=RELEVANT, figure=sum(RECALLS) / 3),
            Case(answers={"y": SCORES}, labels=RELEVANT > 0, figure=sum(RECALLS) / 3),
            Case(answers={"y": SCORES[:2]}, labels=np.array([[0, 0, 0, 0], [1, 0, 0, 0]]), figure=0.5),
        ]
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        found: Case = request.param
        return found

    @pytest.fixture
    def perfect(self) -> Case:
        return Case(
            answers={"scores": np.eye(4)[:3]},
            labels=np.eye(4, dtype=int)[:3],
            figure=1,
        )

    @pytest.fixture
    def worse(self) -> Case:
        return Case(answers={"scores": SCORES[:, ::-1]}, labels=RELEVANT, figure=(1 / 3 + 0 + 1 / 2) / 3)


def test_its_file_builds() -> None:
    assert built("metric", "recall_at_k") == RecallAtK()


@pytest.mark.parametrize(
    ("scores", "labels", "k"),
    [(SCORES, RELEVANT, 4), (SCORES, RELEVANT * 2, 2), (SCORES * np.nan, RELEVANT, 2), (SCORES, RELEVANT[:, 0], 2)],
)
def test_what_cannot_be_found_has_no_figure(scores: np.ndarray, labels: np.ndarray, k: int) -> None:
    assert math.isnan(RecallAtK(k=k).score({"scores": scores}, labels))


def test_ranges() -> None:
    with pytest.raises(ValueError, match="k must be at least 1"):
        RecallAtK(k=0)
