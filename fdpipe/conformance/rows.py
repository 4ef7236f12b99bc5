"""Rows to ask a service: made from its metadata, seeded; or those of a release's golden file, with their known answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fdpipe.arrays import Batch, load_arrays, rows_in, take
from fdpipe.artifacts import GOLDEN_ANSWER, GOLDEN_INPUT, GOLDEN_TOGETHER
from fdpipe.conformance import raw
from fdpipe.conformance.golden import part
from fdpipe.conformance.model import Tensor
from fdpipe.errors import ConfigError

ROWS = 8
_ANY, _ANY_OF_IMAGES = 8, 32
"""How long an axis of any length is made; from the second one on, and of tensors with four axes or more."""

_WORDS = ("", "a", "Zürich", "two words", "漢字", 'say "no"', "x" * 100, "0")
_SMALL = 10
"""Whole numbers are below it, so that they are tokens, categories and counts of nearly every model."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What is asked. `known` are the right answers, empty where nobody knows them. Where `together` is true, an answer depends
    on the rows beside it, which is known of this release."""

    inputs: Batch
    told: str
    known: Batch = field(default_factory=dict)
    together: bool = False


def made(inputs: Sequence[Tensor], seed: int = 0) -> Rows:
    """Rows that the metadata allows; `ValueError` where there can be none. As many as `ROWS`, or as a fixed first axis has."""
    if not inputs:
        raise ValueError("the metadata names no inputs, so that no rows can be made")
    if unreadable := [one for one in inputs if one.datatype == "BF16"]:
        raise ValueError(f"{unreadable[0].name} is BF16, of which no rows are made")
    generator = np.random.default_rng(seed)
    return Rows(inputs={one.name: _array(generator, one) for one in inputs}, told=f"made from its metadata, seed {seed}")


def golden(path: Path, most: int = ROWS) -> Rows:
    """The first rows of a release's golden file; `ConfigError` where it is none."""
    try:
        arrays = load_arrays(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is no file of golden rows: {error}") from error
    inputs, known = part(arrays, GOLDEN_INPUT), part(arrays, GOLDEN_ANSWER)
    if not rows_in(inputs):
        raise ConfigError(f"{path} is no file of golden rows: it has no {GOLDEN_INPUT}NAME")
    rows = slice(0, most)
    told = f"{min(most, rows_in(inputs))} rows of {path.name}"
    return Rows(inputs=take(inputs, rows), told=told, known=take(known, rows), together=bool(part(arrays, GOLDEN_TOGETHER)))


def extremes(inputs: Batch) -> dict[str, Batch]:
    """One row each, by what is extreme in it: zeros, the smallest and largest numbers, long strings."""
    row = take(inputs, slice(0, 1))
    return {
        "zeros and empty strings": {name: _filled(array, 0.0, "") for name, array in row.items()},
        "the largest numbers and a long string": {name: _filled(array, np.inf, "ß" * 5000) for name, array in row.items()},
        "the smallest numbers and a NUL": {name: _filled(array, -np.inf, "a\0b") for name, array in row.items()},
    }


def _filled(array: np.ndarray, number: float, text: str) -> np.ndarray:
    if array.dtype.kind in "OSU":
        return np.full(array.shape, text, dtype=object)
    if array.dtype.kind == "b":
        return np.full(array.shape, number > 0)
    limits = np.finfo(array.dtype) if array.dtype.kind == "f" else np.iinfo(array.dtype)
    value = limits.max if number > 0 else limits.min if number < 0 else 0
    return np.full(array.shape, value, dtype=array.dtype)


def _array(generator: np.random.Generator, tensor: Tensor) -> np.ndarray:
    first, *others = tensor.shape or (1,)
    length = _ANY_OF_IMAGES if len(others) >= 3 else _ANY
    shape = (ROWS if first == -1 else first, *(length if axis == -1 else axis for axis in others))
    if tensor.datatype == "BYTES":
        array = np.empty(shape, dtype=object)
        array.ravel()[:] = [_WORDS[number % len(_WORDS)] for number in range(array.size)]
        return array
    dtype = np.dtype(raw.DTYPES[tensor.datatype])
    if dtype.kind == "f":
        return generator.normal(size=shape).astype(dtype)
    return generator.integers(0, 2 if dtype.kind == "b" else _SMALL, shape).astype(dtype)
