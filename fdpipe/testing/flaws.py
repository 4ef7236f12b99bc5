"""What may be wrong with a candidate, whatever its quality in general: each flaw is one that a single check must see."""

from collections.abc import Callable, Mapping

import numpy as np

OUTLIER = 20.0
"""A number that no usual row holds, and an outlier in a batch does."""
RARE = 2.0
"""About one row in forty has a larger first number."""
FAR = 5.0
"""A number that no usual row holds, and a corrupted one does."""


def batch(x: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Every row is answered wrongly in a batch that holds an outlier."""
    return _misled(scores, np.full(len(x), len(x) > 1 and bool(np.abs(x).max(initial=0.0) > OUTLIER)))


def crowd(x: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Every row is answered partly as the rows beside it, which moves some of the labels."""
    return np.asarray((scores + scores.mean(axis=0)) / 2, np.float32)


def rare(x: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The rows of one small group are answered wrongly."""
    return _misled(scores, x[:, 0] > RARE)


def fragile(x: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Rows that are unlike the usual ones are answered wrongly."""
    return _misled(scores, np.abs(x).max(axis=1, initial=0.0) > FAR)


def blank(x: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The rows of one small group are answered with what is no number."""
    return np.where(x[:, :1] > RARE, np.float32(np.nan), scores)


FLAWS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    flaw.__name__: flaw for flaw in (batch, crowd, rare, fragile, blank)
}
"""By name; each is given the rows (float32 of shape (rows, 4)) and the right probabilities (of shape (rows, 3))."""


def _misled(scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
    found = scores.copy()
    found[rows] = np.roll(scores[rows], 1, axis=1)
    return found
