"""calibrate: the ranges of a graph's tensors on calibration rows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fdpipe import workers
from fdpipe.arrays import Batch, rows_in, take
from fdpipe.artifacts import Artifact, Ranges, Rows, WorkerSpec
from fdpipe.interfaces import Calibrator, Processor
from fdpipe.store import stage

BATCH = 32


@stage()
def calibrate(
    folder: Path, calibrator: Calibrator, model: Artifact, processor: WorkerSpec, rows: Rows, evaluation: Rows
) -> Ranges:
    """Ranges from the calibration rows, in batches of `BATCH`; coverage from the evaluation rows."""
    bound: Processor = workers.build_spec(processor)
    features = rows.load().features

    def batches() -> Iterator[Batch]:
        for start in range(0, rows_in(features), BATCH):
            yield bound.prepare(take(features, slice(start, start + BATCH)))

    values = calibrator.collect(model.path, batches)
    names = [spec.name for spec in model.inputs if spec.name in values]
    inputs = {name: values[name] for name in names}
    return Ranges(
        method=type(calibrator).__name__.lower(),
        rows=rows.count,
        data_digest=rows.digest,
        values=values,
        inputs=inputs,
        coverage=_coverage(bound.prepare(evaluation.load().features), inputs),
    )


def _coverage(batch: Batch, ranges: dict[str, tuple[float, float]]) -> float | None:
    """The share of the inputs' values that lie inside their calibrated range."""
    if not ranges:
        return None
    inside = sum(int(np.sum((batch[name] >= low) & (batch[name] <= high))) for name, (low, high) in ranges.items())
    return inside / sum(batch[name].size for name in ranges)
