"""The share of rows with the right label."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch, label_of


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Between 0 and 1; NaN for answers that are no labels, one a row."""

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share"
    needs_labels: ClassVar[bool] = True

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """Right answers among all."""
        found = label_of(answers)
        return float("nan") if found is None or found.shape != labels.shape else float(np.mean(found == labels))
