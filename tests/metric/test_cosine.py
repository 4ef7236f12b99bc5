"""The cosine with the original's answers."""

import math

import numpy as np

from fdpipe.metric.cosine import Cosine
from tests.contracts.metric import Case, MetricContract

ORIGINAL = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
TURNED = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
COSINES = (1 / math.sqrt(2), 1.0, 1 / math.sqrt(2))


class TestCosine(MetricContract):
    metric = Cosine()
    known = (
        Case(answers={"embedding": TURNED.astype(np.float32)}, labels=ORIGINAL, figure=sum(COSINES) / 3),
        Case(answers={"y": TURNED[:, None, :]}, labels=ORIGINAL[:, None, :], figure=sum(COSINES) / 3),
        Case(answers={"y": np.array([[0.0, 0.0], [0.0, 0.0]])}, labels=np.array([[0.0, 0.0], [1.0, 0.0]]), figure=0.5),
    )
    without = (Case(answers={"y": ORIGINAL[:, 0]}, labels=ORIGINAL[:, 0]),)
    perfect = Case(answers={"embedding": ORIGINAL * 2}, labels=ORIGINAL, figure=1.0)
    worse = Case(answers={"embedding": TURNED}, labels=ORIGINAL, figure=sum(COSINES) / 3)
