"""shift: every number is off to the same side."""

from dataclasses import dataclass

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.errors import NotApplicable


@dataclass(frozen=True, kw_only=True)
class Shift:
    """Each column of floats is moved by `share` of its standard deviation, down where that is negative: an instrument that
    reads too high. Pictures and other arrays of more than two dimensions are moved as a whole, which is their brightness, as
    are those of bytes, up to where these end."""

    share: float = 0.25

    def __post_init__(self) -> None:
        """Some shift."""
        if self.share == 0 or not abs(self.share) < float("inf"):
            raise ValueError("share must be a finite number other than 0")

    def corrupt(self, features: Batch, random: np.random.Generator) -> dict[str, np.ndarray]:
        """The rows moved, and what is no such number as it is."""
        moved = {name: self._moved(array) for name, array in features.items() if _has_brightness(array)}
        if not moved:
            raise NotApplicable("the rows have no floats, and no pictures of bytes")
        return {**features, **moved}

    def _moved(self, array: np.ndarray) -> np.ndarray:
        axes = None if array.ndim > 2 else 0
        found = array + self.share * np.nanstd(array, axis=axes, keepdims=True)
        if array.dtype.kind == "u":
            found = np.clip(np.rint(found), 0, np.iinfo(array.dtype).max)
        return np.asarray(found, dtype=array.dtype)


def _has_brightness(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" or (array.dtype == np.uint8 and array.ndim > 2)
