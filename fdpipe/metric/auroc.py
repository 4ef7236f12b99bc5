"""The area under the receiver operating characteristic."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric._scores import scores_beside


class Average(StrEnum):
    """`macro` counts each class alike, `weighted` by its rows."""

    MACRO = "macro"
    WEIGHTED = "weighted"


@dataclass(frozen=True, kw_only=True)
class Auroc:
    """How often a row of the class scores higher than one that is not of it, a tie counting half (Hanley & McNeil 1982,
    Radiology 143, 29-36); between 0 and 1, where 0.5 is chance.

    Of two classes the second is judged; of more, each against the rest, and `average` is over the classes; where several
    labels of a row may be right, each column. A class that all rows are of, or none, is left out. NaN where that leaves
    nothing, where a score is not finite, and where scores and labels do not fit together. `classes` names the columns.
    """

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share"
    needs_labels: ClassVar[bool] = True

    average: Average = Average.MACRO
    classes: tuple[str, ...] = ()

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """Like scikit-learn's `roc_auc_score`, one class against the rest."""
        both = scores_beside(answers, labels, self.classes)
        if both is None or not len(labels):
            return float("nan")
        scores, right = both
        if scores.shape[1] == 2 and labels.ndim == 1:
            scores, right = scores[:, 1:], right[:, 1:]
        inside = right.sum(axis=0)
        judged = np.flatnonzero((inside > 0) & (inside < len(right)))
        if not len(judged):
            return float("nan")
        areas = [_area(scores[right[:, one], one], scores[~right[:, one], one]) for one in judged]
        return float(np.average(areas, weights=inside[judged] if self.average is Average.WEIGHTED else None))


def _area(inside: np.ndarray, outside: np.ndarray) -> float:
    """The share of the pairs in which the score inside is the higher one, a tie counting half: Mann & Whitney's U."""
    order = np.sort(outside)
    below = np.searchsorted(order, inside, "left").sum() + np.searchsorted(order, inside, "right").sum()
    return float(below) / (2 * len(inside) * len(outside))
