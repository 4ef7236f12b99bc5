"""The mean absolute error."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric import _rows
from fdpipe.metric._values import values_beside


@dataclass(frozen=True, kw_only=True)
class Mae:
    """In the unit of the labels, and so without one of its own; NaN for answers that are no values of the labels' shape."""

    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = ""
    needs_labels: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """Over all values of all rows."""
        return _rows.mean(self.of_rows(answers, labels))

    def of_rows(self, answers: Batch, labels: np.ndarray) -> np.ndarray:
        """Of each row, the mean over its values."""
        both = values_beside(answers, labels)
        return _rows.none(labels) if both is None else np.asarray(np.abs(both[0] - both[1]).mean(axis=1))
