"""The log loss: how surprising the right labels are to the model."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric import _rows
from fdpipe.metric._scores import FLOOR, places_of, probabilities_of


@dataclass(frozen=True, kw_only=True)
class LogLoss:
    """The mean of minus the natural logarithm of the right label's probability, at least 0; a probability below 1.2e-7, that of
    a label which is no class included, counts as 1.2e-7.

    NaN for answers that are no probabilities: a negative one, or a row whose sum is not 1 within 0.01 (within that, it is
    divided by its sum). A single figure a row is the probability of the second of two classes. `classes` names the columns.
    """

    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = "nats"
    needs_labels: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, -float(np.log(FLOOR)))

    classes: tuple[str, ...] = ()

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """Like scikit-learn's `log_loss`."""
        return _rows.mean(self.of_rows(answers, labels))

    def of_rows(self, answers: Batch, labels: np.ndarray) -> np.ndarray:
        """The surprise at each row's label."""
        found = probabilities_of(answers)
        places = None if found is None else places_of(answers, labels, found, self.classes)
        if found is None or places is None:
            return _rows.none(labels)
        right = np.where(places < 0, 0.0, found[np.arange(len(found)), places])
        return np.asarray(-np.log(np.clip(right, FLOOR, 1.0)) + 0.0)
