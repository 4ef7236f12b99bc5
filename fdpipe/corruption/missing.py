"""missing: some of the values were not there."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.corruption._texts import is_text, refuse_unchanged


class Fill(StrEnum):
    """What stands for a missing float: `nan`, or `zero` for models that take no NaN."""

    NAN = "nan"
    ZERO = "zero"


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A `share` of all values is gone, at random: a float is what `fill` says, a whole number 0, a text empty."""

    share: float = 0.1
    fill: Fill = Fill.NAN

    def __post_init__(self) -> None:
        """A share."""
        if not 0 < self.share <= 1:
            raise ValueError("share must be above 0 and at most 1")

    def corrupt(self, features: Batch, random: np.random.Generator) -> dict[str, np.ndarray]:
        """The rows with what is left; `NotApplicable` where nothing that was there is gone, as in very few rows."""
        found = {name: self._thinned(array, random) for name, array in features.items()}
        refuse_unchanged(features, found, f"none of the values is gone at share={self.share:g}")
        return found

    def _thinned(self, array: np.ndarray, random: np.random.Generator) -> np.ndarray:
        gone = random.random(array.shape) < self.share
        if is_text(array):
            return np.where(gone, "", array).astype(array.dtype)
        nothing = np.nan if self.fill is Fill.NAN and array.dtype.kind == "f" else 0
        return np.where(gone, nothing, array).astype(array.dtype)
