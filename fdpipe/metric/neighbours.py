"""The share of nearest neighbours that are the original's: whether a search over embeddings finds what it found before."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch, value_of

AT_ONCE = 1024
"""Queries whose similarities to all documents are held in memory together."""


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """Recall at `k` by cosine similarity, with the original's neighbours as the truth (Aumüller, Bernhardsson & Faithfull
    2020, ANN-Benchmarks, section 2); between 0 and 1.

    The last `queries` rows ask, and the rows before them are the documents; with 0, each row asks and all others are its
    documents. NaN for answers that are not one float vector a row like the original's, and where there are no more than `k`
    documents.
    """

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share"
    needs_labels: ClassVar[bool] = False

    k: int = 10
    queries: int = 0

    def __post_init__(self) -> None:
        """Ranges."""
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k}")
        if self.queries < 0:
            raise ValueError(f"queries must be at least 1, or 0 for every row, not {self.queries}")

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """The mean over the queries; queries and documents are both the candidate's own, and both the original's."""
        found = value_of(answers)
        if found is None or found.ndim != 2 or found.shape != labels.shape or labels.dtype.kind not in "biuf":
            return float("nan")
        documents = len(found) - (self.queries or 1)
        if documents <= self.k or not np.isfinite(found).all():
            return float("nan")
        ours, theirs = self._nearest(found), self._nearest(labels.astype(np.float64))
        return float(np.mean([len(np.intersect1d(one, other)) for one, other in zip(ours, theirs, strict=True)]) / self.k)

    def _nearest(self, vectors: np.ndarray) -> np.ndarray:
        """Of each query, the rows of its `k` nearest documents, of shape (queries, k); of two alike, the first."""
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = vectors / np.where(lengths == 0, 1.0, lengths)
        asking = np.arange(len(unit) - self.queries if self.queries else 0, len(unit))
        documents = unit[: -self.queries] if self.queries else unit
        found = []
        for start in range(0, len(asking), AT_ONCE):
            rows = asking[start : start + AT_ONCE]
            similarity = unit[rows] @ documents.T
            if not self.queries:
                similarity[np.arange(len(rows)), rows] = -np.inf
            found.append(np.argsort(-similarity, axis=1, kind="stable")[:, : self.k])
        return np.concatenate(found)
