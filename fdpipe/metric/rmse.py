"""The root of the mean squared error."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch, value_of


@dataclass(frozen=True, kw_only=True)
class Rmse:
    """In the unit of the labels, and so without one of its own; NaN for answers that are no values of the labels' shape."""

    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = ""
    needs_labels: ClassVar[bool] = True

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """Over all values of all rows."""
        found = value_of(answers)
        if found is None or labels.dtype.kind not in "biuf" or found.size != labels.size:
            return float("nan")
        return float(np.sqrt(np.mean((found.ravel() - labels.ravel()) ** 2)))
