"""The mean over classes of the average precision."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric._scores import scores_beside


@dataclass(frozen=True, kw_only=True)
class MeanAveragePrecision:
    """Of each class, the precision at every row of the class when all rows are ordered by its score, averaged over the rows of
    the class (no interpolation; rows of the same score come together); the mean over all classes that have a row. Between 0
    and 1. Where several labels of a row may be right, each column is a class; with a single score a row there is one.

    So columns are the queries and rows what is ranked; it is no detection score over boxes. NaN where no class has a row,
    where a score is not finite, and where scores and labels do not fit together. `classes` names the columns.
    """

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share"
    needs_labels: ClassVar[bool] = True

    classes: tuple[str, ...] = ()

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """Like the mean of scikit-learn's `average_precision_score` over those classes."""
        both = scores_beside(answers, labels, self.classes)
        if both is None:
            return float("nan")
        found = [_average_precision(*column) for column in zip(both[0].T, both[1].T, strict=True) if column[1].any()]
        return float(np.mean(found)) if found else float("nan")


def _average_precision(scores: np.ndarray, right: np.ndarray) -> float:
    order = np.argsort(-scores, kind="stable")
    found, last = np.cumsum(right[order]), np.append(np.diff(scores[order]) != 0, True)
    found, above = found[last], np.flatnonzero(last) + 1
    return float(np.sum(np.diff(found, prepend=0) * found / above) / found[-1])
