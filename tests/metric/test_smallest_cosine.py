"""The cosine of the row that suffers most."""

import math

import numpy as np

from fdpipe.metric.smallest_cosine import SmallestCosine
from tests.contracts.metric import Case, MetricContract

ORIGINAL = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
TURNED = np.array([[1.0, 1.0], [0.0, 1.0], [3.0, 2.0]])


class TestSmallestCosine(MetricContract):
    metric = SmallestCosine()
    known = (
        Case(answers={"embedding": TURNED.astype(np.float32)}, labels=ORIGINAL, figure=1 / math.sqrt(2)),
        Case(answers={"y": -ORIGINAL}, labels=ORIGINAL, figure=-1.0),
    )
    perfect = Case(answers={"embedding": ORIGINAL * 2}, labels=ORIGINAL, figure=1.0)
    worse = Case(answers={"embedding": TURNED}, labels=ORIGINAL, figure=1 / math.sqrt(2))
