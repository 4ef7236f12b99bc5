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
    is never answered scores 0."""

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share"
    needs_labels: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("scikit-learn",)

    average: Average = Average.MACRO

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """scikit-learn's F1 score."""
        from sklearn.metrics import f1_score

        found = label_of(answers)
        if found is None or found.shape != labels.shape:
            return float("nan")
        return float(f1_score(labels, found, average=self.average.value, zero_division=0))
