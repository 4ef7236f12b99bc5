"""Whether two answers are the same: floats within a tolerance, anything else exactly."""

import numpy as np

from fdpipe.arrays import Batch

TOLERANCE = 1e-5
"""How far a float may lie from another one: absolute below 1, relative above; or four steps of its dtype, if that is more."""


def unlike(found: Batch, wanted: Batch) -> str:
    """The first difference in words; empty where there is none."""
    if missing := [name for name in wanted if name not in found]:
        return f"there is no answer {missing[0]!r}, but {', '.join(found) or 'nothing'}"
    for name, known in wanted.items():
        array = found[name]
        if array.shape != known.shape:
            return f"{name} has shape {list(array.shape)}, not {list(known.shape)}"
        if not is_same(array, known):
            return f"{name} is {short(array)}, not {short(known)}"
    return ""


def is_same(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Shape and elements."""
    if found.shape != wanted.shape:
        return False
    if found.dtype.kind != "f" or wanted.dtype.kind != "f":
        return bool(found.tolist() == wanted.tolist())
    near = max(TOLERANCE, 4 * float(np.finfo(wanted.dtype).eps), 4 * float(np.finfo(found.dtype).eps))
    left, right = found.astype(np.float64), wanted.astype(np.float64)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        return bool((same | (np.abs(left - right) <= near * np.maximum(1.0, np.abs(right)))).all())


def short(array: np.ndarray) -> str:
    """An array in a few words."""
    return np.array2string(array, threshold=6, edgeitems=2, precision=7, separator=", ").replace("\n", "")
