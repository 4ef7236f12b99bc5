"""The root of the mean squared error."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric._values import values_beside


@dataclass(frozen=True, kw_only=True)
class Rmse:
    """In the unit of the labels, and so without one of its own; NaN for answers that are no values of the labels' shape."""

    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = ""
    needs_labels: ClassVar[bool] = True

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """Over all values of all rows."""
        both = values_beside(answers, labels)
        return float("nan") if both is None else float(np.sqrt(np.mean((both[0] - both[1]) ** 2)))
