"""Values beside labels that are values too."""

import numpy as np

from fdpipe.arrays import Batch, value_of


def values_beside(answers: Batch, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Answers and labels as float64 of shape (rows, values); None where either are no figures, where they are not as many a
    row, or where there are none."""
    found = value_of(answers)
    if found is None or labels.dtype.kind not in "biuf" or len(found) != len(labels) or found.size != labels.size:
        return None
    if found.size == 0:
        return None
    return found.reshape(len(found), -1), labels.reshape(len(labels), -1).astype(np.float64)
