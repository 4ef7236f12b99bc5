"""The coefficient of determination."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric._values import values_beside


@dataclass(frozen=True, kw_only=True)
class R2:
    """The share of the labels' variance that the answers explain: 1 minus the squared errors over the squared distances of
    the labels from their mean, for each column of values, and the mean over the columns; at most 1, and below 0 for answers
    that are worse than the mean.

    NaN for answers that are no values of the labels' shape, and where the labels of a column are all alike: there is no
    variance to explain.
    """

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share"
    needs_labels: ClassVar[bool] = True

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """Like scikit-learn's `r2_score` with its `uniform_average`."""
        both = values_beside(answers, labels)
        if both is None:
            return float("nan")
        found, wanted = both
        errors = np.sum((wanted - found) ** 2, axis=0)
        spread = np.sum((wanted - wanted.mean(axis=0)) ** 2, axis=0)
        if not spread.all():
            return float("nan")
        return float(np.mean(1 - errors / spread))
