"""calibrate: the ranges of a graph's tensors on calibration rows."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from fdpipe import workers
from fdpipe.arrays import Batch, rows_in, take
from fdpipe.artifacts import Artifact, Ranges, Rows, WorkerSpec
from fdpipe.interfaces import Calibrator, Processor
from fdpipe.store import stage

BATCH = 8
"""Rows in a call; every tensor inside the graph is held for so many."""


@stage()
def calibrate(
    folder: Path, calibrator: Calibrator, model: Artifact, processor: WorkerSpec, rows: Rows, evaluation: Rows
) -> Ranges:
    """Ranges from the calibration rows, in batches of `BATCH`; coverage from the evaluation rows."""
    bound: Processor = workers.build_spec(processor)
    features = rows.load().features
    values = calibrator.collect(model.path, lambda: batches_of(bound, features))
    inputs = {spec.name: values[spec.name] for spec in model.inputs if spec.name in values}
    return Ranges(
        method=type(calibrator).__name__.lower(),
        rows=rows.count,
        data_digest=rows.digest,
        values=values,
        inputs=inputs,
        coverage=_coverage(batches_of(bound, evaluation.load().features), inputs),
    )


def batches_of(processor: Processor, features: Batch) -> Iterator[Batch]:
    """The rows as the graph's inputs, `BATCH` at a time."""
    for start in range(0, rows_in(features), BATCH):
        yield processor.prepare(take(features, slice(start, start + BATCH)))


def _coverage(batches: Iterable[Batch], ranges: Mapping[str, tuple[float, float]]) -> float | None:
    """The share of the inputs' values that lie inside their calibrated range; missing ones do not count."""
    inside = seen = 0
    for batch in batches:
        for name, (low, high) in ranges.items():
            seen += int(np.sum(~np.isnan(batch[name])))
            inside += int(np.sum((batch[name] >= low) & (batch[name] <= high)))
    return inside / seen if seen else None
