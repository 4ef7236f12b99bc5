"""truncation: texts and sequences that end too early."""

import math
from dataclasses import dataclass

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.corruption._texts import changed, is_text, refuse_unchanged


@dataclass(frozen=True, kw_only=True)
class Truncation:
    """Only the first `keep` of a text's words is left, or of a sequence of whole numbers, as tokens, of shape (rows, length);
    these are filled up with `padding`, which is not counted to their length before."""

    keep: float = 0.5
    padding: int = 0

    def __post_init__(self) -> None:
        """A share that cuts something off."""
        if not 0 < self.keep < 1:
            raise ValueError("keep must be above 0 and below 1")

    def corrupt(self, features: Batch, random: np.random.Generator) -> dict[str, np.ndarray]:
        """The rows cut, and what is neither as it is."""
        found = {name: self._cut(array) for name, array in features.items()}
        refuse_unchanged(features, found, "the rows have no texts of several words, and no sequences of whole numbers")
        return found

    def _cut(self, array: np.ndarray) -> np.ndarray:
        if is_text(array):
            return changed(array, self._first_words)
        if array.dtype.kind not in "iu" or array.ndim != 2:
            return array
        place = np.arange(array.shape[1])
        length = np.where(array != self.padding, place + 1, 0).max(axis=1, initial=0)
        kept = np.ceil(length * self.keep)
        return np.where(place < kept[:, None], array, self.padding).astype(array.dtype)

    def _first_words(self, text: str) -> str:
        words = text.split()
        return text if len(words) < 2 else " ".join(words[: math.ceil(len(words) * self.keep)])
