"""The cosine of the row that differs most from the original's."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric import _vectors


@dataclass(frozen=True, kw_only=True)
class SmallestCosine:
    """Between -1 and 1, as `cosine` but of the one row that suffers most, which is no mean: resampled rows say little of it."""

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = ""
    needs_labels: ClassVar[bool] = False

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """The smallest of all rows; NaN beside a NaN, and without rows."""
        found = _vectors.cosines(answers, labels)
        return float("nan") if found is None or not len(found) else float(found.min())
