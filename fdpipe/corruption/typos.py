"""typos: words with two letters in the wrong order."""

import re
from dataclasses import dataclass

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.corruption._texts import changed, is_text, refuse_unchanged


@dataclass(frozen=True, kw_only=True)
class Typos:
    """In a `share` of the words, at random, two neighbouring letters change places: what hands do most on a keyboard."""

    share: float = 0.1

    def __post_init__(self) -> None:
        """A share."""
        if not 0 < self.share <= 1:
            raise ValueError("share must be above 0 and at most 1")

    def corrupt(self, features: Batch, random: np.random.Generator) -> dict[str, np.ndarray]:
        """The texts with typos, and the rest as it is."""

        def mistyped(word: re.Match[str]) -> str:
            text = word[0]
            chance, place = random.random(), int(random.integers(len(text) - 1))
            return text if chance >= self.share else text[:place] + text[place + 1] + text[place] + text[place + 2 :]

        def with_typos(text: str) -> str:
            return re.sub(r"[^\W\d_]{2,}", mistyped, text)

        found = {name: changed(array, with_typos) if is_text(array) else array for name, array in features.items()}
        refuse_unchanged(features, found, "the rows have no texts with words to mistype")
        return found
