"""calibrate: the ranges of a graph's tensors on calibration rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod
from pathlib import Path

import numpy as np

from fdpipe import workers
from fdpipe.arrays import Batch, rows_in, take
from fdpipe.artifacts import Artifact, Ranges, Rows, TensorSpec, WorkerSpec
from fdpipe.interfaces import Calibrator, Processor
from fdpipe.store import stage

MOST_ROWS = 64
"""In a call."""

VALUES = 4096
"""As many rows are put together as have this many values: large ones are faster one by one, out of the processor's cache."""


@stage()
def calibrate(
    folder: Path, calibrator: Calibrator, model: Artifact, processor: WorkerSpec, rows: Rows, evaluation: Rows
) -> Ranges:
    """Ranges from the calibration rows, and how many of the evaluation rows' values lie inside those of the inputs."""
    bound: Processor = workers.build_spec(processor)
    features = rows.load().features
    values = calibrator.collect(model.path, lambda: batches_of(bound, features, model.inputs))
    inputs = {spec.name: values[spec.name] for spec in model.inputs if spec.name in values}
    inside, seen = _inside(_prepared(bound, evaluation.load().features, MOST_ROWS), inputs) if inputs else ({}, {})
    return Ranges(
        method=type(calibrator).__module__.rpartition(".")[2],
        rows=rows.count,
        data_digest=rows.digest,
        values=values,
        inputs=inputs,
        coverage=sum(inside.values()) / sum(seen.values()) if any(seen.values()) else None,
        coverage_by_input={name: inside[name] / seen[name] for name in inputs if seen[name]},
    )


def batches_of(processor: Processor, features: Batch, inputs: Sequence[TensorSpec]) -> Iterator[Batch]:
    """The rows as the graph's inputs, a few at a time. Where the number of rows in a call is fixed, the last call is filled
    up with the first rows again; where rows may differ in length, each goes alone, so that none is padded to another's."""
    fixed = [spec.shape[0] for spec in inputs if spec.shape and isinstance(spec.shape[0], int)]
    axes = [axis for spec in inputs for axis in spec.shape[1:]]
    if fixed:
        return _prepared(processor, features, fixed[0], full=True)
    if any(isinstance(axis, str) for axis in axes):
        return _prepared(processor, features, 1)
    values = sum(prod(axis for axis in spec.shape[1:] if isinstance(axis, int)) for spec in inputs)
    return _prepared(processor, features, min(MOST_ROWS, max(1, VALUES // max(1, values))))


def _prepared(processor: Processor, features: Batch, size: int, *, full: bool = False) -> Iterator[Batch]:
    count = rows_in(features)
    for start in range(0, count, size):
        numbers = np.arange(start, start + size)
        yield processor.prepare(take(features, numbers % count if full else numbers[numbers < count]))


def _inside(batches: Iterable[Batch], ranges: Mapping[str, tuple[float, float]]) -> tuple[dict[str, int], dict[str, int]]:
    """How many of each input's values lie inside its calibrated range, and how many there are; missing ones do not count."""
    inside, seen = dict.fromkeys(ranges, 0), dict.fromkeys(ranges, 0)
    for batch in batches:
        for name, (low, high) in ranges.items():
            seen[name] += int(np.sum(~np.isnan(batch[name])))
            inside[name] += int(np.sum((batch[name] >= low) & (batch[name] <= high)))
    return inside, seen
