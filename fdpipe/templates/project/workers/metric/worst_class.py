"""worst_class: the recall of the class that is recognized worst."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch, label_of


@dataclass(frozen=True, kw_only=True)
class WorstClass:
    """An average hides a class that is always missed; this does not. Classes of fewer than `min_rows` rows are left out."""

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = ""
    needs_labels: ClassVar[bool] = True

    min_rows: int = 5

    def __post_init__(self) -> None:
        """Ranges."""
        if self.min_rows < 1:
            raise ValueError("min_rows must be at least 1")

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """The smallest recall; NaN where no class has enough rows."""
        found = label_of(answers)
        if found is None:
            return float("nan")
        classes, counts = np.unique(labels, return_counts=True)
        recalls = [float(np.mean(found[labels == one] == one)) for one in classes[counts >= self.min_rows]]
        return min(recalls, default=float("nan"))
