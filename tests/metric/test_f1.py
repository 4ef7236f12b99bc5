"""The harmonic mean of precision and recall."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from fdpipe.metric.f1 import F1, Average
from tests.contracts.metric import MetricContract
from tests.metric.cases import GUESSES, LABELS, labelled

WORDS = np.array(["a", "b", "c"])

# By hand: class 0 has 3 right of 4 answered and 4 there, class 1 has 1 of 3 and 2, class 2 has 1 of 1 and 2.
BY_CLASS = (3 / 4, 2 / 5, 2 / 3)


class TestF1(MetricContract):
    metric = F1()
    known = (
        labelled(GUESSES, figure=sum(BY_CLASS) / 3),
        labelled(WORDS[GUESSES].astype(object), WORDS[LABELS], figure=sum(BY_CLASS) / 3),
        labelled(np.array([0, 0]), np.array([0, 1]), figure=1 / 3),
    )
    without = tuple(labelled(LABELS, labels) for labels in (LABELS[:, None], LABELS.astype(str), LABELS * np.nan))
    perfect = labelled(LABELS)
    worse = labelled(GUESSES)


@pytest.mark.parametrize(
    ("average", "figure"),
    [(Average.WEIGHTED, (4 * BY_CLASS[0] + 2 * BY_CLASS[1] + 2 * BY_CLASS[2]) / 8), (Average.MICRO, 5 / 8)],
)
def test_averages(average: Average, figure: float) -> None:
    assert F1(average=average).score({"label": GUESSES}, LABELS) == pytest.approx(figure)


@pytest.mark.parametrize("average", list(Average))
def test_it_is_the_librarys(average: Average) -> None:
    """With classes that are only answered, and only there; and where several labels of a row may be right."""
    random = np.random.default_rng(0)
    labels, found = random.integers(0, 6, size=200), random.integers(1, 8, size=200)
    several, of_them = random.integers(0, 2, size=(2, 50, 4))
    several[:, 3] = of_them[:, 3] = 0
    for right, answered in ((labels, found), (labels.astype(str), found.astype(str).astype(object)), (several, of_them)):
        wanted = f1_score(right, answered, average=average.value, zero_division=0)
        assert F1(average=average).score({"label": answered}, right) == pytest.approx(wanted, rel=1e-12)
