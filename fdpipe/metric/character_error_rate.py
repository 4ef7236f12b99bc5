"""The character error rate: how far texts are from what they should be."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.metric import _texts


@dataclass(frozen=True, kw_only=True)
class CharacterErrorRate:
    """The characters that must be put in, left out or changed (Levenshtein 1966), in all rows together, over all characters of
    the right texts: at least 0, and above 1 where much too much is said. It is a share of characters and no mean over rows.
    Characters are Unicode's code points, white space among them but for that at a text's ends; `ignore_case` makes capitals
    small.

    NaN for answers or labels that are no texts, one a row, and where the right texts have no characters.
    """

    higher_is_better: ClassVar[bool] = False
    unit: ClassVar[str] = "edits a character"
    needs_labels: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("rapidfuzz",)

    ignore_case: bool = False

    def score(self, answers: Batch, labels: np.ndarray) -> float:
        """All edits over all characters, by rapidfuzz; `MissingExtra` where that is not installed."""
        return _texts.error_rate(_texts.texts_beside(answers, labels), words=False, ignore_case=self.ignore_case)
