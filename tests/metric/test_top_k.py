"""The share of rows whose label is among the most likely ones."""

import math

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from fdpipe.metric.accuracy import Accuracy
from fdpipe.metric.top_k import TopK
from tests.contracts.metric import MetricContract
from tests.metric.cases import CLASSES, OTHER_WORDS, PROBABILITIES, WORDS, named, scored, sure

HIDDEN = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.4, 0.3, 0.3], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.2, 0.5, 0.3]])
"""Of the labels 0, 1, 2, 0, 1, 0, the second of three equal ones is no longer among two, and neither is the last row's."""


class TestTopK(MetricContract):
    metric = TopK(k=2)
    known = (
        scored(HIDDEN, figure=3 / 6),
        named(WORDS, HIDDEN, figure=3 / 6),
        named(OTHER_WORDS, HIDDEN, figure=3 / 6),
        scored(PROBABILITIES, figure=5 / 6),
        scored(HIDDEN, np.array([0, 0, 0, 1, 7, -1]), figure=4 / 6),
    )
    perfect = scored(sure(CLASSES))
    worse = scored(HIDDEN)


def test_it_is_the_librarys_where_no_scores_are_equal() -> None:
    random = np.random.default_rng(0)
    scores, labels = random.random((200, 10)), random.integers(0, 10, size=200)
    for k in (1, 3, 9):
        assert TopK(k=k).score({"y": scores}, labels) == top_k_accuracy_score(labels, scores, k=k, labels=range(10))
    assert TopK(k=1).score({"y": scores.round(1)}, labels) == Accuracy().score({"y": scores.round(1)}, labels)


def test_as_many_columns_as_are_looked_at_have_no_figure() -> None:
    assert math.isnan(TopK(k=3).score({"probabilities": PROBABILITIES}, CLASSES))
    assert math.isnan(TopK(k=1).score({"probabilities": PROBABILITIES[:, 0]}, CLASSES))


def test_ranges() -> None:
    with pytest.raises(ValueError, match="k must be at least 1"):
        TopK(k=0)
