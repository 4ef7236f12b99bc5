"""Texts in an array, changed one by one."""

from collections.abc import Callable

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.errors import NotApplicable


def is_text(array: np.ndarray) -> bool:
    """Whether it holds texts."""
    return array.dtype.kind == "U" or (array.dtype.kind == "O" and all(isinstance(item, str) for item in array.ravel()))


def changed(array: np.ndarray, change: Callable[[str], str]) -> np.ndarray:
    """The array with every text changed, of the same shape and kind."""
    texts = [change(str(text)) for text in array.ravel()]
    return np.array(texts, dtype=object if array.dtype.kind == "O" else str).reshape(array.shape)


def refuse_unchanged(before: Batch, after: Batch, reason: str) -> None:
    """`NotApplicable` for this reason where nothing is different."""
    if all(after[name] is array or np.array_equal(after[name], array) for name, array in before.items()):
        raise NotApplicable(reason)
