"""The harmonic mean of precision and recall."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch, label_of


class Average(StrEnum):
    """`macro` counts each class alike, `weighted` by its rows, `micro` counts rows."""

    MACRO = "macro"
    WEIGHTED = "weighted"
    MICRO = "micro"


@dataclass(frozen=True, kw_only=True)
class F1:
    """Between 0 and 1, over the classes as `average` says; NaN for answers that are no labels, one a row. A class that
    is never answered scores 0, and so does one that is answered and never there."""

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share"
    needs_labels: ClassVar[bool] = True

    average: Average = Average.MACRO

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """Like scikit-learn's `f1_score`, over all classes of the labels and of the answers."""
        found = label_of(answers)
        counts = None if found is None or found.shape != labels.shape else _counts(labels, found)
        if counts is None:
            return float("nan")
        right, rows, given = counts
        if self.average is Average.MICRO:
            return float(2 * right.sum() / max(1, rows.sum() + given.sum()))
        weights = rows if self.average is Average.WEIGHTED and rows.any() else None
        return float(np.average(2 * right / np.maximum(1, rows + given), weights=weights))


def _counts(labels: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Of each class how often it was answered rightly, how often it is there, and how often it was answered; where several
    labels of a row may be right, they are 0 and 1 for each class. None for what are no labels of one kind."""
    if labels.size == 0 or (found.dtype.kind in "OUS") != (labels.dtype.kind in "OUS"):
        return None
    if labels.ndim == 2 and np.isin(labels, (0, 1)).all() and np.isin(found, (0, 1)).all():
        wanted, answered = labels == 1, found == 1
        return (wanted & answered).sum(axis=0), wanted.sum(axis=0), answered.sum(axis=0)
    if labels.ndim != 1:
        return None
    classes, codes = np.unique(np.concatenate([_plain(labels), _plain(found)]), return_inverse=True)
    if classes.dtype.kind == "f" and np.isnan(classes).any():
        return None
    each = (codes[: len(labels)], codes[len(labels) :])
    rows, given = (np.bincount(one, minlength=len(classes)) for one in each)
    return np.bincount(each[0][each[0] == each[1]], minlength=len(classes)), rows, given


def _plain(array: np.ndarray) -> np.ndarray:
    return array.astype(str) if array.dtype.kind in "OUS" else array
