"""The Kullback-Leibler divergence of the probabilities from the original's."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric import _rows
from fdpipe.metric._scores import FLOOR, probabilities_of


@dataclass(frozen=True, kw_only=True)
class Kl:
    """The mean over rows of sum p ln(p / q), with the original's probabilities p and the candidate's q (Kullback & Leibler
    1951): by how much more the candidate would be surprised by what the original foresees. At least 0, and 0 for the same
    probabilities; a q below 1.2e-7 counts as 1.2e-7.

    NaN where either are no probabilities (see `log_loss`), and where they are not of the same shape.
    """

    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = "nats"
    needs_labels: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]] = ("scipy",)
    bounds: ClassVar[tuple[float, float]] = (0.0, -float(np.log(FLOOR)))

    def truth(self, original: Batch) -> np.ndarray | None:
        """The original's probabilities."""
        return probabilities_of(original)

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """The mean over rows, by scipy's `rel_entr`; `labels` are probabilities."""
        return _rows.mean(self.of_rows(answers, labels))

    def of_rows(self, answers: Batch, labels: np.ndarray) -> np.ndarray:
        """The divergence of each row."""
        from scipy.special import rel_entr

        found, wanted = probabilities_of(answers), probabilities_of({"probabilities": labels})
        if found is None or wanted is None or found.shape != wanted.shape:
            return _rows.none(labels)
        return np.asarray(np.clip(rel_entr(wanted, np.maximum(found, FLOOR)).sum(axis=1), *self.bounds))
