"""The word error rate: how far texts are from what they should be."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric import _texts


@dataclass(frozen=True, kw_only=True)
class WordErrorRate:
    """The words that must be put in, left out or changed (Levenshtein 1966), in all rows together, over all words of the right
    texts: at least 0, and above 1 where much too much is said. It is a share of words and no mean over rows. Words are what
    stands between white space; `ignore_case` makes capitals small.

    NaN for answers or labels that are no texts, one a row, and where the right texts have no words.
    """

    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = "edits a word"
    needs_labels: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("rapidfuzz",)

    ignore_case: bool = False

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """All edits over all words, by rapidfuzz; `MissingExtra` where that is not installed."""
        return _texts.error_rate(_texts.texts_beside(answers, labels), words=True, ignore_case=self.ignore_case)
