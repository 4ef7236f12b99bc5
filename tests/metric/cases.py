"""Labels with answers to them."""

import numpy as np

from tests.contracts.metric import Case

LABELS = np.array([0, 0, 0, 0, 1, 1, 2, 2])
GUESSES = np.array([0, 0, 0, 1, 1, 0, 2, 1])


def labelled(answers: np.ndarray, labels: np.ndarray = LABELS, figure: float = 0.0) -> Case:
    """Answers under the name `label`."""
    return Case(answers={"label": answers}, labels=labels, figure=figure)
