"""The share of rows whose right label is among the most likely ones."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric import _rows
from fdpipe.metric._scores import places_of, scores_of


@dataclass(frozen=True, kw_only=True)
class TopK:
    """The share of rows whose label is among the `k` classes of the highest scores; between 0 and 1. Of equal scores the first
    column comes first, as in the label itself. A label that is no class is never among them.

    NaN where a score is not finite, where scores and labels do not fit together, and where there are no more than `k`
    classes: every label would be right. `classes` names the columns.
    """

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share"
    needs_labels: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    k: int = 5
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Ranges."""
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k}")

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """Like scikit-learn's `top_k_accuracy_score`, but for the order of equal scores."""
        return _rows.mean(self.of_rows(answers, labels))

    def of_rows(self, answers: Batch, labels: np.ndarray) -> np.ndarray:
        """1 where the label is among them, else 0."""
        scores = scores_of(answers)
        places = None if scores is None else places_of(answers, labels, scores, self.classes)
        if scores is None or places is None or scores.shape[1] <= self.k:
            return _rows.none(labels)
        own = scores[np.arange(len(scores)), places][:, None]
        before = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) < places[:, None]))
        return np.asarray((places >= 0) & (before.sum(axis=1) < self.k), np.float64)
