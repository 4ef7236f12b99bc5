"""The share of rows answered like the original."""

import math

import numpy as np
import pytest

from fdpipe.metric.agreement import Agreement
from tests.contracts.metric import Case, MetricContract
from tests.metric.cases import GUESSES, LABELS, WORDS, labelled

VALUES = np.array([1000.0, 1000.0, 0.0, 0.0])
NEAR = VALUES + np.array([0.9, 1.1, 9e-7, 2e-6])


class TestAgreement(MetricContract):
    metric = Agreement()
    known = (
        labelled(GUESSES, figure=5 / 8),
        labelled(WORDS[GUESSES].astype(object), WORDS[LABELS], figure=5 / 8),
        labelled(np.array([[1, 2], [3, 4]]), np.array([[1, 2], [3, 5]]), figure=1 / 2),
        Case(answers={"probabilities": np.eye(3, dtype=np.float32)[GUESSES]}, labels=LABELS, figure=5 / 8),
        Case(answers={"value": NEAR[:, None]}, labels=VALUES, figure=2 / 4),
        Case(answers={"y": np.array([[1.0, 0.0], [0.0, 1.1]])}, labels=np.eye(2), figure=1 / 2),
    )
    without = (
        Case(answers={"value": VALUES * np.nan}, labels=VALUES),
        Case(answers={"value": VALUES}, labels=np.full(4, np.inf)),
        labelled(LABELS, VALUES),
    )
    perfect = labelled(LABELS)
    worse = labelled(GUESSES)


def test_how_far_values_may_differ() -> None:
    assert Agreement(relative=0.01, absolute=1e-5).score({"value": NEAR}, VALUES) == 1.0
    assert Agreement(relative=0, absolute=0).score({"value": NEAR}, VALUES) == 0.0


@pytest.mark.parametrize(("settings", "field"), [({"relative": -1.0}, "relative"), ({"absolute": math.inf}, "absolute")])
def test_ranges(settings: dict[str, float], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Agreement(**settings)
