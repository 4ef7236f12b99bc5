"""The share of rows answered like the original."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch, label_of
from fdpipe.metric import _rows
from fdpipe.metric._values import values_beside


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Between 0 and 1. A label agrees where it is the same; a row of figures where none of them is farther from the
    original's than `absolute`, or `relative` times the largest magnitude of the original's row. NaN for answers that are not
    like the original's.

    It is what a release is judged by where there are no labels, and more: where a tensor must keep only its direction, take
    `cosine`.
    """

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share"
    needs_labels: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    relative: float = 1e-3
    absolute: float = 1e-6

    def __post_init__(self) -> None:
        """Ranges."""
        for name, value in (("relative", self.relative), ("absolute", self.absolute)):
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be at least 0, not {value}")

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """The mean over rows; `labels` are the original's answers."""
        return _rows.mean(self.of_rows(answers, labels))

    def of_rows(self, answers: Batch, labels: np.ndarray) -> np.ndarray:
        """1 where the answer is the original's, else 0."""
        found = None if "value" in answers else label_of(answers)
        if found is not None and found.shape == labels.shape:
            return np.asarray(_rows.flat(found == labels).all(axis=1), np.float64)
        both = values_beside(answers, labels) if labels.dtype.kind == "f" else None
        if both is None or not np.isfinite(both[0]).all() or not np.isfinite(both[1]).all():
            return _rows.none(labels)
        gap, size = (np.abs(figures).max(axis=1) for figures in (both[0] - both[1], both[1]))
        return np.asarray(gap <= np.maximum(self.absolute, self.relative * size), np.float64)
