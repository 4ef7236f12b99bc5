"""Batches: named arrays with rows in common; how they are cut, joined, compared, saved."""

import hashlib
from collections.abc import Callable, Mapping
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


def join(batches: list[Batch]) -> dict[str, np.ndarray]:
    """Batches below each other."""
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def in_batches(batch: Batch, size: int, run: Callable[[Batch], Batch]) -> dict[str, np.ndarray]:
    """What `run` answers to the rows, asked `size` at a time."""
    return join([run(take(batch, slice(start, start + size))) for start in range(0, rows_in(batch), size)])


def row_digests(batch: Batch) -> list[bytes]:
    """One digest a row, over the columns in the order of their names."""
    columns = [np.ascontiguousarray(batch[name]) for name in sorted(batch)]
    texts = [column.astype(str) if column.dtype.kind in "OS" else column for column in columns]
    return [hashlib.blake2b(b"\x00".join(text[row].tobytes() for text in texts)).digest() for row in range(rows_in(batch))]


def save_arrays(path: Path, arrays: Batch) -> str:
    """Write an npz file, strings as text; its content's digest."""
    texts = {name: array.astype(str) if array.dtype.kind in "OS" else array for name, array in arrays.items()}
    np.savez(path, allow_pickle=False, **texts)
    return array_digest(texts)


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read an npz file; nothing in it is ever unpickled."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def label_of(answers: Batch) -> np.ndarray | None:
    """The label of each row: the answer `label`, or the largest of the only two-dimensional float answer; else None."""
    if "label" in answers:
        return answers["label"]
    scores = [array for array in answers.values() if array.ndim == 2 and array.dtype.kind == "f" and array.shape[1] > 1]
    return scores[0].argmax(axis=1) if len(scores) == 1 else None


def value_of(answers: Batch) -> np.ndarray | None:
    """The value of each row as float64 of shape (rows, …): the answer `value`, or the only float answer; else None."""
    values = [answers["value"]] if "value" in answers else [item for item in answers.values() if item.dtype.kind == "f"]
    if len(values) != 1:
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
