"""The share of what is relevant among the first answers."""

import math

import numpy as np
import pytest

from fdpipe.metric.recall_at_k import RecallAtK
from tests.contracts.metric import Case, MetricContract

SCORES = np.array([[0.9, 0.8, 0.1, 0.2], [0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.5, 0.5]])
RELEVANT = np.array([[1, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1, 0]])
# With two items each: one of three, two of two, one of two (of equal ones the first come first).
RECALLS = (1 / 3, 1.0, 1 / 2)


class TestRecallAtK(MetricContract):
    metric = RecallAtK(k=2)
    known = (
        Case(answers={"scores": SCORES.astype(np.float32)}, labels=RELEVANT, figure=sum(RECALLS) / 3),
        Case(answers={"y": SCORES}, labels=RELEVANT > 0, figure=sum(RECALLS) / 3),
        Case(answers={"y": SCORES[:2]}, labels=np.array([[0, 0, 0, 0], [1, 0, 0, 0]]), figure=0.5),
    )
    without = tuple(Case(answers={"scores": SCORES}, labels=labels) for labels in (RELEVANT * 2, RELEVANT[:, 0]))
    perfect = Case(answers={"scores": np.eye(4)[:3]}, labels=np.eye(4, dtype=int)[:3], figure=1)
    worse = Case(answers={"scores": SCORES[:, ::-1]}, labels=RELEVANT, figure=(1 / 3 + 0 + 1 / 2) / 3)


def test_as_many_items_as_are_looked_at_have_no_figure() -> None:
    assert math.isnan(RecallAtK(k=4).score({"scores": SCORES}, RELEVANT))


def test_ranges() -> None:
    with pytest.raises(ValueError, match="k must be at least 1"):
        RecallAtK(k=0)
