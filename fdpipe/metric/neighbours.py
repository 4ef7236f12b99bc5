"""The share of nearest neighbours that are the original's: whether a search over embeddings finds what it found before."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric import _rows, _vectors


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Recall at `k` by cosine similarity, with the original's neighbours as the truth (Aumüller, Bernhardsson & Faithfull
    2020, ANN-Benchmarks, section 2); between 0 and 1.

    Each row asks, and all others are its documents. NaN for answers that are not one float vector a row like the original's,
    and where there are no more than `k` documents.
    """

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share"
    needs_labels: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    k: int = 10

    def __post_init__(self) -> None:
        """Ranges."""
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k}")

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """The mean over the rows; rows and documents are both the candidate's own, and both the original's."""
        return _rows.mean(self.of_rows(answers, labels))

    def of_rows(self, answers: Batch, labels: np.ndarray) -> np.ndarray:
        """Of each row, the share of its neighbours that are kept, among all rows given."""
        found = _vectors.kept(answers, labels, self.k)
        return _rows.none(labels) if found is None else found
