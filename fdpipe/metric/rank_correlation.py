"""The correlation of ranks: whether values come in the order of the labels."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric import _ranks
from fdpipe.metric._ranks import Of


@dataclass(frozen=True, kw_only=True)
class RankCorrelation:
    """Between -1 and 1, of values and labels, and where a row has several values the mean over these columns; equal values
    share their ranks. NaN for answers that are no values of the labels' shape or not finite, and where all answers, or all
    labels, of a column are alike."""

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = ""
    needs_labels: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("scipy",)

    of: Of = Of.SPEARMAN

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """Like scipy's `spearmanr` or `kendalltau`."""
        return _ranks.correlation(answers, labels, self.of)
