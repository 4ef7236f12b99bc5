"""The area under the receiver operating characteristic."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fdpipe.metric.auroc import Auroc, Average
from tests.contracts.metric import Case, MetricContract
from tests.metric.cases import CLASSES, OTHER_WORDS, PROBABILITIES, WORDS, named, scored, sure

# Pairs won, by hand. Class 0 (0.7, 0.5, 0.3) beside (0.1, 0.2, 0.2): 9 of 9. Class 1 (0.6, 0.2) beside (0.2, 0.3, 0.4, 0.1):
# 4 and 1.5 of 8. Class 2 (0.5) beside (0.1, 0.3, 0.1, 0.6, 0.6): 3 of 5.
AREAS = (1.0, 5.5 / 8, 3 / 5)
BINARY = np.array([0.1, 0.4, 0.35, 0.8])


class TestAuroc(MetricContract):
    metric = Auroc()
    known = (
        scored(figure=sum(AREAS) / 3),
        named(WORDS, figure=sum(AREAS) / 3),
        named(OTHER_WORDS, figure=sum(AREAS) / 3),
        Case(answers={"scores": PROBABILITIES - 3}, labels=sure(CLASSES).astype(int), figure=sum(AREAS) / 3),
        Case(answers={"probabilities": np.stack([1 - BINARY, BINARY], 1)}, labels=np.array([0, 0, 1, 1]), figure=0.75),
        Case(answers={"y": BINARY[:, None].astype(np.float32)}, labels=np.array([-1, -1, 1, 1]), figure=0.75),
        Case(answers={"y": np.array([2.0, 2.0])}, labels=np.array(["no", "yes"]), figure=0.5),
    )
    without = (
        scored(labels=np.zeros(6, int)),
        scored(BINARY, np.ones(4, int)),
        scored(BINARY, np.arange(4)),
        scored(labels=np.full((6, 3), 2)),
        scored(labels=CLASSES[:, None]),
    )
    perfect = scored(sure(CLASSES))
    worse = scored()


@pytest.mark.parametrize("average", list(Average))
@pytest.mark.parametrize("columns", [2, 5])
def test_it_is_the_librarys(average: Average, columns: int) -> None:
    """Scores of two decimals, so that many are equal."""
    random = np.random.default_rng(0)
    labels = random.integers(0, columns, size=300)
    scores = np.round(random.dirichlet(np.ones(columns), size=300) * 50) + random.random((300, 1)) * 0
    scores[:, -1] += 50 - scores.sum(axis=1)
    judged = scores[:, 1] if columns == 2 else scores / 50
    wanted = roc_auc_score(labels, judged, multi_class="ovr", average=average.value, labels=range(columns))
    assert Auroc(average=average).score({"probabilities": scores / 50}, labels) == pytest.approx(wanted, rel=1e-12)


def test_a_class_without_rows_is_left_out() -> None:
    rows = CLASSES != 2
    without = Auroc().score({"probabilities": PROBABILITIES[rows]}, CLASSES[rows])
    # Class 0 wins 6 of 6, and class 1 (0.6, 0.2) beside (0.2, 0.4, 0.1) 3 and 1.5 of 6.
    assert without == pytest.approx((1 + 4.5 / 6) / 2)
