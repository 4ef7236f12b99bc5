"""The correlation of ranks with the original's: whether values come in the order that they had."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric import _ranks
from fdpipe.metric._ranks import Of


@dataclass(frozen=True, kw_only=True)
class RankAgreement:
    """As `rank_correlation`, with the original's values in the place of labels."""

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = ""
    needs_labels: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]] = ("scipy",)

    of: Of = Of.SPEARMAN

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """Like scipy's `spearmanr` or `kendalltau`."""
        return _ranks.correlation(answers, labels, self.of)
