"""The share of rows answered like the original."""

import math

import numpy as np
import pytest

from fdpipe.metric.agreement import Agreement
from tests.contracts.metric import Case, MetricContract
from tests.contracts.settings import built
from tests.metric.cases import GUESSES, LABELS, WORDS, labelled

VALUES = np.array([1000.0, 1000.0, 0.0, 0.0])
NEAR = VALUES + np.array([0.9, 1.1, 9e-7, 2e-6])


class TestAgreement(MetricContract):
    @pytest.fixture
    def metric(self) -> Agreement:
        return Agreement()

    @pytest.fixture(
        params=[
            labelled(GUESSES, figure=5 / 8),
            labelled(WORDS[GUESSES].astype(object), WORDS[LABELS], figure=5 / 8),
            labelled(np.array([[1, 2], [3, 4]]), np.array([[1, 2], [3, 5]]), figure=1 / 2),
            Case(answers={"probabilities": np.eye(3, dtype=np.float32)[GUESSES]}, labels=LABELS, figure=5 / 8),
            Case(answers={"value": NEAR[:, None]}, labels=VALUES, figure=2 / 4),
            Case(answers={"y": np.array([[1.0, 0.0], [0.0, 1.1]])}, labels=np.eye(2), figure=1 / 2),
        ]
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        found: Case = request.param
        return found

    @pytest.fixture
    def perfect(self) -> Case:
        return labelled(LABELS)

    @pytest.fixture
    def worse(self) -> Case:
        return labelled(GUESSES)


def test_its_file_builds() -> None:
    assert built("metric", "agreement") == Agreement()


def test_how_far_values_may_differ() -> None:
    assert Agreement(relative=0.01, absolute=1e-5).score({"value": NEAR}, VALUES) == 1.0
    assert Agreement(relative=0, absolute=0).score({"value": NEAR}, VALUES) == 0.0


@pytest.mark.parametrize(
    ("answers", "labels"),
    [({"value": VALUES * np.nan}, VALUES), ({"value": VALUES}, np.full(4, np.inf)), ({"label": LABELS}, VALUES)],
)
def test_what_cannot_be_compared_has_no_figure(answers: dict[str, np.ndarray], labels: np.ndarray) -> None:
    assert math.isnan(Agreement().score(answers, labels))


@pytest.mark.parametrize(("settings", "field"), [({"relative": -1.0}, "relative"), ({"absolute": math.inf}, "absolute")])
def test_ranges(settings: dict[str, float], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Agreement(**settings)
