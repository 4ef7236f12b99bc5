"""The cosine between an answer and the original's."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric import _rows, _vectors


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Between -1 and 1, the mean over rows; NaN for answers that are no float tensors of the original's shape. Two rows of
    zeros are alike, and one beside another row is not."""

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = ""
    needs_labels: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """The mean over rows."""
        return _rows.mean(self.of_rows(answers, labels))

    def of_rows(self, answers: Batch, labels: np.ndarray) -> np.ndarray:
        """Each row's cosine with the original's row, which stands in `labels`."""
        found = _vectors.cosines(answers, labels)
        return _rows.none(labels) if found is None else found
