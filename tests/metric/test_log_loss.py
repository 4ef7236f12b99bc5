"""The surprise at the right labels."""

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss

from fdpipe.metric.log_loss import LogLoss
from tests.contracts.metric import Case, MetricContract
from tests.metric.cases import CLASSES, OTHER_WORDS, PROBABILITIES, WORDS, named, scored, sure

# The right labels' probabilities, row by row.
BY_HAND = -(math.log(0.7) + math.log(0.6) + math.log(0.5) + math.log(0.5) + math.log(0.2) + math.log(0.3)) / 6


class TestLogLoss(MetricContract):
    metric = LogLoss()
    known = (
        scored(figure=BY_HAND),
        named(WORDS, figure=BY_HAND),
        named(OTHER_WORDS, figure=BY_HAND),
        Case(answers={"y": np.array([[0.25], [0.5]])}, labels=np.array([0, 1]), figure=-math.log(0.75 * 0.5) / 2),
    )
    without = (scored(PROBABILITIES * 1.02), scored(PROBABILITIES + np.array([0.4, -0.2, -0.2])))
    perfect = scored(sure(CLASSES))
    worse = scored()


def test_it_is_the_librarys() -> None:
    random = np.random.default_rng(0)
    scores, labels = random.dirichlet(np.ones(5), size=200), random.integers(0, 5, size=200)
    assert LogLoss().score({"probabilities": scores}, labels) == pytest.approx(
        log_loss(labels, scores, labels=range(5)), rel=1e-12
    )


def test_sums_that_are_rounded_are_mended() -> None:
    rounded = PROBABILITIES * np.linspace(0.995, 1.005, 6)[:, None]
    assert LogLoss().score({"probabilities": rounded}, CLASSES) == pytest.approx(BY_HAND)


def test_what_was_impossible_counts_as_nearly_impossible() -> None:
    answers = {"probabilities": sure(np.array([0, 1]), 2)}
    assert LogLoss().score(answers, np.array([1, 0])) == pytest.approx(23 * math.log(2))  # float32 has 23 bits behind the point
    assert LogLoss().of_rows(answers, np.array([0, 9])).tolist() == pytest.approx([0.0, 23 * math.log(2)])


def test_columns_can_be_named() -> None:
    answers = {"probabilities": PROBABILITIES}
    assert LogLoss(classes=("cat", "ant", "bee")).score(answers, OTHER_WORDS[CLASSES]) == pytest.approx(BY_HAND)
    assert LogLoss(classes=("1", "2", "3")).score(answers, CLASSES + 1.0) == pytest.approx(BY_HAND)
    assert math.isnan(LogLoss(classes=("cat", "ant")).score(answers, OTHER_WORDS[CLASSES]))
