"""The batches that candidates are timed with: evaluation rows, prepared once, and lying in files that every process reads."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fdpipe.arrays import Batch, take
from fdpipe.artifacts import TensorSpec
from fdpipe.interfaces import Processor
from fdpipe.race.runner import write_batches
from fdpipe.race.sitting import Size

BATCHES = 16
"""How many different batches are prepared for each size."""
MOST_BYTES = 32 << 20
"""Fewer where they would take more than this, but two."""


def written(
    folder: Path, processor: Processor, features: Batch, batch_sizes: Sequence[int], lengths: Sequence[int], axes: Sequence[str]
) -> list[Size]:
    """The sizes with their files, the smallest first; `axes` names the inputs whose second axis is cut or repeated."""
    sizes: list[Size] = []
    for batch in sorted(batch_sizes):
        batches = prepared(processor, features, batch)
        for length in sorted(lengths) if axes and lengths else (None,):
            path = folder / f"batches_{batch}_{length or 'as_they_are'}.pickle"
            write_batches(path, [resized(one, length, axes) for one in batches] if length else batches)
            sizes.append(Size(batch=batch, length=length, batches=path))
    return sizes


def prepared(processor: Processor, features: Batch, size: int) -> list[Batch]:
    """Batches of exactly `size` rows, from the first row on and round again where the rows end."""
    count = len(next(iter(features.values())))

    def batch(number: int) -> Batch:
        return processor.prepare(take(features, np.arange(number * size, (number + 1) * size) % count))

    first = batch(0)
    taken = sum(array.nbytes for array in first.values())
    wanted = min(BATCHES, math.ceil(count / size), max(2, MOST_BYTES // max(1, taken)))
    return [first, *(batch(number) for number in range(1, wanted))]


def resized(batch: Batch, length: int, axes: Sequence[str]) -> Batch:
    """Sequences of exactly this length: longer ones cut, shorter ones repeated from their beginning."""
    return {
        name: array[:, np.arange(length) % array.shape[1]] if name in axes and array.shape[1] else array
        for name, array in batch.items()
    }


def sequences(inputs: Sequence[TensorSpec]) -> list[str]:
    """The inputs with an axis of tokens: rows, and then any number."""
    return [one.name for one in inputs if len(one.shape) > 1 and isinstance(one.shape[1], str)]
