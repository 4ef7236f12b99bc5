"""The mean over classes of the average precision."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from fdpipe.metric.mean_average_precision import MeanAveragePrecision
from tests.contracts.metric import Case, MetricContract
from tests.metric.cases import CLASSES, OTHER_WORDS, PROBABILITIES, named, scored, sure

# By hand. Class 0: its three rows come first. Class 1: 0.6 is first, then 0.4 and 0.3 that are not, then two of 0.2 of which
# one is: 1/2 · 1 + 1/2 · 2/5. Class 2: two of 0.6 that are not, then 0.5.
PRECISIONS = (1.0, 0.7, 1 / 3)


class TestMeanAveragePrecision(MetricContract):
    metric = MeanAveragePrecision()
    known = (
        scored(figure=sum(PRECISIONS) / 3),
        named(OTHER_WORDS, figure=sum(PRECISIONS) / 3),
        Case(answers={"scores": PROBABILITIES * 7 - 3}, labels=sure(CLASSES).astype(int), figure=sum(PRECISIONS) / 3),
        Case(answers={"y": np.array([0.1, 0.4, 0.35, 0.8])}, labels=np.array([0, 0, 1, 1]), figure=(1 + 2 / 3) / 2),
    )
    without = tuple(scored(labels=labels) for labels in (np.zeros((6, 3), int), np.full(6, 9), CLASSES + 0.5))
    perfect = scored(sure(CLASSES))
    worse = scored()


def test_it_is_the_librarys() -> None:
    """Several labels of a row may be right, and many scores are equal."""
    random = np.random.default_rng(0)
    labels, scores = random.integers(0, 2, size=(200, 4)), np.round(random.random((200, 4)), 1)
    wanted = average_precision_score(labels, scores, average="macro")
    assert MeanAveragePrecision().score({"scores": scores}, labels) == pytest.approx(wanted, rel=1e-12)


def test_a_class_without_rows_is_left_out() -> None:
    rows = CLASSES != 1
    found = MeanAveragePrecision().score({"probabilities": PROBABILITIES[rows]}, CLASSES[rows])
    assert found == pytest.approx((1 + 1 / 2) / 2)  # class 2: one of 0.6 that is not, then 0.5
