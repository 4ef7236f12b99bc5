"""locate: where a model loses when it is quantized, node by node and without labels."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fdpipe import workers
from fdpipe.arrays import Batch, rows_in, take
from fdpipe.artifacts import Artifact, Rows, Sensitivity, WorkerSpec
from fdpipe.sensitivity import METHOD, losses
from fdpipe.store import stage

ROWS = 32
"""At most so many rows are looked at, from the first to the last in equal steps."""

BATCH = 4
"""Rows in a call."""


@stage(packages=("onnx", "onnxruntime"))
def locate(folder: Path, model: Artifact, processor: WorkerSpec, rows: Rows) -> Sensitivity:
    """Every node of the float model that a quantizer would change, the one that loses most first."""
    bound, features = workers.build_spec(processor), rows.load().features
    some = take(features, np.linspace(0, rows.count - 1, min(ROWS, rows.count)).round().astype(int))

    def batches() -> Iterator[Batch]:
        for start in range(0, ROWS, BATCH):
            if rows_in(part := take(some, slice(start, start + BATCH))):
                yield bound.prepare(part)

    return Sensitivity(method=METHOD, rows=min(ROWS, rows.count), nodes=losses(model.path, batches))
