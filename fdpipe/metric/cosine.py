"""The cosine between an answer and the original's."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch, value_of


class Of(StrEnum):
    """`mean` is over all rows, `smallest` the row that suffers most."""

    MEAN = "mean"
    SMALLEST = "smallest"


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Between -1 and 1, of the rows that `of` says; NaN for answers that are no float tensors of the original's shape. Two
    rows of zeros are alike, and one beside another row is not."""

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = ""
    needs_labels: ClassVar[bool] = False

    of: Of = Of.MEAN

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """Each row's cosine with the original's row, which stands in `labels`."""
        found = value_of(answers)
        if found is None or found.ndim < 2 or found.shape != labels.shape or labels.dtype.kind not in "biuf":
            return float("nan")
        one, other = found.reshape(len(found), -1), labels.reshape(len(labels), -1).astype(np.float64)
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        cosines = np.sum(one * other, axis=1) / np.where(lengths == 0, 1.0, lengths)
        cosines[(lengths == 0) & (one == other).all(axis=1)] = 1.0
        return float(cosines.mean() if self.of is Of.MEAN else cosines.min())
