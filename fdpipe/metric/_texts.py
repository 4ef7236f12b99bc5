"""Texts beside the texts that they should be, and how many edits lie between."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.extras import require

NAMES = ("text", "label")


def texts_beside(answers: Batch, labels: np.ndarray) -> list[tuple[str, str]] | None:
    """Each row's text and the right one: the answer `text`, or `label`, or the only one that is text; None where either is no
    text, one a row."""
    texts = {name: item for name, item in answers.items() if item.dtype.kind in "OU"}
    chosen = [texts[name] for name in NAMES if name in texts] or list(texts.values())
    if not chosen or (len(chosen) > 1 and not texts.keys() & set(NAMES)):
        return None
    found = chosen[0].reshape(len(labels)) if chosen[0].size == len(labels) else chosen[0]
    wanted = labels.reshape(len(labels)) if labels.size == len(labels) else labels
    if found.shape != wanted.shape or wanted.dtype.kind not in "OU":
        return None
    pairs = list(zip(found.tolist(), wanted.tolist(), strict=True))
    return pairs if all(isinstance(one, str) and isinstance(other, str) for one, other in pairs) else None


def error_rate(pairs: Sequence[tuple[str, str]] | None, words: bool, ignore_case: bool) -> float:
    """All edits over all words, or characters, of the right texts; NaN where these have none."""
    if pairs is None:
        return float("nan")
    counts = [_edits(found, wanted, words, ignore_case) for found, wanted in pairs]
    total = sum(length for _, length in counts)
    return sum(edits for edits, _ in counts) / total if total else float("nan")


@lru_cache(maxsize=1 << 16)
def _edits(found: str, wanted: str, words: bool, ignore_case: bool) -> tuple[int, int]:
    """How many edits make the one the other, and how long the right one is. Remembered, since the same rows are asked for
    again and again when they are drawn anew."""
    one, other = (_parts(text, words, ignore_case) for text in (found, wanted))
    return int(_levenshtein().distance(one, other)), len(other)


def _parts(text: str, words: bool, ignore_case: bool) -> Sequence[str]:
    text = text.casefold() if ignore_case else text
    return text.split() if words else text.strip()


def _levenshtein() -> Any:  # noqa: ANN401 - rapidfuzz's own module
    return require("rapidfuzz.distance", extra="text").Levenshtein
