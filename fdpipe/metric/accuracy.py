"""The share of rows with the right label."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch, label_of
from fdpipe.metric import _rows


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Between 0 and 1; NaN for answers that are no labels, one a row."""

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share"
    needs_labels: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """Right answers among all."""
        return _rows.mean(self.of_rows(answers, labels))

    def of_rows(self, answers: Batch, labels: np.ndarray) -> np.ndarray:
        """1 where the label is right, else 0; of several labels a row, the share."""
        found = label_of(answers)
        if found is None or found.shape != labels.shape:
            return _rows.none(labels)
        return np.asarray(_rows.flat(found == labels).mean(axis=1), np.float64)
