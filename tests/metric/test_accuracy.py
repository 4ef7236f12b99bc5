"""The share of right labels."""

import math

import numpy as np
import pytest

from fdpipe.metric.accuracy import Accuracy
from tests.contracts.metric import Case, MetricContract
from tests.contracts.settings import built
from tests.metric.cases import GUESSES, LABELS, labelled

WORDS = np.array(["a", "b", "c"])


class TestAccuracy(MetricContract):
    @pytest.fixture
    def metric(self) -> Accuracy:
        return Accuracy()

    @pytest.fixture(
        params=[
            labelled(GUESSES, figure=5 / 8),
            labelled(WORDS[GUESSES].astype(object), WORDS[LABELS], figure=5 / 8),
            Case(answers={"probabilities": np.eye(3, dtype=np.float32)[GUESSES]}, labels=LABELS, figure=5 / 8),
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
    assert built("metric", "accuracy") == Accuracy()


def test_shapes_that_only_broadcast_have_no_figure() -> None:
    assert math.isnan(Accuracy().score({"label": LABELS}, LABELS[:, None]))
