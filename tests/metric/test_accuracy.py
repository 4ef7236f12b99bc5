"""The share of right labels."""

import numpy as np

from fdpipe.metric.accuracy import Accuracy
from tests.contracts.metric import Case, MetricContract
from tests.metric.cases import GUESSES, LABELS, labelled

WORDS = np.array(["a", "b", "c"])


class TestAccuracy(MetricContract):
    metric = Accuracy()
    known = (
        labelled(GUESSES, figure=5 / 8),
        labelled(WORDS[GUESSES].astype(object), WORDS[LABELS], figure=5 / 8),
        Case(answers={"probabilities": np.eye(3, dtype=np.float32)[GUESSES]}, labels=LABELS, figure=5 / 8),
    )
    without = (labelled(LABELS, LABELS[:, None]),)
    perfect = labelled(LABELS)
    worse = labelled(GUESSES)
