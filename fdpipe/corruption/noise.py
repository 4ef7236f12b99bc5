"""noise: every number is a little off."""

from dataclasses import dataclass

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.errors import NotApplicable


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Gaussian noise on each column of floats, of `share` of the column's standard deviation."""

    share: float = 0.1

    def __post_init__(self) -> None:
        """Some noise."""
        if not 0 < self.share < float("inf"):
            raise ValueError("share must be above 0")

    def corrupt(self, features: Batch, random: np.random.Generator) -> dict[str, np.ndarray]:
        """The floats with noise, and the rest as it is."""
        if not any(array.dtype.kind == "f" for array in features.values()):
            raise NotApplicable("the rows have no floats")
        return {name: self._noisy(array, random) if array.dtype.kind == "f" else array for name, array in features.items()}

    def _noisy(self, array: np.ndarray, random: np.random.Generator) -> np.ndarray:
        spread = np.nanstd(array, axis=0, keepdims=True)
        noisy: np.ndarray = array + self.share * spread * random.standard_normal(array.shape)
        return noisy.astype(array.dtype)
