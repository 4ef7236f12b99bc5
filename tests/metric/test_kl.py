"""The divergence from the original's probabilities."""

import math

import numpy as np
import pytest
from scipy.stats import entropy

from fdpipe.evidence import Paired
from fdpipe.interfaces import OwnTruth
from fdpipe.metric.kl import Kl
from tests.contracts.metric import Case, MetricContract
from tests.metric.cases import CLASSES, PROBABILITIES, scored

HALVES = np.array([[0.5, 0.5], [1.0, 0.0]])
QUARTERS = np.array([[0.25, 0.75], [0.5, 0.5]])
BY_HAND = (0.5 * math.log(2) + 0.5 * math.log(2 / 3) + math.log(2)) / 2


class TestKl(MetricContract):
    metric = Kl()
    known = (
        Case(answers={"probabilities": QUARTERS, "label": np.array(["b", "a"])}, labels=HALVES, figure=BY_HAND),
        Case(answers={"y": QUARTERS[:, 1:].astype(np.float32)}, labels=HALVES, figure=BY_HAND),
    )
    without = (
        scored(PROBABILITIES, CLASSES),
        scored(PROBABILITIES * 2, PROBABILITIES),
        scored(PROBABILITIES, PROBABILITIES * np.nan),
        scored(PROBABILITIES[:, :2], PROBABILITIES),
    )
    perfect = Case(answers={"probabilities": HALVES}, labels=HALVES, figure=0.0)
    worse = Case(answers={"probabilities": QUARTERS}, labels=HALVES, figure=BY_HAND)


def test_it_is_the_librarys() -> None:
    one, other = np.random.default_rng(0).dirichlet(np.ones(4), size=(2, 100))
    assert Kl().score({"probabilities": other}, one) == pytest.approx(float(np.mean(entropy(one, other, axis=1))), rel=1e-12)


def test_what_was_foreseen_and_is_impossible_counts_as_nearly_impossible() -> None:
    found = Kl().score({"probabilities": np.array([[0.0, 1.0]])}, np.array([[1.0, 0.0]]))
    assert found == pytest.approx(23 * math.log(2))
    assert found <= Kl.bounds[1]


def test_it_judges_by_the_originals_probabilities() -> None:
    """And not by its labels, which stand for labels elsewhere."""
    metric, original = Kl(), {"label": np.array(["a", "a"]), "probabilities": HALVES}
    assert isinstance(metric, OwnTruth)
    paired = Paired(before=original, after={"probabilities": QUARTERS}, labels=None, own=original["label"], original=original)
    truth = paired.truth(metric)
    assert truth is not None
    assert metric.score(original, truth) == 0.0
    assert metric.score(paired.after, truth) == pytest.approx(BY_HAND)
    assert metric.truth({"label": original["label"]}) is None
