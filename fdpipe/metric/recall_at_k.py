"""The share of what is relevant that is found among the first answers."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric import _rows
from fdpipe.metric._scores import scores_beside


@dataclass(frozen=True, kw_only=True)
class RecallAtK:
    """Each row is a query and each column an item with its score: of the items that are relevant to it (1 in the labels, which
    are 0 and 1 for each item), the share among the `k` of the highest scores, and the mean over the queries. Between 0 and 1.
    Of equal scores the first column comes first; a query to which nothing is relevant counts as 1, since nothing is missed.

    NaN where a score is not finite and where scores and labels do not fit together, or there are no more than `k` items.
    """

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share"
    needs_labels: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    k: int = 10

    def __post_init__(self) -> None:
        """Ranges."""
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k}")

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """The mean over the queries."""
        return _rows.mean(self.of_rows(answers, labels))

    def of_rows(self, answers: Batch, labels: np.ndarray) -> np.ndarray:
        """The recall of each query."""
        both = scores_beside(answers, labels) if labels.ndim == 2 else None
        if both is None or both[0].shape[1] <= self.k:
            return _rows.none(labels)
        scores, relevant = both
        first = np.argsort(-scores, axis=1, kind="stable")[:, : self.k]
        found, there = np.take_along_axis(relevant, first, axis=1).sum(axis=1), relevant.sum(axis=1)
        return np.asarray(np.where(there == 0, 1.0, found / np.maximum(there, 1)))
