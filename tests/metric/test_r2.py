"""The coefficient of determination."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from fdpipe.metric.r2 import R2
from tests.contracts.metric import Case, MetricContract
from tests.metric.cases import VALUES, valued

OFF = VALUES + np.array([1.0, -1.0, 0.0, 1.0])
# The squared errors are 3, and the squared distances from 2.5 are 5.


class TestR2(MetricContract):
    metric = R2()
    known = (
        Case(answers={"value": OFF}, labels=VALUES, figure=0.4),
        Case(answers={"y": OFF[:, None].astype(np.float32)}, labels=VALUES.astype(int), figure=0.4),
        Case(answers={"value": np.full(4, 2.5)}, labels=VALUES, figure=0.0),
        Case(answers={"value": np.stack([OFF, VALUES], 1)}, labels=np.stack([VALUES, VALUES], 1), figure=0.7),
    )
    without = (valued(VALUES, np.ones(4)), valued(VALUES[:1], VALUES[:1]))
    perfect = Case(answers={"value": VALUES}, labels=VALUES, figure=1)
    worse = Case(answers={"value": OFF}, labels=VALUES, figure=0.4)


def test_it_is_the_librarys() -> None:
    random = np.random.default_rng(0)
    found, labels = random.normal(size=(50, 3)), random.normal(size=(50, 3)) * [1, 10, 0.1]
    assert R2().score({"value": found}, labels) == pytest.approx(r2_score(labels, found), rel=1e-12)
