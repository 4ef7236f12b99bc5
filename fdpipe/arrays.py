"""Batches: named arrays with rows in common; how they are cut, joined, compared, saved."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

Batch = Mapping[str, np.ndarray]
"""Arrays by input, output, column or answer name; all have the same first dimension, the rows."""


def rows_in(batch: Batch) -> int:
    """How many rows a batch has; 0 for an empty one."""
    return next((len(array) for array in batch.values()), 0)


def take(batch: Batch, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
    """The rows that the index names, of every array."""
    return {name: array[rows] for name, array in batch.items()}


def join(batches: Sequence[Batch]) -> dict[str, np.ndarray]:
    """Batches below each other."""
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def in_batches(batch: Batch, size: int, run: Callable[[Batch], Batch]) -> dict[str, np.ndarray]:
    """What `run` answers to the rows, asked `size` at a time; to no rows it is asked once."""
    return join([run(take(batch, slice(start, start + size))) for start in range(0, max(1, rows_in(batch)), size)])


def row_digests(batch: Batch) -> list[bytes]:
    """One digest a row, over the columns in the order of their names. The type in which a file happens to hold a row does
    not count: floats are taken as float32, which is how a graph sees them, and whole numbers exactly."""
    columns = [_row_bytes(np.asarray(batch[name])) for name in sorted(batch)]
    return [hashlib.blake2b(b"\x00".join(parts)).digest() for parts in zip(*columns, strict=True)]


def _row_bytes(array: np.ndarray) -> list[bytes]:
    if array.dtype.kind in "OUS":
        return ["\x00".join(map(str, np.ravel(row))).encode() for row in array]
    near = array.astype(np.float32) + np.float32(0)  # of the two zeros, the positive one
    rest = array - near.astype(np.int64) if array.dtype.kind in "iu" else np.zeros(array.shape)
    return [a.tobytes() + b.tobytes() for a, b in zip(near, rest.astype(np.float64), strict=True)]


def save_arrays(path: Path, arrays: Batch) -> str:
    """Write an npz file, strings as text; its content's digest."""
    texts = {name: array.astype(str) if array.dtype.kind in "OS" else array for name, array in arrays.items()}
    np.savez(path, allow_pickle=False, **texts)
    return array_digest(texts)


def load_arrays(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Read an npz file, or those arrays of it that have these names; nothing in it is ever unpickled."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files if name in names or not names}


def label_of(answers: Batch) -> np.ndarray | None:
    """The label of each row: the answer `label`, or the largest of the only two-dimensional float answer; else None."""
    if "label" in answers:
        return answers["label"]
    scores = [array for array in answers.values() if array.ndim == 2 and array.dtype.kind == "f" and array.shape[1] > 1]
    return scores[0].argmax(axis=1) if len(scores) == 1 else None


def value_of(answers: Batch) -> np.ndarray | None:
    """The value of each row as float64 of shape (rows, …): the answer `value`, or the only float answer; else None."""
    values = [answers["value"]] if "value" in answers else [item for item in answers.values() if item.dtype.kind == "f"]
    if len(values) != 1 or values[0].dtype.kind not in "biuf":
        return None
    array = values[0].astype(np.float64)
    return array.reshape(len(array)) if array.ndim == 2 and array.shape[1] == 1 else array


def array_digest(arrays: Batch) -> str:
    """The sha256 over names, dtypes, shapes and contents; strings count by their text."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        kind = "string" if array.dtype.kind in "OUS" else array.dtype.str
        digest.update(f"{name} {kind} {array.shape}\n".encode())
        digest.update("\x00".join(map(str, array.ravel())).encode() if kind == "string" else array.tobytes())
    return digest.hexdigest()


def fit(array: np.ndarray, dtype: str, name: str) -> np.ndarray:
    """`array` as `dtype` (a numpy name or `string`); `ValueError` where a value would change by more than rounding."""
    array = np.asarray(array)
    is_text = array.dtype.kind == "U" or (array.dtype.kind == "O" and all(isinstance(item, str) for item in array.ravel()))
    if dtype == "string" and is_text:
        return array.astype(object)
    if dtype == "string" or array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be {dtype}, got {'strings' if is_text else array.dtype}")
    wanted = np.dtype(dtype)
    if array.dtype == wanted:
        return array
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(wanted)
    kept = np.isfinite(cast) == np.isfinite(array) if wanted.kind == "f" else cast == array
    if not kept.all():
        raise ValueError(f"{name} must be {dtype}: {array[~kept].ravel()[0]} does not fit")
    return cast


def check_names(given: Batch, wanted: Iterable[str]) -> None:
    """`ValueError` where a name is missing, is not known, or the rows differ in number."""
    wanted = list(wanted)
    if lacking := [name for name in wanted if name not in given]:
        raise ValueError(f"{lacking[0]!r} is missing: there must be {', '.join(wanted)}")
    if unknown := sorted(set(given) - set(wanted)):
        raise ValueError(f"{unknown[0]!r} is not known: there must be {', '.join(wanted)}")
    counts = {name: len(np.atleast_1d(given[name])) for name in wanted}
    if len(set(counts.values())) > 1:
        raise ValueError(f"the numbers of rows differ: {', '.join(f'{name} has {count}' for name, count in counts.items())}")
