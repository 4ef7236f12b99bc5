"""The share of nearest documents that are the original's, where some rows ask and the others are searched."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric import _rows, _vectors


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Recall at `k` by cosine similarity, as `neighbours`, but the last `queries` rows ask and the rows before them are the
    documents; between 0 and 1. NaN where there are not as many rows."""

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share"
    needs_labels: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    k: int = 10
    queries: int = 100

    def __post_init__(self) -> None:
        """Ranges."""
        for name, value in (("k", self.k), ("queries", self.queries)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """The mean over the queries; queries and documents are both the candidate's own, and both the original's."""
        return _rows.mean(self.of_rows(answers, labels))

    def of_rows(self, answers: Batch, labels: np.ndarray) -> np.ndarray:
        """Of each query, the share of its documents that are kept, times the rows for each query; 0 for a document. So the mean
        over rows is that over queries, and its spread that of a sample of rows of which some ask."""
        found = _vectors.kept(answers, labels, self.k, self.queries)
        if found is None:
            return _rows.none(labels)
        figures = np.zeros(len(labels))
        figures[-self.queries :] = found * len(labels) / self.queries
        return figures
