"""The fake metric."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch, label_of


@dataclass(frozen=True, kw_only=True)
class FakeMetric:
    """The share of rows with the right label."""

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share"
    needs_labels: ClassVar[bool] = False

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """From 0 to 1."""
        return float(np.mean(label_of(answers) == labels))
